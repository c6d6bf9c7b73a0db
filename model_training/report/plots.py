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

from model_training.data.image_set import ImageSet, Pixels
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


def draw_curves(history: History, loss_unit: str = "nats") -> bytes:
    """Return the task's metric and the loss by epoch, of training and of validation; a line marks the epoch kept.

    Args:
        history: of the training.
        loss_unit: of the loss; "": it has none.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    epochs, columns = np.arange(1, len(history) + 1), history.columns
    metrics = [name for name in columns if f"val_{name}" in columns and name != "loss"]
    names = {name: name.replace("_", " ") for name in metrics}
    names["loss"] = f"loss ({loss_unit})" if loss_unit else "loss"
    for axes, (name, title) in zip(figure.subplots(1, len(names), squeeze=False).flat, names.items(), strict=True):
        axes.axvline(history.chosen + 1, color="#777777", linestyle=":", label=f"epoch {history.chosen + 1}, kept")
        axes.plot(epochs, columns[name], "o-", label="training, during the epoch", color="#235ebe")
        axes.plot(epochs, columns[f"val_{name}"], "s--", label="validation, after it", color="#c4661f")
        axes.set_xlabel("epoch")
        axes.set_ylabel(title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
        axes.margins(x=0.05)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    return _png(figure)


def draw_augmentation(pixels: Pixels, changed: npt.NDArray[np.uint8]) -> bytes:
    """Return a sheet of training images: a row an image, as it is and changed.

    Args:
        pixels: uint8 [n, height, width, channels].
        changed: uint8 [copies, n, height, width, channels].
    """
    rows, columns = len(pixels), 1 + len(changed)
    figure = Figure(figsize=(9, 9 * rows / columns), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for i, row in enumerate(grid):
        for axes, one in zip(row, (pixels[i], *changed[:, i]), strict=True):
            axes.imshow(one[..., 0] if one.shape[2] == 1 else one, cmap="gray", vmin=0, vmax=255)
            axes.set_axis_off()
    grid[0][0].set_title("as it is", fontsize=9)
    grid[0][1].set_title("changed", fontsize=9, loc="left")
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
    row, pixels = 0, iter(images.pixels([*wrong.tolist(), *right.tolist()]))
    for group in (wrong, right):
        for k, i in enumerate(group.tolist()):
            _draw_sample(grid[row + k // columns][k % columns], next(pixels), evaluation, i, class_names)
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
