"""This module prepares what report.html shows of a model of a value, and of one of an embedding."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.formatting import counted, number
from pipeline.metrics.record import EndedRecord
from pipeline.metrics.task_figures import EmbeddingFigures, ValueFigures
from pipeline.report import number_charts
from pipeline.report.headline import Headline
from pipeline.report.highlights import Pointer, far_from_others, quote, weak_slices, worse_than_before
from pipeline.report.task_part import TaskPart, Tile

BIASED = 0.2
"""Mean residual, as a share of the RMSE, above which predictions that are surely too high or too low stand out."""

HEADLINE = Headline("value")


def value_part(figures: ValueFigures, _: EndedRecord) -> TaskPart:
    """Return what the page shows of a model of a value."""
    shown = ("largest_residuals", "highest_values", "lowest_values")
    return TaskPart(
        sections=(
            ("residuals", "Residuals", bool(figures["labelled"])),
            ("predictions", "Predictions", bool(figures["scored"])),
            ("farthest", "Largest residuals", bool(figures["largest_residuals"])),
            ("extremes", "Highest and lowest predictions", bool(figures["highest_values"])),
        ),
        rules=(worse_than_before, _worse_than_the_mean, _biased, weak_slices, far_from_others, _unknown),
        keys=[example["key"] for name in shown for example in figures[name]],  # type: ignore[literal-required]
        tile=_tile(figures),
        sentence=_sentence(figures),
        content={
            "residual_chart": number_charts.bins(figures["residual_histogram"], "prediction minus label"),
            "pair_chart": number_charts.pairs(figures["label_and_prediction"]),
            "prediction_chart": number_charts.bins(figures["prediction_histogram"], "prediction"),
            "number": number,
        },
    )


def embedding_part(figures: EmbeddingFigures, _: EndedRecord) -> TaskPart:
    """Return what the page shows of a model of an embedding."""
    shown = ("largest_norms", "smallest_norms")
    return TaskPart(
        sections=(
            ("norms", "Lengths of the embeddings", bool(figures["scored"])),
            ("unusual", "Longest and shortest embeddings", bool(figures["largest_norms"])),
        ),
        rules=(_zeros, far_from_others),
        keys=[example["key"] for name in shown for example in figures[name]],  # type: ignore[literal-required]
        tile=None,
        sentence=f"{counted(figures['scored'], 'image has', 'images have')} an embedding.",
        content={"norm_chart": number_charts.bins(figures["norm_histogram"], "Euclidean norm"), "number": number},
    )


def _tile(figures: ValueFigures) -> Tile | None:
    if figures["mae"] is None:
        return None
    interval = HEADLINE.between(figures["mae_interval_95"])
    return Tile("Mean absolute error", number(figures["mae"]), f"95 % interval {interval}")


def _sentence(figures: ValueFigures) -> str:
    """Return what the summary says of how good the result is."""
    if figures["mae"] is None:
        return "No image has a label that is a number." if figures["scored"] else ""
    return (
        f"The predictions of the {counted(figures['labelled'], 'labelled image')} are off by {number(figures['mae'])} "
        f"on average; RMSE {number(figures['rmse'])}, R² {number(figures['r2'])}. The mean residual is "
        f"{number(figures['mean_error'])}."
    )


def _worse_than_the_mean(figures: ValueFigures, _: EndedRecord) -> Iterator[Pointer]:
    if figures["r2"] is not None and figures["r2"] < 0:
        text = f"R² is {number(figures['r2'])}: the mean of the labels, for every image, would be nearer to them"
        yield Pointer(text, "residuals")


def _biased(figures: ValueFigures, _: EndedRecord) -> Iterator[Pointer]:
    bias, interval, rmse = figures["mean_error"], figures["mean_error_interval_95"], figures["rmse"]
    if bias is None or interval is None or not rmse:
        return
    if interval[0] * interval[1] > 0 and abs(bias) > BIASED * rmse:
        side = "high" if bias > 0 else "low"
        yield Pointer(f"The predictions are too {side} by {number(abs(bias))} on average", "residuals")


def _unknown(figures: ValueFigures, _: EndedRecord) -> Iterator[Pointer]:
    n = figures["unknown_labels"]
    if n:
        verb = "has a label that is no number" if n == 1 else "have labels that are no numbers"
        keys = ", ".join(quote(key) for key in (figures.get("unknown_label_keys") or [])[:3])
        yield Pointer(f"{counted(n, 'image')} {verb}{': ' if keys else ''}{keys}", "predictions")


def _zeros(figures: EmbeddingFigures, _: EndedRecord) -> Iterator[Pointer]:
    n = figures["zero_embeddings"]
    if n:
        verb = "has an embedding that is" if n == 1 else "have embeddings that are"
        yield Pointer(f"{counted(n, 'image')} {verb} 0 everywhere", "norms")
