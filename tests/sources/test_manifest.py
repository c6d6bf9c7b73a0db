"""Manifests: in every form, with every kind of name and label, and clear about what is wrong with them."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from pipeline import sources, storage
from pipeline.errors import UsageError
from pipeline.model.input_rule import InputSpec
from pipeline.model.spec import ModelSpec
from pipeline.options import ScoreOptions
from pipeline.output.run import Run
from pipeline.scoring.planning import read_rule, units_of
from pipeline.sources import images, manifest
from pipeline.sources.labels import Label
from pipeline.sources.skipped import RELABELLED, Skipped
from pipeline.storage import local

SPEC = ModelSpec(InputSpec(8, 8, "grayscale"), ("cat", "dog"), "f00")


def run(*inputs: Path, **options: Any) -> Run:
    return Run.of(
        "run-1",
        ScoreOptions(input=tuple(map(str, inputs)), model="model", output="out", engine="tensorflow", **options),
        SPEC,
    )


def listed(path: Path | str) -> list[tuple[str, Label]]:
    """Return the locations and labels that a manifest names; those that are not there with a "!"."""
    found = storage.stat(str(path))
    assert found is not None
    return [(file.location + "!" * (file.version == images.MISSING), label) for file, label in manifest.listed(found)]


def error_of(path: Path) -> str:
    with pytest.raises(UsageError) as raised:
        listed(path)
    text = str(raised.value)
    assert "\n" not in text
    assert repr(str(path)) in text
    return text.removeprefix(f"manifest {str(path)!r} ")


ROWS: list[dict[str, Any]] = [
    {"file_name": "a.png", "label": "dog"},
    {"file_name": "sub/b.png", "label": "7"},
    {"file_name": "ünï, \"quoted\" #%41.png", "label": ""},
    {"file_name": "two\nlines.png", "label": "cat"},
    {"file_name": "missing.png", "label": "cat"},
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files of ROWS but the last."""
    for i, row in enumerate(ROWS[:-1]):
        path = tmp_path / "photos" / row["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % i)
    return tmp_path / "photos"


def expected(folder: Path, rows: Sequence[dict[str, Any]] = ROWS) -> list[tuple[str, Label]]:
    locations = [f"{folder}/{row['file_name']}" for row in rows]
    return [
        (location if os.path.exists(location) else location + "!", row["label"])
        for location, row in zip(locations, rows, strict=True)
    ]


def csv_of(rows: Sequence[dict[str, Any]], **options: Any) -> bytes:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), **options)
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


