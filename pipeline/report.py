"""The summary as a page for a person: report.html, one file, no network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.html import render
from pipeline.thumbnails import data_uri

SHOWN_CLASSES = 30
"""The page draws a confusion matrix of at most so many classes."""


def report(figures: Mapping[str, Any], record: Mapping[str, Any], thumbnails: Mapping[str, bytes]) -> str:
    """Return report.html.

    Args:
        figures: the content of summary.json.
        record: the content of run.json.
        thumbnails: key -> PNG file, for mistakes.
    """
    pictures = {key: data_uri(png) for key, png in thumbnails.items()}
    return render("report.html.j2", figures=figures, record=record, pictures=pictures, matrix=_matrix(figures))


def _matrix(figures: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the confusion matrix with each cell's share of its row, None where there is none to draw."""
    matrix = figures["confusion_matrix"]
    if matrix is None or len(matrix) > SHOWN_CLASSES:
        return None
    names = [c["class"] for c in figures["per_class"]]
    return [
        {"name": name, "cells": [{"images": n, "share": n / max(1, sum(row))} for n in row]}
        for name, row in zip(names, matrix, strict=True)
    ]
