"""The prediction rows and their two file formats: what is written comes back, and damage is found."""

from __future__ import annotations

import io
import json
import random
from dataclasses import replace
from itertools import pairwise
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import SCHEMA, SCHEMA_1
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from pipeline.batches import Code, Failure, ImageColumns, PredictionBatch
from pipeline.errors import DamagedPartError, NewerFormatError
from pipeline.image_facts import ImageFacts
from pipeline.options import PART_FORMATS, PartFormat, ScoreOptions
from pipeline.output.rows import ROW_GROUP, PartWriter, read_part, row_schema, to_table

CLASSES = ("cat", "dog ☃", "eel")
FORMATS = pytest.mark.parametrize("form", PART_FORMATS)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
score = st.floats(0, 1, width=32) | st.floats(allow_nan=False, allow_infinity=False, width=32)
image = st.fixed_dictionaries(
    {
        "key": text,
        "label": st.none() | st.integers(-(2**31), 2**31 - 1),
        "name": st.none() | text,
        "failure": st.none()
        | st.builds(Failure, st.sampled_from(["read", "predict"]), st.sampled_from(get_args(Code)), st.text()),
        "top": st.permutations(range(len(CLASSES))),
        "scores": st.tuples(*[score] * len(CLASSES)),
        "label_score": st.just(float("nan")) | score,
    }
)


def batch_of(images: list[dict[str, Any]], k: int = 2) -> PredictionBatch:
    columns = ImageColumns(
        keys=[i["key"] for i in images],
        labels=np.array([i["label"] or 0 for i in images], np.int32),
        labelled=np.array([i["label"] is not None for i in images], np.bool_),
        label_names=[i["name"] for i in images],
        failures={n: i["failure"] for n, i in enumerate(images) if i["failure"]},
    )
    return PredictionBatch(
        columns,
        np.array([i["top"] for i in images], np.int32).reshape(-1, len(CLASSES))[:, :k],
        np.array([i["scores"] for i in images], np.float32).reshape(-1, len(CLASSES))[:, :k],
        np.array([i["label_score"] for i in images], np.float32),
    )


def sample(n: int, first: int = 0) -> PredictionBatch:
    """Return n images of which every third has failed and every second has a label."""
    numbers = range(first, first + n)
    return batch_of(
        [
            {
                "key": f"/archive/é/{i:06d}.png",
                "label": i % 3 if i % 2 else None,
                "name": CLASSES[i % 3] if i % 2 else None,
                "failure": None if i % 3 else Failure("preprocess", "INVALID_ARGUMENT", f"cut short at {i}"),
                "top": [i % 3, (i + 1) % 3, (i + 2) % 3],
                "scores": [0.5 + i % 7 / 20, 0.1, 0.05],
                "label_score": i / n / 3 if i % 2 else float("nan"),
            }
            for i in numbers
        ]
    )


def part_of(form: PartFormat, *tables: pa.Table, schema: pa.Schema = SCHEMA) -> bytes:
    writer = PartWriter(form, schema)
    for table in tables:
        writer.add(table)
    assert writer.rows == sum(map(len, tables))
    return writer.close()


