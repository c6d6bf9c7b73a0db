"""--on_end: a command that hears what a run came to, whatever that is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import WriteImages

from pipeline.cli import score
from pipeline.errors import NoSpaceError
from pipeline.output.on_end import End, tell, told

NAMES = ("VERDICT", "EXIT_CODE", "OUTPUT", "SUMMARY", "REPORT", "RUN")


def writes(path: Path) -> str:
    """Return a command that writes what it hears into a file, a line for each variable."""
    return f"env | grep ^NIGHTSCORE_ > '{path}'"


def heard(path: Path) -> dict[str, str]:
    lines = (line.removeprefix("NIGHTSCORE_").partition("=") for line in path.read_text().splitlines())
    return {name: value for name, _, value in lines}


@pytest.mark.heavy
def test_command_hears_of_a_run_that_ended_and_no_file_keeps_it(
    tiny_model: str, write_images: WriteImages, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    images = write_images(20)
    (images / "0" / "broken.png").write_bytes(b"no image")
    output, file = tmp_path / "a night", tmp_path / "heard of it"
    flags = ["--input", str(images), "--model", tiny_model, "--output", str(output), "--json"]
    code = score.main([*flags, "--on_end", f"{writes(file)}; echo printed"])
    assert code == 3
    found = heard(file)
    assert found.keys() == set(NAMES)
    assert found["EXIT_CODE"] == "3"
    assert found["VERDICT"].startswith("1 of 21 images failed (4.76%), more than --max_failed_fraction")
    assert found["SUMMARY"] == str(output / "summary.json")
    assert Path(found["REPORT"]).exists()
    out, err = capfd.readouterr()
    assert json.loads(out)["exit_code"] == 3, "stdout is one object"
    assert "printed" in err
    for path in output.rglob("*.*"):
        assert b"heard of it" not in path.read_bytes(), path
    again = tmp_path / "again"
    assert score.main([*flags, "--max_failed_fraction", "0.1", "--on_end", f"{writes(again)}; exit 7"]) == 0
    assert (heard(again)["EXIT_CODE"], heard(again)["VERDICT"]) == ("0", "good")
    assert "--on_end failed with exit code 7; the run itself stays as it is" in capfd.readouterr().err


def test_command_hears_of_a_run_that_did_not_begin(tiny_model: str, tmp_path: Path) -> None:
    file = tmp_path / "heard"
    flags = ["--input", str(tmp_path / "gone"), "--model", tiny_model, "--output", str(tmp_path / "night")]
    assert score.main([*flags, "--on_end", writes(file)]) == 2
    found = heard(file)
    assert (found["EXIT_CODE"], found["RUN"], found["SUMMARY"]) == ("2", "", "")
    assert "gone" in found["VERDICT"]


@pytest.mark.parametrize(
    ("error", "code"), [(NoSpaceError("disk\nfull"), 3), (KeyboardInterrupt(), 130), (ValueError("a bug"), 1)]
)
def test_command_hears_of_an_error_that_ends_the_run(tmp_path: Path, error: BaseException, code: int) -> None:
    file = tmp_path / "heard"
    with pytest.raises(type(error)), told(writes(file), "night"):
        raise error
    assert heard(file)["EXIT_CODE"] == str(code)
    said = {130: "interrupted; the same command goes on"}.get(code, " ".join(str(error).split()))
    assert heard(file)["VERDICT"] == said


def test_nobody_is_told_of_a_job_that_goes_on_elsewhere(tmp_path: Path) -> None:
    with told(writes(tmp_path / "heard"), "night"):
        pass
    assert not (tmp_path / "heard").exists()


def test_command_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.output.on_end.LONGEST", 0.2)
    assert tell("sleep 30", End("night", 0, "good")).startswith("--on_end was ended after 0.2 seconds")


def test_a_name_in_the_verdict_is_text_and_no_command(tmp_path: Path) -> None:
    evil = f"'; touch {tmp_path}/a; $(touch {tmp_path}/b) `touch {tmp_path}/c` \x1b[2J\n"
    file = tmp_path / "heard"
    assert tell(f"printf %s \"$NIGHTSCORE_VERDICT\" > '{file}'", End(f"night {evil}", 3, f"failed: {evil}")) == ""
    assert file.read_text().startswith("failed: '; touch ")
    assert "\x1b" not in file.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["heard"]
