"""`nightscore export`: an OUTPUT in, its rows and images out: tables, folders, a COCO dataset, tasks for Label Studio.

Exit codes: 0 exported; 3 some images could not be, the run is not complete, or storage fails; 1 a bug; 2 bad usage, or
no OUTPUT; 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipeline import storage
from pipeline.cli.command import WAIT_SECONDS, new_parser, stop, to_exit_code
from pipeline.cli.console import answer, fail
from pipeline.cli.quiet import tame_streams
from pipeline.errors import ChangedError, DamagedPartError, UsageError
from pipeline.flag_names import JSON, parse_arguments
from pipeline.formatting import counted, size
from pipeline.text import shell_path

if TYPE_CHECKING:
    from pipeline.export.coco import CocoFile
    from pipeline.export.csv_file import CsvFile
    from pipeline.export.decided_rows import DecidedRows
    from pipeline.export.label_studio import TaskFile
    from pipeline.export.parquet_file import ParquetFile
    from pipeline.export.sorted_images import SortedImages

    Written = CsvFile | ParquetFile | CocoFile | TaskFile | SortedImages

DESCRIPTION = """\
example: nightscore export night --csv rows.csv
         nightscore export night --sort_into sorted
         nightscore export night --label_studio tasks.json

Write the rows of a complete run as one file, or its images into folders by
class. Nothing is overwritten. The same --sort_into goes on where an earlier one
stopped.
"""

EPILOG = """\
Exit codes: 0 exported, 2 bad usage or no OUTPUT, 3 some images could not be
exported, the run is not complete, or storage fails."""

FLAGS = ("csv", "parquet", "sort_into", "coco", "label_studio")
"""Names of the flags that ask for something to be written."""

WORDS = {
    "exported": "exported",
    "kept": "kept",
    "left_out": "not asked for",
    "failed": "without a prediction",
    "not_found": "not found",
    "changed": "changed since they were scored",
    "unreadable": "not readable",
    "different": "not written, because another file has their name",
}
"""What became of an image -> how a person is told."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `nightscore export` and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    tame_streams("%(levelname)s %(name)s: %(message)s")

    def body() -> int:
        asked = parse_arguments(_parser(), arguments)
        _check(asked)
        storage.patience().start(WAIT_SECONDS)
        try:
            return _export(asked)
        except (ChangedError, DamagedPartError) as error:
            text = f"{error}; 'nightscore verify {shell_path(asked.output)}' says what else is damaged"
            return fail("export", text, 3, asked.json)

    return to_exit_code(
        "export", body, is_json=JSON in arguments, advice="run the same command to go on", on_signal=stop
    )


