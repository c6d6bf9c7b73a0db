"""The charts of a review: what accepting from a score on means, and precision by recall.

Pure functions that return SVG for a page, as in `pipeline.report.charts`.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from pipeline.formatting import count, percent
from pipeline.metrics.review import Acceptance, Curve, ThresholdRow
from pipeline.report.charts import Frame, draw_axes, draw_chart, draw_line, round_ticks


def acceptance_chart(acceptance: Acceptance, marked: Sequence[ThresholdRow]) -> Markup:
    """Return the chart of accuracy by the share of images that is accepted; without labels, of that share by score.

    Args:
        acceptance: the table of thresholds.
        marked: rows of it that have a point.
    """
    rows = [row for row in acceptance["rows"] if row["images"]]
    quarters = [(v / 4, percent(v / 4, 0)) for v in range(5)]
    right = [(row["share"] or 0.0, row["accuracy"]) for row in rows if row["accuracy"] is not None]
    if not right:
        body = draw_axes(Frame((0, 1), (0, 1)), quarters, quarters, "accept from this score on", "accepted")
        body += draw_line(Frame((0, 1), (0, 1)), [(row["score"], row["share"] or 0.0) for row in rows], "line one")
        return draw_chart("Accepted images by score", "Share of the images that is accepted.", body)
    low, high = min(value for _, value in right), max(value for _, value in right)
    low = max(0.0, low - 0.1 * ((high - low) or 0.1))
    frame = Frame((0, 1), (low, 1))
    up = [(v, f"{100 * v:.4g} %") for v in round_ticks(low, 1)]
    body = draw_axes(frame, quarters, up, "of the images accepted", "right")
    body += draw_line(frame, right, "line one")
    for row in marked:
        if row["accuracy"] is not None:
            text = (
                f"score {row['score']} or more: {percent(row['share'])} of the images, {percent(row['accuracy'])} right"
            )
            dot = '<circle class="dot one" cx="{:.1f}" cy="{:.1f}" r="{}"><title>{}</title></circle>'
            radius = 5 if row["score"] == acceptance["score"] else 3
            body += Markup(dot).format(frame.x(row["share"] or 0.0), frame.y(row["accuracy"]), radius, text)
    return draw_chart(
        "Accuracy by share of accepted images", "From all images down to those with the highest scores.", body
    )


def curve_chart(curve: Curve) -> Markup:
    """Return the curves of a class in one chart: precision by recall, and the ROC curve."""
    frame = Frame((0, 1), (0, 1))
    ticks = [(v / 4, percent(v / 4, 0)) for v in range(5)]
    body = draw_axes(frame, ticks, ticks, "recall; false positive rate", "precision; recall")
    body += draw_line(frame, list(zip(curve["recall"], curve["precision"], strict=True)), "line one")
    roc = zip([0.0, *curve["false_positive_rate"]], [0.0, *curve["recall"]], strict=True)
    body += draw_line(frame, list(roc), "two")
    return draw_chart("Precision by recall, and ROC curve", f"Of {count(curve['support'])} images.", body)
