"""Lists whose label is bytes, a decimal, a boolean, a list of one, a struct, or a ClassLabel of Hugging Face."""

from __future__ import annotations

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from label_inputs import DIGITS, labels_of, write_pictures

NAMES = [f"{d}.pgm" for d in range(10)]


def write(folder: Path, labels: Any, metadata: dict[bytes, bytes] | None = None) -> Path:
    write_pictures(folder, NAMES)
    table = pa.table({"file_name": NAMES, "label": labels})
    pq.write_table(table.replace_schema_metadata(metadata), folder / "x.parquet")
    return folder / "x.parquet"


@pytest.mark.parametrize(
    "labels",
    [
        [str(d).encode() for d in range(10)],
        pa.array([str(d).encode() for d in range(10)], pa.binary(1)),
        [decimal.Decimal(d) for d in range(10)],
        [decimal.Decimal(f"{d}.00") for d in range(10)],
        [[d] for d in range(10)],
        [[str(d)] for d in range(10)],
        [{"id": d, "name": str(d)} for d in range(10)],
        [{"name": str(9 - d), "text": None, "id": 0} for d in range(9, -1, -1)],
        [{"label": d} for d in range(10)],
        [[int(i == d) for i in range(10)] for d in range(10)],
        [[i == d for i in range(10)] for d in range(10)],
        pa.array([str(d) for d in range(10)]).dictionary_encode(),
        pa.array(range(10), pa.uint64()),
        pa.array(range(10), pa.float16()),
        pa.array([str(d) for d in range(10)], pa.large_string()),
        [json.dumps([d]) for d in range(10)],
        [f"['{d}']" for d in range(10)],
        [f"b'{d}'" for d in range(10)],
    ],
    ids=lambda labels: repr(labels[3])[:30],
)
def test_a_label_of_any_type_is_its_class(tmp_path: Path, labels: Any) -> None:
    assert labels_of(write(tmp_path, labels)) == list(DIGITS)


def test_booleans_are_as_in_a_csv(tmp_path: Path) -> None:
    path = write(tmp_path, [d == 1 for d in range(10)])
    (tmp_path / "x.csv").write_text("file_name,label\n" + "".join(f"{n},{d == 1}\n" for d, n in enumerate(NAMES)))
    expected = [str(d == 1) for d in range(10)]
    assert labels_of(path, classes=("False", "True")) == labels_of(tmp_path / "x.csv", classes=("False", "True"))
    assert labels_of(path, classes=("False", "True")) == expected


def test_what_is_no_label_stays_to_be_counted(tmp_path: Path) -> None:
    path = write(tmp_path, [datetime.date(2026, 1, 1 + d) for d in range(10)])
    assert labels_of(path)[:2] == ["2026-01-01", "2026-01-02"]
    assert labels_of(write(tmp_path, [{"x": d, "y": 1} for d in range(10)]))[3] == '{"x": 3, "y": 1}'
    assert labels_of(write(tmp_path, [[d, d] for d in range(10)]))[3] == "[3, 3]"


def test_names_in_the_schema_come_before_the_models_order(tmp_path: Path) -> None:
    names = [f"n{9 - d}" for d in range(10)]
    info = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}, "file_name": {"_type": "Value"}}}}
    path = write(tmp_path, pa.array(range(10), pa.int64()), {b"huggingface": json.dumps(info).encode()})
    assert labels_of(path, classes=sorted(names)) == names
    assert labels_of(path, classes=sorted(names), labels_are="indices") == sorted(names)
    assert labels_of(path, classes=["n1", "n2"]) == names, "names that the model does not have stay"
