"""Models of labels, of a value and of an embedding beside each other; and of different tasks: refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from task_rows import FAILED, NAMES, embedding_row, label_row, value_row
from written_output import Row, write_output

from pipeline.comparison.compare import compare
from pipeline.comparison.verdict import Limits
from pipeline.errors import UsageError
from pipeline.metrics.paired import mcnemar
from pipeline.task import Embedding

OK = {"status": "ok"}
SPECS: dict[str, dict[str, Any]] = {
    "labels": {"task": "labels"},
    "value": {"task": "value", "value_unit": 2.0**-10},
    "embedding": {"task": "embedding", "embedding": Embedding(2)},
}


def write(folder: Path, task: str, rows: list[dict[str, Any]]) -> str:
    whole: list[Row] = [{**OK, **row} for row in rows]
    names = NAMES if task == "labels" else ()
    write_output(folder, [whole[:40], whole[40:]], names, spec=SPECS[task])
    return str(folder)


def label_rows(seed: int, noise: float, n: int = 80) -> list[dict[str, Any]]:
    chance, truth = np.random.default_rng(seed), np.random.default_rng(0)
    rows = []
    for i in range(n):
        own = truth.random(len(NAMES)) < 0.4
        scores = np.clip(own * 0.8 + chance.random(len(NAMES)) * noise, 0, 1)
        names = None if i % 9 == 0 else [name for name, has in zip(NAMES[::-1], own[::-1], strict=True) if has]
        rows.append(label_row(f"/archive/{i}.png", names, None if i % 20 == seed else scores.tolist()))
    return rows


def test_labels_are_right_if_all_of_them_are(tmp_path: Path) -> None:
    a, b = label_rows(1, 0.7), label_rows(2, 0.55)
    figures = compare(write(tmp_path / "a", "labels", a), write(tmp_path / "b", "labels", b)).figures
    both = [(x, y) for x, y in zip(a, b, strict=True) if "predicted_names" in x and "predicted_names" in y]
    counted = [(x, y) for x, y in both if x["label_names"] is not None]
    right = [[set(row["predicted_names"]) == set(row["label_names"]) for row in pair] for pair in counted]
    assert (figures["scored"], figures["labelled"]) == (len(both), len(counted))
    assert figures["changed"] == sum(set(x["predicted_names"]) != set(y["predicted_names"]) for x, y in both)
    assert figures["quality_a"] is not None
    assert figures["difference"] is not None
    assert figures["quality_a"]["value"] == sum(x for x, _ in right) / len(right)
    lost, gained = sum(x > y for x, y in right), sum(y > x for x, y in right)
    assert (figures["difference"]["lost"], figures["difference"]["gained"]) == (lost, gained)
    assert figures["difference"]["p"] == mcnemar(lost, gained)
    assert lost
    assert gained
    image = figures["wrong_to_right"][0]
    assert image["label"] == image["predicted_b"] != image["predicted_a"]
    assert (image["score_a"], image["score_b"]) == (None, None)


def test_values_are_compared_by_their_errors(tmp_path: Path) -> None:
    chance = np.random.default_rng(3)
    labels = chance.normal(40, 9, 80).round(1)
    a, b = (
        [
            value_row(f"/archive/{i}.png", label, float(np.float32(label + chance.normal(0, spread))))
            for i, label in enumerate(labels.tolist())
        ]
        for spread in (3, 1)
    )
    a[3], b[4], b[5], a[6] = (
        value_row("/archive/3.png", None, 1.0), {"key": "/archive/4.png", **FAILED},
        value_row("/archive/5.png", 1.5, 1.5), value_row("/archive/6.png", math.nan, 1.0),
    )  # fmt: skip
    one, other = write(tmp_path / "a", "value", a), write(tmp_path / "b", "value", b)
    figures = compare(one, other).figures
    kept = [i for i in range(80) if i not in (3, 4, 5, 6)]
    errors = [[abs(rows[i]["predicted_value"] - rows[i]["label_value"]) for i in kept] for rows in (a, b)]
    apart = np.subtract(errors[1], errors[0])
    difference = figures["difference"]
    assert difference is not None
    assert figures["quality_b"] is not None
    assert (figures["labelled"], figures["labels_differ"], figures["labelled_in_one"]) == (76, 1, 2)
    assert figures["quality_b"]["value"] == pytest.approx(np.mean(errors[1]), abs=1e-3)
    assert difference["value"] == pytest.approx(apart.mean(), abs=1e-3)
    reach = 1.96 * apart.std(ddof=1) / math.sqrt(len(apart))
    assert difference["interval_95"] == pytest.approx([apart.mean() - reach, apart.mean() + reach], abs=2e-3)
    assert (figures["outcome"], figures["changed"], difference["gained"]) == ("better", None, None)
    assert figures["verdict"].startswith("B is better: mean error ")
    back = compare(other, one, limits=Limits(fail_if_worse=True)).figures
    assert (back["outcome"], back["exit_code"]) == ("worse", 4)
    farthest = figures["wrong_to_right"][0]["key"]
    assert farthest == a[kept[int(np.argmin(apart))]]["key"]


def test_of_embeddings_it_is_told_what_is_shared(tmp_path: Path) -> None:
    a = [embedding_row(f"/archive/{i}.png", [1.0, i]) for i in range(5)]
    b = [embedding_row(f"/archive/{i}.png", [0.0, i] if i else None) for i in range(4)]
    one, other = write(tmp_path / "a", "embedding", a), write(tmp_path / "b", "embedding", b)
    figures = compare(one, other).figures
    assert (figures["shared"], figures["scored"], figures["failed_in_b"]) == (4, 3, 1)
    assert (figures["outcome"], figures["quality_a"], figures["changed"]) == ("not_measured", None, None)
    with pytest.raises(UsageError, match="no meaning for models of an embedding"):
        compare(one, other, limits=Limits(fail_if_worse=True))


def test_different_tasks_are_refused(tmp_path: Path) -> None:
    one = write(tmp_path / "a", "embedding", [embedding_row("/archive/1.png", [1.0, 2.0])])
    other = write(tmp_path / "b", "value", [value_row("/archive/1.png", 1.0, 2.0)])
    with pytest.raises(UsageError, match="different tasks, so nothing can be compared: A 'embedding', B 'value'"):
        compare(one, other)
    with pytest.raises(UsageError, match="--max_flips has no meaning for models of a value"):
        compare(other, other, limits=Limits(max_flips=0.1))
