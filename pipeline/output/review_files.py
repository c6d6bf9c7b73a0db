"""The files of a review: review.json, the lists beside it, and for each part which of its predictions are accepted.

A review is made once for the same parts and wishes; a run that finds it there leaves it. A new score to accept from
changes no part and no receipt.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.concurrency import ahead, pools
from pipeline.errors import UsageError
from pipeline.metrics.acceptance import is_accepted
from pipeline.metrics.review import Review
from pipeline.model.pixel_hash import rule_id
from pipeline.model.trained_on import TrainedOn, read_hashes
from pipeline.output.commit import decided
from pipeline.output.review import Reviewed, review_of
from pipeline.output.review_look import Known
from pipeline.output.run import Run
from pipeline.output.stored_rows import rows_of

NAME = "review.json"

LISTS = {"duplicates.csv": "duplicates", "near_duplicates.csv": "near_duplicates", "label_errors.csv": "label_errors"}
"""Name of a list -> the field of review.json that sums it up; a list that has no line is not there."""

WRITES_AHEAD = 31
"""Number of files of decisions that are written at once."""

GROUP = 256
"""Number of files of decisions that are written after one look at whether the result is another run's by now."""

VERSION = 1
"""Number of the way in which a review is made; another one means that it is made anew."""

SCHEMA = pa.schema([pa.field("key", pa.string(), nullable=False), pa.field("accepted", pa.bool_())])
"""Columns of a file of decisions: a row for each row of its part, in the same order."""


def make_review(run: Run, units: Sequence[str], digest: int) -> Reviewed:
    """Return the review of a result: the one that lies there, or a new one.

    Args:
        run: whose result it is.
        units: ids of its units, in the plan's order; each is committed.
        digest: of their parts, see `pipeline.output.summary.Summary`.

    Raises:
        ChangedError: a part is gone.
        DamagedPartError: a part is not as it was written.
    """
    trained, why = _trained_on(run)
    of, stored = identity(run, digest, trained), stored_review(run)
    if stored is not None and (stored["of"] == of or (trained is None and stored["of"].startswith(of))):
        return Reviewed(stored)
    known = trained.contains if trained is not None else None
    is_same = stored is not None and f" {digest:016x} " in stored["of"]
    with _little_memory():
        reviewed = review_of(run, units, known, None if is_same else stored)
    if is_same and stored is not None and "embeddings" in stored:  # of the same parts: they keep their night before
        reviewed.review["embeddings"] = stored["embeddings"]
    unknown: Review = {"training_unknown": why} if why else {}
    review: Review = {"of": of, **reviewed.review, **unknown}
    return Reviewed(review, {**reviewed.files, NAME: json.dumps(review).encode("utf-8") + b"\n"})


@contextlib.contextmanager
def _little_memory() -> Iterator[None]:
    """Let Arrow take memory from the system meanwhile: its own pool keeps what was freed, tens of MB in all."""
    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(before)


def known_pixels(run: Run) -> tuple[Known | None, str]:
    """Return what tells which pixels the training of the run's model had; or None, and why nobody knows."""
    trained, why = _trained_on(run)
    return (None if trained is None else trained.contains), why


def _trained_on(run: Run) -> tuple[TrainedOn | None, str]:
    """Return the pixels that the training of the run's model had; or None, and why they are not known, as one line."""
    if "pixel_hash" not in run.schema.names or run.spec.takes == "encoded":
        return None, "the rows have no pixel hashes"
    try:
        trained = read_hashes(run.model)
    except (UsageError, OSError) as error:
        return None, str(error)
    if trained is None or trained.model_id != run.spec.model_id:
        return None, "the model directory does not tell which images the model was trained on"
    if trained.rule != rule_id(run.rule).hex():
        return None, "the images are decoded otherwise than those that the model was trained on"
    return trained, ""


def identity(run: Run, digest: int, trained: TrainedOn | None) -> str:
    """Return what decides a review: how it is made, the parts, what to accept, and what the model has learned from.

    Where the last is not known, it is the beginning of what it would be.
    """
    options = run.options
    first = f"{VERSION} {digest:016x} {options.accept_score} {options.accept_accuracy}"
    return first if trained is None else f"{first} {trained.digest}"


def stored_review(run: Run) -> Review | None:
    """Return the review in OUTPUT; None if there is none with all its lists, or it is damaged."""
    try:
        review: Review = json.loads(storage.read(run.result(NAME)))
        review["of"]
        wanted = [name for name, part in LISTS.items() if review.get(part, {}).get("listed")]  # type: ignore[attr-defined]
    except (FileNotFoundError, ValueError, AttributeError, KeyError, TypeError):
        return None
    return review if all(storage.stat(run.result(name)) for name in wanted) else None


def store_decisions(run: Run, units: Sequence[str], reviewed: Reviewed, is_over: Callable[[], bool]) -> None:
    """Write for each part which of its predictions are accepted, if a person asked for that, and remove old lists.

    Args:
        run: whose result it is.
        units: ids of its units, in the plan's order.
        reviewed: the review of the result; without files it was there already, and so are its decisions, as a rule.
        is_over: tells whether the result is another run's by now; then nothing more is written.
    """
    if is_over():
        return
    if reviewed.files:  # the review that is there goes first: whoever dies now leaves decisions of two
        for name in (NAME, *(name for name in LISTS if name not in reviewed.files)):
            storage.delete(run.result(name))
    accepted = reviewed.review.get("accepted")
    if accepted is None:
        return
    score = accepted["score"]
    wanted = list(units) if reviewed.files else sorted(set(units) - decided(run))

    def write(unit: str) -> None:
        rows = rows_of(run, unit, ["key", "status", "score"]).rows
        storage.replace(run.decision(unit), _decisions(rows, score))

    for first in range(0, len(wanted), GROUP):
        if is_over():
            return
        with closing(ahead(write, wanted[first : first + GROUP], WRITES_AHEAD, pools().read)) as written:
            for _ in written:
                pass


def decisions_of(rows: pa.Table, score: float | None) -> pa.Table:
    """Return the decisions about rows with the columns key, status and score."""
    accepted = pc.if_else(pc.equal(rows["status"], "ok"), pa.array(is_accepted(rows, score)), None)
    return pa.table([rows["key"].combine_chunks(), accepted], schema=SCHEMA)


def _decisions(rows: pa.Table, score: float | None) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(decisions_of(rows, score), sink, write_page_checksum=True)
    data: bytes = sink.getvalue().to_pybytes()
    return data