class TestForms:
    @pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
    @pytest.mark.parametrize("options", [{}, {"lineterminator": "\n"}, {"quoting": csv.QUOTE_ALL}])
    def test_csv(self, folder: Path, bom: bytes, options: dict[str, Any]) -> None:
        (folder / "m.csv").write_bytes(bom + csv_of(ROWS, **options))
        assert listed(folder / "m.csv") == expected(folder)

    def test_csv_by_arrow_with_other_columns_and_empty_lines(self, folder: Path) -> None:
        rows = [{"id": i, **row, "width": 28} for i, row in enumerate(ROWS)]
        pyarrow.csv.write_csv(pa.Table.from_pylist(rows), folder / "m.csv")
        data = (folder / "m.csv").read_bytes()
        (folder / "m.csv").write_bytes(data.replace(b"\n0,", b"\n\n\r\n0,") + b"\n\n")
        assert listed(folder / "m.csv") == expected(folder)

    def test_csv_with_spaces_in_its_header_and_trailing_commas(self, folder: Path) -> None:
        (folder / "m.csv").write_bytes(b"file_name , label\na.png, dog,,\nsub/b.png,\n")
        assert listed(folder / "m.csv") == [(f"{folder}/a.png", "dog"), (f"{folder}/sub/b.png", "")]

    @pytest.mark.parametrize("name", ["m.jsonl", "m.ndjson", "m.JSONL"])
    @pytest.mark.parametrize("ascii_", [True, False])
    def test_json_lines(self, folder: Path, name: str, ascii_: bool) -> None:
        lines = [json.dumps(row, ensure_ascii=ascii_) for row in ROWS]
        (folder / name).write_bytes(b"\xef\xbb\xbf" + "\r\n\n".join(lines).encode())
        assert listed(folder / name) == expected(folder)

    @pytest.mark.parametrize("separator", ["\u2028", "\x85", "\u2029"])
    def test_json_lines_end_at_line_feeds_only(self, tmp_path: Path, separator: str) -> None:
        row = json.dumps({"file_name": f"a{separator}b.png"}, ensure_ascii=False)
        (tmp_path / "m.jsonl").write_text(row, encoding="utf-8")
        assert listed(tmp_path / "m.jsonl") == [(f"{tmp_path}/a{separator}b.png!", None)]

    @pytest.mark.parametrize("compression", ["snappy", "zstd", "none"])
    def test_parquet(self, folder: Path, compression: str) -> None:
        table = pa.Table.from_pylist([{"width": 28, **row} for row in ROWS])
        pq.write_table(table, folder / "m.parquet", compression=compression, row_group_size=2)
        assert listed(folder / "m.parquet") == expected(folder)

    def test_parquet_of_categories_and_numbers(self, tmp_path: Path) -> None:
        names = pa.array(["a.png", "b.png", "a.png"]).dictionary_encode()
        for labels, found in (
            ([1, None, 0], [1, "", 0]),
            ([1.0, None, 0.5], [1, "", 0.5]),
            ([True] * 3, ["True"] * 3),
            ([[1, 2], None, []], [[1, 2], "", []]),
        ):
            pq.write_table(pa.table({"file_name": names, "label": labels}), tmp_path / "m.parquet")
            assert [label for _, label in listed(tmp_path / "m.parquet")] == found
        pq.write_table(pa.table({"file_name": names.cast(pa.large_string())}), tmp_path / "m.parquet")
        assert [label for _, label in listed(tmp_path / "m.parquet")] == [None] * 3

    @pytest.mark.parametrize("name", ["m.txt", "m.lst"])
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_plain_list(self, folder: Path, name: str, end: str) -> None:
        rows = [row for row in ROWS if "\n" not in row["file_name"]]
        lines = [row["file_name"] for row in rows]
        (folder / name).write_bytes(("\ufeff" + end.join([*lines, "", "   ", ""])).encode())
        assert [location for location, _ in listed(folder / name)] == [
            location for location, _ in expected(folder, rows)
        ]

    def test_plain_list_of_names_that_are_not_utf8(self, tmp_path: Path) -> None:
        (tmp_path / os.fsdecode(b"\xff.png")).write_bytes(b"x")
        (tmp_path / "m.txt").write_bytes(b"\xff.png\n\xfe.png\n a b .png\n")
        assert listed(tmp_path / "m.txt") == [
            (f"{tmp_path}/\udcff.png", None),
            (f"{tmp_path}/\udcfe.png!", None),
            (f"{tmp_path}/ a b .png!", None),
        ]


