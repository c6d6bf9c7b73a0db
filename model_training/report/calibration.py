"""Calibration: whether a score of 90 % means that 90 of 100 are right, on the test images; for the task "classes"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from model_training.learning.evaluation import Evaluation
from model_training.report.part import Level, Part, TrustLine
from model_training.report.run import TrainingRun
from pipeline.formatting import percent
from pipeline.metrics.accuracy import CALIBRATION_BINS
from pipeline.metrics.figures import CalibrationBin
from pipeline.metrics.proportions import interval_of_share, ratio
from pipeline.report import charts
from pipeline.report.highlights import BADLY_CALIBRATED


@dataclass(frozen=True)
class Calibration:
    """How well the scores of images say how often the network is right.

    Attributes:
        images: number of images.
        accuracy: share of them that is right.
        confidence: mean score of the predicted class.
        error: expected calibration error, see `calibration_of`.
        loss: mean cross-entropy (negative log likelihood), in nats.
        bins: images by score.
    """

    images: int
    accuracy: float
    confidence: float
    error: float
    loss: float
    bins: list[CalibrationBin]


def calibration_of(evaluation: Evaluation) -> Calibration:
    """Return how well calibrated the scores of at least one image are.

    The expected calibration error is that of Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural
    Networks" (ICML 2017, https://arxiv.org/abs/1706.04599, equation 3): the images are put into M = 15 bins of equal
    width by the score of the predicted class, and ECE = sum over bins of |B_m| / n * |acc(B_m) - conf(B_m)|, where acc
    is the share of right predictions in a bin and conf the mean score. Chance alone makes it larger than 0, the more so
    the fewer images there are.

    >>> half = Evaluation.of(np.array([0, 1]), np.array([[0.9, 0.1], [0.9, 0.1]], np.float32))
    >>> round(calibration_of(half).error, 4)
    0.4
    """
    scores, n = evaluation.scores.astype(np.float64), len(evaluation.labels)
    place = np.clip((scores * CALIBRATION_BINS).astype(np.int64), 0, CALIBRATION_BINS - 1)
    images = np.bincount(place, minlength=CALIBRATION_BINS)
    right = np.bincount(place, evaluation.correct, CALIBRATION_BINS)
    sure = np.bincount(place, scores, CALIBRATION_BINS)
    bins: list[CalibrationBin] = [
        {
            "from": i / CALIBRATION_BINS,
            "to": (i + 1) / CALIBRATION_BINS,
            "images": int(images[i]),
            "accuracy": ratio(int(right[i]), int(images[i])),
            "confidence": float(sure[i] / images[i]) if images[i] else None,
        }
        for i in range(CALIBRATION_BINS)
    ]
    error = float(np.abs(right - sure).sum() / n)
    return Calibration(n, evaluation.accuracy, float(scores.mean()), error, evaluation.loss, bins)


@dataclass(frozen=True)
class BinRow:
    """A row of the table of scores.

    Attributes:
        scores: lowest and highest score of the bin.
        images: number of images with such a score.
        confidence: their mean score.
        accuracy: share of them that is right.
        interval: 95 % interval of that.
        is_off: whether the mean score lies outside of the interval.
    """

    scores: list[float]
    images: int
    confidence: float
    accuracy: float
    interval: list[float]
    is_off: bool


@dataclass(frozen=True)
class CalibrationContent:
    """What the section shows.

    Attributes:
        after: of the test images, as the model scores them.
        before: of the test images before the temperature; None: there is none.
        temperature: that divides the logits; None: nobody asked for one; 1: none suited best.
        verdict: what it means, as sentences.
        chart: the reliability diagram.
        rows: images by score, of the scores that there are.
    """

    after: Calibration
    before: Calibration | None
    temperature: float | None
    verdict: str
    chart: Markup
    rows: list[BinRow]


def calibration_part(run: TrainingRun) -> Part:
    """Return what the page shows of the calibration."""
    after = calibration_of(run.evaluation)
    before = None if run.before.uncalibrated is None else calibration_of(run.before.uncalibrated)
    temperature = run.trained.temperature
    lines = [*calibration_lines(after, temperature is not None), *_worse(before, after)]
    rows = [_row(one) for one in after.bins if one["images"]]
    chart = charts.reliability(after.bins)
    content = CalibrationContent(after, before, temperature, f"{'. '.join(line.text for line in lines)}.", chart, rows)
    return Part("calibration", "Calibration", content, lines)


def calibration_lines(found: Calibration, is_calibrated: bool) -> Iterator[TrustLine]:
    """Yield what the calibration says of whether the model can be trusted.

    Args:
        found: of the test images.
        is_calibrated: whether a temperature was asked for.
    """
    low, high = interval_of_share(round(found.accuracy * found.images), found.images) or (0.0, 1.0)
    mean = f"the mean score of the test images is {percent(found.confidence)}, and {percent(found.accuracy)} are right"
    error = f"expected calibration error {percent(found.error)}"
    if low <= found.confidence <= high:
        if found.error > BADLY_CALIBRATED:
            text = f"Too few test images to tell whether scores mean what they say: {mean} ({error})"
            yield TrustLine("doubt", text, "calibration")
        else:
            yield TrustLine("good", f"Scores mean about what they say: {mean} ({error})", "calibration")
        return
    side = "too high" if found.confidence > found.accuracy else "too low"
    hint = "" if is_calibrated else "; --calibrate mends that"
    level: Level = "bad" if found.error > BADLY_CALIBRATED else "doubt"
    yield TrustLine(level, f"Scores are {side}: {mean} ({error}){hint}", "calibration")


def _worse(before: Calibration | None, after: Calibration) -> Iterator[TrustLine]:
    """Yield that the temperature suits the validation images, but not the test images, if that is so."""
    if before is not None and after.loss > before.loss:
        text = f"Calibration made the log loss on the test images larger, from {before.loss:.4f} to {after.loss:.4f}: "
        yield TrustLine("bad", f"{text}without --calibrate the scores are better", "calibration")


def _row(one: CalibrationBin) -> BinRow:
    images, accuracy, confidence = one["images"], one["accuracy"] or 0.0, one["confidence"] or 0.0
    low, high = interval_of_share(round(accuracy * images), images) or [0.0, 1.0]
    return BinRow([one["from"], one["to"]], images, confidence, accuracy, [low, high], not low <= confidence <= high)
