"""report.html: the figures are in it, and hostile names are text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from conftest import MakeRun

from pipeline.commit import Aside, Receipt
from pipeline.metrics import Metrics
from pipeline.report import report
from pipeline.summarize import Summary, figures

HOSTILE = '/data/<script>alert(1)</script>/"onerror=".png'
RECORD: dict[str, Any] = {
    "run": "run-1",
    "seconds": 3.21,
    "scored": 90,
    "kept": 10,
    "options": {"input": ["a"]},
    "versions": {"python": "3"},
    "verdict": {"reasons": ["accuracy is low"]},
}


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

        self.text += " " if tag in ("td", "th", "p", "h2", "li") else ""

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def summary() -> Summary:
    metrics = Metrics(
        images=100, scored=98, failures={("preprocess", "INVALID_ARGUMENT"): 2}, labelled=98, correct=97,
        top_k_correct=98, confusion={(3, 3): 97, (3, 5): 1}, log_loss=1 << 20,
    )  # fmt: skip
    mistake = {"row": 4, "key": HOSTILE, "label": 3, "label_name": "3", "predicted": 5, "predicted_name": "<b>5</b>"}
    mistake |= {"score": 0.97, "label_score": 0.01}
    failure = {"row": 5, "key": HOSTILE, "stage": "preprocess", "code": "INVALID_ARGUMENT", "message": "<i>bad</i>"}
    return Summary.of(Receipt("u", 100, 0, metrics, [mistake], [failure], Aside(1.0, {4: b"\x89PNG"})))


def test_page_says_what_the_summary_says_and_needs_no_network(summary: Summary, make_run: MakeRun) -> None:
    page = _Page(report(figures(summary, make_run("x")), RECORD, summary.thumbnails))
    text = " ".join(page.text.split())
    assert "100 images, 98 scored, 2 failed ." in text or "100 images, 98 scored, 2 failed." in text
    assert "98.98 %" in text
    assert "3 taken for <b>5</b>, 97.00 %" in text
    assert "accuracy is low" in text
    assert "90 images in 3.2 s" in text
    assert page.sources == ["data:image/png;base64,iVBORw=="]
    assert "script" not in page.tags
    assert "i" not in page.tags
    assert HOSTILE in page.text


def test_matrix_has_a_row_and_a_column_for_each_class(summary: Summary, make_run: MakeRun) -> None:
    page = report(figures(summary, make_run("x")), RECORD, {})
    matrix = page[page.index("<caption>rows") : page.index("</table>", page.index("<caption>rows"))]
    assert matrix.count("<td") == 100
    assert re.findall(r">(\d+)</td>", matrix) == ["97", "1"]


def test_page_of_unlabelled_images_shows_what_was_predicted(make_run: MakeRun) -> None:
    metrics = Metrics(images=30, scored=30, unlabelled={2: 20, 7: 10})
    summary = Summary.of(Receipt("u", 30, 0, metrics, [], [], Aside()))
    text = " ".join(_Page(report(figures(summary, make_run("x")), RECORD, {})).text.split())
    assert "None of them has a label" in text
    assert "2 20 66.67 %" in text
    assert "Confusion matrix" not in text


def test_page_of_nothing_is_a_page(make_run: MakeRun) -> None:
    assert "0 images" in report(figures(Summary(), make_run("x")), RECORD, {})
