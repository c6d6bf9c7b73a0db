"""One line on stderr, one object on stdout."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping
from typing import Any

from pipeline.text import line


def complain(text: str) -> None:
    """Print one line to stderr, fit to be shown."""
    print(line(text), file=sys.stderr)


def fail(command: str, text: str, code: int, is_json: bool = False) -> int:
    """Say why a command ends, for a person and, if that is asked for, for a program; return its exit code."""
    complain(f"nightscore {command}: {text}")
    if is_json:
        answer({"exit_code": code, "error": line(text)})
    return code


def answer(content: Mapping[str, Any]) -> None:
    """Print one line of JSON to stdout, if anybody reads it: ASCII, whatever names are in it."""
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(content))
