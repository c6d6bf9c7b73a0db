"""Which of a network's outputs the scores are, and how they become probabilities.

Must not know file formats or how a network is run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model_import.fact import Fact
from model_import.foreign import Output
from pipeline.errors import UsageError
from pipeline.model.feed import Head
from pipeline.task import WITH_CLASSES, Task

SUM_TOLERANCE = 1e-3
"""Difference of a row's sum from 1, at most, for a row of probabilities."""

LARGEST_SLACK = 0.05
"""Difference of a row's sum from 1, at most, by which a row is taken for a softmax's: quantized rows are less exact."""

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scores:
    """What a network's scores are.

    Attributes:
        output: name of the output.
        width: number of numbers an image.
        task: what they say; "embedding": they are one.
        head: what is put behind the network.
        why: how the task became known, as a phrase.
    """

    output: str
    width: int
    task: Task
    head: Head
    why: str

    @property
    def classes(self) -> int:
        """Number of class names that are needed."""
        if self.task not in WITH_CLASSES:
            return 0
        return 2 if self.head in ("pair", "sigmoid_pair") else self.width


def pick_output(outputs: Sequence[Output], wanted: str, path: str) -> Output:
    """Return the output that has the scores.

    Args:
        outputs: that the network gives.
        wanted: its name; "": the only one.
        path: of the model, for the error's text.

    Raises:
        UsageError: there is no such output, there are several, or it gives a map instead of a row for an image.
    """
    told = ", ".join(
        f"{output.name} ({'x'.join('?' if s is None else str(s) for s in output.shape)})" for output in outputs
    )
    if wanted:
        named = [output for output in outputs if output.name == wanted]
        if not named:
            raise UsageError(f"{path!r} has no output {wanted!r}: --output_name can be {told}")
        return _row(named[0], path)
    if len(outputs) > 1:
        raise UsageError(f"{path!r} has several outputs: say which has the scores with --output_name, one of {told}")
    return _row(outputs[0], path)


def _row(output: Output, path: str) -> Output:
    sides = [side for side in output.shape if side != 1]
    if len(sides) > 1:
        shape = "x".join("any" if side is None else str(side) for side in output.shape)
        raise UsageError(
            f"{path!r}: the output {output.name!r} is a map of {shape} numbers for an image, not a row of scores "
            "(a network without its last layers, or one that marks regions)"
        )
    return output


def rows_of(values: npt.NDArray[np.float32], path: str) -> Rows:
    """Return an output as rows, float32 [n, k]; sides of 1 are dropped.

    Raises:
        UsageError: it is no row for an image, or holds what is not finite.
    """
    rows = values.reshape(len(values), -1)
    if not np.isfinite(rows).all():
        wrong = int((~np.isfinite(rows).all(axis=1)).sum())
        raise UsageError(
            f"{path!r} gives {wrong} of {len(rows)} images numbers that are not finite: is --scaling right?"
        )
    return rows


def read_scores(output: Output, rows: Rows, asked: Fact[Task] | None, step: float, path: str) -> Scores:
    """Return what a network's scores are, by what they look like for some images.

    Args:
        output: that has them.
        rows: float32 [n, k], of images like those that it was made for.
        asked: the task that the user asks for, or a file declares.
        step: between two values of a quantized output; 0: it is none.
        path: of the model, for the error's text.

    Raises:
        UsageError: it cannot be told; the line says what to pass.
    """
    width = rows.shape[1]
    is_share = bool(((rows >= -step) & (rows <= 1 + step)).all())
    slack = SUM_TOLERANCE + step * width / 2
    adds_up = is_share and width > 1 and bool((np.abs(rows.astype(np.float64).sum(axis=1) - 1) <= slack).all())
    seen = f"the rows of {len(rows)} images"
    if asked is not None and asked.value == "value" and width != 1:
        raise UsageError(f"{path!r} gives {width} numbers for an image, and the task 'value' has one")
    if asked is not None and asked.value in ("value", "embedding"):
        return Scores(output.name, width, asked.value, "none", asked.why)
    if asked is not None and asked.value == "labels":
        is_sum = adds_up and slack <= LARGEST_SLACK and output.activation != "sigmoid"
        if width > 1 and (output.activation == "softmax" or is_sum):
            why = "its last layer is a softmax" if output.activation == "softmax" else f"{seen} add up to 1"
            raise UsageError(
                f"--task labels contradicts {path!r}: {why}, so one of its {width} classes is right for an image, and "
                "few would reach a threshold; leave --task out"
            )
        return Scores(output.name, width, "labels", "none" if is_share else "sigmoid", asked.why)
    if width == 1:
        return _single(output, is_share, asked, path)
    if output.activation == "sigmoid" and asked is None:  # never by chance: its own layer says so
        return Scores(output.name, width, "labels", "none", "declared by its last layer, a sigmoid of several units")
    if adds_up:
        return Scores(output.name, width, "classes", "none", f"{seen} lie in [0, 1] and add up to 1")
    if is_share:
        raise UsageError(
            f"{path!r} gives numbers from 0 to 1 that do not add up to 1: pass --task labels if any number of its "
            f"{width} classes can be right for an image; else the numbers are no probabilities"
        )
    return Scores(
        output.name, width, "classes", "softmax", f"{seen} are no probabilities: logits, so a softmax is put behind"
    )


def _single(output: Output, is_share: bool, asked: Fact[Task] | None, path: str) -> Scores:
    if output.activation == "sigmoid" or (is_share and output.activation == ""):
        return Scores(output.name, 1, "classes", "pair", "one number from 0 to 1: p becomes [1 - p, p]")
    if asked is not None:
        head: Head = "pair" if is_share else "sigmoid_pair"
        return Scores(output.name, 1, "classes", head, f"one number, {asked.why}")
    raise UsageError(
        f"{path!r} gives one number for an image, without a sigmoid: pass --task value if it is a measure, or --task "
        "classes if it is the logit of the second of two classes"
    )
