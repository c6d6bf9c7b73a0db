"""One table from errors to exit codes, the same for every command."""

from __future__ import annotations

import inspect
import json
import signal
from typing import NoReturn

import pytest

from pipeline import errors
from pipeline.cli.command import to_exit_code
from pipeline.errors import EXIT_CODES, NightscoreError

Captured = pytest.CaptureFixture[str]

BUGS = {"NightscoreError", "ChangedError", "DamagedPartError"}
"""What no command lets out: rows and units are made of the last two."""


def test_every_error_of_the_tree_has_its_code_or_is_a_bug() -> None:
    tree = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, NightscoreError)]
    told = {kind.__name__ for kind in tree if any(issubclass(kind, known) for known in EXIT_CODES)}
    assert {kind.__name__ for kind in tree} == told | BUGS
    assert not told & BUGS


@pytest.mark.parametrize("kind", EXIT_CODES)
def test_error_is_one_line_with_its_code(kind: type[Exception], capsys: Captured) -> None:
    def body() -> NoReturn:
        raise kind("it {is}\nso")

    code = to_exit_code("verify", body, is_json=True, advice="do this")
    out, err = capsys.readouterr()
    assert code == EXIT_CODES[kind]
    assert err.startswith("nightscore verify: ")
    assert err.count("\n") == 1
    assert r"it {is}\nso" in err
    assert json.loads(out) == {"exit_code": code, "error": err.strip().removeprefix("nightscore verify: ")}


def test_error_that_passes_is_told_with_what_to_do(capsys: Captured) -> None:
    def body() -> NoReturn:
        raise errors.TransientError("503")

    assert to_exit_code("plan", body) == 3
    assert capsys.readouterr().err == "nightscore plan: storage fails: 503; run it again\n"


def test_bug_is_not_hidden() -> None:
    def body() -> NoReturn:
        raise errors.DamagedPartError("x")

    with pytest.raises(errors.DamagedPartError):
        to_exit_code("score", body)


@pytest.mark.parametrize(
    ("text", "if_interrupted", "shown"),
    [("", "", "run it again"), ("", "nothing was changed", "nothing was changed"), ("it goes on", "", "it goes on")],
)
def test_interrupt_is_told_with_what_it_means(text: str, if_interrupted: str, shown: str, capsys: Captured) -> None:
    def body() -> NoReturn:
        raise KeyboardInterrupt(text)

    assert to_exit_code("plan", body, if_interrupted=if_interrupted) == 130
    assert capsys.readouterr().err == f"nightscore plan: interrupted; {shown}\n"


def test_signal_gives_its_own_code(capsys: Captured) -> None:
    stopped: list[bool] = []

    def body() -> int:
        signal.raise_signal(signal.SIGTERM)
        return 0

    assert to_exit_code("score", body, on_signal=lambda: stopped.append(True)) == 143
    assert stopped == [True]
    assert capsys.readouterr().err == "nightscore score: interrupted; run it again\n"
