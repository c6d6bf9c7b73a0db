"""What a run says of its figures when it is over, for models of labels, of a value, and of an embedding. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pipeline.cli.one_screen import Fact, fitted
from pipeline.formatting import counted
from pipeline.metrics.figures import LabelExamples
from pipeline.metrics.headline import HEADLINES, WORDS
from pipeline.metrics.recorded_run import RecordedOptions
from pipeline.metrics.task_figures import EmbeddingFigures, LabelFigures, PerLabel, ValueFigures
from pipeline.task import Task
from pipeline.text import brief

CLASSES = 3
"""Number of labels that are shown, at most."""

SHOWN_NAME = 16
SHOWN_KEY = 34
"""Number of characters of a label, and of an image's key, that are shown, at most."""


def quality(task: Task, value: float | None, interval: Sequence[float] | None, labelled: int) -> Fact:
    """Return how good a result is: the headline of its task, see `pipeline.metrics.headline.HEADLINES`.

    >>> quality("value", 1.25, None, 1)
    ('mean error', '1.25 of 1 labelled')
    """
    form = quality_format(task)
    low, high = (form.format(bound) for bound in interval or (0.0, 1.0))
    bounds = f" (95 % interval {low} to {high})" if interval else ""
    return WORDS[HEADLINES[task]], f"{form.format(value)}{bounds} of {labelled:,} labelled"


def quality_format(task: Task) -> str:
    """Return how the headline of a task is written, for `str.format`: shares with four places, values as they come."""
    return "{:.4g}" if task == "value" else "{:.4f}"


def _labels(figures: LabelFigures) -> Iterator[Fact]:
    if figures["unlabelled"]:
        most = sorted(figures["per_class"], key=_unlabelled, reverse=True)[:CLASSES]
        shown = [f"{c['unlabelled']:,} as {_quote(c)}" for c in most if c["unlabelled"]]
        start = f"{figures['unlabelled']:,}, predicted "
        yield "unlabelled", fitted(shown, f"{start}mostly ", "") if shown else f"{start}without a label"
    if figures["unknown_labels"]:
        names, images = figures["unknown_names"], figures["unknown_labels"]
        text = f"{counted(names, 'label')} of {counted(images, 'image')}, no class of the model"
        yield "unknown", with_examples(text, figures)
    if figures["labelled"]:
        micro, macro = figures["micro"], figures["macro"]
        parts = (("precision", micro["precision"]), ("recall", micro["recall"]), ("F1", micro["f1"]))
        shares = ", ".join(f"{name} {_share(share)}" for name, share in parts)
        yield "all labels", f"{shares}; mean F1 {_share(macro['f1'])}"
        found = [c for c in figures["per_class"] if c["f1"] is not None and c["f1"] < 1]
        worst = sorted(found, key=_f1)[:CLASSES]
        if worst:
            yield "worst", "F1 " + fitted([f"{_share(c['f1'])} of {_quote(c)}" for c in worst], more="")


def _value(figures: ValueFigures) -> Iterator[Fact]:
    if figures["unknown_labels"]:
        first = next(iter(figures.get("unknown_label_keys") or ()), None)
        shown = "" if first is None else f", such as that of {brief(first, SHOWN_KEY)}"
        yield "unknown", f"{counted(figures['unknown_labels'], 'label is no number', 'labels are no numbers')}{shown}"
    if figures["scored"]:
        mean, deviation = figures["mean_prediction"], figures["prediction_deviation"]
        yield "values", f"mean {_number(mean)}, standard deviation {_number(deviation)}"
    if figures["labelled"]:
        rmse, r2, bias = figures["rmse"], figures["r2"], figures["mean_error"]
        yield "errors", f"RMSE {_number(rmse)}, R2 {_number(r2)}, mean residual {_number(bias)}"


def _embedding(figures: EmbeddingFigures) -> Iterator[Fact]:
    bins = figures["norm_histogram"]
    if bins:
        yield "norms", f"{bins[0]['from']:.4g} to {bins[-1]['to']:.4g}"
    if figures["zero_embeddings"]:
        yield "zeros", f"{figures['zero_embeddings']:,} embeddings are 0 everywhere"


def numbers(options: RecordedOptions, class_names: Sequence[str]) -> Iterator[Fact]:
    """Yield how a number was read as a label, if it may mean two classes.

    >>> dict(numbers({"label_source": "auto", "labels_are": "auto"}, ["1", "10", "2"]))
    {'numbers': "label 1 means class '1', not '10'; else give --labels_are indices"}
    """
    is_default = options.get("labels_are") == "auto" and options.get("label_source") == "auto"
    if not is_default or options.get("label_offset"):
        return
    for position, name in enumerate(class_names):
        if name.isdecimal() and int(name) != position < len(class_names) and int(name) < len(class_names):
            example = f"label {int(name)} means class {name!r}, not {class_names[int(name)]!r}"
            yield "numbers", f"{example}; else give --labels_are indices"
            return


def with_examples(text: str, figures: LabelExamples) -> str:
    """Return a text on labels that are no class of the model, with as many of them as fit, if any is known.

    >>> with_examples("12 labels", {"unknown_label_examples": [{"label": "cow", "images": 12}]})
    "12 labels: 12 times 'cow'"
    """
    known = figures.get("unknown_label_examples") or []
    shown = [f"{one['images']:,} times {brief(one['label'], SHOWN_NAME)!r}" for one in known[:CLASSES]]
    return fitted(shown, f"{text}: ", "") if shown else text


FACTS: Mapping[Task, Callable[[Any], Iterator[Fact]]] = {"labels": _labels, "value": _value, "embedding": _embedding}
"""Task -> what yields the facts that matter of its figures, but for its headline."""


def _quote(figures: PerLabel) -> str:
    return repr(brief(figures["class"], SHOWN_NAME))


def _unlabelled(figures: PerLabel) -> int:
    return figures["unlabelled"]


def _f1(figures: PerLabel) -> float:
    return figures["f1"] or 0.0


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.4f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
