"""What it takes to show that the accepted predictions are as accurate as wanted, and why no score does.

Texts are the affair of who tells it.
"""

from __future__ import annotations

import bisect
import math
from typing import NamedTuple

from pipeline.metrics.proportions import Z95, wilson
from pipeline.metrics.review import Acceptance, ThresholdRow


class Shortfall(NamedTuple):
    """Why no score surely gives the wanted accuracy.

    Attributes:
        labelled: number of images whose label counts.
        needed: number of labels that it takes at least, if there are fewer; None: it is not for want of labels.
        best: row of the table whose accuracy is surely the highest; None: no image is labelled.
    """

    labelled: int
    needed: int | None
    best: ThresholdRow | None


def shortfall(acceptance: Acceptance) -> Shortfall:
    """Return why no score of a table gives its wanted accuracy."""
    labelled, needed = acceptance["rows"][0]["labelled"], needed_labels(acceptance["wanted_accuracy"])
    proven = [row for row in acceptance["rows"] if row["accuracy_interval_95"]]
    are_few = needed is not None and labelled < needed
    return Shortfall(labelled, needed if are_few else None, max(proven, key=_lower_end, default=None))


def needed_labels(wanted: float) -> int | None:
    """Return how many labelled images, all of them predicted as labelled, surely show an accuracy.

    Args:
        wanted: the accuracy, from 0 to 1.

    Returns:
        The number, or None: no number does.

    >>> needed_labels(0.95), needed_labels(0.99), needed_labels(0.0), needed_labels(1.0)
    (73, 381, 1, None)
    """
    if wanted >= 1:
        return None
    most = math.ceil(Z95**2 * wanted / (1 - wanted)) + 2
    return bisect.bisect_left(range(1, most), wanted, key=_lowest_of_all_right) + 1


def _lowest_of_all_right(n: int) -> float:
    """Return the lower end of the interval of the accuracy if all of n images are right."""
    return (wilson(n, n) or (0.0, 1.0))[0]


def surely(row: ThresholdRow) -> float:
    """Return the accuracy that the images of a row surely have, rounded down to 4 decimals."""
    return math.floor(_lower_end(row) * 10_000) / 10_000


def _lower_end(row: ThresholdRow) -> float:
    return (row["accuracy_interval_95"] or [0.0])[0]
