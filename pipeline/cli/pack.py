"""`nightscore pack`: any source of images into a few large files, with labels, keys and columns.

Exit codes: 0 packed; 1 a bug; 2 bad usage; 3 storage fails, or images could not be read; 130 interrupted.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline import storage
from pipeline.cli.command import new_parser, stop, to_exit_code
from pipeline.cli.console import answer, fail
from pipeline.cli.failure_facts import skipped
from pipeline.cli.one_screen import Fact
from pipeline.cli.quiet import tame_streams
from pipeline.cli.terminal import Screen, show_facts
from pipeline.flag_names import JSON, parse_arguments
from pipeline.formatting import counted, size
from pipeline.options import ScoreOptions
from pipeline.text import brief, shell_path

if TYPE_CHECKING:
    from pipeline.scoring.pack import Packed

DESCRIPTION = """\
example: nightscore pack --input photos/ --output packed
         nightscore pack --input s3://b/photos/ --output packed --format tar

Put many images into few large files: a store answers thousands of requests
slowly and one long one fast. The bytes of the images stay as they are, broken
ones too; label, folder, key (source_key) and columns go with them. The same
command goes on where an earlier one stopped.
"""

EPILOG = "Exit codes: 0 packed, 2 bad usage, 3 storage fails or images could not be read."

FACTORS = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}
LARGEST = 4_000_000_000
"""Bytes of a part, at most: it is made in memory, and S3 takes 5 GB in one request."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `nightscore pack` and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    tame_streams("%(levelname)s %(name)s: %(message)s")

    def body() -> int:
        return _pack(parse_arguments(_parser(), arguments))

    return to_exit_code("pack", body, is_json=JSON in arguments, advice="run the same command to go on", on_signal=stop)


def read_size(text: str) -> int:
    """Return a number of bytes, as typed.

    >>> read_size("256MB"), read_size("1.5 GB"), read_size("4096")
    (256000000, 1500000000, 4096)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMG]?)B?", text.strip())
    n = int(float(found[1]) * FACTORS[found[2]]) if found else 0
    if not 1 <= n <= LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no size from 1 to 4GB, such as 256MB")
    return n


def _parser() -> argparse.ArgumentParser:
    parser = new_parser("pack", DESCRIPTION, EPILOG)
    parser.add_argument(
        "--input", action="append", metavar="PATTERN", help="images, given as for 'nightscore score'; repeatable"
    )
    parser.add_argument("--output", metavar="DIR", help="folder for the files, on disk or in a bucket")
    parser.add_argument("--format", choices=("tfrecord", "tar"), default="tfrecord", help="format of the files")
    parser.add_argument(
        "--part_size", type=read_size, default="256MB", metavar="SIZE", help="size of each file, about (default: 256MB)"
    )
    for name in ("image_key", "label_key", "labels_file", "zip_encoding", "file_column", "label_column"):
        parser.add_argument(f"--{name}", metavar="NAME", help="see 'nightscore score --help_all'")
    parser.add_argument(
        "--columns", default="all", metavar="all|none|A,B", help="columns of lists to keep (default: all)"
    )
    parser.add_argument(
        "--retry_deadline", type=float, default=900.0, metavar="S", help="see 'nightscore score --help_all'"
    )
    parser.add_argument(JSON, action="store_true", help="one line of JSON on stdout")
    return parser


def _pack(asked: argparse.Namespace) -> int:
    from pipeline.scoring.pack import PackOptions, pack  # NumPy, which --help does without

    values = vars(asked).copy()
    is_json = values.pop("json")
    form, part_size = values.pop("format"), values.pop("part_size")
    values |= {"input": tuple(values["input"] or ()), "output": values["output"] or ""}
    reading = ScoreOptions(model="none", engine="litert", **values)
    storage.patience().start(reading.retry_deadline)
    found = pack(PackOptions(reading, form, part_size))
    reasons = []
    if found.unfinished:
        which = counted(found.unfinished, "group of images is", "groups of images are")
        reasons.append(f"{which} not packed ({found.error}); run the same command again")
    if n := found.unreadable.total():
        reason, _ = found.unreadable.most_common(1)[0]
        which = counted(n, "unreadable image is packed as an empty one", "unreadable images are packed as empty ones")
        reasons.append(f"{which} ({brief(found.example)}: {reason})")
    code = 3 if reasons else 0
    if is_json:
        facts = vars(found) | {"unreadable": dict(found.unreadable), "skipped": found.skipped.counts}
        answer({"exit_code": code, "output": reading.output, "reasons": reasons, **facts})
        return code
    show_facts(Screen(), _facts(found, reading.output))
    return fail("pack", "; ".join(reasons), code) if reasons else 0


def _facts(found: Packed, output: str) -> Iterator[Fact]:
    images, files = counted(found.images, "image"), counted(found.parts, "file")
    yield "packed", f"{images} in {files}, {size(found.size)}: {shell_path(output)}"
    if found.kept:
        yield "kept", f"{found.kept:,} of them from an earlier run"
    for reason, n in found.skipped.counts.items():
        yield skipped(n, reason, found.skipped.examples.get(reason))
