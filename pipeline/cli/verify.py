"""`nightscore verify`: an OUTPUT in, findings and exit code out.

Exit codes: 0 all is as it should be; 3 something is not; 1 a bug; 2 bad usage, or no OUTPUT; 130 interrupted.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.cli.command import OutputCommand
from pipeline.cli.console import answer
from pipeline.cli.terminal import Screen, show_text
from pipeline.formatting import counted
from pipeline.text import shell_path, shell_word

if TYPE_CHECKING:
    from pipeline.output.verify import Verification

SHOWN = 20
"""Findings of one kind that are printed; the others are counted."""

SHOWN_MISSING = 3
"""The same of units that are missing: a run that did not end may lack thousands, and one says what all of them say."""

DESCRIPTION = """\
example: nightscore verify night

Check, on any machine, without the images and the model, that every image that
was planned has its row, every part is as its receipt says, and table and
summary are what the receipts give. Prints a line for each thing that is
wrong: the first of each kind, and how many more there are (--json has all).
"""

EPILOG = "Exit codes: 0 nothing is wrong, 3 something is missing or damaged, 2 bad\nusage or no OUTPUT."


COMMAND = OutputCommand("verify", DESCRIPTION, EPILOG)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `nightscore verify` and return its exit code."""
    return COMMAND.main(argv, _verify)


def _verify(asked: argparse.Namespace) -> int:
    from pipeline.output.verify import verify  # Arrow and Pillow: half a second of imports that --help does without

    found = verify(asked.output)
    output = asked.output.rstrip("/")
    code = 3 if found.findings else 0
    if asked.json:
        findings = [vars(finding) for finding in found.findings]
        answer({"exit_code": code, "output": output, **vars(found), "findings": findings})
        return code
    screen = Screen()  # whose reader may leave, as `head` does
    for text in (*_lines(found), f"{shell_path(output)}: {_outcome(found)}"):
        show_text(screen, text)
    return code


def _lines(found: Verification) -> Iterator[str]:
    """Yield a line for each finding, the first ones of each kind, and a line for the others of a kind."""
    shown: Counter[str] = Counter()
    for finding in found.findings:
        shown[finding.kind] += 1
        if shown[finding.kind] <= _most(finding.kind):
            yield f"{finding.kind:<16} {shell_word(finding.location)}: {finding.text}"
    for kind, n in shown.items():
        if n > _most(kind):
            yield f"{kind:<16} and {n - _most(kind):,} more of this kind"


def _most(kind: str) -> int:
    """Return how many findings of a kind are printed."""
    return SHOWN_MISSING if kind == "unit_missing" else SHOWN


def _outcome(found: Verification) -> str:
    """Return the last line: what was looked at, and how much of it is not as it should be."""
    held = f"{counted(found.images, 'image')} in {counted(found.units, 'work unit')} of run {found.run}"
    if not found.findings:
        return f"{held}: every image is accounted for, every part is as its receipt says"
    kinds = Counter(finding.kind for finding in found.findings)
    return f"{held}: wrong: {', '.join(f'{n:,} {kind}' for kind, n in kinds.items())}"
