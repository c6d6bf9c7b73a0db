"""Images that a model has learned from: they do not count for the verdict, wherever it is known which these are."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from learned_pixels import write_model
from task_rows import label_row, value_row
from written_output import Row, class_row, failed_row, write_output

from pipeline.comparison.compare import compare
from pipeline.comparison.verdict import Limits
from pipeline.metrics.comparison_figures import Comparison, JoinBy
from pipeline.model.input_rule import InputSpec
from pipeline.output.stored_rows import StoredRows, UnitRows

NAMES = ("cat", "dog", "eel")

ABOUT_IMAGES = ("shared", "scored", "changed", "agreement", "labels_differ", "labelled_in_one", "failed_in_a")
"""Fields that count all images, whatever a model was trained on."""

HEADLINE = ("labelled", "outcome", "quality_a", "quality_b", "difference")


def pixels(number: int) -> str:
    return f"{number:016x}"


def rows(seed: int, numbers: Sequence[int], accuracy: float, by_heart: Iterable[int] = ()) -> list[Row]:
    """Return rows of some images: right of those known by heart, and of so large a share of the others."""
    chance, known = random.Random(seed), set(by_heart)
    found: list[Row] = []
    for i in numbers:
        key, right = f"/archive/{i % 4}/{i}.png", i % 3
        is_right = chance.random() < accuracy or i in known
        said = right if is_right else (right + 1) % 3
        best = 0.999 if i in known else chance.uniform(0.5, 0.99)
        scores = [best if c == said else (1 - best) / 2 for c in range(3)]
        label = None if i % 7 == 0 else NAMES[right]
        more: dict[str, Any] = {"pixel_hash": pixels(i), "site": "north" if i % 2 else None}
        failed = chance.random() < 0.03
        found.append(failed_row(key) if failed else class_row(key, scores, NAMES, label, **more))
    return found


def write(folder: Path, some: Sequence[Row], learned: Iterable[int] | None = None, **more: Any) -> str:
    """Write an OUTPUT; its model has learned from pixels, None: nobody knows."""
    model = {} if learned is None else {"model": write_model(folder / "model", learned)}
    units = [some[start : start + 30] for start in range(0, len(some), 30)]
    write_output(folder / "out", units, NAMES, **{"columns": "site", "slice": "site", **model, **more})
    return str(folder / "out")


def figures_of(a: str, b: str, join: JoinBy = "key", **limits: Any) -> Comparison:
    return compare(a, b, join, Limits(**limits)).figures


def test_verdict_turns_round_where_a_knows_its_images_by_heart(tmp_path: Path) -> None:
    by_heart = range(800)
    one, other = rows(1, range(1_000), 0.6, by_heart), rows(2, range(1_000), 0.85)
    a, b = write(tmp_path / "a", one, by_heart), write(tmp_path / "b", other, ())
    before = figures_of(write(tmp_path / "a0", one), write(tmp_path / "b0", other), fail_if_worse=True)
    assert (before["outcome"], before["counted"], before["exit_code"]) == ("worse", "all", 4)
    found = figures_of(a, b, fail_if_worse=True)
    assert (found["outcome"], found["counted"], found["exit_code"]) == ("better", "unseen", 0)
    assert found["verdict"].startswith("on unseen images, B is better: ")
    back = figures_of(b, a, fail_if_worse=True)
    assert (back["outcome"], back["exit_code"], back["reasons"]) == ("worse", 4, [back["verdict"]])
    every = found["including_seen"]
    assert every is not None
    assert every["verdict"] == before["verdict"]
    assert every["verdict"].startswith("B is worse: ")
    assert (found["a"]["seen"], found["b"]["seen"]) == (found["seen"], 0)
    assert found["seen"] == every["labelled"] - found["labelled"] > 600


@pytest.mark.parametrize("form", ["parquet", pytest.param("jsonl", marks=pytest.mark.heavy)])
def test_figures_are_those_of_the_unseen_images_alone(tmp_path: Path, form: str) -> None:
    learned_a, learned_b = range(0, 200, 3), range(100, 260, 2)
    unseen = [i for i in range(400) if i not in learned_a and i not in learned_b]
    one, other = rows(3, range(400), 0.7, learned_a), rows(4, range(400), 0.8, learned_b)
    found = figures_of(write(tmp_path / "a", one, learned_a, format=form), write(tmp_path / "b", other, learned_b))
    kept = {f"/archive/{i % 4}/{i}.png" for i in unseen}
    few_a, few_b = ([row for row in some if row["key"] in kept] for some in (one, other))
    few = figures_of(write(tmp_path / "a1", few_a), write(tmp_path / "b1", few_b))
    every = figures_of(write(tmp_path / "a2", one), write(tmp_path / "b2", other))
    for name in (*HEADLINE, "classes", "right_to_wrong", "wrong_to_right"):
        assert found[name] == few[name], name  # type: ignore[literal-required]
        assert found[name] != every[name] or name == "outcome", name  # type: ignore[literal-required]
    assert {name: every[name] for name in ABOUT_IMAGES} == {name: found[name] for name in ABOUT_IMAGES}  # type: ignore[literal-required]
    assert found["including_seen"] == {name: every[name] for name in (*HEADLINE, "verdict")}  # type: ignore[literal-required]
    for mine, of_few, of_all in zip(*(parts(each) for each in (found, few, every)), strict=True):
        assert (mine["name"], mine["images"], mine["changed"]) == (of_all["name"], of_all["images"], of_all["changed"])
        for name in ("labelled", "a", "b", "difference", "interval_95", "p", "outcome"):
            assert mine[name] == of_few[name], name
    both = [a for a, b in zip(one, other, strict=True) if a["status"] == b["status"] == "ok" and a["label_name"]]
    numbers = [int(row["pixel_hash"], 16) for row in both]
    assert found["a"]["seen"] == sum(n in learned_a for n in numbers)
    assert found["b"]["seen"] == sum(n in learned_b for n in numbers)
    assert found["seen"] == sum(n in learned_a or n in learned_b for n in numbers)


def parts(figures: Comparison) -> list[Any]:
    return [*figures["folders"], *figures["columns"][0]["values"]]


def test_changed_images_without_a_label_are_shown_and_seen_ones_with_one_are_not(tmp_path: Path) -> None:
    one, other = rows(5, range(140), 0.2), rows(6, range(140), 0.9)
    found = figures_of(write(tmp_path / "a", one, range(70)), write(tmp_path / "b", other, ()))
    lists = [found[name] for name in ("right_to_wrong", "wrong_to_right", "other_changes")]
    labelled = [image["key"] for some in lists for image in some if image["label"] is not None]
    others = [image["key"] for image in found["other_changes"] if image["label"] is None]
    assert labelled
    assert all(number(key) >= 70 for key in labelled)
    assert any(number(key) < 70 for key in others)


def number(key: str) -> int:
    return int(Path(key).stem)


def test_flips_of_seen_images_count_for_their_limit(tmp_path: Path) -> None:
    right = [class_row(f"/archive/{i}.png", [0.8, 0.1, 0.1], NAMES, "cat", pixel_hash=pixels(i)) for i in range(10)]
    other = [class_row(f"/archive/{i}.png", [0.1, 0.8, 0.1], NAMES, "cat", pixel_hash=pixels(i)) for i in range(5)]
    a, b = write(tmp_path / "a", right, range(5)), write(tmp_path / "b", [*other, *right[5:]], ())
    found = figures_of(a, b, fail_if_worse=True, max_flips=0.4)
    assert (found["changed"], found["scored"], found["exit_code"]) == (5, 10, 4)
    assert found["reasons"] == ["50.00 % of the predictions differ, more than --max_flips 0.4 allows"]
    assert found["verdict"].startswith("on unseen images, no difference can be seen: ")


def test_where_every_labelled_image_was_seen_nothing_is_decided(tmp_path: Path) -> None:
    one, other = rows(7, range(90), 0.9), rows(8, range(90), 0.5)
    a, b = write(tmp_path / "a", one, range(0, 90, 2)), write(tmp_path / "b", other, range(1, 90, 2))
    found = figures_of(a, b, fail_if_worse=True)
    assert (found["counted"], found["seen"], found["including_seen"]) == ("seen", found["labelled"], None)
    assert found["verdict"].startswith("on images seen in training, B is worse: ")
    assert found["exit_code"] == 4
    assert found["reasons"] == ["--fail_if_worse cannot be decided: every shared labelled image was seen in training"]
    proves_nothing = "every shared labelled image was seen in training, so the figures of A and B prove nothing"
    assert any(remark.startswith(proves_nothing) for remark in found["remarks"])
    assert figures_of(a, b)["exit_code"] == 0
    every = figures_of(write(tmp_path / "a0", one), write(tmp_path / "b0", other))
    for name in (*HEADLINE, *ABOUT_IMAGES, "classes", "folders", "columns", "right_to_wrong", "other_changes"):
        assert found[name] == every[name], name  # type: ignore[literal-required]


def test_nothing_is_said_where_no_labelled_image_was_seen(tmp_path: Path) -> None:
    one, other = rows(9, range(90), 0.9), rows(10, range(90), 0.5)
    found = figures_of(write(tmp_path / "a", one, range(0, 90, 7)), write(tmp_path / "b", other, (1_000,)))
    assert (found["counted"], found["seen"], found["including_seen"]) == ("all", 0, None)
    assert found["verdict"].startswith("B is worse: ")
    assert found["remarks"] == ["A and B are of the same model"]


def test_where_a_training_is_not_known_its_images_count_and_that_is_said(tmp_path: Path) -> None:
    one, other = rows(11, range(90), 0.9), rows(12, range(90), 0.5)
    a, b = write(tmp_path / "a", one, range(40)), write(tmp_path / "b", other)
    why = "the model directory does not tell which images the model was trained on"
    found = figures_of(a, b)
    assert (found["b"]["seen"], found["b"]["training_unknown"]) == (None, why)
    assert (found["a"]["seen"], found["a"]["training_unknown"], found["counted"]) == (found["seen"], None, "unseen")
    assert f"B: {why}; images that it was trained on may count here" in found["remarks"]
    neither = figures_of(b, b)
    assert (neither["seen"], neither["counted"]) == (None, "all")
    assert [remark for remark in neither["remarks"] if why in remark] == [
        f"A and B: {why}; images that it was trained on may count here"
    ]
    (tmp_path / "a" / "model" / "training" / "pixel_hashes" / "facts.json").unlink()
    (remark,) = (one for one in figures_of(a, write(tmp_path / "b1", other, ()))["remarks"] if why in one)
    assert remark == f"A: {why}; its run found {scored(one, range(40))} images seen in training, and these count here"


def scored(some: Sequence[Row], numbers: Sequence[int]) -> int:
    return sum(row["status"] == "ok" and number(str(row["key"])) in numbers for row in some)


def test_pixels_by_another_input_rule_tell_nothing(tmp_path: Path) -> None:
    one = rows(13, range(40), 0.9)
    model = write_model(tmp_path / "other rule", range(20), rule=InputSpec(32, 32, "grayscale"))
    a = write(tmp_path / "a", one, model=model)
    found = figures_of(a, write(tmp_path / "b", one, range(10)))
    assert (found["a"]["seen"], found["counted"]) == (None, "unseen")
    why = "the images are decoded otherwise than those that the model was trained on"
    assert found["a"]["training_unknown"] == why


def test_images_that_validated_the_training_were_seen(tmp_path: Path) -> None:
    one = rows(13, range(40), 0.9)
    model = write_model(tmp_path / "model", range(10), of_set="validation")
    found = figures_of(write(tmp_path / "a", one, model=model), write(tmp_path / "b", one, ()))
    assert found["a"]["seen"]


def test_joined_by_name_each_model_is_asked_for_the_pixels_of_its_own_rows(tmp_path: Path) -> None:
    one = rows(14, range(60), 0.8)
    moved = [
        {**row, "key": f"/new{row['key']}", **({"pixel_hash": pixels(1_000 + i)} if row["status"] == "ok" else {})}
        for i, row in enumerate(rows(15, range(60), 0.8))
    ]
    a = write(tmp_path / "a", one, [*range(10), *range(1_010, 1_020)])
    b = write(tmp_path / "b", moved, [*range(20, 30), *range(1_030, 1_040)], input_name="/new/archive")
    found = figures_of(a, b, join="name")
    both = [n for n, (x, y) in enumerate(zip(one, moved, strict=True)) if x["status"] == y["status"] == "ok" and n % 7]
    assert found["labelled"] == len([n for n in both if not (n < 10 or 30 <= n < 40)])
    assert found["a"]["seen"] == len([n for n in both if n < 10])
    assert found["b"]["seen"] == len([n for n in both if 30 <= n < 40])


def test_values_and_labels_count_on_unseen_images_too(tmp_path: Path) -> None:
    hashes = [{"status": "ok", "pixel_hash": pixels(i)} for i in range(60)]
    far, near = ([{**value_row(f"/a/{i}.png", i, i + off), **hashes[i]} for i in range(60)] for off in (3.0, 1.0))
    spec = {"task": "value", "value_unit": 2.0**-10}
    model = write_model(tmp_path / "model", range(20))
    write_output(tmp_path / "a", [[*near[:20], *far[20:]]], spec=spec, model=model)
    write_output(tmp_path / "b", [[*far[:20], *near[20:40], *far[40:]]], spec=spec, model=model)
    found = figures_of(str(tmp_path / "a"), str(tmp_path / "b"))
    assert found["quality_a"] is not None
    assert (found["labelled"], found["quality_a"]["value"], found["outcome"]) == (40, 3.0, "better")
    assert {number(image["key"]) for image in found["wrong_to_right"]} <= set(range(20, 40))
    assert found["right_to_wrong"] == found["other_changes"] == []
    spec = {"task": "labels"}
    said, other = [0.9, 0.1, 0.1], [0.1, 0.9, 0.1]
    right, wrong = (
        [{**label_row(f"/a/{i}.png", ["cat"], [*scores, 0.0]), **hashes[i]} for i in range(60)]
        for scores in (said, other)
    )
    names = ("cat", "dog", "eel", "fox")
    write_output(tmp_path / "c", [[*right[:20], *wrong[20:]]], names, spec=spec, model=model)
    write_output(tmp_path / "d", [[*wrong[:20], *right[20:]]], names, spec=spec, model=model)
    found = figures_of(str(tmp_path / "c"), str(tmp_path / "d"))
    assert (found["labelled"], found["outcome"], found["changed"]) == (40, "better", 60)
    assert {change["class"]: change["gained"] for change in found["classes"]} == {"cat": 40, "dog": 40}


def test_hashes_are_read_only_where_a_training_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bool] = []
    by_unit = StoredRows.by_unit

    def recording(self: StoredRows, columns: Sequence[str]) -> Iterator[UnitRows]:
        read.append("pixel_hash" in columns)
        return by_unit(self, columns)

    one = rows(16, range(40), 0.9)
    a, b = write(tmp_path / "a", one, range(10)), write(tmp_path / "b", one)
    monkeypatch.setattr(StoredRows, "by_unit", recording)
    figures_of(a, a)
    assert read == [True, True]
    read.clear()
    figures_of(b, b)
    assert read == [False, False]
