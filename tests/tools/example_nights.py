"""Nights made by hand: what summary.json and run.json hold of them, and pictures. No archive was scored for these."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from pipeline.metrics.accuracy import Metrics, compute
from pipeline.metrics.slices import Counts

HOSTILE = [
    "<script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    '"onmouseover="alert(1)',
    "{{7*7}}{% if %}&amp;",
    "\x1b[2J\u202egpj.exe",
    "two\nlines\r\ttab",
    "\udcff\udcfe",
    "]]></svg><svg onload=alert(1)>",
    "w" * 10_000,
    "日本語 ü",
]

FAILURES = {("read", "NOT_FOUND"): 3, ("preprocess", "INVALID_ARGUMENT"): 44}


@dataclass
class Night:
    """What a page is made from."""

    figures: dict[str, Any]
    record: dict[str, Any]
    pictures: dict[str, bytes] = field(default_factory=dict)

    @property
    def arguments(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, bytes]]:
        return self.figures, self.record, self.pictures


def picture(seed: int, side: int = 28) -> bytes:
    """A PNG file of noise, some 3 kB if it is 54 pixels wide."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def night(
    names: list[str] | None = None,
    images: int = 10_000,
    failures: dict[tuple[str, str], int] | None = None,
    is_labelled: bool = True,
    hostile: bool = False,
    side: int = 28,
) -> Night:
    """A complete run over an archive that has all there may be."""
    names = names or [f"class {c}" for c in range(10)]
    failures = failures or {}
    random = np.random.default_rng(0)
    scored = images - sum(failures.values())
    metrics = _metrics(random, len(names), images, failures, is_labelled)
    figures: dict[str, Any] = {"model": "7e12ae1b" * 8, "precision": "float32", "units": 7}
    figures |= compute(metrics, names, 5)
    matrix = figures["confusion_matrix"] or [[0] * len(names)] * len(names)
    cells = sorted(
        ((n, a, b) for a, row in enumerate(matrix) for b, n in enumerate(row) if n and a != b), key=lambda c: -c[0]
    )[:60]
    confused = [_example(names, a, b, i, hostile) for n, a, b in cells for i in range(min(4, n))]
    mistakes = confused[:24]
    figures |= {
        "inputs": [{"input": "/archive", **Counts.of(metrics).figures()}],
        "folders": {"depth": None, "slices": _folders(names, metrics, hostile) if is_labelled else []},
        "most_confident_mistakes": mistakes,
        "confused": confused,
        "least_certain": [
            {**_example(names, 1, 1, 100 + i, hostile), **({} if is_labelled else UNLABELLED), "score": 0.2 + i / 100}
            for i in range(24 if scored else 0)
        ],
        "failure_examples": [
            {"key": _key(900 + i, hostile), "stage": stage, "code": code, "message": f"<i>{code}</i> cannot be decoded"}
            for stage, code in failures
            for i in range(3)
        ],
    }
    named = (*confused, *figures["least_certain"])
    return Night(figures, record_of(figures, names), {e["key"]: picture(i, side) for i, e in enumerate(named)})


UNLABELLED = {"label": None, "label_name": None, "label_score": None}


