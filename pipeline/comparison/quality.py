"""Sums over shared labelled images to how good A and B are on them, and to their difference. Pure."""

from __future__ import annotations

from typing import cast

from pipeline.comparison.judge import AnyCounts, ErrorSums, PairCounts
from pipeline.comparison.shared_sums import SharedSums
from pipeline.metrics.accuracy import Metrics, compute
from pipeline.metrics.comparison_figures import Difference, Quality
from pipeline.metrics.paired import interval_of_difference, mcnemar, p_of_mean_difference
from pipeline.metrics.proportions import interval_of_mean, interval_of_share


def qualities(sums: SharedSums, unit: float) -> tuple[Quality | None, Quality | None]:
    """Return how good A and B are on the labelled images; None: there are none.

    Args:
        sums: over the images.
        unit: of absolute errors; used by models of a value only.
    """
    counts = sums.counts
    if isinstance(counts, ErrorSums) and counts.labelled:
        both = ((counts.error_a, counts.squares_a), (counts.error_b, counts.squares_b))
        a, b = (_mean(*each, counts.labelled, unit) for each in both)
        return a, b
    if isinstance(counts, PairCounts) and counts.labelled:
        each = ((counts.right_a, sums.scores_a), (counts.right_b, sums.scores_b))
        a, b = (_share(right, counts.labelled, scores) for right, scores in each)
        return a, b
    return None, None


def _mean(total: int, squares: int, n: int, unit: float) -> Quality:
    interval = interval_of_mean(total, squares, n)
    bounds = None if interval is None else [max(0.0, interval[0] * unit), interval[1] * unit]
    plain = {"log_loss": None, "expected_calibration_error": None, "calibration": None}
    return cast(Quality, {"value": total / n * unit, "interval_95": bounds, **plain})


def _share(right: int, n: int, scores: Metrics) -> Quality:
    measured = compute(scores, (), 0) if scores.labelled else None
    return {
        "value": right / n,
        "interval_95": interval_of_share(right, n),
        "log_loss": measured and measured["log_loss"],
        "expected_calibration_error": measured and measured["expected_calibration_error"],
        "calibration": measured and measured["calibration"],
    }


def difference_of(counts: AnyCounts, unit: float) -> Difference | None:
    """Return B minus A; None: no image is labelled.

    Of models of a value it is the mean of the differences of the absolute errors of each image, with an interval by the
    normal distribution (the paired z interval, as in any textbook of statistics).
    """
    if isinstance(counts, ErrorSums) and counts.labelled:
        sums = counts.difference, counts.squares, counts.labelled
        interval = interval_of_mean(*sums)
        return {
            "value": counts.difference / counts.labelled * unit,
            "interval_95": interval and [bound * unit for bound in interval],
            "gained": None,
            "lost": None,
            "p": p_of_mean_difference(*sums),
        }
    if isinstance(counts, PairCounts) and counts.labelled:
        gained, lost, n = counts.gained, counts.lost, counts.labelled
        return {
            "value": (gained - lost) / n,
            "interval_95": interval_of_difference(counts.right_a - lost, lost, gained, n),
            "gained": gained,
            "lost": lost,
            "p": mcnemar(lost, gained),
        }
    return None
