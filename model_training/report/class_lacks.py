"""What each class lacks: images, recall, precision, right labels; in words, those with problems first.

For the task "classes". Pure functions of counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model_training.report.part import Level, Part, TrustLine
from model_training.report.run import TrainingRun
from pipeline.formatting import counted, percent
from pipeline.metrics.proportions import interval_of_share, ratio
from pipeline.report.highlights import FAR_LOWER, and_more, quote

FEW_LEARNED = 30
"""Number of training images below which a class has few."""

FEW_OF_USUAL = 0.2
"""Share of the median of all classes below which a class has few training images, however many these are."""

WIDE = 0.2
"""Width of the interval of a recall from which on a class has few test images."""

DOUBTED = 0.05
"""Share of the labels of a class that look wrong, from which on they are many."""

SHOWN_CLASSES = 1_000
"""Number of rows of the table, at most."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ClassRow:
    """A class and what it lacks.

    Attributes:
        name: of the class.
        learned: number of training images.
        validation: number of validation images.
        test: number of test images.
        recall: share of its test images that are taken for it; None: it has none.
        recall_interval: 95 % interval of that.
        precision: share of the test images taken for it that are; None: none is taken for it.
        precision_interval: 95 % interval of that.
        doubtful: number of its validation and test images whose labels look wrong.
        level: how grave is what it lacks.
        lacks: what it lacks, in words; (): nothing.
    """

    name: str
    learned: int
    validation: int
    test: int
    recall: float | None
    recall_interval: list[float] | None
    precision: float | None
    precision_interval: list[float] | None
    doubtful: int
    level: Level
    lacks: Sequence[str]

    @property
    def text(self) -> str:
        """What it lacks, as one phrase."""
        return "; ".join(self.lacks)


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """What is counted of all classes.

    Attributes:
        names: of the classes.
        learned: number of training images, int64 [classes].
        validation: number of validation images, int64 [classes].
        doubtful: number of validation and test images whose labels look wrong, int64 [classes].
        confusion: test images by [true class, predicted class], int64 [classes, classes].
    """

    names: Sequence[str]
    learned: Counts
    validation: Counts
    doubtful: Counts
    confusion: Counts


def class_rows(counts: ClassCounts) -> list[ClassRow]:
    """Return all classes, those with the gravest problems first; of others the one with the lowest recall first."""
    total = int(counts.confusion.sum())
    accuracy = int(counts.confusion.trace()) / total if total else 0.0
    usual = float(np.median(counts.learned))
    support, predicted = counts.confusion.sum(axis=1), counts.confusion.sum(axis=0)
    rows = []
    for c, name in enumerate(counts.names):
        hits, n, taken = int(counts.confusion[c, c]), int(support[c]), int(predicted[c])
        recall, precision = interval_of_share(hits, n), interval_of_share(hits, taken)
        worse = [*_low("recall", ratio(hits, n), recall, accuracy)]
        if worse:
            worse += _mistakes(counts, c)
        worse += _low("precision", ratio(hits, taken), precision, accuracy)
        lacks = [*_few(int(counts.learned[c]), usual), *_few_tests(n, recall, bool(worse)), *worse]
        lacks += _doubtful(int(counts.doubtful[c]), n + int(counts.validation[c]))
        level: Level = "bad" if worse else "doubt" if lacks else "good"
        sizes = int(counts.learned[c]), int(counts.validation[c]), n
        doubtful = int(counts.doubtful[c])
        row = ClassRow(name, *sizes, ratio(hits, n), recall, ratio(hits, taken), precision, doubtful, level, lacks)
        rows.append(row)
    return sorted(rows, key=_rank)


def _rank(row: ClassRow) -> tuple[int, int, float]:
    """Return what classes are sorted by."""
    return ("bad", "doubt", "good").index(row.level), -len(row.lacks), 1.0 if row.recall is None else row.recall


def _few(learned: int, usual: float) -> Iterator[str]:
    if learned < FEW_LEARNED:
        yield f"only {counted(learned, 'image')} to learn from"
    elif learned < FEW_OF_USUAL * usual:
        yield f"only {counted(learned, 'image')} to learn from, where others have {usual:,.0f}"


def _few_tests(test: int, recall: list[float] | None, has_figures: bool) -> Iterator[str]:
    """Yield that a class has few test images, with the interval of its recall if no other phrase has figures."""
    if recall is None:
        yield "no test image, so nobody knows how well it is recognized"
    elif recall[1] - recall[0] > WIDE:
        text = f"only {counted(test, 'test image')}"
        yield text if has_figures else f"{text}, by which the recall lies between {_about(recall)}"


def _low(figure: str, share: float | None, interval: list[float] | None, accuracy: float) -> Iterator[str]:
    """Yield that a figure is surely lower than the accuracy of all images, if it is."""
    if interval is not None and interval[1] < accuracy - FAR_LOWER:
        yield f"{figure} {percent(share, 0)} ({_about(interval, 'to')})"


def _about(interval: list[float], word: str = "and") -> str:
    """Return an interval of shares without decimals, for a sentence."""
    return f"{percent(interval[0], 0)[:-2]} {word} {percent(interval[1], 0)}"


def _mistakes(counts: ClassCounts, c: int) -> Iterator[str]:
    """Yield the class for which the images of a class are taken most often, if they are."""
    others = counts.confusion[c].copy()
    others[c] = 0
    most = int(others.argmax())
    if others[most]:
        yield f"taken for {quote(counts.names[most])} {counted(int(others[most]), 'time')}"


def _doubtful(suspects: int, images: int) -> Iterator[str]:
    if suspects > 1 and suspects > DOUBTED * images:
        yield f"{suspects:,} of {images:,} labels look wrong"


@dataclass(frozen=True)
class ClassesContent:
    """What the section shows.

    Attributes:
        rows: the first SHOWN_CLASSES classes.
        classes: number of all classes.
        lacking: number of those that lack something.
        doubtful: number of validation and test images whose labels look wrong.
    """

    rows: Sequence[ClassRow]
    classes: int
    lacking: int
    doubtful: int


def class_lacks_part(run: TrainingRun, doubtful: Counts) -> Part:
    """Return what the page shows of classes.

    Args:
        run: that the page tells of.
        doubtful: number of validation and test images of each class whose labels look wrong, int64 [classes].
    """
    names = run.dataset.class_names
    learned, validation = (
        np.bincount(images.labels, minlength=len(names)) for images in (run.dataset.train, run.dataset.validation)
    )
    rows = class_rows(ClassCounts(names, learned, validation, doubtful, run.evaluation.confusion))
    lacking = sum(row.level != "good" for row in rows)
    content = ClassesContent(rows[:SHOWN_CLASSES], len(rows), lacking, int(doubtful.sum()))
    return Part("classes", "Classes", content, list(class_lines(rows)))


def class_lines(rows: Sequence[ClassRow]) -> Iterator[TrustLine]:
    """Yield what the classes say of whether the model can be trusted; the gravest come first in `rows`."""
    levels: Sequence[Level] = ("bad", "doubt")
    for level in levels:
        some = [row for row in rows if row.level == level]
        if some:
            text = f"Class {quote(some[0].name)}: {some[0].text}"
            yield TrustLine(level, text + and_more(len(some) - 1, "class", "classes"), "classes")
    if all(row.level == "good" for row in rows):
        text = (
            f"None of {counted(len(rows), 'class', 'classes')} lacks images, or is surely recognized worse than others"
        )
        yield TrustLine("good", text, "classes")