def bits(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows with every float spelled out, so that -0.0 differs from 0.0."""
    found: list[dict[str, Any]] = json.loads(json.dumps(table.to_pylist()), parse_float=str)
    return found


@pytest.mark.parametrize("form", ["parquet", pytest.param("jsonl", marks=pytest.mark.heavy)])
@settings(max_examples=20)
@given(st.lists(st.integers(0, 3000), max_size=4))
def test_bytes_of_a_part_do_not_depend_on_how_many_rows_come_at_once(form: PartFormat, cuts: list[int]) -> None:
    n = ROW_GROUP + 500
    table = to_table(sample(n), CLASSES, SCHEMA)
    bounds = [0, *sorted(min(cut, n) for cut in cuts), n]
    pieces = [table[start:stop] for start, stop in pairwise(bounds)]
    assert part_of(form, *pieces) == part_of(form, table)


IMAGE = ("width", "height", "format", "bytes", "pixel_hash")

facts = st.builds(
    lambda sides, formats, sizes, hashes: ImageFacts(
        np.array([width for width, _ in sides], np.int32),
        np.array([height for _, height in sides], np.int32),
        formats,
        np.array(sizes, np.int64),
        np.array([number or 0 for number in hashes], np.uint64),
        np.array([number is not None for number in hashes], np.bool_),
    ),
    st.lists(st.tuples(st.integers(0, 70_000), st.integers(0, 70_000)), min_size=3, max_size=3),
    st.lists(st.none() | st.sampled_from(["JPEG", "PNG"]), min_size=3, max_size=3),
    st.lists(st.integers(-1, 1 << 40), min_size=3, max_size=3),
    st.lists(st.none() | st.integers(0, (1 << 64) - 1), min_size=3, max_size=3),
)


class TestImageColumns:
    @FORMATS
    @given(facts=facts)
    def test_facts_come_back_and_are_null_where_they_are_not_known(self, form: PartFormat, facts: ImageFacts) -> None:
        batch = sample(3)
        table = to_table(replace(batch, images=replace(batch.images, facts=facts)), CLASSES, SCHEMA)
        rows = read_part(part_of(form, table), form, SCHEMA).to_pylist()
        for i, row in enumerate(rows):
            assert row["width"] == (facts.widths[i] or None)
            assert row["height"] == (facts.heights[i] or None)
            assert row["format"] == facts.formats[i]
            assert row["bytes"] == (None if facts.sizes[i] < 0 else facts.sizes[i])
            assert row["pixel_hash"] == (f"{int(facts.hashes[i]):016x}" if facts.hashed[i] else None)

    @FORMATS
    @given(facts=facts, values=st_np.arrays(np.float32, (3, 3), elements=st.floats(0, 8, width=32)))
    def test_what_the_pixels_tell_comes_back(self, form: PartFormat, facts: ImageFacts, values: Any) -> None:
        more = dict(zip(("brightness", "contrast", "entropy"), values, strict=True))
        facts = replace(facts, perceptual=facts.hashes[::-1], **more)
        schema = row_schema("classes", ScoreOptions(("archive",), "model", "night", pixel_facts=True))
        batch = sample(3)
        table = to_table(replace(batch, images=replace(batch.images, facts=facts)), CLASSES, schema)
        for i, row in enumerate(read_part(part_of(form, table, schema=schema), form, schema).to_pylist()):
            known = facts.hashed[i]
            assert row["perceptual_hash"] == (f"{int(facts.hashes[2 - i]):016x}" if known else None)
            for name, column in more.items():
                assert row[name] == (column[i] if known else None)

    @FORMATS
    def test_rows_by_rules_1_have_none_and_are_refused_where_others_are_expected(self, form: PartFormat) -> None:
        writer = PartWriter(form, SCHEMA_1)
        writer.add(to_table(sample(3), CLASSES, SCHEMA_1))
        part = writer.close()
        assert set(IMAGE).isdisjoint(read_part(part, form, SCHEMA_1).schema.names)
        with pytest.raises(DamagedPartError):
            read_part(part, form, SCHEMA)
        with pytest.raises((DamagedPartError, NewerFormatError)):
            read_part(part_of(form, to_table(sample(3), CLASSES, SCHEMA)), form, SCHEMA_1)


class TestTable:
    def test_a_scored_row_has_a_prediction_and_no_error(self) -> None:
        (row,) = to_table(sample(1, first=1), CLASSES, SCHEMA).to_pylist()
        assert row == {
            "key": "/archive/é/000001.png",
            "label": 1,
            "label_name": "dog ☃",
            "label_score": pytest.approx(1 / 3),
            "predicted": 1,
            "predicted_name": "dog ☃",
            "score": pytest.approx(0.55),
            "top_k": [
                {"label": 1, "name": "dog ☃", "score": pytest.approx(0.55)},
                {"label": 2, "name": "eel", "score": pytest.approx(0.1)},
            ],
            "status": "ok",
            "error_stage": None,
            "error_code": None,
            "error_message": None,
            "width": None,
            "height": None,
            "format": None,
            "bytes": None,
            "pixel_hash": None,
        }

    def test_a_failed_row_has_an_error_and_its_label_and_nothing_of_a_prediction(self) -> None:
        (row,) = to_table(sample(1, first=3), CLASSES, SCHEMA).to_pylist()
        assert {name: value for name, value in row.items() if value is not None} == {
            "key": "/archive/é/000003.png",
            "label": 0,
            "label_name": "cat",
            "status": "failed",
            "error_stage": "preprocess",
            "error_code": "INVALID_ARGUMENT",
            "error_message": "cut short at 3",
        }

    @pytest.mark.parametrize("n", [0, 1, 5])
    def test_has_the_schema_and_one_row_an_image_however_few(self, n: int) -> None:
        table = to_table(sample(n), CLASSES, SCHEMA)
        assert table.schema == SCHEMA
        assert len(table) == n
        table.validate(full=True)


class TestParts:
    @pytest.mark.heavy
    @FORMATS
    @given(images=st.lists(image, max_size=6), k=st.integers(1, 3))
    def test_rows_come_back_bit_for_bit(self, form: PartFormat, images: list[dict[str, Any]], k: int) -> None:
        table = to_table(batch_of(images, k), CLASSES, SCHEMA)
        found = read_part(part_of(form, table), form, SCHEMA)
        assert found.schema.equals(SCHEMA)
        assert bits(found) == bits(table)

    @FORMATS
    @pytest.mark.parametrize("n", [0, 1])
    def test_columns_without_a_value_keep_their_type(self, form: PartFormat, n: int) -> None:
        (unlabelled,) = [sample(1, first=4)]
        table = to_table(unlabelled, CLASSES, SCHEMA).slice(0, n)
        assert read_part(part_of(form, table), form, SCHEMA).schema.types == SCHEMA.types

    @FORMATS
    def test_rows_keep_their_order_over_many_batches_and_row_groups(self, form: PartFormat) -> None:
        sizes = [100, 0, 1, 255, ROW_GROUP - 1, 3 * ROW_GROUP + 5, 7]
        starts = np.cumsum([0, *sizes[:-1]]).tolist()
        tables = [to_table(sample(n, first), CLASSES, SCHEMA) for n, first in zip(sizes, starts, strict=True)]
        part = part_of(form, *tables)
        assert read_part(part, form, SCHEMA).equals(pa.concat_tables(tables))
        if form == "parquet":
            groups = pq.ParquetFile(io.BytesIO(part)).metadata
            rows = [groups.row_group(i).num_rows for i in range(groups.num_row_groups)]
            assert len(rows) > 3
            assert max(rows) == ROW_GROUP

    @FORMATS
    def test_the_same_rows_give_the_same_bytes(self, form: PartFormat) -> None:
        assert part_of(form, to_table(sample(50), CLASSES, SCHEMA)) == part_of(
            form, to_table(sample(50), CLASSES, SCHEMA)
        )

    @FORMATS
    def test_bytes_do_not_depend_on_how_rows_were_batched(self, form: PartFormat) -> None:
        whole = to_table(sample(300), CLASSES, SCHEMA)
        assert part_of(form, whole.slice(0, 1), whole.slice(1, 200), whole.slice(201)) == part_of(form, whole)

    def test_a_json_line_has_a_key_and_either_a_prediction_or_an_error(self) -> None:
        table = to_table(sample(20), CLASSES, SCHEMA)
        lines = part_of("jsonl", table).decode("ascii").split("\n")
        assert lines.pop() == ""
        for line, row in zip(map(json.loads, lines), table.to_pylist(), strict=True):
            assert line["key"] == row["key"]
            assert line["image"] == {name: row[name] for name in IMAGE}
            if row["status"] == "ok":
                assert set(line) == {"key", "prediction", "image"}
                assert line["prediction"]["predicted_name"] == row["predicted_name"]
            else:
                assert set(line) == {"key", "error", "image"}
                assert line["error"]["status"] == "INVALID_ARGUMENT"
                assert line["error"]["message"] == row["error_message"]


class TestDamage:
    @FORMATS
    def test_a_truncated_part_is_damaged_or_lacks_its_last_lines(self, form: PartFormat) -> None:
        table = to_table(sample(4), CLASSES, SCHEMA)
        whole = part_of(form, table)
        for end in range(len(whole)):
            try:
                found = read_part(whole[:end], form, SCHEMA)
            except DamagedPartError:
                continue
            assert form == "jsonl", end
            assert found.equals(table.slice(0, len(found))), end
            assert len(found) <= whole.count(b"\n", 0, end + 1)

    @pytest.mark.heavy
    @FORMATS
    def test_a_mutated_part_is_damaged_or_can_be_read_to_its_end(self, form: PartFormat) -> None:
        table = to_table(sample(5), CLASSES, SCHEMA)
        whole = part_of(form, table)
        rng = random.Random(form)
        damaged = 0
        for _ in range(3_000):
            part = mutated(whole, rng)
            try:
                found = read_part(part, form, SCHEMA)
            except DamagedPartError:
                damaged += 1
                continue
            except NewerFormatError:  # a piece that is repeated may give a line one field more
                assert form == "jsonl"
                continue
            assert found.schema.types == SCHEMA.types
            rows = found.to_pylist()
            if form == "parquet":
                assert rows == table.to_pylist(), "a checksum of its pages should have told"
        assert damaged > 1_000

    @pytest.mark.parametrize(
        "part",
        [
            b"{}\n",
            b"[]\n",
            b"null\n",
            b'"prediction"\n',
            b'{"key": "a"}\n',
            b'{"prediction": {}}\n',
            b'{"key": "a", "prediction": {}}\n',
            b'{"key": "a", "prediction": null}\n',
            b'{"key": "a", "prediction": []}\n',
            b'{"key": "a", "error": "gone"}\n',
            b'{"key": "a", "error": {}}\n',
            b'{"key": "\xc3\xa9"}\n',
            b"[" * 100_000,
            b"PAR1",
        ],
    )
    def test_a_line_that_is_no_row_is_damage(self, part: bytes) -> None:
        with pytest.raises(DamagedPartError, match="not a jsonl file of predictions"):
            read_part(part, "jsonl", SCHEMA)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("label", '"x"'),
            ("label", "1e400"),
            ("label", str(2**31)),
            ("label", "9" * 30),
            ("label", "9" * 5_000),
            ("top_k", "3"),
            ("top_k", '[{"label": "x"}]'),
            ("predicted_name", r'"\ud800"'),
            ("score", "[]"),
        ],
    )
    def test_a_value_of_another_type_is_damage(self, name: str, value: str) -> None:
        line = json.loads(part_of("jsonl", to_table(sample(1, first=1), CLASSES, SCHEMA)))
        line["prediction"][name] = "here"
        part = json.dumps(line).replace('"here"', value).encode("ascii")
        with pytest.raises(DamagedPartError, match="not a jsonl file of predictions"):
            read_part(part, "jsonl", SCHEMA)

    @FORMATS
    def test_a_part_of_the_other_format_is_damage(self, form: PartFormat) -> None:
        other: PartFormat = "jsonl" if form == "parquet" else "parquet"
        with pytest.raises(DamagedPartError):
            read_part(part_of(other, to_table(sample(3), CLASSES, SCHEMA)), form, SCHEMA)

    @pytest.mark.parametrize("change", ["lacks", "has another", "has another type"])
    def test_other_columns_are_damage(self, change: str) -> None:
        table = to_table(sample(3), CLASSES, SCHEMA)
        if change == "lacks":
            table = table.drop_columns(["score"])
        elif change == "has another":
            table = table.drop_columns(["score"]).append_column("more", pa.array([1, 2, 3]))
        else:
            table = table.set_column(1, "label", table["label"].cast(pa.int64()))
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        with pytest.raises(DamagedPartError, match="columns"):
            read_part(buffer.getvalue(), "parquet", SCHEMA)


def mutated(whole: bytes, rng: random.Random) -> bytes:
    """Return bytes with a few of them changed, cut out or repeated."""
    part = bytearray(whole)
    for _ in range(rng.choice([1, 1, 2, 6])):
        at, kind = rng.randrange(len(part)), rng.random()
        if kind < 0.5:
            part[at] = rng.randrange(32, 127)
        elif kind < 0.8:
            part[at] ^= 1 << rng.randrange(8)
        elif kind < 0.9:
            del part[at : at + rng.randrange(1, 9)]
        else:
            part[at:at] = part[at : at + rng.randrange(1, 30)]
        if not part:
            part = bytearray(b"x")
    return bytes(part)