def _parser() -> argparse.ArgumentParser:
    parser = new_parser("export", DESCRIPTION, EPILOG)
    parser.add_argument("output", metavar="OUTPUT", help="folder with the results of 'nightscore score', or gs://")
    parser.add_argument("--csv", metavar="FILE", help="all rows as one CSV file, for a spreadsheet")
    parser.add_argument("--parquet", metavar="FILE", help="all rows as one Parquet file, with their types")
    parser.add_argument("--sort_into", metavar="FOLDER", help="the images, in a folder for each class")
    parser.add_argument(
        "--by",
        choices=("predicted", "accepted", "review", "confused"),
        default="predicted",
        help="with --sort_into: predicted = by predicted class (default); accepted = also accepted or to review; "
        "review = only those to review; confused = only mistakes, by label and class",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--copy", action="store_true", help="--sort_into: copies of the images (default)")
    how.add_argument("--link", action="store_true", help="--sort_into: symbolic links to the images")
    parser.add_argument("--coco", metavar="FILE", help="images and predicted classes as a COCO dataset, without boxes")
    parser.add_argument("--label_studio", metavar="FILE", help="tasks for Label Studio: the images to review")
    parser.add_argument(
        "--review", type=_number, metavar="N", help="--label_studio: images to review, at most (default: 1000, or "
        "with --accept_score all that are not accepted)"
    )  # fmt: skip
    parser.add_argument(
        "--link_base", metavar="URL", help="--coco, --label_studio: address in place of the input's location"
    )
    parser.add_argument(JSON, action="store_true", help="one line of JSON on stdout instead of text")
    return parser


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _check(asked: argparse.Namespace) -> None:
    """Check that the flags fit together."""
    if not any(getattr(asked, name) is not None for name in FLAGS):
        flags = ", ".join(f"--{name}" for name in FLAGS)
        raise UsageError(f"nothing to write: give one or more of {flags}; see 'nightscore export --help'")
    for name, needed in (
        ("link", ("sort_into",)),
        ("copy", ("sort_into",)),
        ("review", ("label_studio",)),
        ("link_base", ("coco", "label_studio")),
    ):
        if getattr(asked, name) and all(getattr(asked, other) is None for other in needed):
            raise UsageError(f"--{name} goes with {' or '.join(f'--{other}' for other in needed)}, which is missing")
    if asked.by != "predicted" and asked.sort_into is None:
        raise UsageError(f"--by {asked.by} goes with --sort_into, which is missing")


def _export(asked: argparse.Namespace) -> int:
    from pipeline.export.decided_rows import DecidedRows  # Arrow, which --help does without

    rows = DecidedRows.of(asked.output)
    written = dict(_write(asked, rows))
    code = 3 if any(getattr(one, "bad", 0) for one in written.values()) else 0
    if asked.json:
        facts = {name: _as_json(one) for name, one in written.items()}
        answer({"exit_code": code, "output": asked.output.rstrip("/"), "run": rows.run.id, **facts})
        return code
    for name, one in written.items():
        for text in _lines(name, getattr(asked, name), one):
            print(text)
    if {"csv", "parquet"} & written.keys() and rows.training_unknown:
        print(f"in_training is empty: {rows.training_unknown}")
    return code


def _write(asked: argparse.Namespace, rows: DecidedRows) -> Iterator[tuple[str, Written]]:
    """Check all that is asked for, then write it, images first: the same command, given again, refuses files."""
    from pipeline.cli.terminal import progress
    from pipeline.export import coco, csv_file, label_studio, links, parquet_file, sorted_images
    from pipeline.export.new_file import require_new

    files = {
        name: require_new(path, f"--{name}") for name in FLAGS if name != "sort_into" and (path := getattr(asked, name))
    }
    if len(set(files.values())) < len(files):
        raise UsageError("two files have the same name: give each its own")
    if asked.coco:
        coco.check(rows, "--coco")
    if asked.label_studio:
        coco.check(rows, "--label_studio")
        label_studio.check(rows)
        require_new(label_studio.interface_of(files["label_studio"]), "--label_studio")
    if asked.sort_into:
        how: sorted_images.How = "link" if asked.link else "copy"
        wish = sorted_images.SortWish.of(rows, asked.sort_into, asked.by, how)
        with contextlib.nullcontext() if asked.json else progress("sorting"):
            done = sorted_images.sort_images(wish)
        yield "sort_into", done
    if asked.csv:
        yield "csv", csv_file.write_csv(rows, files["csv"])
    if asked.parquet:
        yield "parquet", parquet_file.write_parquet(rows, files["parquet"])
    base = links.Links.of_base(rows.run, asked.link_base) if asked.link_base else None
    if asked.coco:
        yield "coco", coco.write_coco(rows, files["coco"], base)
    if asked.label_studio:
        address = base or links.Links.of_local_files(rows.run)
        yield "label_studio", label_studio.write_tasks(rows, files["label_studio"], address, asked.review)


def _as_json(one: Written) -> dict[str, Any]:
    review = getattr(one, "review", None)
    if review is None:
        return asdict(one)
    return {
        "tasks": one.tasks,  # type: ignore[union-attr]
        "not_accepted": review.not_accepted,
        "mistakes": review.mistakes,
        "uncertain": review.uncertain,
        "document_root": one.document_root,  # type: ignore[union-attr]
        "elsewhere": one.elsewhere,  # type: ignore[union-attr]
    }


def _lines(name: str, path: str, one: Any) -> Iterator[str]:
    """Yield what a person is told of one thing that was written."""
    where = shell_path(path)
    if name == "csv":
        yield f"{where}: {counted(one.rows, 'row')}, {counted(one.columns, 'column')}, {size(one.bytes)}"
        if one.guarded:
            yield f"  {counted(one.guarded, 'cell')} could run as a formula: an apostrophe stands before each"
        if one.left_out:
            yield f"  the last {one.left_out:,} classes of top_k have no column: --parquet has them"
    elif name == "parquet":
        yield f"{where}: {counted(one.rows, 'row')}, {counted(one.columns, 'column')}, {size(one.bytes)}"
    elif name == "coco":
        yield (
            f"{where}: {counted(one.images, 'image')}, {counted(one.annotations, 'annotation')} without boxes, "
            f"{counted(one.categories, 'category', 'categories')}"
        )
        if one.no_files:
            yield f"  {counted(one.no_files, 'image')} in archives: file_name is the key, which no program opens"
    elif name == "label_studio":
        yield from _task_lines(where, one)
    else:
        yield from _sorted_lines(where, one)


def _task_lines(where: str, one: TaskFile) -> Iterator[str]:
    review = one.review
    if review.not_accepted is not None:
        which = f"of {counted(review.not_accepted, 'image')} not accepted"
    else:
        taken = review.images - review.uncertain
        mistakes = counted(review.mistakes or 0, "mistake")
        which = f"{taken:,} of {mistakes}, the most confident first"
        which += f", and the {review.uncertain:,} least certain others" if review.uncertain else ""
    yield f"{where}: {counted(one.tasks, 'task')}: {which}"
    if one.elsewhere:
        yield f"  {counted(one.elsewhere, 'image')} left out: outside of the input's folder, so without an address"
    if one.document_root is not None:
        yield "  Label Studio serves the images with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and"
        yield f"  LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={shell_path(one.document_root)}"


def _sorted_lines(where: str, done: SortedImages) -> Iterator[str]:
    from pipeline.export.sorted_images import BAD, named

    for outcome in BAD:
        if outcome in done.counts:
            yield f"  {done.counts[outcome]:,} {WORDS[outcome]}, such as {named(done, outcome)}"
    yield f"{where}: {counted(done.images, 'image')}: {_sum(done.counts)}"


def _sum(counts: Mapping[str, int]) -> str:
    """Return what became of images, as counts that add up to all.

    >>> _sum({"kept": 2, "exported": 1_000, "failed": 1})
    '1,000 exported, 2 kept, 1 without a prediction'
    """
    shown = {"exported": 0, "kept": 0, **counts}
    return ", ".join(f"{shown[name]:,} {word}" for name, word in WORDS.items() if name in shown)
