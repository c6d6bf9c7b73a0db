"""Lists as desktop programs, pandas and labelling tools save them."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pytest
from label_inputs import DIGITS, labels_of, write_pictures
from read_inputs import read_inputs

from pipeline.errors import UsageError

NAMES = [f"{d}.pgm" for d in range(10)]
TEXT = "file_name,label\n" + "".join(f"{d}.pgm,{d}\n" for d in range(10))
ROWS = [{"file_name": name, "label": d} for d, name in enumerate(NAMES)]
WINDOWS = TEXT.replace("\n", "\r\n")
BODY = TEXT.partition("\n")[2]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("semicolons.csv", b"\xef\xbb\xbf" + WINDOWS.replace(",", ";").encode()),
        ("sep.csv", b"sep=;\r\n" + WINDOWS.replace(",", ";").encode()),
        ("sep.csv", b"\xef\xbb\xbfsep=|\r\n" + WINDOWS.replace(",", "|").encode()),
        ("utf16.csv", WINDOWS.replace(",", "\t").encode("utf-16")),
        ("unmarked.csv", WINDOWS.encode("utf-16-le")),
        ("big.csv", b"\xfe\xff" + WINDOWS.encode("utf-16-be")),
        ("powershell.txt", "".join(f"{n} {d}\r\n" for d, n in enumerate(NAMES)).encode("utf-16")),
        ("quoted.txt", "".join(f'"{n}" {d}\n' for d, n in enumerate(NAMES)).encode()),
        ("list.csv.gz", gzip.compress(TEXT.encode(), mtime=0)),
        ("list.tsv.bz2", bz2.compress(TEXT.replace(",", "\t").encode())),
        ("list.CSV.xz", lzma.compress(TEXT.encode())),
        ("list.tsv", TEXT.replace(",", "\t").encode()),
        ("list.json", json.dumps(ROWS).encode()),
        ("pretty.json", json.dumps(ROWS, indent=2).encode()),
        ("array.jsonl", json.dumps(ROWS).encode()),
        ("columns.json", json.dumps({k: {str(i): r[k] for i, r in enumerate(ROWS)} for k in ROWS[0]}).encode()),
        ("map.json", json.dumps({row["file_name"]: row["label"] for row in ROWS}).encode()),
        ("columns.csv", TEXT.replace("file_name,label", "filename,class").encode()),
        ("kaggle.csv", TEXT.replace("file_name,label", "Path,ClassId").encode()),
        ("vertex.csv", b"".join(b"TRAIN,%d.pgm,%d\n" % (d, d) for d in range(10))),
        ("bare.csv", BODY.encode()),
        ("bare.csv", BODY.replace(",", ";").encode()),
    ],
)
def test_a_list_is_read_as_it_is_saved(tmp_path: Path, name: str, data: bytes) -> None:
    write_pictures(tmp_path, NAMES)
    (tmp_path / name).write_bytes(data)
    assert labels_of(tmp_path / name) == list(DIGITS)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("vertex.jsonl", lambda n, d: {"imageGcsUri": n, "classificationAnnotation": {"displayName": d}}),
        ("vertex.jsonl", lambda n, d: {"imageGcsUri": n, "classificationAnnotations": [{"displayName": d}]}),
        ("truth.manifest", lambda n, d: {"source-ref": n, "kind": int(d), "kind-metadata": {"class-name": d}}),
        (
            "truth.manifest",
            lambda n, d: {"source-ref": n, "kind": [3], "kind-metadata": {"class-map": {"3": d}, "human": "yes"}},
        ),
        (
            "studio.jsonl",
            lambda n, d: {
                "id": 1,
                "data": {"image": n},
                "annotations": [{"result": [{"type": "choices", "value": {"choices": [d]}}]}],
            },
        ),
        ("studio-min.jsonl", lambda n, d: {"image": n, "id": 7, "choice": d, "annotator": 1}),
    ],
)
def test_labelling_programs_have_names_of_their_own(tmp_path: Path, name: str, row: Any) -> None:
    write_pictures(tmp_path, NAMES)
    lines = [json.dumps(row(picture, str(d))) for d, picture in enumerate(NAMES)]
    (tmp_path / name).write_text("\n".join(lines))
    assert labels_of(tmp_path / name) == list(DIGITS)
    (tmp_path / "all.json").write_text(f"[{','.join(lines)}]")
    assert labels_of(tmp_path / "all.json") == list(DIGITS)


def test_columns_may_be_chosen(tmp_path: Path) -> None:
    write_pictures(tmp_path, NAMES)
    (tmp_path / "x.csv").write_text("image;path;a;b\n" + "".join(f"-;{n};x;{d}\n" for d, n in enumerate(NAMES)))
    assert labels_of(tmp_path / "x.csv", file_column="path", label_column="b") == list(DIGITS)
    rows = [{"meta": {"where": [n]}, "y": {"is": d}} for d, n in enumerate(NAMES)]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert labels_of(tmp_path / "x.jsonl", file_column="meta.where.0", label_column="y.is") == list(DIGITS)
    with pytest.raises(UsageError, match="no column 'c'; there is image, path, a, b"):
        read_inputs(tmp_path / "x.csv", file_column="path", label_column="c")
    with pytest.raises(UsageError, match="columns image, path may hold the file; choose one with --file_column"):
        read_inputs(tmp_path / "x.csv")


def test_excel_in_europe_writes_code_page_1252(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["caf\u00e9.pgm", "b.pgm"])
    (tmp_path / "x.csv").write_bytes("file_name;label\ncaf\u00e9.pgm;th\u00e9\nb.pgm;b\n".encode("cp1252"))
    assert labels_of(tmp_path / "x.csv", classes=("b", "the\u0301")) == ["the\u0301", "b"]
    (tmp_path / "x.txt").write_bytes("caf\u00e9.pgm\nb.pgm\n".encode("cp1252"))
    assert labels_of(tmp_path / "x.txt") == [None, None]


def test_names_of_windows_and_of_urls_are_found(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a/b c.pgm"])
    for name in ("a\\b c.pgm", " a/b c.pgm ", f"file://{tmp_path}/a/b%20c.pgm", ".\\a\\b c.pgm"):
        (tmp_path / "x.csv").write_text(f"file_name,label\n{name},3\n")
        assert labels_of(tmp_path / "x.csv") == ["3"]