def record_of(figures: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """What run.json says of a night with these figures."""
    accuracy, interval = figures["accuracy"], figures["accuracy_interval_95"]
    scored = figures["images"]
    return {
        "run": "20261123T065503Z-c4423e",
        "options": {"input": ["/archive"], "model": "/model", "output": "/nights/o'clock", "limit": None},
        "started": "2026-11-22T22:55:03.086+00:00",
        "ended": "2026-11-23T05:02:17.720+00:00",
        "versions": {"python": "3.11.7", "nightscore": "0.1.0"},
        "seconds": 22_034.6,
        "images": figures["images"],
        "scored": scored,
        "rescored": 0,
        "kept": 0,
        "images_per_second": 2158.0,
        "failed": figures["failed"],
        "unfinished_units": 0,
        "complete": True,
        "plan": {"units": 7, "images": figures["images"], "skipped": {"other files": 3}},
        "verdict": {"exit_code": 0, "reasons": []},
        "training": {
            "dataset": "mnist",
            "test_accuracy": 0.9,
            "test_accuracy_interval_95": [0.89, 0.91],
            "images_per_class": dict.fromkeys(names, 6_000),
            "confidence_histogram": [1] * 19 + [900],
        },
        "previous": {
            "run": "20261122T065503Z-000000",
            "ended": "2026-11-22T05:02:17.720+00:00",
            "images": 9_000,
            "failed": 3,
            "images_per_second": 2100.0,
            "accuracy": accuracy,
            "accuracy_interval_95": interval,
        },
        "drift": [
            {
                "against": against,
                "classes": {
                    "psi": 0.02,
                    "most_changed": [{"class": name, "share": 0.12, "reference_share": 0.1} for name in names[:10]],
                },
                "confidence": {"psi": 0.13},
            }
            for against in ("training", "previous")
        ],
        "time": {
            "seconds": {"read": 1.017, "decode": 0.182, "predict": 1.338, "commit": 0.349, "load": 0.04},
            "shares": {"read": 0.47, "decode": 0.084, "predict": 0.918, "commit": 0.322, "waiting": 0.082},
            "decides": "predict",
            "advice": "the model is slowest: `nightscore plan` tells whether --precision=bfloat16 is faster here",
            "course": [[1_795_416_907 + 256 * i, 2_000.0 + 300 * (i % 7)] for i in range(86)],
        },
    }  # fmt: skip


def empty_night() -> Night:
    """A run over nothing."""
    empty = night(images=0, is_labelled=False)
    empty.figures["folders"]["slices"] = []
    empty.record |= {"time": None, "training": None, "previous": None, "drift": [], "images_per_second": None}
    empty.record["verdict"] = {"exit_code": 3, "reasons": ["no image was found: the inputs are empty"]}
    return empty


def worst_night(classes: int = 1_000) -> Night:
    """A run with more of everything than fits on a page, and with names that are as bad as names get."""
    names = [f"{HOSTILE[c % len(HOSTILE)]}{c}{'&' * 200}" for c in range(classes)]
    failures = {(stage, f"CODE_{c}"): 90 for stage in ("read", "preprocess", "predict") for c in range(16)}
    worst = night(names, 400_000, failures, hostile=True, side=54)
    part = worst.figures["inputs"][0]
    worst.figures["inputs"] = [{**part, "input": f"{i}{'&' * 5_000}"} for i in range(3_000)]
    worst.figures["folders"]["slices"] = [
        {"folder": f"{i}{HOSTILE[i % len(HOSTILE)]}{'&' * 5_000}", **{k: v for k, v in part.items() if k != "input"}}
        for i in range(200)
    ]
    worst.figures["folders"]["depth"] = 2
    for failure in worst.figures["failure_examples"]:
        failure["message"] = "'" * 5_000
    worst.record["options"]["input"] = ["<&" * 5_000 for _ in range(3_000)]
    worst.record["verdict"] = {"exit_code": 3, "reasons": ["<" * 2_000] * 5}
    return worst


def _metrics(
    random: np.random.Generator, classes: int, images: int, failures: dict[tuple[str, str], int], is_labelled: bool
) -> Metrics:
    scored = images - sum(failures.values())
    labels = random.integers(0, classes, scored)
    mistaken = random.random(scored) < 0.02
    guesses = np.where(mistaken, (labels + 1 + random.integers(0, 3, scored)) % classes, labels)
    if not is_labelled:
        counts = np.bincount(guesses, minlength=classes) if scored else []
        unlabelled = {c: int(n) for c, n in enumerate(counts) if n}
        return Metrics(images, scored, failures, unlabelled=unlabelled, confidence={19: scored} if scored else {})
    confusion: dict[tuple[int, int], int] = {}
    for cell in zip(labels.tolist(), guesses.tolist(), strict=True):
        confusion[cell] = confusion.get(cell, 0) + 1
    correct = int((~mistaken).sum())
    wrong = scored - correct
    return Metrics(
        images, scored, failures, scored, 0, correct, scored, 40_000 * scored, confusion, {},
        {19: correct, 12: wrong}, {14: correct, 9: wrong}, {14: correct - wrong // 9, 9: wrong // 2},
        {14: int(correct * 0.98 * (1 << 20)), 9: int(wrong * 0.63 * (1 << 20))},
    )  # fmt: skip


def _key(i: int, hostile: bool) -> str:
    return (
        f"/archive/{i}/{HOSTILE[i % len(HOSTILE)] * 3}{i}{'&' * 300}.png"
        if hostile
        else f"/archive/{i % 10}/{i:05}.png"
    )


def _example(names: list[str], label: int, predicted: int, i: int, hostile: bool) -> dict[str, Any]:
    return {
        "key": _key(10 * (label * len(names) + predicted) + i, hostile),
        "label": label,
        "label_name": names[label],
        "label_score": 0.001,
        "predicted": predicted,
        "predicted_name": names[predicted],
        "score": 0.998 - i / 1_000,
    }


def _folders(names: list[str], metrics: Metrics, hostile: bool) -> list[dict[str, Any]]:
    part = Counts.of(metrics).figures()
    return [{"folder": f"/archive/{HOSTILE[c % 10] if hostile else c}", **part} for c in range(min(200, len(names)))]


NIGHTS = {
    "labelled": lambda: night(failures=FAILURES),
    "unlabelled": lambda: night(is_labelled=False, failures=FAILURES),
    "only failures": lambda: night(images=47, failures=FAILURES),
    "nothing": empty_night,
    "2 classes": lambda: night(["no", "yes"]),
    "hostile": lambda: night(HOSTILE, failures=FAILURES, hostile=True),
    "1,000 classes": lambda: night([f"class {c}" for c in range(1_000)], 100_000),
    "more than a matrix holds": lambda: night([f"class {c}" for c in range(1_001)], 20_000),
    "the worst": worst_night,
}
