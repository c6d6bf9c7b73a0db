"""Format numbers, unknown fields, and hashes that later fields and options leave alone."""

from __future__ import annotations

import gzip
import io
import json
import mmap
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import SCHEMA, SCHEMA_1

from pipeline import units
from pipeline.batches import EncodedBatch
from pipeline.beam import job
from pipeline.errors import DamagedPartError, NewerFormatError, UsageError
from pipeline.model.input_rule import InputSpec
from pipeline.model.spec import ModelSpec, model_id
from pipeline.options import PartFormat, ScoreOptions
from pipeline.output.plan_file import read_index, read_span
from pipeline.output.receipts import Receipt
from pipeline.output.rows import PartWriter, read_part, row_schema
from pipeline.output.run import Run
from pipeline.scoring import process_main
from pipeline.scoring.process_messages import Answer, Request
from pipeline.scoring.process_start import CURSOR
from pipeline.storage import formats
from pipeline.units import WorkUnit, unit_id

OLD = Path(__file__).parents[1] / "fixtures" / "7c95bb3"
OPTIONS = ScoreOptions(input=("in",), model="model", output="out", engine="tensorflow")
UNIT = WorkUnit("", "images", ("/a",), (5,), (70,), images=1)
RULE = InputSpec(28, 28, "grayscale")
NEWER = r"has format [234]: made by a newer Nightscore: update it$"
UNKNOWN = (
    r"has the unknown field '[\w.\[\]]+': made by another version of Nightscore: use that one, or update this one$"
)

Change = Callable[[dict[str, Any]], object]


def old(name: str, form: str = "parquet") -> list[bytes]:
    return [path.read_bytes() for path in sorted((OLD / form / name).iterdir())]


def old_table(form: PartFormat = "parquet") -> pa.Table:
    return max((read_part(part, form, SCHEMA_1) for part in old("predictions", form)), key=len)


def sealed(content: dict[str, Any]) -> bytes:
    content.pop("checksum", None)
    text = json.dumps(content, sort_keys=True).encode().removesuffix(b"}")
    return text + b', "checksum": "%08x"}\n' % google_crc32c.value(text)


def parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


class TestNumber:
    @pytest.mark.parametrize("number", [0, -1, "1", 1.0, True, None])
    def test_what_is_no_number_is_damage(self, number: object) -> None:
        with pytest.raises(ValueError, match="its format number is"):
            formats.check_format({"format": number}, "plan")

    def test_an_error_says_what_where_and_which_number(self) -> None:
        with pytest.raises(NewerFormatError) as caught:
            formats.check_format({"format": 7}, "record", "gs://b/night/run.json")
        assert str(caught.value) == (
            "record 'gs://b/night/run.json' has format 7: made by a newer Nightscore: update it"
        )

    def test_it_is_bad_usage_for_every_command(self) -> None:
        assert issubclass(NewerFormatError, UsageError)
        assert not issubclass(NewerFormatError, ValueError | DamagedPartError)

    def test_a_later_version_writes_its_number_and_reads_it_and_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        receipt, table = Receipt.from_json(old("receipts")[0]), old_table()
        run = Run.of("run", OPTIONS, ModelSpec(RULE, ["a"], "f00", training={"base": {"name": "b"}}))
        for kind, newest in dict(formats.NEWEST).items():
            monkeypatch.setitem(formats.NEWEST, kind, newest + 1)
        writer = PartWriter("parquet", SCHEMA_1)
        writer.add(table)
        new_part, new_receipt, new_record, new_spec = (
            writer.close(), receipt.to_json(), run.to_record(), run.spec.to_json()
        )  # fmt: skip
        assert read_part(new_part, "parquet", SCHEMA_1).equals(table)
        assert Receipt.from_json(new_receipt) == Receipt.from_json(old("receipts")[0]) == receipt
        assert Run.from_record(new_record).id == "run"
        assert ModelSpec.from_json(new_spec) == run.spec
        assert ModelSpec.from_json((OLD / "model" / "model_spec.json").read_text()).class_names
        monkeypatch.undo()
        for refused in (
            lambda: read_part(new_part, "parquet", SCHEMA_1),
            lambda: Receipt.from_json(new_receipt),
            lambda: Run.from_record(new_record),
            lambda: ModelSpec.from_json(new_spec),
        ):
            with pytest.raises(NewerFormatError, match=NEWER):
                refused()


