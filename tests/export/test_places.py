"""Where images go: no two to one file, none outside, the same on any day."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_safe_names import HOSTILE

from pipeline.export.names import fold
from pipeline.export.places import By, Places, roots_of
from pipeline.units import WorkUnit

UNIT = WorkUnit("", "images", (), (), (), None)
CLASSES = st.one_of(HOSTILE, st.sampled_from(["none", "NONE", "failed", "a as b", "a", "b", "b as c", "c"]))
KEYS = st.lists(st.one_of(HOSTILE, st.sampled_from(["a/b", "a__b", "A__B", "A/b"])), unique=True, max_size=12)


def row(key: str, predicted: Any, label: str | None = None, **more: Any) -> dict[str, Any]:
    is_list = isinstance(predicted, list)
    named = {"predicted_names": predicted} if is_list else {"predicted_name": predicted, "predicted": predicted}
    return {"key": key, "status": "ok", "label": label, "label_name": label, "label_score": 0.1, **named, **more}


def placed(rows: Sequence[Mapping[str, Any]], by: By, unit: WorkUnit = UNIT) -> tuple[Places, list[list[str]]]:
    places = Places(by, [roots_of("/photos")])
    places.add(unit, rows)
    places.close()
    return places, [places.of_row(unit, row) for row in rows]


@given(KEYS, st.data(), st.sampled_from(["predicted", "accepted", "review", "confused"]))
def test_each_image_has_its_own_file_within_the_folder(keys: list[str], data: st.DataObject, by: By) -> None:
    some = data.draw(st.lists(CLASSES, min_size=1, max_size=4))
    chosen = st.sampled_from(some)
    rows = [
        row(f"/photos/{key}", data.draw(chosen), data.draw(chosen), accepted=data.draw(st.booleans())) for key in keys
    ]
    _, paths = placed(rows, by)
    every = [path for own in paths for path in own]
    assert len({fold(path) for path in every}) == len(every)
    folders: dict[str, Any] = {}
    for given_row, own in zip(rows, paths, strict=True):
        is_right = given_row["label"] == given_row["predicted"]
        left_out = (by == "confused" and is_right) or (by == "review" and given_row["accepted"])
        assert len(own) == (not left_out)
        for path in own:
            assert os.path.normpath(path) == path
            assert not path.startswith(("/", ".."))
            assert all(0 < len(part.encode()) <= 255 and part[0] != "." for part in path.split("/"))
            what = (given_row["label_name"], given_row["predicted_name"], given_row["accepted"])
            what = {"predicted": what[1:2], "accepted": what[1:], "review": what[1:], "confused": what[:2]}[by]
            assert folders.setdefault(fold(path.rpartition("/")[0]), what) == what, "two classes in one folder"


@given(KEYS)
def test_order_of_units_does_not_matter(keys: list[str]) -> None:
    rows = [row(f"/photos/{key}", "cat") for key in keys]
    _, paths = placed(rows, "predicted")
    _, backwards = placed(rows[::-1], "predicted")
    assert backwards[::-1] == paths


def test_names_are_clean_where_they_can_be() -> None:
    rows = [row("/photos/a/1.png", "cat"), row("/photos/A/1.png", "cat"), row("/photos/b/1.png", "cat")]
    _, ((one,), (other,), (third,)) = placed(rows, "predicted")
    assert third == "cat/b__1.png"
    assert one.startswith("cat/a__1-")
    assert other.startswith("cat/A__1-")
    assert one[-21:] != other[-21:]


def test_name_that_looks_like_one_with_a_hash_is_no_others() -> None:
    rows = [row("/photos/1.png", "cat"), row("/photos/1.PNG", "cat")]
    _, ((one,), _) = placed(rows, "predicted")
    rows.append(row(f"/photos/{one.removeprefix('cat/')}", "cat"))
    _, paths = placed(rows, "predicted")
    assert paths[0] == [one]
    assert len({path for (path,) in paths}) == 3


@pytest.mark.parametrize("names", [("none", "NONE"), ("é", "e\u0301"), ("a/b", "a_b"), ("x", "X-0123456789abcdef")])
def test_folders_of_two_classes_are_two(names: tuple[str, str]) -> None:
    rows = [row(f"/photos/{n}.png", [name]) for n, name in enumerate((*names, names[0]))] + [row("/photos/9.png", [])]
    _, paths = placed(rows, "predicted")
    first, other, again, none = (fold(path.partition("/")[0]) for (path,) in paths)
    assert first == again
    assert len({first, other, none}) == 3
    assert paths[3] == ["none/9.png"]


def test_folders_of_two_kinds_of_mistakes_are_two() -> None:
    rows = [row("/photos/1.png", "c", "a as b"), row("/photos/2.png", "b as c", "a")]
    _, ((one,), (other,)) = placed(rows, "confused")
    assert one.rpartition("/")[0] != other.rpartition("/")[0]


def test_labels_go_into_each_folder() -> None:
    rows = [row("/photos/1.png", ["cat", "dog"]), row("/photos/2.png", [])]
    assert placed(rows, "predicted")[1] == [["cat/1.png", "dog/1.png"], ["none/2.png"]]


def test_accepted_review_and_failed() -> None:
    failed = {**row("/photos/3.png", None), "status": "failed"}
    rows = [row("/photos/1.png", "cat", accepted=True), row("/photos/2.png", "cat", accepted=False), failed]
    assert placed(rows, "accepted")[1] == [["accepted/cat/1.png"], ["review/cat/2.png"], ["failed/3.png"]]
    assert placed(rows, "review")[1] == [[], ["review/cat/2.png"], []]
    assert placed([failed], "predicted")[1] == [[]]


def test_only_mistakes_are_confused() -> None:
    rows = [row("/photos/1.png", "cat", "cat"), row("/photos/2.png", "cat", "dog"), row("/photos/3.png", "cat", None)]
    rows[2]["label_score"] = None
    assert placed(rows, "confused")[1] == [[], ["confused/dog as cat/2.png"], []]


@pytest.mark.parametrize(
    ("source", "form", "name"), [("tfrecord", "JPEG", "x#0.jpg"), ("tar", None, "x#0"), ("idx", "PGM", "x#0.png")]
)
def test_image_without_a_suffix_gets_that_of_its_format(source: str, form: str | None, name: str) -> None:
    unit = WorkUnit("", source, (), (), (), None)
    assert placed([row("/photos/x#0", "cat", format=form)], "predicted", unit)[1] == [[f"cat/{name}"]]


def test_places_are_known_by_their_id() -> None:
    rows = [row("/photos/1.png", "cat"), row("/photos/2.png", "cat")]
    assert placed(rows, "predicted")[0].id == placed(rows, "predicted")[0].id
    assert placed(rows, "predicted")[0].id != placed([rows[0], row("/photos/2.png", "dog")], "predicted")[0].id
