"""What report.html shows of a review: what it says holds for every kind of night, and its counts add up."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from mostly_heavy import mostly_heavy
from parsed_page import ParsedPage
from reviewed_outputs import REVIEWED, class_rows, reviewed_page
from written_output import write_output

from pipeline.formatting import count
from pipeline.metrics.acceptance import ScoreCounts, compute
from pipeline.metrics.review import Acceptance, ThresholdRow
from pipeline.report.acceptance_part import acceptance_part, shown_rows
from pipeline.report.headline import Headline
from pipeline.report.review_part import unseen_text

QUICK = ["accepted", "few labels", "no labels, given score", "learned from some", "learned from all", "embeddings"]


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reviewed")


@pytest.fixture(scope="module", params=mostly_heavy(REVIEWED, kept=QUICK))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def page(kind: str, folder: Path) -> ParsedPage:
    return ParsedPage(reviewed_page(kind, folder / kind))


def test_page_is_well_formed_and_its_links_lead_somewhere(page: ParsedPage) -> None:
    assert page.unclosed == []
    assert len(page.source.encode()) < 2_000_000
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert page.source.count("<table") == page.source.count("<caption")
    levels = [level for level, _ in page.headings]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_sentences_are_whole(page: ParsedPage) -> None:
    for name in ("accept", "doubtful", "copies", "alike", "odd", "curves"):
        text = page.texts.get(name, "")
        assert not re.search(r"\b(None|nan|surely)\b| [,.] |\b1 (images|labels|groups|copies)\b", text)
    assert not re.search("[.,;:]<(code|strong|p)>", page.source), "a space is missing"


def test_sections_are_there_where_they_have_something_to_say(kind: str, page: ParsedPage) -> None:
    is_classes = kind not in ("labels", "values", "embeddings", "all failed")
    has_labels = is_classes and not kind.startswith("no labels") and kind != "learned from all"
    assert ("accept" in page.texts) == is_classes
    assert ("copies" in page.texts) == (kind not in ("one image", "all failed"))
    assert ("curves" in page.texts) == (has_labels or kind == "labels")
    if not has_labels:
        assert not re.search("mistake|labels differ|contradict", page.texts.get("accept", ""))
    if kind.startswith("no labels") or kind == "embeddings":
        assert not re.search("no label|contradict|labels differ", page.texts["copies"] + page.texts.get("alike", ""))


def test_counts_of_the_table_add_up(page: ParsedPage, kind: str, folder: Path) -> None:
    if "accept" not in page.texts:
        return
    scored = read(folder / kind, "summary.json")["scored"]
    rows = page.table("Each row shows what follows")
    at, left = rows[0].index("accepted"), rows[0].index("left to review")
    numbers = [(int(row[at].replace(",", "")), int(row[left].replace(",", ""))) for row in rows[1:]]
    assert numbers
    assert {accepted + rest for accepted, rest in numbers} == {scored}
    assert [accepted for accepted, _ in numbers] == sorted({accepted for accepted, _ in numbers}, reverse=True)


def test_accepted_predictions_are_told_first_and_marked(folder: Path) -> None:
    page = ParsedPage(reviewed_page("accepted", folder / "told"))
    told = read(folder / "told", "review.json")["accepted"]
    text = page.texts["accept"].removeprefix("What to accept ")
    assert text.startswith(f"{count(told['images'])} of 450 predictions are accepted")
    every = read(folder / "told", "review.json")["acceptance"]["rows"][0]
    mistakes = every["labelled"] - round(every["accuracy"] * every["labelled"])
    assert f"{told['left']} are left to review, with {told['left_mistakes']} of the {mistakes} known mistakes." in text
    (marked,) = [row for row in page.table("accepted from here on") if "\u2190" in row[0]]
    assert float(marked[0].split()[0]) == told["score"]
    assert f"Accepted {100 * told['images'] / 450:.2f} % {told['images']} images, score {told['score']:g}" in page.text


def table_of(n: int, labelled: int | None = None, wrong: int = 7, wanted: float = 0.99) -> Acceptance:
    rows = class_rows(n, labelled=labelled, wrong=wrong)
    columns = ("status", "label", "label_score", "predicted", "score")
    types = {"label": pa.int32(), "label_score": pa.float32()}
    table = pa.table({name: pa.array([row[name] for row in rows], types.get(name)) for name in columns})
    return compute(ScoreCounts.of(table), ("cat", "dog", "eel", "fox"), wanted)


@pytest.mark.parametrize(("n", "text"), [(380, "380 labelled images are too few"), (381, "381 predictions can be")])
def test_so_many_labelled_images_show_an_accuracy(n: int, text: str) -> None:
    part = acceptance_part(table_of(n, wrong=0), None, None)
    assert part is not None
    assert text in part.texts[0]
    assert ("at least 381" in part.texts[0]) == (n < 381)
    assert (part.tile is not None) == (n >= 381)


def test_of_a_score_that_nobody_reaches_the_best_is_told_and_what_may_be_wrong() -> None:
    errors: Any = {"suspects": 64}
    part = acceptance_part(table_of(900), None, errors)
    assert part is not None
    assert re.match("No score gives an accuracy of 99.% with 95.% confidence. The most is 9[0-8]", part.texts[0])
    assert part.texts[0].endswith("64 labels look wrong, and may count as mistakes here.")
    assert part.marked is None


def test_accuracy_of_all_cannot_be_shown_by_any_number_of_images() -> None:
    part = acceptance_part(table_of(900, wrong=0, wanted=1.0), None, None)
    assert part is not None
    assert part.texts[0].startswith("No score gives an accuracy of 100\xa0%")


def test_without_labels_rows_leave_round_shares_to_review() -> None:
    acceptance = table_of(1_000, labelled=0)
    left = [row["left"] / 1_000 for row in shown_rows(acceptance, None)]
    assert left[0] == 0.0
    assert len(left) >= 5
    for wanted in (0.1, 0.2, 0.5):
        assert min(abs(share - wanted) for share in left) < 0.05


def test_row_of_the_chosen_score_is_shown_instead_of_one_that_accepts_the_same() -> None:
    acceptance = table_of(100, wrong=0)
    same: list[ThresholdRow] = [row for row in acceptance["rows"] if row["images"] == 100]
    assert shown_rows(acceptance, None)[0]["score"] == 0.0
    assert shown_rows(acceptance, same[-1]["score"])[0]["score"] == same[-1]["score"]


def test_figure_that_proves_nothing_is_not_the_last_word(folder: Path) -> None:
    page = ParsedPage(reviewed_page("learned from some", folder / "some"))
    assert "Accuracy on unseen images" in page.text
    assert "with 95 % confidence the accuracy on such images" not in page.text
    assert "On the 300 other labelled images it is " in page.text
    assert unseen_text(
        {"seen": 5, "images": 9, "labelled": 0, "headline": None, "seen_labelled": 5, "seen_headline": 1.0},
        Headline("classes"),
    ).endswith("which proves nothing. No other image has a label, so the accuracy on new images is not known.")


def test_copies_share_a_picture_and_the_others_have_a_link(folder: Path) -> None:
    page = reviewed_page("accepted", folder / "shared")
    section = page[page.index('<section id="copies"') :].partition("</section>")[0]
    groups = re.findall(r"<li>.*?</li>", section, re.DOTALL)
    first = read(folder / "shared", "review.json")["duplicates"]["first"]
    conflicts = sum(group["is_conflict"] for group in first)
    assert len(groups) == conflicts + min(6, len(first) - conflicts)
    assert all(group.count('class="pic ') <= 1 for group in groups)
    assert all(group.count("<a ") == 2 for group in groups), "a picture or a path leads to each original"


def test_few_copies_are_no_reason_to_speak(tmp_path: Path) -> None:
    write_output(tmp_path, [class_rows(450)], ("cat", "dog", "eel", "fox"))
    assert "each copy counts in the figures" not in (tmp_path / "report.html").read_text()
