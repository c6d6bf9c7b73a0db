"""What `nightscore verify` finds, what the next `nightscore score` does about it, and that all is well then."""

from __future__ import annotations

import gzip
import json
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import google_crc32c
import pyarrow.parquet as pq
import pytest
from gcs_emulator import Emulator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mostly_heavy import mostly_heavy

from model_training.data.datasets import RawImages
from pipeline import storage
from pipeline.cli import command as look_cli
from pipeline.cli import report
from pipeline.cli import score as cli
from pipeline.cli import verify as verify_cli
from pipeline.errors import UsageError
from pipeline.model.directory import SAVED_MODEL, SPEC, read_spec
from pipeline.model.spec import model_id
from pipeline.output.finish import go_to_work
from pipeline.output.receipts import Receipt
from pipeline.output.records import start
from pipeline.output.run import Run
from pipeline.output.verify import verify
from pipeline.storage import GCS
from pipeline.storage.local import LocalStore

IMAGES = 60
PER_UNIT = 8


@dataclass(frozen=True)
class Night:
    """An OUTPUT, and the command that made it."""

    output: str
    command: Sequence[str]

    def at(self, output: Path | str) -> Night:
        return replace(self, output=str(output))

    def score(self) -> dict[str, object]:
        """Run the command and return run.json."""
        assert cli.main([*self.command, "--output", self.output]) == 0
        record: dict[str, object] = json.loads(storage.read(storage.join(self.output, "run.json")))
        return record

    def files(self, folder: str = "") -> dict[str, bytes]:
        """Contents by location in OUTPUT."""
        listed = storage.list_objects(storage.join(self.output, folder).rstrip("/"))
        return {o.location[len(self.output) + 1 :]: storage.read(o.location) for o in listed}

    def units(self) -> list[str]:
        """The ids of the units, those of most images first."""
        receipts = [Receipt.from_json(data) for data in self.files("receipts").values()]
        return [receipt.unit for receipt in sorted(receipts, key=lambda r: -r.rows)]

    def part(self, unit: str) -> str:
        (location,) = (o.location for o in storage.list_objects(f"{self.output}/predictions") if unit in o.location)
        return location

    def receipt(self, unit: str) -> str:
        return f"{self.output}/receipts/{unit}.json"

    def found(self) -> list[tuple[str, str]]:
        """The findings as (kind, location in OUTPUT); what the command exits with fits them."""
        findings = verify(self.output).findings
        assert verify_cli.main([self.output]) == (3 if findings else 0)
        assert all("\n" not in finding.text for finding in findings)
        return [(finding.kind, finding.location[len(self.output) + 1 :]) for finding in findings]


