"""A page names images by their paths below the inputs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.places import headline, places_of, root_of, split_key
from pipeline.storage.locations import join, key_of

names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)


@given(names, st.lists(names, min_size=1, max_size=3))
def test_path_below_a_folder_is_the_key_without_the_folder(folder: str, path: list[str]) -> None:
    location = f"/data/{folder}"
    root = root_of(location)
    assert root in (location, "/data")
    key = key_of(join(location, *path))
    assert key_of(join(location, *path)[len(root) + 1 :]) == places_of([key_of(location)]).name(key)


def test_names_that_are_not_utf8_or_look_encoded_are_found_below_their_folder() -> None:
    folder = "/data/%41 \udcff"
    places = places_of([key_of(folder)])
    assert places.name(key_of(f"{folder}/a.png")) == "a.png"
    assert places.name(key_of(f"{folder}/50%41.png")) == "50%2541.png"


@pytest.mark.parametrize(
    ("inputs", "key", "name"),
    [
        (["/a"], "/ab/c.png", "/ab/c.png"),
        (["/"], "/ab/c.png", "ab/c.png"),
        (["/a/x.tar"], "/a/x.tar!b/c.png", "x.tar!b/c.png"),
        (["/a/data-00000-of-00002"], "/a/data-00000-of-00002#5", "data-00000-of-00002#5"),
        (["/a/list.csv"], "/a/images/1.png", "images/1.png"),
        (["/a/list.csv"], "/b/1.png", "/b/1.png"),
        (["/a/one.png"], "/a/one.png", "one.png"),
        (["gs://b"], "gs://b/1.png", "1.png"),
        (["gs://b/2025-*/*.png"], "gs://b/2025-01/1.png", "2025-01/1.png"),
        (["/a", "/a/b"], "/a/b/1.png", "b: 1.png"),
        (["/a", "/a/b"], "/a/c/1.png", "a: c/1.png"),
        (["/2025/photos", "/2026/photos"], "/2026/photos/1.png", "2: 1.png"),
        (["/a/x.tar", "/a/y.tar"], "/a/y.tar!1.png", "y.tar!1.png"),
        ([], "/a/1.png", "/a/1.png"),
    ],
)
def test_name_of_an_image(inputs: list[str], key: str, name: str) -> None:
    assert places_of(inputs).name(key) == name


def test_folder_that_is_the_input_itself_is_a_dot() -> None:
    assert places_of(["/a"]).name("/a") == "."


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("/", "/"),
        ("/*.png", "/*.png"),
        ("gs://bucket", "bucket"),
        ("gs://bucket/*.png", "bucket/*.png"),
        ("/a/b/**", "b/**"),
    ],
)
def test_headline_begins_with_the_last_folder_that_is_sure(pattern: str, name: str) -> None:
    assert headline([pattern]) == name


def test_marks_in_names_of_image_files_are_no_places_in_archives() -> None:
    for key in ("/a/b!c.png", "/a/b.png#1", "/a/#1.png"):
        assert split_key(key) == (key, "")
    assert split_key("/a/b.npz!images#12") == ("/a/b.npz", "!images#12")
