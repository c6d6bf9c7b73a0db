"""Labels that look wrong, of the validation and test images, which the network has not learned: for the task "classes".

The method is that of `pipeline.metrics.label_errors`, which the review of a scoring run uses, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from model_training.data.image_list import Split
from model_training.learning.evaluation import Evaluation
from model_training.report.part import Level, Part, Shown, TrustLine
from model_training.report.run import WORDS, TrainingRun
from pipeline.formatting import counted
from pipeline.metrics.code_counts import CodeCounts
from pipeline.metrics.label_errors import LabelScores, confident_in, errors_of
from pipeline.metrics.review import LabelErrors, Suspect
from pipeline.report.csv_file import csv_file
from pipeline.report.label_errors_text import errors_guess, errors_text, errors_trust

CHECKED: tuple[Split, ...] = ("validation", "test")
"""The splits whose labels are looked at."""

LISTED = 100_000
"""Number of images in label_errors.csv, at most."""

SHOWN = 24
"""Number of images that the page shows, at most."""

MANY_WRONG = 0.02
"""Share of wrong labels, estimated, from which on they say that figures are not to be trusted."""


@dataclass(frozen=True, eq=False)
class Suspects:
    """Images whose labels look wrong, the most suspicious first.

    Attributes:
        splits: int64 [n], index in CHECKED of each of them.
        numbers: int64 [n], their numbers there.
        suggested: int64 [n], the class that is suggested.
        images: int64 [classes], number of images of each label that were looked at.
        by_label: int64 [classes], number of suspects of each label.
        joint: of the code label * classes + class that is confident: number of images.
        seen: number of images that were not looked at, as the network has learned the same picture.
    """

    splits: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int64]
    suggested: npt.NDArray[np.int64]
    images: npt.NDArray[np.int64]
    by_label: npt.NDArray[np.int64]
    joint: CodeCounts
    seen: int


def find_suspects(evaluations: Sequence[Evaluation], learned: Sequence[npt.NDArray[np.bool_]]) -> Suspects:
    """Return the images whose labels look wrong.

    Args:
        evaluations: of the images of each split in CHECKED.
        learned: masks, bool [n], of those of them that the network has learned, too: they are left out.
    """
    places = [np.flatnonzero(~mask) for mask in learned]
    splits = np.repeat(np.arange(len(places)), [len(one) for one in places])
    numbers = np.concatenate(places).astype(np.int64)
    parts = [_rows(one, place) for one, place in zip(evaluations, places, strict=True)]
    rows, classes = pa.concat_tables(parts), evaluations[0].classes
    scores = LabelScores.of(rows)
    found = confident_in(rows, scores.thresholds(classes))
    worst = np.argsort(found.margins, kind="stable")
    at = found.rows[worst]
    return Suspects(
        splits[at],
        numbers[at],
        found.suggested[worst],
        scores.images.dense(classes),
        np.bincount(np.asarray(rows["label"], np.int64)[at], minlength=classes),
        found.joint,
        int(sum(mask.sum() for mask in learned)),
    )


def _rows(evaluation: Evaluation, places: npt.NDArray[np.int64]) -> pa.Table:
    """Return images as rows that a scoring run would have, which list the most probable class only."""
    winners = pa.StructArray.from_arrays(
        [pa.array(evaluation.predicted[places]), pa.array(evaluation.scores[places])], ["label", "score"]
    )
    top_k = pa.ListArray.from_arrays(pa.array(np.arange(len(places) + 1, dtype=np.int32)), winners)
    label, own = evaluation.labels[places], evaluation.label_scores[places]
    return pa.table({"label": pa.array(label), "label_score": pa.array(own), "top_k": top_k})


@dataclass(frozen=True)
class LabelErrorsContent:
    """What the section shows.

    Attributes:
        errors: the figures, and the first images.
        text: how many labels look wrong.
        trust: how far the list is to be trusted.
    """

    errors: LabelErrors
    text: str
    trust: str


def label_errors_part(run: TrainingRun, found: Suspects) -> Part:
    """Return what the page shows of labels that look wrong; no section if none does.

    Args:
        run: that the page tells of.
        found: the images whose labels look wrong.
    """
    shown = [_place(found, i) for i in range(min(SHOWN, len(found.numbers)))]
    first = [_suspect(run, found, i) for i in range(len(shown))]
    listed = min(LISTED, len(found.numbers))
    errors = errors_of(found.images, found.seen, found.joint, len(found.numbers), listed, first)
    lines = list(label_lines(errors))
    if not len(found.numbers):
        return Part("doubtful", lines=lines)
    content = LabelErrorsContent(errors, errors_text(errors, "validation and test images"), errors_trust(errors))
    header = ("key", "split", "label_name", "suggested_name", "label_score", "predicted_name", "score")
    files = {"label_errors.csv": csv_file(header, _listed(run, found, listed))}
    return Part("doubtful", "Labels that look wrong", content, lines, shown, files=files)


def label_lines(errors: LabelErrors) -> Iterator[TrustLine]:
    """Yield what the labels say of whether the model can be trusted."""
    if not errors["suspects"]:
        if errors["labelled"]:
            yield TrustLine("good", errors_text(errors, "validation and test images").rstrip("."), "")
        return
    surely = (errors["estimate_interval_95"] or [0.0])[0]
    level: Level = "bad" if surely > MANY_WRONG * errors["labelled"] else "doubt"
    text = f"{counted(errors['suspects'], 'label looks', 'labels look')} wrong among {errors['labelled']:,} "
    yield TrustLine(level, f"{text}validation and test images{errors_guess(errors)}", "doubtful")


def _place(found: Suspects, i: int) -> Shown:
    return CHECKED[int(found.splits[i])], int(found.numbers[i])


def _evaluation(run: TrainingRun, split: Split) -> Evaluation:
    evaluations: Mapping[Split, Evaluation] = {"validation": run.validation, "test": run.evaluation}
    return evaluations[split]


def _suspect(run: TrainingRun, found: Suspects, i: int) -> Suspect:
    split, number = _place(found, i)
    evaluation, names = _evaluation(run, split), run.dataset.class_names
    return {
        "key": run.images(split).key(number),
        "label_name": names[int(evaluation.labels[number])],
        "suggested_name": names[int(found.suggested[i])],
        "label_score": float(evaluation.label_scores[number]),
        "score": float(evaluation.scores[number]),
    }


def _listed(run: TrainingRun, found: Suspects, listed: int) -> Iterator[Sequence[object]]:
    for i in range(listed):
        split, number = _place(found, i)
        one, evaluation = _suspect(run, found, i), _evaluation(run, split)
        predicted = run.dataset.class_names[int(evaluation.predicted[number])]
        scores = f"{one['label_score']:.6f}", f"{one['score']:.6f}"
        yield one["key"], WORDS[split], one["label_name"], one["suggested_name"], scores[0], predicted, scores[1]
