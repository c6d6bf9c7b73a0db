"""The page of a comparison: it says what the figures are, hostile names are text, and it stands alone and small."""

from __future__ import annotations

import pytest
from compared_outputs import KINDS, compared
from parsed_page import ParsedPage

from pipeline.comparison.compare import Compared
from pipeline.comparison.page_file import _HEAD
from pipeline.report.comparison_page import MARK, comparison_page


def parsed(found: Compared) -> ParsedPage:
    return ParsedPage(comparison_page(found.figures, found.pictures))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Compared]:
    return {kind: compared(kind, tmp_path_factory.mktemp("compared")) for kind in KINDS}


@pytest.mark.heavy
@pytest.mark.parametrize("kind", KINDS)
def test_page_is_well_formed_small_and_needs_no_network(found: dict[str, Compared], kind: str) -> None:
    page = parsed(found[kind])
    assert page.unclosed == []
    assert len(page.source.encode()) < 2_000_000
    assert page.source.encode()[:_HEAD].count(MARK.encode()) == 1
    assert all(link.startswith("#") for link in page.links)
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert {name for _, name, _ in page.attributes}.isdisjoint({"src", "srcset", "data", "action"})
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert page.source.count("<table") == page.source.count("<caption")
    assert "nan" not in page.text.lower().replace("finance", "")
    assert "None" not in page.text


def test_page_says_what_the_figures_are(found: dict[str, Compared]) -> None:
    figures, page = found["changed"].figures, parsed(found["changed"])
    difference = figures["difference"]
    assert difference is not None
    assert figures["verdict"][1:] in page.text
    assert f"{difference['lost']} went from right to wrong and {difference['gained']} from wrong to right" in page.text
    for change in figures["classes"]:
        assert any(str(change["gained"]) in row and str(change["lost"]) in row for row in page.table("with images"))
    assert len(page.table("with images")) == len(figures["classes"]) + 1
    assert {"changed", "classes", "parts", "calibration", "labels", "failed", "compared"} <= set(page.texts)
    assert page.text.count("no picture") < 24
    assert len(set(page.pictures)) > 20


def test_page_leaves_out_what_there_is_not(found: dict[str, Compared]) -> None:
    page = parsed(found["no labels"])
    assert not {"labels", "calibration", "classes"} & set(page.texts)
    assert "no label that counts tells which is better" in page.text
    assert "changed" not in parsed(found["same"]).texts
    values = parsed(found["values"])
    assert "B is worse: mean error 4 against 2, +2" in values.text
    assert not {"calibration", "classes"} & set(values.texts)
    assert "Farther from the label" in values.text


def test_page_says_which_images_do_not_count_as_they_were_seen_in_training(found: dict[str, Compared]) -> None:
    figures, page = found["some seen"].figures, parsed(found["some seen"])
    every = figures["including_seen"]
    assert every is not None
    n, whole = figures["seen"], every["labelled"]
    assert figures["verdict"].startswith("on unseen images, ")
    assert f"O{figures['verdict'][1:]}." in page.text
    assert f"{n} of the {whole} labelled images were seen in training, {n} by the model of A: a training" in page.text
    assert f"On all {whole} shared labelled images, those of the training included: {every['verdict']}." in page.text
    assert f"Of the {figures['labelled']} unseen images whose label counts" in page.text
    assert "Accuracy of A on unseen images" in page.text
    assert "Only unseen images count." in page.text
    assert "seen in training," not in parsed(found["changed"]).text


def test_page_does_not_praise_a_model_on_images_of_its_training(found: dict[str, Compared]) -> None:
    figures, page = found["all seen"].figures, parsed(found["all seen"])
    assert (figures["outcome"], figures["counted"]) == ("better", "seen")
    assert "is-good" not in page.source.partition('class="verdict')[2].partition(">")[0]
    assert "is-good" in parsed(found["changed"]).source.partition('class="verdict')[2].partition(">")[0]
    assert "prove nothing for new images" in page.text
