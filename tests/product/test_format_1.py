"""What commit 7c95bb3 has written, by rules 1: read, never gone on with; what is newer than this version stays.

tests/fixtures/7c95bb3/make.sh made the files. Ids cover absolute locations and times of change, so that an OUTPUT of
this version, with the old model and archive, is made and used in one place.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import SCHEMA_1
from test_formats import OLD, old, sealed

from nightscore.__main__ import main
from pipeline import storage
from pipeline.cli import score as cli
from pipeline.metrics import task_metrics
from pipeline.metrics.figures import FIRST_FIGURES, NO_LONGER
from pipeline.model.directory import check_model, read_spec
from pipeline.options import PartFormat
from pipeline.output import plan_file
from pipeline.output.receipts import Receipt
from pipeline.output.rows import PartWriter, read_part
from pipeline.output.run import Run
from pipeline.output.sweep import Claim, sweep
from pipeline.units import WorkUnit, unit_id

PLACE = Path("/tmp/nightscore-7c95bb3")
FORMS = pytest.mark.parametrize("form", ["parquet", "jsonl"])


def old_run(form: str) -> Run:
    """The run as its record says."""
    return Run.from_record(json.loads((OLD / form / "run.json").read_text()))


def old_units(form: str) -> list[WorkUnit]:
    return list(plan_file.read_units(old_run(form).at(str(OLD / form))))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextlib.contextmanager
def in_place() -> Iterator[Path]:
    """All files where 7c95bb3 had them, the archive's with the times that the plan says; one test at a time."""
    with open(f"{PLACE}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(PLACE, ignore_errors=True)
        shutil.copytree(OLD, PLACE)
        for unit in old_units("parquet"):
            for location, version in zip(unit.locations, unit.versions, strict=True):
                os.utime(location, ns=(0, version))
        yield PLACE
        shutil.rmtree(PLACE)


@pytest.fixture
def place() -> Iterator[Path]:
    with in_place() as there:
        yield there


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What this version writes for the old archive and the old model, in both formats."""
    kept = tmp_path_factory.mktemp("results")
    with in_place() as there:
        for form in ("parquet", "jsonl"):
            shutil.rmtree(there / form)
            assert score(form, "--quiet") == 0
            shutil.copytree(there / form, kept / form)
    return kept


@pytest.fixture
def today(results: Path) -> Iterator[Path]:
    """The old archive and model in their place, and beside them the results of this version instead of the old ones."""
    with in_place() as there:
        for form in ("parquet", "jsonl"):
            shutil.rmtree(there / form)
            shutil.copytree(results / form, there / form)
        yield there


def score(form: str, *more: str) -> int:
    flags = ["--input", f"{PLACE}/archive", "--model", f"{PLACE}/model", "--output", f"{PLACE}/{form}"]
    return cli.main([*flags, "--format", form, "--unit_images", "8", "--max_failed_fraction", "0.5", *more])


class TestIdentity:
    @FORMS
    def test_units_have_their_ids(self, form: str) -> None:
        run, units = old_run(form), old_units(form)
        assert {unit.source for unit in units} == {"images", "tar"}
        for unit in units:
            assert unit_id(unit, run.spec.model_id, run.options, rules=1) == unit.id
            assert unit_id(unit, run.spec.model_id, run.options) != unit.id

    def test_the_model_has_its_id_and_its_text(self) -> None:
        spec = read_spec(str(OLD / "model"))
        check_model(str(OLD / "model"), spec)
        assert spec.to_json() == (OLD / "model" / "model_spec.json").read_text()


class TestBytes:
    """Number 1 is not written: what is written today has the bytes that it had."""

    @FORMS
    def test_parts_keep_their_bytes(self, form: PartFormat) -> None:
        for part in old("predictions", form):
            writer = PartWriter(form, SCHEMA_1)
            writer.add(read_part(part, form, SCHEMA_1))
            again = writer.close()
            if form == "jsonl":
                assert again == part
                continue
            before, now = (pq.ParquetFile(pa.BufferReader(data)) for data in (part, again))
            assert before.schema_arrow.equals(now.schema_arrow, check_metadata=True)
            assert before.metadata.created_by != now.metadata.created_by or again == part  # of this version of Arrow

    @FORMS
    def test_receipts_keep_their_bytes(self, form: str) -> None:
        for receipt in old("receipts", form):
            assert Receipt.from_json(receipt).to_json() == receipt

    @FORMS
    def test_records_and_plans_keep_their_fields(self, form: str, tmp_path: Path) -> None:
        record = json.loads((OLD / form / "run.json").read_text())
        told = old_run(form).to_record()
        known = record["options"].keys()
        options = {name: value for name, value in told["options"].items() if name in known}  # later ones may follow
        assert {name: record[name] for name in told} == {**told, "options": options}
        assert list(told) == list(record)[: len(told)]
        assert list(options) == list(known)
        (plan,) = old("plan", form)
        totals = plan_file.read_totals(old_run(form).at(str(OLD / form)))
        units = old_units(form)
        members = [plan_file._member(unit.to_json()) for unit in units]
        ends = [sum(map(len, members[: i + 1])) for i in range(len(members))]
        head = plan_file._member(plan_file._to_json(totals, units, ends))
        assert gzip.decompress(head + b"".join(members)) == gzip.decompress(plan)


class TestOldNight:
    @FORMS
    def test_is_refused_by_score_in_one_line_and_stays(
        self, place: Path, form: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        before = files(place / form)
        assert score(form, "--quiet") == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert "was written by an earlier version, which read some labels differently (rules 1, now" in line
        assert "score into another --output" in line
        assert files(place / form) == before

    @FORMS
    def test_is_scored_anew_elsewhere_with_the_same_figures(self, today: Path, form: str) -> None:
        before = files(today / form)
        figures, old_figures = json.loads(before["summary.json"]), old_summary(form)
        for name in ("images", "scored", "failed", "labelled", "accuracy", "confusion_matrix", "failures"):
            assert figures[name] == old_figures[name], name
        assert score(form, "--quiet") == 0
        after = files(today / form)
        record = json.loads(after["run.json"])
        assert (record["scored"], record["units_scored"], record["images"]) == (0, 0, 42)
        assert {name: after[name] for name in before if name.startswith(("predictions/", "receipts/"))}.items() <= (
            before.items()
        )
        assert main(["verify", str(today / form)]) == 0

    @FORMS
    @pytest.mark.parametrize("command", ["verify", "status", "report"])
    def test_is_understood_anywhere(self, tmp_path: Path, form: str, command: str) -> None:
        shutil.copytree(OLD / form, tmp_path / "night")
        assert main([command, str(tmp_path / "night")]) == 0
        figures, old_figures = first_figures((tmp_path / "night" / "summary.json").read_bytes()), old_summary(form)
        for name in ("most_confident_mistakes", "least_certain"):  # today they end where a receipt may lack an image
            kept = figures.pop(name)
            assert kept == old_figures.pop(name)[: len(kept)]
            assert kept
        old_figures.pop(NO_LONGER)
        assert figures == old_figures

    @FORMS
    def test_its_images_are_sorted_where_they_lay(
        self, place: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["export", str(place / form), "--sort_into", str(tmp_path / "sorted")]) == 0
        figures = old_summary(form)
        assert f"{figures['images']} images: {figures['scored']} exported, 0 kept, " in capsys.readouterr().out
        assert len(list((tmp_path / "sorted").glob("[0-9]/*"))) == figures["scored"]

    @FORMS
    def test_is_as_it_should_be_where_a_later_version_gives_more_figures(
        self, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        compute = task_metrics.compute
        monkeypatch.setattr(task_metrics, "compute", lambda *arguments: {**compute(*arguments), "later": {"figure": 1}})
        shutil.copytree(OLD / form, tmp_path / "night")
        assert main(["verify", str(tmp_path / "night")]) == 0
        wrong = {**old_summary(form), "accuracy": 0.5}
        (tmp_path / "night" / "summary.json").write_text(json.dumps(wrong))
        assert main(["verify", str(tmp_path / "night")]) == 3
        del wrong["accuracy"]
        (tmp_path / "night" / "summary.json").write_text(json.dumps(wrong))
        assert main(["verify", str(tmp_path / "night")]) == 3


def old_summary(form: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((OLD / form / "summary.json").read_text())
    assert tuple(name for name in content if name != NO_LONGER) == FIRST_FIGURES
    return content


def first_figures(summary_json: bytes) -> dict[str, Any]:
    """The figures of a summary that the first version has."""
    content = json.loads(summary_json)
    return {name: content[name] for name in FIRST_FIGURES}


def newer_part(night: Path) -> Path:
    path = sorted((night / "predictions").iterdir())[0]
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"nightscore.format": "2"}), path)
    return path


def column_more(night: Path) -> None:
    path = sorted((night / "predictions").iterdir())[0]
    table = pq.read_table(path)
    pq.write_table(table.append_column("more", pa.array(range(len(table)))), path)


def newer_receipt(night: Path) -> None:
    path = sorted((night / "receipts").iterdir())[0]
    path.write_bytes(sealed({**json.loads(path.read_bytes()), "format": 2}))


def field_more(night: Path) -> None:
    path = sorted((night / "receipts").iterdir())[0]
    path.write_bytes(sealed({**json.loads(path.read_bytes()), "more": 2}))


def newer_receipt_alone(night: Path) -> None:
    newer_receipt(night)
    sorted((night / "predictions").iterdir())[0].unlink()


def newer_part_alone(night: Path) -> None:
    newer_part(night)
    sorted((night / "receipts").iterdir())[0].unlink()


def column_more_alone(night: Path) -> None:
    column_more(night)
    sorted((night / "receipts").iterdir())[0].unlink()


def newer_record(night: Path) -> None:
    (path,) = (night / "runs").iterdir()
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))


def newer_last_record(night: Path) -> None:
    (night / "runs" / "29990101T000000Z-ffffff.json").write_text('{"format": 2}')


def newer_result(night: Path) -> None:
    path = night / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))


def newer_plan(night: Path) -> None:
    (path,) = (night / "plan").iterdir()
    path.write_bytes(gzip.compress(b'{"format": 2}\n'))


def newer_leftover(night: Path) -> None:
    newer_part(night)
    part = sorted((night / "predictions").iterdir())[0]
    part.rename(part.with_name(f"part-{'f' * 32}.parquet"))
    sorted((night / "receipts").iterdir())[0].unlink()


def newer_leftover_receipt(night: Path) -> None:
    (night / "receipts" / f"{'f' * 32}.json").write_bytes(sealed({"format": 2}))


Spoil = Callable[[Path], None]
ON_PARTS = (newer_part, column_more, newer_part_alone, column_more_alone)
ON_RECEIPTS = (newer_receipt, field_more, newer_receipt_alone)
ON_RECORDS = (newer_record, newer_last_record, newer_result)
ON_REST = (newer_leftover, newer_leftover_receipt)


def one_line(err: str) -> str:
    (line,) = err.splitlines()
    assert "made by a newer Nightscore: update it" in line or "made by another version of Nightscore" in line
    assert "damaged" not in line
    return line


class TestNewer:
    @pytest.mark.parametrize("spoil", [newer_plan, *ON_REST])
    def test_stays_where_no_run_needs_it(self, today: Path, caplog: pytest.LogCaptureFixture, spoil: Spoil) -> None:
        before = files(today / "parquet")
        spoil(today / "parquet")
        spoiled = {name: data for name, data in files(today / "parquet").items() if before.get(name) != data}
        assert score("parquet", "--quiet", "--no_canary") == 0
        (said,) = (record.getMessage() for record in caplog.records if "newer" in record.getMessage())
        assert one_line(said).endswith("; it stays")
        assert spoiled.items() <= files(today / "parquet").items()

    @pytest.mark.parametrize("spoil", [*ON_PARTS, *ON_RECEIPTS, *ON_RECORDS])
    def test_is_refused_by_score_and_stays(self, today: Path, capfd: pytest.CaptureFixture[str], spoil: Spoil) -> None:
        written = files(today / "parquet")
        spoil(today / "parquet")
        before = files(today / "parquet")
        assert score("parquet", "--quiet", "--no_canary") == 2
        one_line(capfd.readouterr().err)
        after = files(today / "parquet")
        for name in before:
            is_spoiled = before[name] != written.get(name)
            if is_spoiled or name.startswith(("predictions/", "receipts/", "runs/", "plan/")):
                assert after[name] == before[name], name

    @pytest.mark.parametrize(
        ("command", "spoils"),
        [
            ("verify", (*ON_PARTS, *ON_RECEIPTS, *ON_RECORDS, newer_plan, *ON_REST)),
            ("status", (newer_receipt, field_more, newer_record, newer_last_record, newer_plan)),
            ("report", (*ON_RECEIPTS, *ON_RECORDS, newer_plan)),
        ],
    )
    def test_is_refused_by_commands_that_look(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, spoils: tuple[Spoil, ...]
    ) -> None:
        for number, spoil in enumerate(spoils):
            night = tmp_path / str(number)
            shutil.copytree(OLD / "parquet", night)
            spoil(night)
            before = files(night)
            assert main([command, str(night)]) == 2, spoil
            assert one_line(capsys.readouterr().err).startswith(f"nightscore {command}: "), spoil
            assert files(night) == before

    def test_model_is_refused(self, place: Path, capfd: pytest.CaptureFixture[str]) -> None:
        spec: dict[str, Any] = json.loads((place / "model" / "model_spec.json").read_text())
        (place / "model" / "model_spec.json").write_text(json.dumps({**spec, "format_version": 4}))
        assert score("parquet", "--quiet") == 2
        assert "model_spec.json' has format 4" in one_line(capfd.readouterr().err)

    @pytest.mark.parametrize("form", ["jsonl"])
    def test_line_is_refused_and_stays(self, today: Path, capfd: pytest.CaptureFixture[str], form: str) -> None:
        path = sorted((today / form / "predictions").iterdir())[0]
        lines = [json.dumps({**json.loads(line), "more": 1}) + "\n" for line in path.read_text().splitlines()]
        path.write_text("".join(lines))
        before = path.read_bytes()
        assert score(form, "--quiet") == 2
        one_line(capfd.readouterr().err)
        assert path.read_bytes() == before

    def test_sweep_leaves_what_is_newer_and_says_so(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        shutil.copytree(OLD / "parquet", tmp_path / "night")
        run = old_run("parquet").at(str(tmp_path / "night"))
        newer = newer_part(tmp_path / "night")
        started = {**json.loads((OLD / "parquet" / "run.json").read_text()), "verdict": None}
        storage.replace(run.record, json.dumps(started).encode())
        before = files(tmp_path / "night")
        sweep(Claim(run, frozenset(), started["started"]))
        unit = newer.name.removeprefix("part-").removesuffix(".parquet")
        left = {name for name in files(tmp_path / "night") if name.startswith(("predictions", "receipts"))}
        assert left == {f"predictions/{newer.name}", f"receipts/{unit}.json"}
        assert newer.read_bytes() == before[f"predictions/{newer.name}"]
        assert "has format 2: made by a newer Nightscore: update it; it stays" in caplog.text