class TestNames:
    @pytest.mark.parametrize(
        ("name", "location"),
        [
            ("a.png", "{folder}/a.png"),
            ("./a.png", "{folder}/a.png"),
            ("././a.png", "{folder}/a.png"),
            ("sub/../a.png", "{folder}/a.png"),
            ("../photos/a.png", "{folder}/a.png"),
            ("{folder}/a.png", "{folder}/a.png"),
            ("/nowhere//a.png", "/nowhere/a.png!"),
            ("~/a.png", "{folder}/~/a.png!"),
            ("$HOME.png", "{folder}/$HOME.png!"),
            ("*.png", "{folder}/*.png!"),
            ("a[.]png", "{folder}/a[.]png!"),
            ("sub", "{folder}/sub!"),
            ("sub/", "{folder}/sub!"),
            (".", "{folder}!"),
            ("x" * 5_000, "{folder}/" + "x" * 5_000 + "!"),
        ],
    )
    @pytest.mark.parametrize("column", ["file_name", "uri"])
    def test_are_relative_to_the_manifest_and_mean_one_file(
        self, folder: Path, name: str, location: str, column: str
    ) -> None:
        (folder / "m.jsonl").write_text(json.dumps({column: name.format(folder=folder)}))
        assert listed(folder / "m.jsonl") == [(location.format(folder=folder), None)]

    def test_beside_a_manifest_in_a_bucket(self, gcs_bucket: str, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(b"x")
        for name in ("lists/a.png", "photos/b.png"):
            storage.create(f"{gcs_bucket}/{name}", b"x")
        names = [
            "a.png",
            "./a.png",
            "../photos/b.png",
            f"{gcs_bucket}/photos/b.png",
            "c..d.png",
            str(tmp_path / "a.png"),
        ]
        storage.create(f"{gcs_bucket}/lists/m.txt", "\n".join(names).encode())
        assert [location for location, _ in listed(f"{gcs_bucket}/lists/m.txt")] == [
            f"{gcs_bucket}/lists/a.png",
            f"{gcs_bucket}/lists/a.png",
            f"{gcs_bucket}/photos/b.png",
            f"{gcs_bucket}/photos/b.png",
            f"{gcs_bucket}/lists/c..d.png!",
            str(tmp_path / "a.png"),
        ]
        storage.replace(f"{gcs_bucket}/lists/m.txt", b"../../../x.png")
        with pytest.raises(UsageError, match=r"line 1: '\.\./\.\./\.\./x\.png' leads out of the bucket"):
            listed(f"{gcs_bucket}/lists/m.txt")

    def test_in_a_bucket_beside_a_manifest_on_disk(self, gcs_bucket: str, tmp_path: Path) -> None:
        storage.create(f"{gcs_bucket}/a.png", b"x")
        (tmp_path / "m.txt").write_text(f"{gcs_bucket}/a.png\n{gcs_bucket}/b.png\n")
        assert [location for location, _ in listed(tmp_path / "m.txt")] == [
            f"{gcs_bucket}/a.png",
            f"{gcs_bucket}/b.png!",
        ]


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("1", "1"),
        (1, 1),
        (1.0, 1),
        (2.5, 2.5),
        (" dog ", "dog"),
        ("", ""),
        (None, ""),
        ([1, "a"], [1, "a"]),
        ({}, "{}"),
        (True, "True"),
    ],
)
def test_labels_are_as_they_are_written(tmp_path: Path, value: Any, label: Label) -> None:
    (tmp_path / "m.jsonl").write_text(json.dumps({"file_name": "a.png", "label": value}))
    assert listed(tmp_path / "m.jsonl") == [(f"{tmp_path}/a.png!", label)]


def test_missing_files_are_failed_rows_and_files_named_twice_are_planned_once(folder: Path) -> None:
    (folder / "m.csv").write_bytes(
        b"file_name,label\nmissing.png,dog\na.png,dog\n./a.png,cat\nsub/b.png,\nno/x.png,1\n"
    )
    skipped = Skipped()
    (unit,) = units_of(run(folder / "m.csv"), skipped)
    (batch,) = sources.read(unit, read_rule(run(folder / "m.csv")))
    assert list(batch.images.keys) == [f"{folder}/{name}" for name in ("missing.png", "a.png", "sub/b.png", "no/x.png")]
    assert {i: failure.code for i, failure in batch.images.failures.items()} == {0: "NOT_FOUND", 3: "NOT_FOUND"}
    assert batch.images.failures[0].message == "there is no file 'missing.png'"
    assert skipped.counts == {RELABELLED: 1}
    assert list(batch.images.label_names) == ["dog", "dog", None, "dog"]
    assert list(batch.encoded) == [b"", b"0", b"1", b""]


