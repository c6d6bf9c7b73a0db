"""`nightscore verify`: an OUTPUT in, findings and exit code out.

Exit codes: 0 all is as it should be; 3 something is not; 1 a bug; 2 bad usage, or no OUTPUT; 130 interrupted.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

from pipeline import storage
from pipeline.errors import TransientError, UsageError
from pipeline.quiet import complain

if TYPE_CHECKING:
    from pipeline.verify import Verification

WAIT_SECONDS = 30.0
"""How long storage that fails is asked again: somebody is looking on."""

SHOWN = 20
"""Findings of one kind that are printed; the others are counted."""

DESCRIPTION = """\
example: nightscore verify night

Check, on any machine, without the images and the model, that every image that was planned has its row, every part is as
its receipt says, and table and summary are what the receipts give. Prints one line for each thing that is not so.
"""

EPILOG = "Exit codes: 0 all is as it should be, 3 something is not, 2 bad usage or not the output of a run."


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see 'nightscore verify --help'")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `nightscore verify` and return its exit code."""
    try:
        output = _parser().parse_args(argv).output
        from pipeline.verify import verify  # Arrow and Pillow: half a second of imports that --help does without

        storage.patience().start(WAIT_SECONDS)
        found = verify(output)
    except (UsageError, PermissionError) as error:
        complain(f"nightscore verify: {error}")
        return 2
    except TransientError as error:
        complain(f"nightscore verify: storage fails: {error}; run it again")
        return 3
    except KeyboardInterrupt:
        complain("nightscore verify: interrupted; nothing was changed")
        return 130
    for line in _lines(found):
        print(line)
    print(f"{storage.key_of(output.rstrip('/'))}: {_outcome(found)}")
    return 3 if found.findings else 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="nightscore verify",
        usage=argparse.SUPPRESS,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("output", metavar="OUTPUT", help="folder with the results of 'nightscore score', or gs://")
    return parser


def _lines(found: Verification) -> Iterator[str]:
    """Yield a line for each finding, the first ones of each kind, and a line for the others of a kind."""
    shown: Counter[str] = Counter()
    for finding in found.findings:
        shown[finding.kind] += 1
        if shown[finding.kind] <= SHOWN:
            yield f"{finding.kind:<16} {storage.key_of(finding.location)}: {finding.text}"
    for kind, n in shown.items():
        if n > SHOWN:
            yield f"{kind:<16} and {n - SHOWN:,} more of this kind"


def _outcome(found: Verification) -> str:
    """Return the last line: what was looked at, and how much of it is not as it should be."""
    held = f"{found.images:,} images in {found.units:,} units of run {found.run}"
    if not found.findings:
        return f"{held}: every image is accounted for, every part is as its receipt says"
    kinds = Counter(finding.kind for finding in found.findings)
    return f"{held}: not as it should be: {', '.join(f'{n:,} {kind}' for kind, n in kinds.items())}"
