"""Commands and paths that are printed for a person: a shell understands each, whatever the place is called."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import WriteImages
from example_nights import night as example_night
from hypothesis import given, settings
from hypothesis import strategies as st
from parsed_page import ParsedPage

from pipeline import storage
from pipeline.cli import report as report_cli
from pipeline.cli import score, status, verify
from pipeline.report.page import report
from pipeline.text import plain, shell_command, shell_path, shell_word

ROOT = Path(__file__).parents[2]
NAMES = [
    b"night%41",
    b"my night",
    b"o'clock",
    b"50% of \\x41",
    b"line\nbreak",
    b"\xff\xfe'\\n",
    b"-night",
    "é\u202e".encode(),
]

Captured = pytest.CaptureFixture[str]


def read_by_bash(words: str, folder: Path = ROOT) -> list[bytes]:
    """Return the arguments that bash makes of words."""
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {words}"], capture_output=True, check=True, cwd=folder)
    return done.stdout.split(b"\0")[:-1]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.binary(max_size=12).map(lambda name: name.replace(b"\0", b"")), min_size=1, max_size=20))
def test_bash_reads_what_was_meant(names: list[bytes]) -> None:
    command = shell_command(map(os.fsdecode, names))
    assert plain(command) == command, "nothing in it moves the cursor or cannot be seen"
    assert read_by_bash(command) == names


@pytest.mark.parametrize("name", NAMES)
def test_word_can_be_encoded_and_names_the_place(name: bytes, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(name)).mkdir()
    word = shell_path(os.fsdecode(name))
    word.encode()
    (path,) = read_by_bash(word, tmp_path)
    assert os.path.isdir(tmp_path / os.fsdecode(path))
    assert not path.startswith(b"-")


def run_by_bash(command: str, folder: Path) -> int:
    program = f'nightscore() {{ {shell_word(sys.executable)} -m nightscore "$@"; }}; {command}'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["bash", "-c", program], cwd=folder, env=environment, check=False, capture_output=True
    ).returncode


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["night%41", "o'clock %2541"])
def test_printed_commands_work_as_they_are(
    tiny_model: str, write_images: WriteImages, tmp_path: Path, capfd: Captured, name: str
) -> None:
    night = tmp_path / name
    flags = ["--input", str(write_images(10, "archive%41")), "--model", tiny_model, "--output", str(night)]
    assert score.main(flags) == 0
    facts = {line[:12].strip(): line[13:] for line in capfd.readouterr().out.splitlines()}
    assert read_by_bash(facts["report"]) == [os.fsencode(night / "report.html")]
    assert read_by_bash(facts["predictions"]) == [os.fsencode(night / "predictions")]
    assert status.main([str(night)]) == 0
    assert capfd.readouterr().out.splitlines()[-1][13:] == facts["next"]
    assert run_by_bash(facts["next"], tmp_path) == 0
    page = ParsedPage((night / "report.html").read_text())
    assert facts["next"] in page.texts["next"]
    record = json.loads((night / "run.json").read_text())
    assert record["options"]["output"] == storage.key_of(str(night))
    assert score.main([*flags, "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert (told["output"], told["report"]) == (str(night), str(night / "report.html"))


def test_page_repeats_the_places_and_not_their_keys() -> None:
    some = example_night(failures=[])
    keys = {name: storage.key_of(f"/{name}%41") for name in ("input", "model", "output")}
    some.record["options"] |= {**keys, "input": [keys["input"]]}
    some.record["complete"] = False
    text = ParsedPage(report(*some.arguments)).texts["next"]
    assert "score --input /input%41 --model /model%41 --output /output%41" in text
    assert "nightscore verify /output%41" in text
    assert "%2541" not in text


@pytest.mark.heavy
def test_commands_that_look_at_an_output_name_it_as_a_shell_does(
    tiny_model: str, write_images: WriteImages, tmp_path: Path, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        score.main(["--input", str(write_images(4)), "--model", tiny_model, "--output", str(tmp_path / "night")]) == 0
    )
    monkeypatch.chdir(tmp_path)
    last = "night"
    for name in map(os.fsdecode, NAMES):
        os.rename(last, name)
        last = name
        check_look_commands(f"./{name}", capfd)


def check_look_commands(output: str, capfd: Captured) -> None:
    """An OUTPUT is named in their lines as a shell reads it, and to a program as it is."""
    capfd.readouterr()
    assert status.main([output]) == 0
    assert read_by_bash(capfd.readouterr().out.splitlines()[-1][13:]) == [b"nightscore", b"verify", os.fsencode(output)]
    assert report_cli.main([output]) == 0
    written = [read_by_bash(line) for line in capfd.readouterr().out.splitlines()]
    assert [os.path.isfile(path) for (path,) in written] == [True, True]
    Path(output, "table.txt").unlink(missing_ok=True)
    assert verify.main([output]) == 3
    *findings, end = capfd.readouterr().out.splitlines()
    assert end.startswith(f"{shell_word(output)}: ")
    table = shell_word(os.path.abspath(os.path.join(output, "table.txt")))
    assert any(f"{table}: " in line for line in findings)
    for main in (status.main, verify.main, report_cli.main):
        main([output, "--json"])
        assert json.loads(capfd.readouterr().out)["output"] == output
