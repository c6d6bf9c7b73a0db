"""This module computes the figures of a confusion matrix that people look for by name: F1, kappa, MCC.

They follow from the counts of labelled images by label and predicted class, and are scikit-learn's. Must not know where
the counts come from.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction

from pipeline.metrics.figures import Agreement
from pipeline.metrics.proportions import ratio


def agreement(confusion: Mapping[tuple[int, int], int]) -> Agreement:
    """Return the figures that `sklearn.metrics` gives for the same labels and predictions, with its defaults.

    Classes that are neither a label nor a prediction count nowhere, as in `f1_score`, which takes the classes that are
    there. A class that is a label and never predicted, or predicted and never a label, has F1 0. The balanced accuracy
    is the mean recall of the classes that are labels (Brodersen et al., ICPR 2010).

    The MCC is that of many classes (Gorodkin, "Comparing two K-category assignments by a K-category correlation
    coefficient", 2004); it is 0 if all labels, or all predictions, are of one class, as in `matthews_corrcoef`. Cohen's
    kappa (1960) is not defined if all of both are of the same one: `cohen_kappa_score` gives NaN then, and here is
    None.

    Args:
        confusion: (label, predicted) -> number of images.

    >>> scores = agreement({(0, 0): 6, (0, 1): 2, (1, 1): 2})
    >>> round(scores["macro_f1"], 4), round(scores["cohen_kappa"], 4)
    (0.7619, 0.5455)
    """
    cells = {cell: n for cell, n in confusion.items() if n}
    labels: Counter[int] = Counter()
    guesses: Counter[int] = Counter()
    for (label, guess), n in cells.items():
        labels[label] += n
        guesses[guess] += n
    images = labels.total()
    if not images:
        return {
            "macro_f1": None,
            "weighted_f1": None,
            "balanced_accuracy": None,
            "cohen_kappa": None,
            "mcc": None,
        }
    hits = {c: cells.get((c, c), 0) for c in labels | guesses}
    f1 = {c: 2 * n / (labels[c] + guesses[c]) for c, n in hits.items()}
    correct = sum(hits.values())
    by_chance = sum(n * guesses[c] for c, n in labels.items())
    return {
        "macro_f1": math.fsum(f1.values()) / len(f1),
        "weighted_f1": math.fsum(f1[c] * n for c, n in labels.items()) / images,
        "balanced_accuracy": math.fsum(hits[c] / n for c, n in labels.items()) / len(labels),
        "cohen_kappa": ratio(correct * images - by_chance, images * images - by_chance),
        "mcc": _correlation(correct * images - by_chance, _spread(labels), _spread(guesses)),
    }


def _spread(counts: Counter[int]) -> int:
    """Return a multiple of the variance of classes: 0 if all images are of one."""
    return counts.total() ** 2 - sum(n * n for n in counts.values())


def _correlation(covariance: int, one: int, other: int) -> float:
    """Return a correlation from integers that are too large for float64, whose ratio is not."""
    if not one or not other:
        return 0.0
    return math.copysign(math.sqrt(Fraction(covariance**2, one * other)), covariance)