def test_names_with_wildcards_are_names_and_nothing_is_searched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["a[1].png", "**/x.png", "/**/missing.png", "sub/*.png", "?.png", "sub*"]
    (folder / "a[1].png").write_bytes(b"a")
    (folder / "?.png").write_bytes(b"b")
    (folder / "sub*").mkdir()
    (folder / "m.txt").write_text("\n".join(names))
    with monkeypatch.context() as patched:
        patched.setattr(local.Glob, "enter", lambda *_: pytest.fail("a folder is searched"))
        (unit,) = units_of(run(folder / "m.txt"), Skipped())
    (batch,) = sources.read(unit, read_rule(run(folder / "m.txt")))
    assert list(batch.encoded) == [b"a", b"", b"", b"", b"b", b""]
    assert {failure.code for failure in batch.images.failures.values()} == {"NOT_FOUND"}


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_regular_file_is_a_failed_row_and_nothing_waits(folder: Path, kind: str) -> None:
    os.mkfifo(folder / "p.png")
    (folder / "m.txt").write_text({"pipe": "p.png", "device": "/dev/zero", "folder": "sub"}[kind])
    (unit,) = units_of(run(folder / "m.txt"), Skipped())
    (batch,) = sources.read(unit, read_rule(run(folder / "m.txt")))
    assert batch.images.failures[0].code == "NOT_FOUND"


def test_a_manifest_may_only_be_named(folder: Path) -> None:
    (folder / "m.csv").write_bytes(b"file_name\nmissing.png\n")
    units = list(units_of(run(folder), Skipped()))
    assert sum(unit.images or 0 for unit in units) == len(ROWS) - 1


