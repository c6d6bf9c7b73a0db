"""What an import compares: the user's own scores, the network before and after it is written, and two engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model_import.examine import Examined
from model_import.fact import Fact, How
from model_import.golden_proof import Proof, Rows, better_loader, closest, nearest_loader, prove, rounding
from model_training.publishing.convert import Converted
from pipeline.errors import UsageError
from pipeline.formatting import counted
from pipeline.model import agreement
from pipeline.model.engines.network import Outputs
from pipeline.model.feed import with_head
from pipeline.model.spec import LARGEST_TOLERANCE
from pipeline.text import brief, line

USER_TOLERANCE = 0.01
"""Difference of a probability from the user's own, at most: pixels may be off by one grey level."""


@dataclass(frozen=True)
class Checked:
    """A check of an import and what it found.

    Attributes:
        name: what was compared.
        result: as a phrase.
        proof: what it proves of the input rule; None: nothing.
    """

    name: str
    result: str
    proof: Proof | None = None


def known_facts(examined: Examined, checks: Sequence[Checked]) -> dict[str, Fact[Any]]:
    """Return everything that was decided, by name, also as proven by checks: page, screen and file all say this."""
    proven = [name for check in checks if check.proof is not None for name in check.proof.proven]
    facts = examined.facts
    return facts | {name: Fact(facts[name].value, "proven", "by your golden images") for name in proven}


def names_of(facts: Mapping[str, Fact[Any]], *hows: How) -> list[str]:
    """Return the names of the facts that became known in one of some ways."""
    return [name for name, fact in facts.items() if fact.how in hows]


def user_check(examined: Examined) -> Sequence[Checked]:
    """Compare the network's scores with the user's own, where there are any.

    Raises:
        UsageError: they differ: the input rule or the scaling is not what the user's own code has.
    """
    expected = examined.pictures.scores
    if expected is None:
        return []
    difference, values = closest(examined.rows, expected, examined.scores.head)
    if values.shape != expected.shape:
        width = with_head(values, examined.scores.head).shape[1]
        raise UsageError(
            f"--golden {examined.request.golden!r}: 'scores' has {counted(expected.shape[1], 'number')} for each "
            f"image, and the model gives {counted(width, 'number')}: save in 'scores' "
            "all that this model gives for an image"
        )
    takes_pixels = examined.opened.model.takes == "pixels"
    if not difference <= USER_TOLERANCE:
        loader = nearest_loader(examined, USER_TOLERANCE) if takes_pixels else "the network decodes files by itself"
        largest = _largest(values, expected, examined.class_names.value)
        raise UsageError(
            f"the scores in --golden {examined.request.golden!r} are not what this model gives for its images with "
            f"this input rule: {largest}; {loader}; '--explain' shows the rule"
        )
    proof = prove(examined, difference) if takes_pixels else Proof((), (), "")
    better = better_loader(examined, difference) if takes_pixels else ""
    result = f"{len(expected)} images, largest difference {difference:.2g}{better}"
    return [Checked("your own scores", result, proof)]


def _largest(values: Rows, expected: Rows, names: Sequence[str]) -> str:
    """Return where scores differ most from the user's, as a phrase; images are counted from 0, as in the file."""
    image, column = divmod(int(np.abs(values - expected).argmax()), expected.shape[1])
    number = f"number {column}"
    if expected.shape[1] == len(names):
        number = f"class {brief(line(names[column]), 40)!r}"
    yours, own = expected[image, column], values[image, column]
    return f"image {image} has {yours:.3g} for {number} in your file and {own:.3g} here, the largest difference"


def rounding_check(examined: Examined) -> Sequence[Checked]:
    """Return how much scores change since pixels are rounded, where that is measured."""
    change = rounding(examined)
    if change is None:
        return []
    result = f"the scores of {examined.pictures.origin} change by up to {change:.1g} (model.predict keeps fractions)"
    return [Checked("pixels are rounded", result)]


def same(examined: Examined, found: Outputs, name: str) -> Checked:
    """Compare what was written with the original network.

    Raises:
        UsageError: it is another network.
    """
    expected = _expected(examined)
    shapes = [None if one is None else one.shape for one in (*found, *expected)]
    if shapes[:2] != shapes[2:]:
        raise UsageError(f"{examined.opened.path!r} gives {shapes[:2]} instead of {shapes[2:]} once it is written")
    difference = agreement.difference_of_outputs(found, expected, examined.scores.task)
    if not difference <= LARGEST_TOLERANCE:
        raise UsageError(
            f"{examined.opened.path!r} gives other scores once it is written: off by {difference:.2g} of their spread"
        )
    result = f"{len(found.scores)} images, outputs differ by {difference:.1g} of their spread"
    return Checked(f"{name} and the original", result)


def _expected(examined: Examined) -> Outputs:
    """Return what the original network gives, with what is put behind it computed apart from TensorFlow."""
    if examined.scores.task == "embedding":
        return Outputs(np.zeros((len(examined.rows), 0), np.float32), examined.rows)
    scores = with_head(examined.rows.astype(np.float64), examined.scores.head).astype(np.float32)
    return Outputs(scores, examined.vectors)


def engines_check(converted: Converted) -> Checked:
    """Return how far the outputs of two engines are apart, or why there is one alone."""
    conversion = converted.conversion
    name = "the SavedModel and model.tflite"
    if conversion.missing:
        return Checked(name, f"no model.tflite: {conversion.missing}")
    return Checked(name, f"{conversion.images} images, outputs differ by {conversion.difference:.1g} of their spread")
