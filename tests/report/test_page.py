"""report.html: what it says is what the figures are, it stands alone, and it stays small whatever the archive holds."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from pathlib import Path

import pytest
from example_nights import FAILURES, HOSTILE, NIGHTS, Night, empty_night, night, picture
from mostly_heavy import mostly_heavy
from parsed_page import ParsedPage

from pipeline.metrics.figures import Candidate
from pipeline.report.class_page import SHOWN_CLASSES
from pipeline.report.gallery import PICTURE_BYTES
from pipeline.report.page import report


def parsed(night: Night) -> ParsedPage:
    return ParsedPage(report(*night.arguments))


@pytest.fixture(scope="module")
def page() -> ParsedPage:
    """Of a labelled archive with failures."""
    return parsed(night(failures=FAILURES))


@pytest.fixture(scope="module", params=mostly_heavy(NIGHTS, kept=[name for name in NIGHTS if name != "the worst"]))
def any_page(request: pytest.FixtureRequest) -> ParsedPage:
    return parsed(NIGHTS[request.param]())


def test_page_is_well_formed_and_smaller_than_two_megabytes(any_page: ParsedPage) -> None:
    assert any_page.unclosed == []
    assert len(any_page.source.encode()) < 2_000_000


def test_page_needs_no_network_and_runs_its_own_script_only(any_page: ParsedPage) -> None:
    assert {link.partition(":")[0] for link in any_page.links if not link.startswith("#")} <= {"file"}
    assert {name for _, name, _ in any_page.attributes}.isdisjoint({"src", "srcset", "data", "action"})
    assert set(re.findall(r"url\((.{5})", any_page.source)) <= {"data:"}
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', any_page.source)
    (script,) = re.findall(r"<script>(.*?)</script>", any_page.source, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert re.findall(r"script-src ([^;]*)", policy) == [f"'sha256-{digest}'"]
    assert not [name for _, name, _ in any_page.attributes if name.startswith("on")]


def test_links_lead_somewhere_and_names_are_given_once(any_page: ParsedPage) -> None:
    assert len(any_page.ids) == len(set(any_page.ids))
    assert {link[1:] for link in any_page.links if link.startswith("#")} <= set(any_page.ids)


def test_headings_go_down_step_by_step_and_every_table_has_a_caption(any_page: ParsedPage) -> None:
    levels = [level for level, _ in any_page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    assert any_page.source.count("<table") == any_page.source.count("<caption")
    assert all(text.strip() for _, text in any_page.headings)


@pytest.mark.parametrize("section", ["failures", "confusion", "mistakes", "folders"])
def test_section_that_has_nothing_to_say_is_not_there(section: str) -> None:
    assert section not in parsed(empty_night()).texts


def test_summary_says_in_words_what_happened(page: ParsedPage) -> None:
    assert "Of 10,000 images, 9,953 were scored and 47 failed: 44 are not decodable (broken, cut short" in page.text
    assert "or no image at all); 3 are not found." in page.text
    assert re.search(r"Of the 9,953 labelled images, 98\.\d\d % are predicted as labelled", page.text)
    assert re.search(r"lies between 97\.\d\d % and 98\.\d\d %", page.text)
    assert "in 6 h 7 min, 2,158 images/s" in page.text
    assert "Good. Every image is accounted for" in page.text


def test_what_is_wrong_is_said_first() -> None:
    bad = night()
    bad.record["verdict"] = {"exit_code": 4, "reasons": ["accuracy is 0.9800, less than --min_accuracy 0.99"]}
    text = parsed(bad).text
    assert "below what was asked for (exit code 4) accuracy is 0.9800, less than --min_accuracy 0.99" in text
    assert "Good." not in text


def test_what_to_look_at_first_leads_to_its_section(page: ParsedPage) -> None:
    assert (
        "What to look at first 44 images (0.44 %) are not decodable (broken, cut short, or no image at all)"
        in page.text
    )
    assert re.search(r'<ol class="first">\s*<li><a href="#failures">44 images', page.source)


def test_nothing_stands_out_is_said() -> None:
    calm = night()
    assert "Nothing stands out: no work unit is unfinished" in parsed(calm).text


def test_matrix_holds_every_class_and_its_cells_lead_to_their_pairs(page: ParsedPage) -> None:
    rows = page.table("Rows: label")
    figures = night(failures=FAILURES).figures
    matrix = [[0 if cell == "·" else int(cell.replace(",", "")) for cell in row[1:]] for row in rows[1:]]
    assert matrix == figures["confusion_matrix"]
    cells = sum(bool(n) for a, row in enumerate(figures["confusion_matrix"]) for b, n in enumerate(row) if a != b)
    assert sum(link.startswith("#pair-") for link in page.links) == cells


def test_pair_opens_to_its_examples() -> None:
    some = night()
    example = some.figures["confused"][0]
    source = report(*some.arguments)
    a, b = example["label"], example["predicted"]
    (details,) = re.findall(
        rf'<details><summary>[^<]*</summary><div id="pair-{a}-{b}">.*?</details>', source, re.DOTALL
    )
    assert f"class {a} taken for class {b}" in details
    assert details.count('<a class="pic p') == 4
    assert example["key"].removeprefix("/archive/") in ParsedPage(details).text.replace(" ", "")


def test_pair_shows_all_its_mistakes_with_a_picture_first_and_the_paths_of_the_others() -> None:
    some = night()
    first = some.figures["confused"][0]
    a, b = first["label"], first["predicted"]
    cells: list[Candidate] = [
        {"key": f"/archive/{i}.png", "label": a, "label_score": 0.1, "predicted": b, "score": 0.9 - i / 100}
        for i in range(24)
    ]
    some.pictures = {one["key"]: picture(i) for i, one in enumerate(cells[:20])}
    some.figures["confusion_matrix"][a][b] = 312
    source = report(*some.arguments, cells=cells)
    start = source.index(f'<div id="pair-{a}-{b}">')
    pair = source[start : source.index("</details>", start)]
    assert pair.count('<a class="pic p') == 20
    assert f"class {a}</strong> taken for <strong>class {b}" in pair
    assert [f">{i}.png<" in pair.partition('<ul class="paths">')[2] for i in range(24)] == [False] * 20 + [True] * 4
    assert pair.count("no picture") == 0
    assert "24 of 312 images." in pair


@pytest.mark.heavy
def test_of_many_classes_the_most_confused_are_shown() -> None:
    page = parsed(night([f"class {c}" for c in range(1_000)], 100_000))
    assert "most confused of 1,000 classes" in page.source
    assert 2 <= len(page.table("Rows: label")) - 1 <= 30
    counts = [int(row[1]) for row in page.table("A pair opens")[1:]]
    assert counts == sorted(counts, reverse=True)
    assert len(counts) == 200
    assert re.search(r"The first 200 of [\d,]+ pairs", page.text)


def test_classes_are_cut_with_a_line_that_says_so() -> None:
    page = parsed(night([f"class {c}" for c in range(1_001)], 20_000))
    assert len(page.table("classes with the most images of 1,001")) == 1 + SHOWN_CLASSES
    assert "summary.json" in page.texts["classes"]


def test_of_too_many_classes_those_with_the_most_images_are_shown() -> None:
    some = night([f"class {c}" for c in range(1_001)], 20_000)
    some.figures["per_class"][7] |= {"support": 1, "predicted": 0}
    some.figures["per_class"][1_000] |= {"support": 9_999}
    names = [row[0] for row in parsed(some).table("classes with the most images of 1,001")[1:]]
    assert names[0] == "class 1000"
    assert "class 7" not in names


def test_classes_have_their_figures(page: ParsedPage) -> None:
    c = night(failures=FAILURES).figures["per_class"][3]
    row = next(row for row in page.table("10 classes") if row[0] == "class 3")
    assert row[1:3] == [f"{c['support']:,}", f"{c['predicted']:,}"]
    assert row[4] == "10.00 %"
    assert row[5:7] == [f"{100 * c['precision']:.2f} %", f"{100 * c['recall']:.2f} %"]


def test_figures_have_the_names_by_which_people_look_for_them(page: ParsedPage) -> None:
    figures = night(failures=FAILURES).figures
    text = page.texts["classes"]
    assert f"Macro F1 {100 * figures['macro_f1']:.2f} % Weighted F1 {100 * figures['weighted_f1']:.2f} %" in text
    assert f"Balanced accuracy {100 * figures['balanced_accuracy']:.2f} %" in text
    assert f"Cohen\u2019s kappa {figures['cohen_kappa']:.4f} MCC {figures['mcc']:.4f} Top-5 accuracy" in text


def test_figures_that_an_earlier_version_did_not_write_are_left_out() -> None:
    some = night()
    for name in ("macro_f1", "weighted_f1", "balanced_accuracy", "cohen_kappa", "mcc"):
        del some.figures[name]
    text = parsed(some).texts["classes"]
    assert "Macro F1" not in text
    assert "MCC" not in text
    assert "Top-5 accuracy" in text


def test_failures_are_grouped_the_biggest_first_with_keys_and_messages(page: ParsedPage) -> None:
    text = page.texts["failures"]
    assert text.index("44 images") < text.index("3 images: not found (read NOT_FOUND)")
    assert text.count("<i>INVALID_ARGUMENT</i> cannot be decoded") == 3
    assert "0/00900.png" in text


def test_folder_that_is_surely_worse_is_marked() -> None:
    some = night()
    some.figures["folders"]["slices"][4] |= {"accuracy": 0.5, "accuracy_interval_95": [0.4, 0.6]}
    page = parsed(some)
    marked = [row[0] for row in page.table("95 % interval of the accuracy") if "lower" in row[-2]]
    assert marked == ["4"]
    assert "In folder “4” the accuracy is only 50.00 %" in page.text


def test_page_says_once_where_the_input_lies(page: ParsedPage) -> None:
    assert page.headings[0] == (1, "10,000 images of archive")
    assert "Paths begin in /archive" in page.text
    below = page.text.count("/archive/")
    assert below == 0, "in a caption"


def test_of_several_inputs_each_path_says_which() -> None:
    some = night()
    part = some.figures["inputs"][0]
    some.figures["inputs"] = [{**part, "input": f"/archive/{c}"} for c in range(9)]
    page = parsed(some)
    assert page.headings[0] == (1, "10,000 images of 9 inputs")
    assert "Paths begin in 9 folders: 0, 1, 2, 3 … 0: /archive/0 1: /archive/1" in page.text
    assert re.search(r"[0-8]: \d{5}\.png", page.texts["uncertain"])
    assert "/archive/9/" in page.texts["uncertain"].replace(" ", ""), "no input holds it"


def test_picture_is_a_link_to_its_original(page: ParsedPage) -> None:
    keys = {e["key"] for e in night(failures=FAILURES).figures["most_confident_mistakes"]}
    assert {f"file://{key}" for key in keys} < set(page.links)
    assert page.source.count('target="_blank" rel="noreferrer"') == sum(not link.startswith("#") for link in page.links)


def test_image_without_a_picture_has_a_link_on_its_path() -> None:
    some = night()
    key = some.figures["least_certain"][3]["key"]
    del some.pictures[key]
    assert f'<code><a href="file://{key}" target="_blank" rel="noreferrer">' in report(*some.arguments)


def test_links_begin_with_what_was_asked_for() -> None:
    links = ParsedPage(report(*night().arguments, link_base="https://host/a/")).links
    assert {link[:15] for link in links if not link.startswith("#")} == {"https://host/a/"}


def test_drift_and_the_run_before_are_told(page: ParsedPage) -> None:
    text = page.texts["drift"]
    assert "Against the training data Predicted classes: 0.020, no change. Scores: 0.130, moderate." in text
    assert "the run before, 2026-11-22 05:02:17 UTC 9,000 3" in text


def test_speed_says_what_decides(page: ParsedPage) -> None:
    text = page.texts["speed"]
    assert "The model is slowest: `nightscore plan` tells whether" in text
    assert "predict (slowest) 1.3 91.80 %" in text
    assert "Images per second" in page.source


def test_what_ran_and_what_to_do_next_is_told(page: ParsedPage) -> None:
    assert "--model /model" in page.texts["ran"]
    assert "nightscore 0.1.0" in page.texts["ran"]
    assert "skipped: other files 3 files" in page.texts["ran"]
    command = "nightscore score --input /archive --model /model --output '/nights/o'\"'\"'clock' --retry_failed"
    assert command in page.texts["next"]
    assert "nightscore verify '/nights/o'\"'\"'clock'" in page.texts["next"]


def test_what_was_skipped_inside_archives_is_told_with_what_was_planned() -> None:
    content, record, pictures = night(failures=FAILURES).arguments
    inside = {
        "skipped_inside": {"other files": 4},
        "skipped_inside_examples": {"other files": "/archive/x.tar.gz!notes"},
    }
    text = ParsedPage(report(content, {**record, **inside}, pictures)).texts["ran"]  # type: ignore[typeddict-item]
    assert "skipped: other files 7 files of the inputs, such as /archive/x.tar.gz!notes" in text


def test_command_repeats_what_was_asked_for() -> None:
    some = night()
    some.record |= {"complete": False}
    some.record["options"] |= {"input": ["a b", "c"], "top_k": 2, "no_canary": True, "precision": "float32"}
    text = parsed(some).texts["next"]
    assert "score --input 'a b' --input c --model /model" in text
    assert "--top_k 2 --no_canary" in text
    assert "--precision" not in text
    some.record["options"]["retry_failed"] = True
    assert "--retry_failed" not in parsed(some).texts["next"]
    assert "--retry_failed" not in text


def test_unlabelled_archive_shows_what_was_predicted_and_no_empty_labels() -> None:
    some = night(is_labelled=False)
    page = parsed(some)
    assert "No image has a label that is a class of the model" in page.text
    assert page.table("10 classes")[0] == ["class", "predicted", "share", "in training"]
    assert {"classes", "scores", "uncertain", "drift"} <= page.texts.keys()
    assert page.texts.keys().isdisjoint({"confusion", "mistakes", "failures"})
    assert "Reliability" not in page.source
    assert "100.0 %" in page.text


def test_label_that_is_a_number_of_no_class_is_shown_as_none() -> None:
    some = night()
    some.figures["least_certain"][0] |= {"label": 99, "label_name": None, "label_score": None}
    some.figures["least_certain"][1] |= {"label": None, "label_name": "horse", "label_score": None}
    page = parsed(some)
    assert "uncertain" in page.texts
    assert "99 taken" not in page.texts["uncertain"]
    assert "None" not in page.texts["uncertain"]


def test_picture_is_embedded_once_and_shown_wherever_it_is_named(page: ParsedPage) -> None:
    assert len(page.pictures) == len(set(page.pictures)) > 24
    assert not [name for name in ("mistakes", "confusion", "uncertain") if "no picture" in page.texts[name]]
    assert len(re.findall(r'<a class="pic p0"', page.source)) >= 2


def test_pictures_are_limited_the_first_mistakes_come_first() -> None:
    some = night(side=54)
    some.pictures = {key: picture(i, 54) * 40 for i, key in enumerate(some.pictures)}
    page = parsed(some)
    assert 0 < sum(map(len, page.pictures)) <= PICTURE_BYTES
    assert len(page.pictures) < 24
    first = page.source.index('<section id="mistakes"')
    assert 'class="pic p0"' in page.source[first : first + 500]
    assert 'class="pic none"' not in page.source, "what has no picture is a text"
    lacking = re.search(r"(\d+) of these (\d+) have no picture here: a run keeps the pictures", page.texts["mistakes"])
    assert lacking is not None
    mistakes = page.source[first : page.source.index("</section>", first)]
    assert [int(n) for n in lacking.groups()] == [24 - mistakes.count('class="pic p'), 24]


def test_hostile_names_are_text(any_page: ParsedPage) -> None:
    assert any_page.source.count("<script") == 1
    tags = {element[0] for element in any_page.elements}
    assert tags.isdisjoint({"img", "iframe", "link", "object", "base", "form"})
    assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", any_page.source)


def test_hostile_names_can_be_read() -> None:
    text = parsed(night(HOSTILE, hostile=True)).text
    assert "<script>alert(1)</script> taken for" in text
    assert r"\x1b[2J\u202egpj.exe" in text
    assert "w" * 20 + "…" in text
    assert "w" * 200 not in text


def test_same_figures_same_page() -> None:
    some = night(failures=FAILURES)
    assert report(*some.arguments) == report(*some.arguments)


def test_script_and_style_are_files_of_the_package() -> None:
    pages = Path(__file__).parents[2] / "pipeline" / "report" / "pages"
    assert all(path.suffix == ".j2" for path in pages.iterdir()), "setup.py packs *.j2 only"
    assert '"pipeline.report": ["pages/*.j2"]' in (pages.parents[2] / "setup.py").read_text()


def test_class_that_was_never_predicted_has_a_row_among_few_and_is_counted_among_many() -> None:
    some = night(is_labelled=False)
    some.figures["per_class"][3] |= {"predicted": 0, "unlabelled": 0}
    assert ["class 3", "0", "0.00 %", "10.00 %"] in parsed(some).table("10 classes")
    many = night([f"class {c}" for c in range(40)], is_labelled=False)
    many.figures["per_class"][3] |= {"predicted": 0, "unlabelled": 0}
    assert len(parsed(many).table("39 classes; the model has 1 more, of which there is no image")) == 40