def write_archive(folder: Path, digits: RawImages) -> Path:
    for i in range(IMAGES):
        path = folder / str(digits.labels[i]) / f"{i:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(digits.encoded(i))
    (folder / "0" / "broken.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def original(tiny_model: str, digits: RawImages, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A good night; nobody writes into it."""
    folder = tmp_path_factory.mktemp("original")
    command = ["--input", str(write_archive(folder / "archive", digits)), "--model", tiny_model]
    night = Night(str(folder / "night"), [*command, "--unit_images", str(PER_UNIT), "--max_failed_fraction", "0.1"])
    night.score()
    assert len(night.units()) > 5
    return night


@pytest.fixture
def night(original: Night, tmp_path: Path) -> Night:
    """A copy of the good night, to be damaged."""
    return original.at(shutil.copytree(original.output, tmp_path / "night"))


@pytest.fixture(scope="module")
def foreign(original: Night, tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A good night with the same images, another model, and JSON Lines."""
    folder = tmp_path_factory.mktemp("foreign")
    model = Path(shutil.copytree(tiny_model, folder / "model"))
    spec = read_spec(str(model))
    names = [f"digit {name}" for name in spec.class_names]
    root = model / SAVED_MODEL
    files = [(p.relative_to(root).as_posix(), p.read_bytes()) for p in root.rglob("*") if p.is_file()]
    other = replace(spec, class_names=names, model_id=model_id(spec.input, names, files))
    (model / SPEC).write_text(other.to_json())
    night = Night(str(folder / "night"), [*original.command, "--model", str(model), "--format", "jsonl"])
    night.score()
    return night


def test_good_night_is_clean_and_nothing_is_changed(
    night: Night, foreign: Night, capsys: pytest.CaptureFixture[str]
) -> None:
    before = night.files()
    assert night.found() == foreign.found() == []
    assert night.files() == before
    out = capsys.readouterr().out
    assert re.search(rf"^{night.output}: 61 images in \d+ work units of run \S+: every image is accounted for", out)


def test_copy_is_verified_elsewhere_without_the_images_the_model_and_the_old_place(
    foreign: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = json.loads(Path(foreign.output, "run.json").read_text())
    places = (*record["options"]["input"], record["options"]["model"], record["options"]["output"])
    assert all(Path(place).is_absolute() for place in places)
    shutil.copytree(foreign.output, tmp_path / "copy")
    monkeypatch.chdir(tmp_path)
    for verb in ("read", "list"):
        monkeypatch.setattr(LocalStore, verb, guarded(getattr(LocalStore, verb), str(tmp_path / "copy")))
    assert verify("copy").findings == []


def guarded(verb: Callable[..., Any], folder: str) -> Callable[..., Any]:
    def called(store: LocalStore, location: str, *args: Any) -> Any:
        assert location.startswith(folder)
        return verb(store, location, *args)

    return called


def flip(location: str, bit: int) -> None:
    data = bytearray(storage.read(location))
    data[bit // 8] ^= 1 << bit % 8
    storage.replace(location, bytes(data))


def truncate(location: str) -> None:
    storage.replace(location, storage.read(location)[:-7])


def empty(location: str) -> None:
    storage.replace(location, b"")


def flip_somewhere(seed: int) -> Callable[[str], None]:
    def flipped(location: str) -> None:
        flip(location, random.Random(seed).randrange(8 * len(storage.read(location))))

    flipped.__name__ = f"flip_{seed}"
    return flipped


FLIPS = [flip_somewhere(seed) for seed in range(3)]


@pytest.mark.parametrize(
    ("what", "damage", "kind", "is_scored_again"),
    mostly_heavy(
        [
            ("part", storage.delete, "part_missing", True),
            *[("part", damage, "part_damaged", True) for damage in (truncate, empty, *FLIPS)],
            ("receipt", storage.delete, "receipt_missing", False),
            *[("receipt", damage, "receipt_damaged", True) for damage in (truncate, empty, *FLIPS)],
        ],
        kept=[
            ("part", storage.delete, "part_missing", True),
            ("receipt", FLIPS[0], "receipt_damaged", True),
        ],
    ),
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_damaged_file_of_a_unit_is_named_and_that_unit_alone_is_scored_again(
    original: Night, night: Night, what: str, damage: Callable[[str], None], kind: str, is_scored_again: bool
) -> None:
    unit = night.units()[0]
    location = night.part(unit) if what == "part" else night.receipt(unit)
    damage(location)
    assert night.found() == [(kind, location[len(night.output) + 1 :])]
    check_healed(original, night, [unit] if is_scored_again else [])


def check_healed(original: Night, night: Night, redone: Sequence[str]) -> None:
    """The same command scores these units again and no other; then all is as it was in the first place."""
    rows = {unit: Receipt.from_json(storage.read(original.receipt(unit))).rows for unit in original.units()}
    runs = set(night.files("runs"))
    record = night.score()
    images = sum(rows[unit] for unit in redone)
    assert (record["units_scored"], record["units_kept"]) == (len(redone), len(rows) - len(redone))
    assert (record["scored"], record["kept"]) == (images, sum(rows.values()) - images)
    assert night.found() == []
    assert night.files("predictions") == original.files("predictions")
    assert storage.read(f"{night.output}/summary.json") == storage.read(f"{original.output}/summary.json")
    assert runs | {f"runs/{record['run']}.json"} == set(night.files("runs"))


def test_unit_that_is_lost_is_named_with_its_images(
    original: Night, night: Night, capsys: pytest.CaptureFixture[str]
) -> None:
    unit = night.units()[0]
    storage.delete(night.part(unit))
    storage.delete(night.receipt(unit))
    assert night.found() == [("unit_missing", f"receipts/{unit}.json")]
    assert re.search(r": its \d+ images have neither a receipt nor a part; run the same", capsys.readouterr().out)
    check_healed(original, night, [unit])


def test_part_of_another_unit_is_not_taken_for_the_units_own(original: Night, night: Night) -> None:
    unit, other = night.units()[:2]
    storage.replace(night.part(unit), storage.read(night.part(other)))
    assert night.found() == [("part_damaged", f"predictions/part-{unit}.parquet")]
    check_healed(original, night, [unit])


@pytest.mark.parametrize("whose", mostly_heavy(["another unit", "another model"], kept=["another model"]))
def test_receipt_of_another_unit_or_model_is_not_taken_for_the_units_own(
    original: Night, night: Night, foreign: Night, whose: str
) -> None:
    unit, other = night.units()[:2]
    strange = night.receipt(other) if whose == "another unit" else foreign.receipt(foreign.units()[0])
    storage.replace(night.receipt(unit), storage.read(strange))
    assert night.found() == [("receipt_foreign", f"receipts/{unit}.json")]
    check_healed(original, night, [unit])


def test_receipt_that_was_forged_is_found_by_its_part_and_healed_by_removing_it(original: Night, night: Night) -> None:
    """Whoever computes the checksum anew deceives a rerun, which reads no part that has its checksum, but not this."""
    unit = night.units()[0]
    receipt = Receipt.from_json(storage.read(night.receipt(unit)))
    forged = replace(receipt, metrics=replace(receipt.metrics, correct=receipt.metrics.correct + 1))
    storage.replace(night.receipt(unit), forged.to_json())
    assert night.found() == [("receipt_wrong", f"receipts/{unit}.json")]
    storage.delete(night.receipt(unit))
    check_healed(original, night, [])


def test_part_with_a_row_too_few_is_found_although_its_receipt_fits(original: Night, night: Night) -> None:
    unit = night.units()[0]
    part = night.part(unit)
    pq.write_table(pq.read_table(part).slice(1), part)
    receipt = Receipt.from_json(storage.read(night.receipt(unit)))
    forged = replace(receipt, rows=receipt.rows - 1, crc32c=google_crc32c.value(storage.read(part)))
    storage.replace(night.receipt(unit), forged.to_json())
    assert night.found() == [("part_wrong", f"predictions/part-{unit}.parquet")]
    storage.delete(part)
    check_healed(original, night, [unit])


def replaced(name: str, old: str, new: str) -> Callable[[Night], None]:
    def edit(night: Night) -> None:
        text = Path(night.output, name).read_text()
        assert re.search(old, text)
        Path(night.output, name).write_text(re.sub(old, new, text, count=1))

    return edit


def removed(name: str) -> Callable[[Night], None]:
    return lambda night: Path(night.output, name).unlink()


def swapped_lines(night: Night) -> None:
    table = Path(night.output, "table.txt")
    first, second, *others = table.read_text().splitlines(keepends=True)
    table.write_text("".join([second, first, *others]))


SWAPPED = (swapped_lines, "table_wrong", "table.txt")
WRONG_SUMMARY = (replaced("summary.json", r'"correct|"scored": \d+', '"scored": 7'), "summary_wrong", "summary.json")
NO_REPORT = (removed("report.html"), "report_missing", "report.html")
NO_OPTIONS = (replaced("run.json", '"options"', '"optionz"'), "record_damaged", "run.json")


@pytest.mark.parametrize(
    ("damage", "kind", "name"),
    mostly_heavy(
        [
            (removed("table.txt"), "table_missing", "table.txt"),
            (replaced("table.txt", r"^.*\n", ""), "table_wrong", "table.txt"),
            (replaced("table.txt", r"^.*\n", r"\g<0>\g<0>"), "table_wrong", "table.txt"),
            (replaced("table.txt", r"/predictions/", "/prediction/"), "table_wrong", "table.txt"),
            SWAPPED,
            (removed("summary.json"), "summary_missing", "summary.json"),
            WRONG_SUMMARY,
            (replaced("summary.json", "$", "}"), "summary_wrong", "summary.json"),
            NO_REPORT,
            (removed("run.json"), "record_missing", "run.json"),
            (replaced("run.json", "^{", ""), "record_damaged", "run.json"),
            NO_OPTIONS,
        ],
        kept=[SWAPPED, WRONG_SUMMARY, NO_REPORT, NO_OPTIONS],
    ),
)
def test_damaged_result_is_named_and_a_rerun_writes_it_anew_without_scoring(
    original: Night, night: Night, damage: Callable[[Night], None], kind: str, name: str
) -> None:
    damage(night)
    assert night.found() == [(kind, name)]
    check_healed(original, night, [])


@pytest.mark.parametrize(
    "damage",
    mostly_heavy([storage.delete, truncate, empty, *FLIPS], kept=[storage.delete, FLIPS[0]]),
    ids=lambda value: value.__name__,
)
def test_damaged_plan_is_named_and_a_rerun_plans_anew(
    original: Night, night: Night, damage: Callable[[str], None]
) -> None:
    (plan,) = night.files("plan")
    damage(f"{night.output}/{plan}")
    kind = "plan_missing" if damage is storage.delete else "plan_damaged"
    if damage is not storage.delete and night.found() == []:
        assert damage in FLIPS  # a bit of the gzip header that no reader looks at
    else:
        assert night.found() == [(kind, plan)]
    check_healed(original, night, [])


def test_plan_whose_totals_are_not_those_of_its_units_is_damaged(night: Night) -> None:
    (plan,) = night.files("plan")
    path = Path(night.output, plan)
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join(lines[1:])))
    assert night.found() == [("plan_damaged", plan)]
    path.write_bytes(gzip.compress(b"".join(lines[:-1])))
    assert night.found() == [("plan_damaged", plan)]


def test_leftovers_are_named_and_a_rerun_removes_them_and_nothing_of_anybody_else(
    original: Night, night: Night, foreign: Night
) -> None:
    unit = foreign.units()[0]
    left = {
        f"predictions/part-{unit}.jsonl": storage.read(foreign.part(unit)),
        f"receipts/{unit}.json": storage.read(foreign.receipt(unit)),
        f"predictions/.part-{unit}.parquet.12-34-5.tmp": b"PAR1",
        ".summary.json.12-34-5.tmp": b"{",
    }
    for name, data in {**left, "predictions/notes.txt": b"mine"}.items():
        Path(night.output, name).write_bytes(data)
    assert sorted(night.found()) == sorted(("leftover", name) for name in left)
    night.score()
    assert night.found() == []
    assert set(night.files("predictions")) == {*original.files("predictions"), "predictions/notes.txt"}


def test_run_that_did_not_end_is_named_until_one_has_ended(original: Night, night: Night) -> None:
    ended = Run.from_record(json.loads(storage.read(f"{night.output}/run.json"))).at(night.output)
    start(replace(ended, id="99991231T235959Z-000000"))
    left = Path(night.output, "predictions", f"part-{'0' * 32}.parquet")
    left.write_bytes(b"the work of that run")
    assert night.found() == [("run_unfinished", "runs/99991231T235959Z-000000.json")]
    Path(night.output, "runs", "99991231T235959Z-000000.json").unlink()
    assert night.found() == [("leftover", f"predictions/{left.name}")]
    check_healed(original, night, [])


def test_result_of_the_last_complete_run_is_verified_and_reported_while_a_later_one_is_under_way(night: Night) -> None:
    ended = Run.from_record(json.loads(storage.read(f"{night.output}/run.json"))).at(night.output)
    later = replace(ended, id="99991231T235959Z-000000")
    start(later)
    go_to_work(later)
    assert json.loads(storage.read(f"{night.output}/run.json"))["complete"] is False
    assert night.found() == [("run_unfinished", "runs/99991231T235959Z-000000.json")]
    found = verify(night.output)
    assert (found.run, found.images) == (ended.id, IMAGES + 1)
    before = night.files()
    assert report.main([night.output]) == 0
    assert night.files() == before
    record = json.loads(storage.read(later.record))
    storage.replace(later.record, json.dumps({**record, "verdict": {"exit_code": 3, "reasons": []}}).encode())
    assert night.found() == [("record_damaged", "run.json")]


def test_first_run_that_did_not_end_is_verified_by_its_record(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    (record,) = night.files("runs")
    content = json.loads(storage.read(f"{night.output}/{record}"))
    storage.replace(f"{night.output}/{record}", json.dumps({**content, "verdict": None, "complete": None}).encode())
    for name in ("run.json", "table.txt", "summary.json", "report.html"):
        storage.delete(f"{night.output}/{name}")
    unit = night.units()[0]
    storage.delete(night.receipt(unit))
    storage.delete(night.part(unit))
    assert night.found() == [("run_unfinished", record), ("unit_missing", f"receipts/{unit}.json")]
    assert "interrupted" in capsys.readouterr().out


def test_run_that_ended_incomplete_says_why(night: Night) -> None:
    (name,) = night.files("runs")
    content = json.loads(storage.read(f"{night.output}/{name}"))
    content |= {"complete": False, "verdict": {"exit_code": 3, "reasons": ["2 units are unfinished; rerun"]}}
    for location in (name, "run.json"):
        storage.replace(f"{night.output}/{location}", json.dumps(content).encode())
    (finding,) = verify(night.output).findings
    assert (finding.kind, finding.text) == ("run_unfinished", "2 units are unfinished; rerun")


def test_record_that_contradicts_its_history_is_named(night: Night) -> None:
    (name,) = night.files("runs")
    record = Path(night.output, name)
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "images": 7}))
    assert night.found() == [("record_damaged", name)]
    record.unlink()
    assert night.found() == [("record_missing", name)]
    record.write_text(json.dumps(content))
    later = {**content, "run": "9", "ended": "9999-12-31T23:59:59.000+00:00"}
    (record.parent / "9.json").write_text(json.dumps(later))
    assert night.found() == [("record_damaged", "run.json")]
    (record.parent / "9.json").write_text(json.dumps({**later, "ended": "2000-01-01T00:00:00.000+00:00"}))
    assert night.found() == []
    (record.parent / "9.json").write_text("{")
    assert night.found() == [("record_damaged", "runs/9.json")]


def test_folder_that_is_no_output_is_bad_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify_cli.main([str(tmp_path)]) == 2
    assert verify_cli.main([str(tmp_path / "none")]) == 2
    assert verify_cli.main(["ftp://bucket/night"]) == 2
    assert verify_cli.main([]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == err.count("nightscore verify: ") == 4
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(UsageError, match=r"run\.json' does not say what was run"):
        verify(str(tmp_path))


def test_many_findings_of_a_kind_are_counted_not_listed(
    night: Night, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_cli, "SHOWN", 3)
    units = night.units()
    for unit in units:
        storage.delete(night.part(unit))
    storage.delete(f"{night.output}/table.txt")
    assert verify_cli.main([night.output]) == 3
    *lines, more, last = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["part_missing"] * 3 + ["table_missing"]
    assert more.split(maxsplit=1) == ["part_missing", f"and {len(units) - 3} more of this kind"]
    assert last.endswith(f"wrong: {len(units)} part_missing, 1 table_missing")


def test_reader_who_leaves_changes_no_exit_code(night: Night) -> None:
    storage.delete(f"{night.output}/table.txt")
    command = [sys.executable, "-m", "pipeline", "verify", night.output]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()  # as `head` does when it has seen enough
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 3


def test_units_that_a_run_has_not_come_to_are_three_lines_and_a_number(
    night: Night, capsys: pytest.CaptureFixture[str]
) -> None:
    units = night.units()
    assert len(units) > 4
    for unit in units:
        storage.delete(night.part(unit))
        storage.delete(night.receipt(unit))
    assert verify_cli.main([night.output]) == 3
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith("unit_missing")]
    assert [line.split()[1].endswith(".json:") for line in shown] == [True, True, True, False]
    assert shown[3].split(maxsplit=1)[1] == f"and {len(units) - 3} more of this kind"
    assert verify_cli.main([night.output, "--json"]) == 3
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [finding["kind"] for finding in found].count("unit_missing") == len(units)


@pytest.mark.heavy
@pytest.mark.parametrize("form", ["parquet", "jsonl"])
@given(data=st.data())
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bit_that_flips_in_a_part_or_receipt_is_found(
    original: Night, foreign: Night, form: str, data: st.DataObject
) -> None:
    night = original if form == "parquet" else foreign
    files = {**night.files("predictions"), **night.files("receipts")}
    name = data.draw(st.sampled_from(sorted(files)))
    bit = data.draw(st.integers(0, 8 * len(files[name]) - 1))
    flip(f"{night.output}/{name}", bit)
    try:
        (finding,) = verify(night.output).findings
        assert finding.location == f"{night.output}/{name}"
        assert finding.kind == ("part_damaged" if name.startswith("predictions/") else "receipt_damaged")
    finally:
        flip(f"{night.output}/{name}", bit)


@pytest.mark.heavy
@pytest.mark.parametrize("what", ["part deleted", "part flipped", "receipt flipped", "leftover"])
def test_damage_in_a_bucket_is_named_and_healed(original: Night, gcs_bucket: str, what: str) -> None:
    night = original.at(f"{gcs_bucket}/night")
    assert night.output.startswith(GCS)
    for name, data in original.files().items():
        storage.create(f"{night.output}/{name}", data)
    assert night.found() == []
    unit = night.units()[0]
    part, receipt = f"predictions/part-{unit}.parquet", f"receipts/{unit}.json"
    if what == "part deleted":
        storage.delete(f"{night.output}/{part}")
        expected = ("part_missing", part)
    elif what == "part flipped":
        flip(f"{night.output}/{part}", 1234)
        expected = ("part_damaged", part)
    elif what == "receipt flipped":
        flip(f"{night.output}/{receipt}", 1234)
        expected = ("receipt_damaged", receipt)
    else:
        storage.create(f"{night.output}/receipts/{'0' * 32}.json", b"{}")
        expected = ("leftover", f"receipts/{'0' * 32}.json")
    assert night.found() == [expected]
    check_healed(original, night, [unit] if what.startswith(("part", "receipt")) else [])


def test_bucket_that_fails_is_no_finding(
    original: Night,
    emulator: Emulator,
    gcs_bucket: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    night = original.at(f"{gcs_bucket}/night")
    for name, data in original.files().items():
        storage.create(f"{night.output}/{name}", data)
    monkeypatch.setattr(storage.store_of(night.output)._store, "_retry_seconds", 0.05)
    monkeypatch.setattr(look_cli, "WAIT_SECONDS", 0.05)
    emulator.fail("part-", times=10_000)
    assert verify_cli.main([night.output]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("nightscore verify: storage fails: HTTP 503 at 'gs://")
    emulator.faults.clear()
    assert night.found() == []