class TestPart:
    def test_a_parquet_file_with_a_newer_number_is_newer_also_where_it_cannot_be_read(self) -> None:
        table = old_table().replace_schema_metadata({"nightscore.format": "2"})
        whole = parquet(table)
        broken = bytearray(whole)
        broken[4:60] = bytes(56)
        for data in (
            whole,
            bytes(broken),
            parquet(table.select(["key"]).replace_schema_metadata(table.schema.metadata)),
        ):
            with pytest.raises(NewerFormatError, match=r"^part '/p' " + NEWER):
                read_part(data, "parquet", SCHEMA_1, "/p")

    def test_a_parquet_file_whose_number_is_none_is_damaged(self) -> None:
        for number in ("x", "0"):
            table = old_table().replace_schema_metadata({"nightscore.format": number})
            with pytest.raises(DamagedPartError):
                read_part(parquet(table), "parquet", SCHEMA_1)

    def test_a_column_more_is_newer(self) -> None:
        table = old_table()
        more = table.append_column("vector", pa.array(np.zeros(len(table))))
        with pytest.raises(NewerFormatError, match=UNKNOWN):
            read_part(parquet(more), "parquet", SCHEMA_1)

    def test_a_field_more_in_the_list_of_classes_is_newer(self) -> None:
        table = old_table()
        entry = pa.struct([*SCHEMA.field("top_k").type.value_type, pa.field("rank", pa.int32())])
        at = table.schema.get_field_index("top_k")
        with pytest.raises(NewerFormatError, match=r"unknown field 'top_k\.rank'"):
            read_part(
                parquet(table.set_column(at, "top_k", pa.nulls(len(table), pa.list_(entry)))), "parquet", SCHEMA_1
            )

    @pytest.mark.parametrize(
        "change",
        [
            lambda row: row.update(format=2),
            lambda row: row.update(vector=[]),
            lambda row: row[next(iter({"prediction", "error"} & row.keys()))].update(more=1),
        ],
    )
    def test_a_key_more_in_a_line_is_newer(self, change: Change) -> None:
        for part in old("predictions", "jsonl"):
            for number, line in enumerate(lines := part.decode().splitlines(keepends=True)):
                row = json.loads(line)
                change(row)
                data = "".join([*lines[:number], json.dumps(row) + "\n", *lines[number + 1 :]]).encode()
                with pytest.raises(NewerFormatError, match=UNKNOWN):
                    read_part(data, "jsonl", SCHEMA_1)

    def test_a_key_more_in_a_class_of_a_line_is_newer(self) -> None:
        (line, *_) = (
            line for part in old("predictions", "jsonl") for line in part.splitlines() if b"prediction" in line
        )
        row = json.loads(line)
        row["prediction"]["top_k"][1]["rank"] = 1
        with pytest.raises(NewerFormatError, match=UNKNOWN):
            read_part(json.dumps(row).encode(), "jsonl", SCHEMA_1)

    def test_a_schema_is_that_of_a_task_and_options(self) -> None:
        spec = ModelSpec(RULE, ["a"], "f00")
        assert row_schema(spec.task, OPTIONS) is row_schema(spec.task, replace(OPTIONS, top_k=1)) is SCHEMA


class TestReceipt:
    @pytest.mark.parametrize(
        ("change", "text"),
        [
            (lambda c: c.update(format=2), NEWER),
            (lambda c: c.update(format=2, metrics=None), NEWER),
            (lambda c: c.update(engine="x"), UNKNOWN),
            (lambda c: c["metrics"].update(recall=1), UNKNOWN),
            (lambda c: c["folders"].update(names=[]), UNKNOWN),
            (lambda c: c["folders"]["slices"][0].append(1), UNKNOWN),
            (lambda c: c["examples"][0].update(vector=[]), UNKNOWN),
        ],
    )
    def test_one_with_more_is_newer(self, change: Change, text: str) -> None:
        content = json.loads(next(data for data in old("receipts") if json.loads(data)["examples"]))
        change(content)
        with pytest.raises(NewerFormatError, match=r"^receipt '/r' " + text):
            Receipt.from_json(sealed(content), "/r")

    def test_one_with_a_newer_number_is_newer_also_where_its_checksum_is_another(self) -> None:
        with pytest.raises(NewerFormatError, match=NEWER):
            Receipt.from_json(b'{"format": 2}')

    def test_one_with_an_unknown_field_whose_checksum_is_wrong_is_damaged(self) -> None:
        with pytest.raises(DamagedPartError, match="checksum"):
            Receipt.from_json(old("receipts")[0].replace(b'"unit"', b'"Unit"'))

    def test_what_no_result_depends_on_may_be_unknown(self) -> None:
        content = json.loads(old("receipts")[0])
        content["aside"]["engine"] = "x"
        assert Receipt.from_json(sealed(content)) == Receipt.from_json(old("receipts")[0])


class TestRecord:
    @pytest.mark.parametrize(
        ("change", "text"),
        [
            (lambda c: c.update(format=2, options=None), NEWER),
            (lambda c: c["options"].update(yet_unknown=1), UNKNOWN),
            (lambda c: c["model_spec"].update(layout="nchw"), UNKNOWN),
            (lambda c: c["model_spec"]["input"].update(gray="luma"), UNKNOWN),
        ],
    )
    def test_one_with_more_is_newer(self, change: Change, text: str) -> None:
        record = json.loads((OLD / "parquet" / "run.json").read_text())
        change(record)
        with pytest.raises(NewerFormatError, match=r"^record '/r' " + text):
            Run.from_record(record, "/r")


