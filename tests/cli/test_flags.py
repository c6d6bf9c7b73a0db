"""Flags of the command and flags of the job: told apart, and shown where they are needed."""

from __future__ import annotations

import argparse
import contextlib
import io
from dataclasses import dataclass, fields

import pytest

from nightscore import __main__ as command_line
from pipeline.beam import flex_template, job
from pipeline.cli import flags, score
from pipeline.cli.flags import OutputMode
from pipeline.flag_names import parse_arguments
from pipeline.options import ScoreOptions

COMMANDS = ("train", "pack", "plan", "score", "status", "verify", "report", "demo", "import-model")
JOB = ["--input", "a", "--model", "b", "--output", "c"]


@dataclass(frozen=True)
class Done:
    """What a command said, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(autouse=True)
def screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")


def nightscore(*arguments: str) -> Done:
    """Run the command in this process: its own entry is what `python -m nightscore` calls."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            code = command_line.main(arguments)
        except SystemExit as left:
            code = int(left.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


@pytest.mark.parametrize("command", [*COMMANDS, ""])
def test_help_fits_a_screen_and_starts_with_an_example(command: str) -> None:
    done = nightscore(*filter(None, [command]), "--help")
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert lines[0].startswith(f"example: nightscore {command} " if command else "  nightscore train ")
    assert len(lines) <= 45
    assert max(map(len, lines)) <= 80
    if command:
        assert "Exit codes: 0 " in done.stdout, "a script has to know them"
    assert nightscore(*filter(None, [command]), "-h").stdout == done.stdout


@pytest.mark.parametrize("command", ["score", "plan"])
def test_help_of_all_shows_every_option(command: str) -> None:
    short, whole = nightscore(command, "--help").stdout, nightscore(command, "--help_all").stdout
    options = {f"--{option.name} " for option in fields(ScoreOptions)}
    assert all(option in whole for option in options)
    assert {option for option in options if option in short} == {f"--{name} " for name in flags.NEEDED}
    assert "--help_all" in short


def test_output_mode_is_no_part_of_the_job() -> None:
    assert flags.split_output_mode([*JOB, "--json", "--quiet"]) == (OutputMode(quiet=True, json=True), JOB)
    assert flags.split_output_mode(JOB) == (OutputMode(), JOB)
    names = {option.name for option in fields(ScoreOptions)} | {
        p["name"] for p in flex_template.metadata()["parameters"]
    }
    assert not {"json", "quiet", "help_all"} & names
    assert not {"--json", "--quiet"} & job.flags().keys(), "Beam has none of that name either"
    assert {"--json", "--quiet", "--help_all"} <= score._parser()._option_string_actions.keys()


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["--nonsense"],
        ["score"],
        ["score", "--nonsense"],
        ["score", *JOB, "--json=1"],
        ["plan", *JOB],
        ["plan", *JOB, "--json"],
        ["status"],
        ["status", "/nonexistent"],
        ["status", "/nonexistent", "--quiet"],
        ["verify", "/nonexistent"],
        ["train"],
        ["train", "--dataset", "/nonexistent", "--output", "m"],
        ["demo", "--nonsense"],
    ],
    ids=" ".join,
)
def test_error_is_one_line_that_names_its_command_and_exit_code_2(arguments: list[str]) -> None:
    done = nightscore(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    known = arguments[0] in COMMANDS
    assert done.stderr.startswith(f"nightscore {arguments[0]}: " if known else "nightscore: unknown command ")


@pytest.mark.parametrize(
    ("command", "mistyped", "meant"),
    [
        ("score", "--unit_image", "--unit_images"),
        ("score", "--quite", "--quiet"),
        ("plan", "--unit-images", "--unit_images"),
        ("train", "--data_set", "--dataset"),
        ("import-model", "--lables", "--labels"),
        ("demo", "--outptu", "--output"),
        ("look", "--modle", "--model"),
        ("pack", "--inptu", "--input"),
        ("status", "--jsn", "--json"),
        ("verify", "--jsn", "--json"),
        ("report", "--too", "--to"),
        ("compare", "--fail_if_worst", "--fail_if_worse"),
        ("export", "--csvs", "--csv"),
    ],
)
@pytest.mark.parametrize("value", [["500"], []])
def test_mistyped_flag_is_answered_with_the_one_that_was_meant(
    command: str, mistyped: str, meant: str, value: list[str]
) -> None:
    arguments = [mistyped, *value] if value else [f"{mistyped}=500"]
    done = nightscore(command, *arguments, *(JOB if command in ("score", "plan") else ()))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"nightscore {command}: unknown argument '{mistyped}' (did you mean {meant}?)")


def test_value_that_looks_like_a_flag_is_none() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--on_end")
    parser.add_argument("rest", nargs="*")
    assert parse_arguments(parser, ["--on_end", "--tell me", "--", "--what"]).on_end == "--tell me"
