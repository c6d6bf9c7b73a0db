"""What a file's name promises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.names import IMAGE_SUFFIXES, is_image_name, is_junk_name, is_sidecar_name, suffix


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.png", ".png"),
        ("a/b.c/X.JPG", ".jpg"),
        ("a.b/none", ""),
        (".png", ".png"),
        ("a.", "."),
        ("", ""),
        ("a.tar.gz", ".gz"),
        ("\udcff.PNG", ".png"),
        ("a\nb.png", ".png"),
    ],
)
def test_a_suffix_is_the_last_and_in_lower_case(name: str, expected: str) -> None:
    assert suffix(name) == expected


@pytest.mark.parametrize("ending", sorted(IMAGE_SUFFIXES))
def test_images_are_known_by_suffix_in_any_folder_and_case(ending: str) -> None:
    for name in (f"a{ending}", f"./a/b.c/x y#%{ending.upper()}", f"../{ending}", f"/a{ending}"):
        assert is_image_name(name)
        assert not is_sidecar_name(name)
    assert not is_image_name(f"a{ending}x")
    assert not is_image_name(f"a{ending}/")


@pytest.mark.parametrize(
    ("name", "junk"),
    [
        (".DS_Store", True),
        ("a/.DS_Store", True),
        ("a/Thumbs.db", True),
        ("a/._b.png", True),
        ("__MACOSX/a.png", True),
        ("x/__MACOSX/y/a.png", True),
        ("a/", True),
        ("", True),
        ("__MACOSX.png", False),
        ("my__MACOSX/a.png", False),
        (".hidden.png", False),
        ("_.png", False),
    ],
)
def test_junk_is_what_desktops_leave_behind(name: str, junk: bool) -> None:
    assert is_junk_name(name) == junk


def test_sidecars_are_labels_and_no_junk() -> None:
    assert is_sidecar_name("a/1.cls")
    assert is_sidecar_name("a/1.JSON")
    assert not is_sidecar_name("a/._1.json")
    assert not is_sidecar_name("a/1.txt")


@given(st.text())
def test_a_name_promises_one_thing_at_most(name: str) -> None:
    assert is_image_name(name) + is_sidecar_name(name) + is_junk_name(name) <= 1
