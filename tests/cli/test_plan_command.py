"""`nightscore plan`, end to end: real files, a real model, and an OUTPUT that stays as it is."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from conftest import WriteImages

from pipeline.cli import plan, score
from pipeline.machine import CPUINFO, has_bfloat16
from pipeline.options import Precision
from pipeline.output.plan_file import PlanTotals
from pipeline.scoring import forecast
from pipeline.scoring.forecast import Work
from pipeline.scoring.ways import Costs, Way

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def short_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DECODE_SECONDS", "PREDICT_SECONDS"):
        monkeypatch.setattr(forecast, name, 0.01)


def flags(archive: Path, model: str, night: Path, *more: object) -> list[str]:
    return ["--input", str(archive), "--model", model, "--output", str(night), *map(str, more)]


def facts(text: str) -> dict[str, list[str]]:
    """What was printed, by the first word of each line."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        assert re.match(r"\S+ +\S| {13}\S", line), line
        assert line[12] == " ", "the texts are aligned"
        found.setdefault(line[:12].strip(), []).append(line[13:])
    return found


def contents(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {p: (p.read_bytes() if p.is_file() else b"", p.stat().st_mtime_ns) for p in folder.rglob("*")}


@pytest.mark.heavy
def test_it_says_what_a_score_would_do_and_writes_nothing(
    write_images: WriteImages, tiny_model: str, tmp_path: Path, capsys: Captured
) -> None:
    archive = write_images(100)
    (archive / "notes.txt").write_text("x")
    before = contents(tmp_path)
    assert plan.main(flags(archive, tiny_model, tmp_path / "night", "--unit_images", 30)) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert contents(tmp_path) == before
    found = facts(shown.out)
    images, units = re.fullmatch(r"(\d+); (\d+) work units, \d+\.\d kB", found["images"][0]).groups()  # type: ignore[union-attr]
    assert int(images) == 100
    assert 4 <= int(units) <= 13
    assert found["skipped"] == ["other files: 1 (notes.txt)"]
    tried, failed = re.fullmatch(r"(\d+) images, (\d+) failed", found["tried first"][0]).groups()  # type: ignore[union-attr]
    assert 30 <= int(tried) <= 64, "the same from each unit, and a small one has fewer"
    assert failed == "0"
    assert re.fullmatch(r"[\d,]+ images/s in one process", found["decoding"][0])
    assert re.fullmatch(r"[\d,]+ images/s by litert", found["model"][0])
    assert re.fullmatch(r"[\d,]+ images/s by tensorflow", found["model"][1])
    assert re.match(r"--engine (litert|tensorflow)", found["recommended"][0])
    assert re.search(r"\d+ s( to \d+ s)? by litert", found["time"][0])
    assert re.match(r"for 100 images on this machine", found[""][0])
    assert "stored" not in found
    assert "kept" not in found


@pytest.mark.heavy
@pytest.mark.skipif(not has_bfloat16(Path(CPUINFO).read_text()), reason="no such CPU")
def test_every_engine_and_precision_is_measured_whichever_is_asked_for(
    write_images: WriteImages, tiny_model: str, tmp_path: Path, capfd: Captured
) -> None:
    for precision in ("float32", "bfloat16"):
        arguments = flags(write_images(20), tiny_model, tmp_path / "night", "--precision", precision)
        assert plan.main(arguments) == 0
        found = facts(capfd.readouterr().out)
        measured = [fact.partition(" by ")[2] for fact in found["model"]]
        assert measured == ["litert", "tensorflow", "tensorflow in bfloat16"]
        usual = "litert" if precision == "float32" else "tensorflow in bfloat16"
        assert re.search(rf"\d+ s by {usual}(,|$)", found["time"][0])


@pytest.mark.heavy
def test_cpu_without_bfloat16_is_not_spoken_of_where_nobody_asks_for_it(
    write_images: WriteImages, tiny_model: str, tmp_path: Path, capfd: Captured, poisoned: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text("flags\t: fpu avx2\n")
    poisoned.setenv("CPUINFO", str(tmp_path / "cpuinfo"))
    assert plan.main(flags(write_images(20), tiny_model, tmp_path / "night")) == 0
    found = facts(capfd.readouterr().out)
    assert [line.partition(" by ")[2] for line in found["model"]] == ["litert", "tensorflow"]
    assert "bfloat16" not in found["recommended"][0]
    assert "bfloat16" not in found[""][0]


@pytest.mark.parametrize(("asked", "is_told"), [("float32", False), ("bfloat16", True)])
def test_precision_that_is_not_possible_is_told_only_to_who_asks_for_it(asked: Precision, is_told: bool) -> None:
    costs = Costs(start=1, read=0, readers=1, decode=0.1, predict={Way("litert", "float32"): 0.1}, cores=2)
    absent = {Way("tensorflow", "float32"): "no package", Way("tensorflow", "bfloat16"): "no such CPU"}
    said = [text for _, text in plan._speeds(costs, absent, asked)]
    assert "tensorflow is not possible: no package" in said
    assert ("tensorflow in bfloat16 is not possible: no such CPU" in said) is is_told


@pytest.mark.heavy
def test_engine_that_output_rules_out_is_not_spoken_of(
    write_images: WriteImages, tiny_model: str, tmp_path: Path, capfd: Captured
) -> None:
    night, archive = tmp_path / "night", write_images(20)
    assert score.main(flags(archive, tiny_model, night)) == 0
    write_images(5, start=40)
    capfd.readouterr()
    assert plan.main(flags(archive, tiny_model, night)) == 0
    found = facts(capfd.readouterr().out)
    assert len(found["model"]) == 1
    assert re.fullmatch(r"[\d,]+ images/s by litert", found["model"][0])
    assert found["kept"] == ["0 of 20 rows: a work unit is scored again as a whole"]
    assert found["recommended"] == ["--engine litert"]


@pytest.mark.heavy
def test_what_is_committed_is_not_counted_again_and_a_finished_archive_has_nothing_left(
    write_images: WriteImages, tiny_model: str, tmp_path: Path, capfd: Captured
) -> None:
    night, archive = tmp_path / "night", write_images(100)
    arguments = flags(archive, tiny_model, night, "--unit_images", 20)
    assert score.main(arguments) == 0
    before = contents(night)
    capfd.readouterr()
    assert plan.main(arguments) == 0
    assert contents(night) == before
    found = facts(capfd.readouterr().out)
    units = found["images"][0].split("; ")[1].split()[0]
    assert found["stored"] == [f"100 images in {units} of {units} work units; nothing is left to score"]
    assert "tried first" not in found
    assert "kept" not in found
    (archive / "0" / "another.png").write_bytes((archive / "0" / "00000.png").read_bytes())
    assert plan.main(arguments) == 0
    assert contents(night) == before
    found = facts(capfd.readouterr().out)
    done = int(found["stored"][0].split()[0])
    assert 0 < done < 100
    assert found["kept"] == [f"{done} of 100 rows: a work unit is scored again as a whole"]
    assert f"for {101 - done} images" in found[""][-1]


@pytest.mark.heavy
def test_failures_are_told_by_reason_with_examples_fit_to_be_shown(
    write_images: WriteImages, tiny_model: str, tmp_path: Path, capfd: Captured
) -> None:
    archive = write_images(20)
    (archive / "0" / "\x1b[31mred[bold].png").write_bytes(b"<html>")
    (archive / "0" / "empty.png").write_bytes(b"")
    assert plan.main(flags(archive, tiny_model, tmp_path / "night")) == 0
    found = facts(capfd.readouterr().out)
    assert found["tried first"] == ["22 images, 2 failed: 2 not decodable"]
    assert len(found["example"]) == 2
    assert any(r"\x1b[31mred[bold].png: not a PNG" in line for line in found["example"])


@pytest.mark.parametrize(
    ("images", "open_units", "done", "is_told"),
    [(110, 0, 60, True), (60, 0, 60, False), (0, 2, 0, False)],
    ids=["a unit changed", "images are gone, and nothing is to score", "nobody knows how many images are stored"],
)
def test_stored_rows_that_go_are_told_only_where_it_is_known(
    images: int, open_units: int, done: int, is_told: bool
) -> None:
    totals = PlanTotals("r", "m", units=2, images=images, open_units=open_units)
    found = dict(plan._overview(Work(totals, frozenset("u"), done, 100), ()))
    assert found["stored"] == ("1 of 2 work units" if open_units else "60 images in 1 of 2 work units")
    told = [text for name, text in found.items() if name == "kept"]
    assert told == (["60 of 100 rows: a work unit is scored again as a whole"] if is_told else [])


def test_skipped_files_have_the_names_that_score_gives_them() -> None:
    skipped = {"HEIC images: convert them": 2, "other files": 1}
    totals = PlanTotals("r", "m", skipped=skipped, skipped_examples={"other files": "/photos/notes.txt"})
    found = list(plan._overview(Work(totals, frozenset(), 0, 0), ["/photos"]))
    assert ("not read", "HEIC images: 2; convert them") in found
    assert ("skipped", "other files: 1 (notes.txt)") in found


def test_archive_of_garbage_alarms_unless_told_not_to(tiny_model: str, tmp_path: Path, capfd: Captured) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    for i in range(10):
        (archive / f"{i}.png").write_bytes(b"no")
    arguments = flags(archive, tiny_model, tmp_path / "night")
    assert plan.main(arguments) == 3
    said, errors = capfd.readouterr()
    assert facts(said)["tried first"] == ["10 images, 10 failed: 10 not decodable"]
    assert errors.startswith("nightscore plan: 10 of the 10 images that were tried first failed")
    assert plan.main([*arguments, "--no_canary"]) == 0
    assert not (tmp_path / "night").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--frobnicate"], "unknown argument '--frobnicate'"),
        (["--top_k", "0"], "--top_k 0 is too small"),
        (["--input", "nowhere"], "--input 'nowhere' does not exist"),
    ],
)
def test_bad_usage_is_one_line_and_touches_nothing(
    write_images: WriteImages, tiny_model: str, tmp_path: Path, capfd: Captured, more: list[str], said: str
) -> None:
    assert plan.main(flags(write_images(1), tiny_model, tmp_path / "night", *more)) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("nightscore plan: ")
    assert said in line
    assert not (tmp_path / "night").exists()


@pytest.mark.heavy
def test_nothing_is_left_in_the_temporary_folder(
    write_images: WriteImages, tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    assert plan.main(flags(write_images(5), tiny_model, tmp_path / "night")) == 0
    assert os.listdir(tmp_path / "scratch") == []
