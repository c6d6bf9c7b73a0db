"""What a receipt carries beside the facts of its part: stored as it is, and nothing where there is nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import google_crc32c
import pytest

from pipeline.errors import DamagedPartError
from pipeline.metrics.accuracy import Metrics
from pipeline.metrics.figures import CellRow
from pipeline.metrics.left_out import LeftOut
from pipeline.output.receipts import Extras, Receipt

INSIDE = LeftOut({"junk": 2, "other files": 1}, {"junk": "/x.tar.gz!a\udcff", "other files": "/x.tar.gz!b"})
RECEIPT = Receipt("f" * 32, 2, 7, Metrics(images=2, scored=2), [], [], Extras(1.5, left_out=INSIDE))
OLD = Path(__file__).parents[1] / "fixtures" / "7c95bb3"


def aside(receipt: Receipt) -> dict[str, object]:
    content: dict[str, object] = json.loads(receipt.to_json())["aside"]
    return content


def test_mistakes_of_cells_are_stored_and_not_compared() -> None:
    cell: CellRow = {"key": "a.png", "label": 1, "label_score": 0.1, "predicted": 2, "row": 0, "score": 0.9}
    receipt = replace(RECEIPT, cells=[cell])
    read = Receipt.from_json(receipt.to_json())
    assert read.cells == [cell]
    assert read == RECEIPT
    assert Receipt.from_json(RECEIPT.to_json()).cells == []


def test_what_was_left_out_inside_is_stored_and_read() -> None:
    read = Receipt.from_json(RECEIPT.to_json())
    assert (read.extras, read) == (RECEIPT.extras, RECEIPT)
    assert aside(read)["skipped"] == INSIDE.counts
    assert aside(read)["skipped_examples"] == INSIDE.examples


def test_it_is_written_only_where_there_is_any_and_not_compared() -> None:
    without = replace(RECEIPT, extras=Extras(1.5))
    assert aside(without) == {"seconds": 1.5, "thumbnails": {}}
    assert without == RECEIPT


@pytest.mark.parametrize("damage", [{"skipped": 3}, {"skipped": ["junk"]}, {"skipped_examples": 1}])
def test_what_is_no_count_is_a_damaged_receipt(damage: dict[str, Any]) -> None:
    content = {**json.loads(RECEIPT.to_json())}
    content["aside"] |= damage
    del content["checksum"]
    data = json.dumps(content).encode().removesuffix(b"}")
    sealed = data + b', "checksum": "%08x"}\n' % google_crc32c.value(data)
    with pytest.raises(DamagedPartError, match="not a receipt"):
        Receipt.from_json(sealed)


def test_it_stays_when_only_some_thumbnails_are_kept() -> None:
    extras = Extras(1.5, {0: b"a", 1: b"b"}, "litert", INSIDE)
    assert extras.only([1]) == Extras(1.5, {1: b"b"}, "litert", INSIDE)


def test_receipts_of_an_earlier_version_have_none() -> None:
    for path in OLD.rglob("receipts/*.json"):
        assert not Receipt.from_json(path.read_bytes()).extras.left_out
