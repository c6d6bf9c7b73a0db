"""Safe names: one component of a path, whatever anybody has called a class or an image."""

from __future__ import annotations

import os
import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.export.names import LONGEST, file_name, fold, hashed, looks_hashed, safe

HOSTILE = st.one_of(
    st.text(max_size=12),
    st.text(alphabet='./\\\0 ~-aA\u202e\u0301é:*?<>|"\n', max_size=12),
    st.sampled_from(["CON", "nul.png", "com1", "..", ".", "", "x" * 300, "é" * 200, "aux .txt", "LPT9.tar.gz"]),
)
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)\s*(\.|$)", re.IGNORECASE)


@given(HOSTILE)
@example("a/../../b")
@example("..")
def test_name_is_one_visible_component(name: str) -> None:
    made = safe(name)
    assert made not in ("", ".", "..")
    assert not set(made) & set('/\\\0<>:"|?*')
    assert not any(unicodedata.category(c).startswith("C") for c in made)
    assert made[0] not in ".-~ "
    assert made[-1] not in ". "
    assert len(made.encode()) <= LONGEST + 1
    assert not DEVICES.match(made)
    assert os.path.normpath(os.path.join("/folder", made)) == f"/folder/{made}"


@pytest.mark.parametrize("name", ["night fox", "IMG_0001", "größe", "a.b (2)", "x#17", "日本"])
def test_good_name_stays(name: str) -> None:
    assert safe(name) == name


def test_long_name_keeps_its_start_and_its_end() -> None:
    stem, suffix = file_name(f"site 1/{'ü' * 300}/IMG_0001.JPG", "")
    assert len(stem.encode()) <= LONGEST
    assert (stem[:10], stem[-10:], suffix) == ("site 1__üü", "__IMG_0001", ".JPG")


@given(HOSTILE, HOSTILE)
def test_names_with_hashes_are_told_apart(one: str, other: str) -> None:
    assert looks_hashed(hashed(safe(one), one))
    assert (hashed("x", one) == hashed("x", other)) == (one == other)


def test_fold_is_what_file_systems_take_for_one() -> None:
    assert fold("Straße") == fold("STRASSE") == fold("strasse")
    assert fold("é") == fold("e\u0301") == fold("É")
    assert fold("a") != fold("b")


@pytest.mark.parametrize(
    ("path", "suffix", "expected"),
    [
        ("site 1/IMG_7.JPG", ".png", "site 1__IMG_7.JPG"),
        ("a.tfrecord#17", ".jpg", "a.tfrecord#17.jpg"),
        ("x.tar!cat/1", "", "x.tar!cat__1"),
        ("../../etc/passwd", ".png", "_..__..__etc__passwd.png"),
        (".png", ".png", "_.png.png"),
    ],
)
def test_file_keeps_its_folders_and_its_suffix(path: str, suffix: str, expected: str) -> None:
    assert "".join(file_name(path, suffix)) == expected