class TestPlan:
    def run(self, folder: Path, change: Change, line: int) -> Run:
        run = Run.from_record(json.loads((OLD / "parquet" / "run.json").read_text()))
        texts = gzip.decompress(Path(run.at(str(OLD / "parquet")).plan).read_bytes()).splitlines()
        contents = [json.loads(text) for text in texts]
        change(contents[line])
        members = [gzip.compress(json.dumps(content).encode() + b"\n") for content in contents]
        moved = run.at(str(folder))
        Path(moved.plan).parent.mkdir()
        Path(moved.plan).write_bytes(b"".join(members))
        return moved

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            (lambda c: c.update(format=2), NEWER),
            (lambda c: (c.update(format=2), c.pop("totals")), NEWER),
            (lambda c: c.update(more=[]), UNKNOWN),
            (lambda c: c["totals"].update(more=1), UNKNOWN),
        ],
    )
    def test_one_with_more_is_newer(self, tmp_path: Path, change: Change, text: str) -> None:
        run = self.run(tmp_path, change, 0)
        with pytest.raises(NewerFormatError, match=text) as caught:
            read_index(run)
        assert str(caught.value).startswith(f"plan {run.plan!r} has ")

    def test_one_with_more_of_a_unit_is_newer(self, tmp_path: Path) -> None:
        run = self.run(tmp_path, lambda unit: unit.update(etag="x"), 1)
        first = len(gzip.compress(gzip.decompress(Path(run.plan).read_bytes()).splitlines(keepends=True)[0]))
        with pytest.raises(NewerFormatError, match=UNKNOWN):
            list(read_span(run, (first, Path(run.plan).stat().st_size)))


class TestModel:
    @pytest.mark.parametrize(
        ("change", "text"),
        [
            (lambda c: c.update(format_version=4), NEWER),
            (lambda c: c.update(format_version=4, scaling="none", input=None), NEWER),
            (lambda c: c.update(layout="nchw"), UNKNOWN),
            (lambda c: c["input"].update(gray="luma"), UNKNOWN),
        ],
    )
    def test_one_with_more_is_newer(self, change: Change, text: str) -> None:
        content = json.loads((OLD / "model" / "model_spec.json").read_text())
        change(content)
        with pytest.raises(NewerFormatError, match=r"^model '/m' " + text):
            ModelSpec.from_json(json.dumps(content), "/m")


@dataclass(frozen=True)
class _LaterOptions(ScoreOptions):
    pretended: str = field(default="as ever", metadata={"help": "", "argparse": {}})


@dataclass(frozen=True)
class _LaterRule(InputSpec):
    pretended: str = "as ever"


class TestLater:
    def test_an_option_enters_a_units_id_only_where_it_is_not_at_its_default(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = unit_id(UNIT, "f00", OPTIONS)
        monkeypatch.setattr(units, "LATER_OPTIONS", {"pretended": "as ever"})
        later = _LaterOptions(**vars(OPTIONS))
        assert unit_id(UNIT, "f00", later) == before
        assert unit_id(UNIT, "f00", replace(later, pretended="new")) != before
        assert unit_id(UNIT, "f00", replace(later, top_k=2)) != before

    def test_a_field_of_the_rule_enters_a_models_id_only_where_it_is_not_at_its_default(self) -> None:
        before = model_id(RULE, ["a"], [("x", b"y")])
        later = _LaterRule(**vars(RULE))
        assert model_id(later, ["a"], [("x", b"y")]) == before
        assert model_id(replace(later, pretended="new"), ["a"], [("x", b"y")]) != before
        assert model_id(replace(later, resize="nearest"), ["a"], [("x", b"y")]) != before

    def test_a_models_id_does_not_change_with_the_format_of_its_spec(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = model_id(RULE, ["a"], [])
        monkeypatch.setitem(formats.NEWEST, "model", 4)
        assert model_id(RULE, ["a"], []) == before

    def test_a_rule_that_lacks_a_later_field_has_its_default(self) -> None:
        assert _LaterRule.from_json(RULE.to_json()) == _LaterRule(**vars(RULE))
        new = _LaterRule(28, 28, "rgb", pretended="new")
        assert _LaterRule.from_json(new.to_json()) == new
        assert InputSpec.from_json({"height": 1, "width": 2, "color_mode": "rgb"}) == InputSpec(1, 2, "rgb")


class TestCrossing:
    """A newer format is the same line wherever it is found."""

    ERROR = NewerFormatError("receipt '/r' has format 2: made by a newer Nightscore: update it")

    def test_from_a_runner_that_tells_it_as_text(self) -> None:
        told = f"Traceback ...\npipeline.errors.NewerFormatError: {self.ERROR} [while running 'ScoreUnits/Score']"
        raised = job._original_error(RuntimeError(told))
        assert (type(raised), str(raised)) == (NewerFormatError, str(self.ERROR))

    def test_from_a_local_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> EncodedBatch:
            raise self.ERROR

        monkeypatch.setattr(process_main, "_read", refuse)
        run = Run.of("run", OPTIONS, ModelSpec(RULE, ["a"], "f00"))
        with mmap.mmap(-1, CURSOR.size) as cursor:
            answer, _ = process_main._Worker(cursor).answer(Request("pixels", run), bytearray())
        crossed = Answer.from_json(json.loads(json.dumps(answer.to_json())))
        assert (type(crossed.error), str(crossed.error)) == (NewerFormatError, str(self.ERROR))