class TestErrors:
    @pytest.mark.parametrize(
        ("name", "content", "text"),
        [
            ("m.csv", b"", "cannot be read: no column file_name or uri; there is none"),
            (
                "m.csv",
                b"name;label\na.png;1\n",
                "cannot be read: no column file_name or uri; there is name, label; choose one with --file_column",
            ),
            ("m.csv", b"file_name,label\n", "names no file"),
            ("m.csv", b"label,file_name\n1,a.png\n1\n", "cannot be read: line 3: None is no file name"),
            ("m.csv", b"label,file_name\n1,a.png\n1,\n", "cannot be read: line 3: '' is no file name"),
            (
                "m.csv",
                b"file_name,label\na.png,1\na,b.png,1\n",
                "cannot be read: line 3: more fields than the header has; put names with commas in quotes",
            ),
            ("m.csv", b'file_name\na.png\n"b.png\nc.png\n', "cannot be read: line 4: unexpected end of data"),
            ("m.csv", b'file_name\na.png\n"b"x.png\n', "cannot be read: line 3: ',' expected after '\"'"),
            ("m.csv", b"file_name\na.png\n\x81.png\n", "cannot be read: line 3: byte 0x81 is not UTF-8"),
            ("m.csv", "file_name\na.png\n".encode("utf-16")[:-1], "cannot be read: 'utf-16-le' codec can't decode"),
            ("m.csv", b"file_name,label,label\na.png,1,2\n", "cannot be read: column label is there twice; leave one"),
            (
                "m.csv",
                b"path,image\na.png,1\n",
                "cannot be read: columns image, path may hold the file; choose one with",
            ),
            (
                "m.csv",
                b"file_name,class,target\na.png,1,1\n",
                "cannot be read: columns class, target may hold the label",
            ),
            (
                "m.csv",
                b"a.png,1\nb.png,1\nc,1\n",
                "cannot be read: line 3: no field is an image, and there is no header",
            ),
            ("m.csv.gz", b"\x1f\x8bnonsense", "cannot be read: it is compressed and damaged: "),
            ("m.jsonl", b'{"uri": "a.png", "uri": "b.png"}', "cannot be read: line 1: column uri is there twice"),
            (
                "m.csv",
                b"file_name\n" + b"x" * 200_000,
                "cannot be read: line 2: field larger than field limit (131072)",
            ),
            ("m.csv", b"uri\nftp://bucket/a.png\n", "cannot be read: line 2: 'ftp://bucket/a.png' is neither gs://"),
            ("m.jsonl", b"", "names no file"),
            ("m.jsonl", b'{"uri": "a.png"}\n\n{"uri": \n', "cannot be read: line 3: Expecting value at column 9"),
            ("m.jsonl", b'{"uri": "a.png"}\n[1]\n', "cannot be read: line 2: no JSON object"),
            ("m.jsonl", b'{"uri": "a.png"}\n5\n', "cannot be read: line 2: no JSON object"),
            (
                "m.jsonl",
                b'{"uri": "a.png"}\n{"x": 1}',
                "cannot be read: line 2: no column file_name or uri; there is x",
            ),
            ("m.jsonl", b'{"uri": "a.png"}\n{"uri": 5}', "cannot be read: line 2: 5 is no file name"),
            ("m.jsonl", b'{"uri": "a\\u0000.png"}', "cannot be read: line 1: 'a\\x00.png' is no file name"),
            ("m.jsonl", b'{"uri": "\\ud800.png"}', "cannot be read: line 1: 'utf-8' codec can't encode"),
            ("m.jsonl", b"[" * 100_000, "cannot be read: line 1: maximum recursion depth exceeded"),
            ("m.jsonl", b'{"uri": ' + b"9" * 9_000 + b"}", "cannot be read: line 1: Exceeds the limit"),
            ("m.jsonl", b"a.png\nb.png\n", "cannot be read: line 1: Expecting value at column 1"),
            ("m.txt", b"", "names no file"),
            ("m.txt", b"\n \r\n\n", "names no file"),
            ("m.txt", b"a.png\nb\0.png\n", "cannot be read: line 2: 'b\\x00.png' is no file name"),
            ("m.parquet", b"", "cannot be read: Parquet file size is 0 bytes"),
            ("m.parquet", b"PAR1 not really PAR1", "cannot be read: "),
        ],
    )
    def test_are_one_line_with_manifest_and_place(self, tmp_path: Path, name: str, content: bytes, text: str) -> None:
        (tmp_path / name).write_bytes(content)
        assert error_of(tmp_path / name).startswith(text)

    def test_in_parquet_tell_row_and_columns(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"file_name": ["a.png", None, ""]}), tmp_path / "m.parquet")
        assert error_of(tmp_path / "m.parquet") == "cannot be read: row 2: None is no file name"
        pq.write_table(pa.table({"uri": [b"a.png"]}), tmp_path / "m.parquet")
        assert listed(tmp_path / "m.parquet") == [(f"{tmp_path}/a.png!", None)]
        pq.write_table(pa.table({"x": ["a.png"], "y": [1]}), tmp_path / "m.parquet")
        text = "cannot be read: no column file_name or uri; there is x, y; choose one with --file_column"
        assert error_of(tmp_path / "m.parquet") == text

    @pytest.mark.heavy
    def test_damage_anywhere_is_an_error_or_other_names(self, tmp_path: Path) -> None:
        rows = [{"file_name": f"{i}.png", "label": i} for i in range(5)]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "m.parquet")
        (tmp_path / "m.csv").write_bytes(csv_of(rows))
        (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
        rng = random.Random(0)
        for name in ("m.parquet", "m.csv", "m.jsonl"):
            data = (tmp_path / name).read_bytes()
            for _ in range(250):
                damaged = bytearray(data[: rng.choice([len(data), rng.randrange(len(data))])])
                for _ in range(rng.choice([0, 1, 3])):
                    if damaged:
                        damaged[rng.randrange(len(damaged))] ^= rng.randrange(1, 256)
                (tmp_path / name).write_bytes(damaged)
                with contextlib.suppress(UsageError):
                    listed(tmp_path / name)


@pytest.mark.heavy
def test_fifty_thousand_rows_take_seconds(tmp_path: Path) -> None:
    for i in range(100):
        (tmp_path / f"{i}.png").touch()
    (tmp_path / "m.csv").write_text("file_name,label\n" + "".join(f"{i}.png,{i % 10}\n" for i in range(50_000)))
    started = time.monotonic()
    found = listed(tmp_path / "m.csv")
    assert time.monotonic() - started < 20
    assert len(found) == 50_000
    assert [location.endswith("!") for location, _ in found] == [i >= 100 for i in range(50_000)]
