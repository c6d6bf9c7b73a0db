"""The course of a training: what was measured after each epoch, which one was kept, what that says. For any task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from model_training.learning.head import Head
from model_training.learning.history import Column, History
from model_training.report.part import Part, TrustLine
from model_training.report.run import TrainingRun
from pipeline.formatting import between, percent
from pipeline.metrics.proportions import interval_of_share
from pipeline.report import charts

STILL_FALLING = 0.03
"""Share by which the validation loss must go down in the last epoch, so that more epochs may go on lowering it."""

RISEN = 1.1
"""Validation loss at the end, as a multiple of the lowest one, from which on the network has learned by heart."""

GAP = 0.01
"""Difference by which the share of the training images that is right must be above the validation images' interval."""


@dataclass(frozen=True)
class CourseContent:
    """What the section shows.

    Attributes:
        charts: a chart of each figure, the loss last.
        columns: titles of the columns of the table.
        rows: cells of each epoch, as text.
        chosen: index of the epoch that was kept.
        monitor: the figure by which it was chosen.
    """

    charts: Sequence[Markup]
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    chosen: int
    monitor: str


def course_part(run: TrainingRun) -> Part:
    """Return what the page shows of the course."""
    history, head = run.trained.history, run.trained.head
    names = ["loss", head.metric, "val_loss", f"val_{head.metric}"]
    names += [name for name in history.columns if name not in names]
    rows = [
        [*(_cell(name, float(history.columns[name][i]), head) for name in names), f"{history.seconds[i]:.1f}"]
        for i in range(len(history))
    ]
    columns = [*(_title(name) for name in names), "seconds"]
    drawn = [_chart(head.metric, head.metric, history, head.is_share)]
    drawn.append(_chart(f"loss ({head.loss_unit})" if head.loss_unit else "loss", "loss", history, False))
    content = CourseContent(drawn, columns, rows, history.chosen, _title(run.trained.recipe.monitor))
    lines = list(course_lines(history, head, len(run.dataset.validation)))
    return Part("course", "Course of the training", content, lines)


def _chart(title: str, name: str, history: History, are_shares: bool) -> Markup:
    series = {"training": _values(history.columns[name]), "validation": _values(history.columns[f"val_{name}"])}
    return charts.curves(title, series, are_shares, history.chosen + 1)


def _values(column: Column) -> list[float]:
    values: list[float] = column.tolist()
    return values


def _title(name: str) -> str:
    """Return a name of Keras in words."""
    return (f"validation {name[4:]}" if name.startswith("val_") else name).replace("_", " ")


def _cell(name: str, value: float, head: Head) -> str:
    if name.removeprefix("val_") == head.metric and head.is_share:
        return percent(value)
    return f"{value:.3g}" if name == "learning_rate" else f"{value:.4f}"


def course_lines(history: History, head: Head, validation: int) -> Iterator[TrustLine]:
    """Yield what the course says of whether the model can be trusted.

    Args:
        history: of the training.
        head: of the network.
        validation: number of validation images.
    """
    found = [*_by_heart(history), *_gap(history, head, validation), *_unfinished(history)]
    if not found:
        learned, watched = (history.columns[name][history.chosen] for name in ("loss", "val_loss"))
        text = (
            f"Epoch {history.chosen + 1} of {len(history)} was kept: its loss is {learned:.4f} on the training images "
        )
        found = [TrustLine("good", f"{text}and {watched:.4f} on the validation images{_later(history)}", "course")]
    yield from found


def _by_heart(history: History) -> Iterator[TrustLine]:
    """Yield that the network has learned the training images by heart, if the weights of such an epoch are kept."""
    loss, val_loss = history.columns["loss"], history.columns["val_loss"]
    best, kept = int(val_loss.argmin()), history.chosen
    if kept > best and val_loss[kept] > RISEN * val_loss[best] and loss[kept] < loss[best]:
        text = (
            f"From epoch {best + 1} to {kept + 1}, which was kept, the validation loss rose from {val_loss[best]:.4f} "
        )
        text += (
            f"to {val_loss[kept]:.4f} while the training loss fell: the network learned by heart; --monitor val_loss "
        )
        text += "keeps the better epoch"
        yield TrustLine("doubt", text, "course")


def _gap(history: History, head: Head, validation: int) -> Iterator[TrustLine]:
    """Yield that training images are surely recognized better than validation images, if they are."""
    if not head.is_share:
        return
    learned = float(history.columns[head.metric][history.chosen])
    share = float(history.columns[f"val_{head.metric}"][history.chosen])
    interval = interval_of_share(round(share * validation), validation)
    if interval is not None and learned > interval[1] + GAP:
        text = f"The {head.metric} is {percent(learned)} on the training images and {percent(share)} "
        text += (
            f"({between(interval)}) on the validation images: the network learns by heart; more images, or a stronger "
        )
        text += "--augment, help against that"
        yield TrustLine("doubt", text, "course")


def _unfinished(history: History) -> Iterator[TrustLine]:
    """Yield that the validation loss still went down when training ended, if it did."""
    val_loss, last = history.columns["val_loss"], len(history) - 1
    if last and int(val_loss.argmin()) == last and val_loss[last] < (1 - STILL_FALLING) * val_loss[last - 1]:
        figures = f"from {val_loss[last - 1]:.4f} to {val_loss[last]:.4f}"
        text = f"The validation loss still fell in the last epoch, {figures}: more --epochs may make the network better"
        yield TrustLine("doubt", text, "course")


def _later(history: History) -> str:
    """Return that in later epochs the validation loss rose while the training loss fell; "": it did not."""
    loss, val_loss, kept = history.columns["loss"], history.columns["val_loss"], history.chosen
    if val_loss[-1] > RISEN * val_loss[kept] and loss[-1] < loss[kept]:
        return f", where it rose to {val_loss[-1]:.4f} afterwards while the training loss fell"
    return ""
