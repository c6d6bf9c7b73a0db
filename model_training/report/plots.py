"""Pictures of a training run as PNG files, drawn without a screen and without matplotlib's global state.

Must not know where they are kept or which page shows them.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from model_training.data.image_set import ImageSet
from model_training.learning.evaluation import Evaluation
from model_training.learning.history import History

SAMPLES = 10
"""Number of right predictions that are shown, at most, and of wrong ones."""

LARGEST_COUNTED = 30
"""Number of classes up to which the confusion matrix shows counts; beyond, it shows colors only."""

MOST_NAMES = 100
"""Number of class names that fit along the confusion matrix, at most."""

_DPI = 100
_GOOD, _BAD = "#1f7a4d", "#b3261e"


def draw_curves(history: History, metric: str = "accuracy", loss_unit: str = "nats") -> bytes:
    """Return a metric and the loss by epoch, of training and of validation.

    Args:
        history: that has both.
        metric: name of the metric in Keras.
        loss_unit: unit of the loss, for people.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    epochs, columns = np.arange(1, len(history) + 1), history.columns
    left, right = figure.subplots(1, 2)
    for axes, name, title in ((left, metric, metric.replace("_", " ")), (right, "loss", f"loss ({loss_unit})")):
        training, validation = columns[name], columns[f"val_{name}"]
        axes.plot(epochs, training, "o-", label="training, during the epoch", color="#235ebe")
        axes.plot(epochs, validation, "s--", label="validation, after it", color="#c4661f")
        axes.set_xlabel("epoch")
        axes.set_ylabel(title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
        axes.margins(x=0.05)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    return _png(figure)


def draw_confusion(confusion: npt.NDArray[np.int64], class_names: Sequence[str]) -> bytes:
    """Return the confusion matrix: a row a true class, colored by its share of the row.

    Args:
        confusion: int64 [classes, classes], images by true and predicted class.
        class_names: one a class.
    """
    classes = len(class_names)
    side = min(max(3.0 + 0.45 * classes, 4.5), 16.0)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    picture = axes.imshow(share, cmap="Blues", norm=PowerNorm(0.4, 0, 1))
    figure.colorbar(picture, ax=axes, label="share of the true class", shrink=0.8, ticks=[0, 0.01, 0.1, 0.25, 0.5, 1])
    step = -(-classes // MOST_NAMES)
    shown = range(0, classes, step)
    names = [_short(class_names[c], 20) for c in shown]
    size = float(np.interp(classes, [10, 30, 100], [10, 9, 6]))
    upright = classes > 12 or max(map(len, names)) > 3
    axes.set_xticks(shown, names, rotation=90 if upright else 0, fontsize=size, parse_math=False)
    axes.set_yticks(shown, names, fontsize=size, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if classes <= LARGEST_COUNTED:
        _write_counts(axes, confusion, share)
    return _png(figure)


def errors(evaluation: Evaluation) -> npt.NDArray[np.int64]:
    """Return the numbers of the images that are predicted wrongly, those first of which the network is most certain."""
    wrong = np.flatnonzero(~evaluation.correct)
    return wrong[np.argsort(-evaluation.scores[wrong], kind="stable")]


def samples(evaluation: Evaluation) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return numbers of images: the most certain of the wrong ones, and right ones spread over all."""
    right = np.flatnonzero(evaluation.correct)
    return errors(evaluation)[:SAMPLES], right[
        np.linspace(0, len(right) - 1, min(SAMPLES, len(right))).astype(np.int64)
    ]


def draw_samples(images: ImageSet, evaluation: Evaluation, class_names: Sequence[str]) -> bytes:
    """Return a sheet of predictions: the most certain of the wrong ones, and right ones spread over the test images.

    Args:
        images: that are shown.
        evaluation: of these images.
        class_names: one a class.
    """
    wrong, right = samples(evaluation)
    columns = 5
    rows = sum(-(-len(group) // columns) for group in (wrong, right))
    height = 2.4 * rows
    figure = Figure(figsize=(9, height))
    place = {"left": 0.01, "right": 0.99, "bottom": 0.05 / height, "top": 1 - 0.6 / height}
    grid = figure.subplots(rows, columns, squeeze=False, gridspec_kw={**place, "wspace": 0.05, "hspace": 0.35})
    for axes in grid.flat:
        axes.set_axis_off()
    row = 0
    for group in (wrong, right):
        for k, i in enumerate(group.tolist()):
            _draw_sample(grid[row + k // columns][k % columns], images.pixels([i])[0], evaluation, i, class_names)
        row += -(-len(group) // columns)
    return _png(figure)


def _draw_sample(
    axes: Axes, pixels: npt.NDArray[np.uint8], evaluation: Evaluation, i: int, class_names: Sequence[str]
) -> None:
    axes.imshow(pixels[..., 0] if pixels.shape[2] == 1 else pixels, cmap="gray", vmin=0, vmax=255)
    label, predicted = int(evaluation.labels[i]), int(evaluation.predicted[i])
    right = label == predicted
    text = f"{'right' if right else 'wrong'}, {100 * evaluation.scores[i]:.1f} %"
    text += f"\npredicted {_short(class_names[predicted], 14)}"
    text += "" if right else f"\ntrue {_short(class_names[label], 14)}"
    axes.set_title(text, fontsize=9, color=_GOOD if right else _BAD, parse_math=False)


def _write_counts(axes: Axes, confusion: npt.NDArray[np.int64], share: npt.NDArray[np.float64]) -> None:
    longest = len(str(confusion.max()))
    size = min(10.0, 45.0 / longest)
    for label, predicted in np.argwhere(confusion).tolist():
        color = "white" if share[label, predicted] > 0.3 else "black"
        count = str(confusion[label, predicted])
        axes.text(predicted, label, count, ha="center", va="center", color=color, fontsize=size)


def _short(name: str, longest: int) -> str:
    """Return a name in one line, cut if it is long."""
    name = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    return name if len(name) <= longest else name[: longest - 1] + "…"


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():  # a class name may be in any script; what the font lacks is drawn as a box
        warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
        FigureCanvasAgg(figure).print_figure(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()
