"""What a file's name promises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.names import (
    IMAGE_SUFFIXES,
    is_image_name,
    is_junk_name,
    is_sidecar_name,
    junk_in,
    may_be_image,
    same_name,
    suffix,
)


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
    for name in (f"a{ending}", f"./a/b.c/x y#%{ending.upper()}", f"../x{ending}", f"/a{ending}"):
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
        (".hidden.png", True),
        ("a/.trashed-1700000000-IMG_1.jpg", True),
        ("a/.Trashes/501/1.png", True),
        ("a/.ipynb_checkpoints/1-checkpoint.png", True),
        ("4/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg", True),
        ("#recycle/9/1.png", True),
        ("$Recycle.Bin/S-1-5/$R1.png", True),
        ("5/.@__thumb/default1.png", True),
        ("./a/b.png", False),
        ("../a/b.png", False),
        ("a/thumbnails/1.png", False),
        ("checkpoints/1.png", False),
        ("#hashtag/1.png", False),
        ("_.png", False),
    ],
)
def test_junk_is_what_desktops_leave_behind(name: str, junk: bool) -> None:
    assert is_junk_name(name) == junk


@pytest.mark.parametrize(
    ("pattern", "name", "junk"),
    [
        ("/*/.thumbnails/*", "/a/.thumbnails/1.png", False),
        ("/*/.thumbnails/*", "/a/.thumbnails/.1.png", True),
        ("/*/.thumbnails/**", "/a/.thumbnails/@eaDir/1.png", True),
        ("/.*/*.png", "/.Trash-1000/1.png", False),
        ("/@eaDir/**/*.jpg", "/@eaDir/1.png/2.jpg", False),
        ("/*/._*", "/a/._1.png", False),
        ("/*/*", "/@eaDir/1.png", True),
    ],
)
def test_what_a_glob_names_is_no_junk(pattern: str, name: str, junk: bool) -> None:
    assert is_junk_name(name, junk_in(pattern)) == junk


@pytest.mark.parametrize(
    ("name", "may"),
    [
        ("0e3fa2", True),
        ("a.png?w=640&h=480", True),
        ("a.jpg.1", True),
        ("a.jpg~", True),
        ("a.jpg_large", True),
        ("a.jpg.txt", True),
        ("a.JXL", True),
        ("a.part", True),
        ("a.png", False),
        ("a.txt", False),
        ("a.jpg.json", False),
        ("a.xml", False),
        ("x.y/MP4.mp4", False),
    ],
)
def test_only_content_tells_where_a_name_does_not(name: str, may: bool) -> None:
    assert may_be_image(name) == may


def test_names_are_the_same_in_both_forms_of_unicode_and_with_spaces_around() -> None:
    assert same_name(" cafe\u0301\n") == same_name("caf\u00e9") == "caf\u00e9"
    assert same_name("Cafe") != same_name("cafe")
    assert same_name("\udcff") == "\udcff", "bytes that are no UTF-8 stay"


def test_sidecars_are_labels_and_no_junk() -> None:
    assert is_sidecar_name("a/1.cls")
    assert is_sidecar_name("a/1.JSON")
    assert not is_sidecar_name("a/._1.json")
    assert not is_sidecar_name("a/1.txt")


@given(st.text())
def test_a_name_promises_one_thing_at_most(name: str) -> None:
    assert is_image_name(name) + is_sidecar_name(name) + is_junk_name(name) <= 1
