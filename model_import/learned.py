"""The images that a model from elsewhere was trained on, as hashes of their pixels: --trained_on.

They are read like the inputs of a run, and decoded by the model's own input rule. Must not know how a network is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from pipeline import sources, storage
from pipeline.batches import batch_images
from pipeline.concurrency import ahead, cores, pools
from pipeline.errors import UsageError
from pipeline.formatting import counted
from pipeline.model.input_rule import InputSpec
from pipeline.model.pixel_hash import pixel_hashes, rule_id
from pipeline.model.preprocess import preprocess
from pipeline.model.trained_on import Hashes, TrainedOn
from pipeline.options import ScoreOptions
from pipeline.sources import Piece
from pipeline.sources.inputs import plan_units
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.search import require_input
from pipeline.sources.skipped import JUNK, OTHER, Skipped
from pipeline.text import brief
from pipeline.units import WorkUnit


@dataclass(frozen=True)
class Reading:
    """How far the reading of images is.

    Attributes:
        images: read so far.

    >>> Reading(12_000).line()
    'reading the images of --trained_on: 12,000 so far'
    """

    images: int

    def line(self) -> str:
        """Return one line for a person."""
        return f"reading the images of --trained_on: {self.images:,} so far"


def check_inputs(inputs: Sequence[str]) -> None:
    """Check that each input of --trained_on names an image, before a model is loaded.

    Raises:
        UsageError: one does not; the text is one line.
    """
    for pattern in inputs:
        try:
            require_input(pattern)
        except UsageError as error:
            raise UsageError(str(error).replace("--input", "--trained_on")) from error


def read_learned(
    inputs: Sequence[str],
    rule: InputSpec,
    model_id: str,
    progress: Callable[[Reading], None] = lambda _: None,
) -> tuple[TrainedOn, Sequence[str]]:
    """Return the hashes of all images that inputs name, and lines for people of what could not be read.

    Args:
        inputs: as --input takes them, at least one.
        rule: by which the model sees images.
        model_id: of the model.
        progress: called now and then.

    Raises:
        UsageError: an input cannot be read, or none of its images can be decoded.
        TransientError: the store fails for now.
    """
    patterns = tuple(dict.fromkeys(map(storage.absolute, inputs)))
    skipped = Skipped()
    found: list[Hashes] = []
    images = left_out = 0
    first = ""
    work = ahead(lambda piece: _hashes(piece, rule), _pieces(patterns, rule, skipped), cores(), pools().score)
    with closing(work) as batches:
        for hashes, count, why in batches:
            found.append(hashes)
            images, left_out = images + count, left_out + count - len(hashes)
            first = first or why
            progress(Reading(images))
    if images == left_out:
        raise UsageError(
            f"no image of --trained_on can be decoded, such as {first} ({images:,} tried): give the images that the "
            "model was trained on"
        )
    known = TrainedOn.of(
        {"train": np.concatenate(found)}, rule_id(rule), model_id, list(map(storage.key_of, patterns)), left_out
    )
    return known, _notes(left_out, first, skipped)


def _pieces(patterns: tuple[str, ...], rule: InputSpec, skipped: Skipped) -> Iterator[Piece]:
    """Yield the images of all inputs in pieces of at most a batch, each image once."""
    options = ScoreOptions(patterns, "model", "output", engine="litert")  # neither is there: only inputs are read
    reading = ReadRule(batch_images=batch_images(rule.shape))
    for unit in plan_units(patterns, options, "", skipped):
        yield from sources.pieces(unit, reading, skipped=skipped)


def _hashes(piece: Piece, rule: InputSpec) -> tuple[Hashes, int, str]:
    """Return the hashes of a piece's images that can be decoded, the number of all, and why one cannot be."""
    reading = ReadRule(batch_images=batch_images(rule.shape))
    batches = sources.read(piece, reading) if isinstance(piece, WorkUnit) else [piece]
    found, images, first = [np.zeros(0, np.uint64)], 0, ""
    for batch in batches:
        made = preprocess(batch, rule)
        found.append(pixel_hashes(made.pixels[made.images.ok], rule_id(rule)))
        images += len(batch.encoded)
        for i, failure in made.images.failures.items():
            first = first or f"{brief(made.images.keys[i])}: {failure.message}"
    return np.concatenate(found), images, first


def _notes(left_out: int, first: str, skipped: Skipped) -> list[str]:
    notes = []
    if left_out:
        notes.append(f"{counted(left_out, 'image')} of --trained_on cannot be decoded, such as {first}")
    for reason, n in skipped.counts.items():
        if reason not in (JUNK, OTHER):
            notes.append(f"not read of --trained_on: {n:,} {reason}, such as {brief(skipped.examples[reason])}")
    return notes
