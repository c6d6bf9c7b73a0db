"""Can the model be trusted? What the page says first: a few lines, the gravest first, each with its evidence.

The lines that need no section of their own are made here, of the data set for any task, and of the accuracy for the
task "classes".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model_training.data.datasets import Dataset
from model_training.learning.evaluation import Evaluation
from model_training.learning.recipe import LAST
from model_training.report.part import Part, TrustLine
from pipeline.formatting import between, count, counted, percent
from pipeline.metrics.proportions import interval_of_share

WIDE = 0.1
"""Width of the interval of the accuracy from which on there are too few test images to decide by."""

FEW_VALIDATION = 50
"""Number of validation images below which chance chooses the epoch."""

MANY_LEFT_OUT = 0.01
"""Share of images that could not be used from which on it is to be said."""

_GRAVITY = ("bad", "doubt", "good")


@dataclass(frozen=True)
class Trust:
    """What the page says first.

    Attributes:
        verdict: what all lines come to, as a sentence.
        lines: the gravest first.
    """

    verdict: str
    lines: Sequence[TrustLine]


def trust_of(parts: Iterable[Part]) -> Trust:
    """Return what all parts of the page say of whether the model can be trusted."""
    lines = sorted((line for part in parts for line in part.lines), key=_gravity)
    bad, doubt = (sum(line.level == level for line in lines) for level in ("bad", "doubt"))
    if bad:
        verdict = f"{counted(bad, 'point speaks', 'points speak')} against it"
        verdict += f", and {counted(doubt, 'point is', 'points are')} uncertain." if doubt else "."
    elif doubt:
        verdict = f"Nothing speaks against it, but {counted(doubt, 'point is', 'points are')} uncertain."
    else:
        verdict = "Nothing speaks against it."
    return Trust(verdict, lines)


def _gravity(line: TrustLine) -> int:
    return _GRAVITY.index(line.level)


def data_lines(dataset: Dataset, monitor: str) -> Iterator[TrustLine]:
    """Yield what the sizes of a data set say, of any task.

    Args:
        dataset: that was learned.
        monitor: by what the epoch is kept, see `Recipe.monitor`.
    """
    if len(dataset.validation) < FEW_VALIDATION and monitor != LAST:
        text = (
            f"Only {counted(len(dataset.validation), 'validation image')}: which epoch is kept depends partly on chance"
        )
        yield TrustLine("doubt", text, "data")
    images = sum(map(len, (dataset.train, dataset.validation, dataset.test)))
    share = dataset.left_out_images / (images + dataset.left_out_images)
    if share > MANY_LEFT_OUT:
        n = counted(dataset.left_out_images, "image is", "images are")
        text = f"{n} left out, {percent(share, 1)} of all, since they could not be used"
        yield TrustLine("doubt", text, "data")


def accuracy_lines(test: Evaluation, validation: Evaluation) -> Iterator[TrustLine]:
    """Yield what the accuracy says.

    Args:
        test: of the test images.
        validation: of the validation images.
    """
    interval = test.interval
    yield from _chance_lines(test)
    text = f"{counted(len(test.labels), 'test image')} show that the accuracy lies between {percent(interval[0])} and "
    text += percent(interval[1])
    if interval[1] - interval[0] > WIDE:
        yield TrustLine("doubt", f"{text}: they are too few to decide by", "")
    else:
        yield TrustLine("good", text, "")
    if interval[1] < validation.interval[0]:
        text = f"The accuracy is lower on the test images, {between(interval)}, than on the validation images, "
        text += f"{between(validation.interval)}: the two may be unlike each other"
        yield TrustLine("doubt", text, "data")


def _chance_lines(test: Evaluation) -> Iterator[TrustLine]:
    """Yield that a network is no better, or not surely better, than one that always names the largest class."""
    share = test.largest_share
    if test.interval[0] <= share:
        how = "no" if test.accuracy <= share else "not surely"
        text = f"An accuracy of {percent(test.accuracy)} is {how} better than always naming the largest class, which "
        text += f"is right for {percent(share)} of the test images: more --epochs or --recipe strong may help"
        yield TrustLine("bad" if how == "no" else "doubt", text, "")


def accuracy_without(test: Evaluation, known: npt.NDArray[np.bool_]) -> str:
    """Return what the accuracy is without the test images of which another split has a copy; "": there are no others.

    Args:
        test: of the test images.
        known: mask, bool [n], of the test images of which another split has a copy.
    """
    right = test.correct[~known]
    if not len(right) or not known.any():
        return ""
    share, n = float(right.mean()), len(right)
    interval = between(interval_of_share(int(right.sum()), n))
    return f"the accuracy is {percent(share)} ({interval}) on the {count(n)} others, {percent(test.accuracy)} on all"
