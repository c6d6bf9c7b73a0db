"""Pictures of a page are embedded once each, in the order of what they tell, up to a limit."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from pipeline.report.gallery import LINK_BYTES, PICTURE_BYTES, data_uri, gallery, side_of
from pipeline.report.places import places_of


def test_picture_is_embedded_once_however_often_it_is_named() -> None:
    result = gallery(["b", "a", "b"], {"a": b"1", "b": b"2"})
    assert result.names == {"b": "p0", "a": "p1"}
    assert result.addresses == {"p0": data_uri(b"2"), "p1": data_uri(b"1")}


def test_same_picture_under_two_names_is_embedded_once() -> None:
    result = gallery("abc", {"a": b"1", "b": b"1", "c": b"2"})
    assert result.names == {"a": "p0", "b": "p0", "c": "p1"}
    assert len(result.addresses) == 2


def test_image_without_a_picture_has_no_name() -> None:
    assert gallery("ab", {"b": b"1", "not named": b"2"}).names == {"b": "p0"}


def test_there_is_room_for_so_many_the_first_ones() -> None:
    third = PICTURE_BYTES * 3 // 4 // 3 - 100
    pictures = {key: key.encode() * third for key in "abcd"} | {"small": b"s"}
    result = gallery(["a", "b", "c", "d", "small", "a"], pictures)
    assert set(result.names) == {"a", "b", "c", "small"}
    assert sum(map(len, result.addresses.values())) <= PICTURE_BYTES


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_pixels_of_a_large_picture_are_not_drawn_as_squares(kind: str) -> None:
    pictures: dict[str, bytes] = {}
    for side in (63, 64):
        buffer = io.BytesIO()
        Image.new("RGB", (20, side), "red").save(buffer, kind, progressive=True)
        pictures[str(side)] = buffer.getvalue()
    assert [side_of(data) for data in pictures.values()] == [63, 64]
    assert gallery(pictures, pictures).smooth == {"p1"}
    assert side_of(b"1") == side_of(b"\xff\xd8\xff") == 0


def test_links_are_limited_the_first_ones_stay() -> None:
    keys = [f"/archive/{'a' * 1_000}{i}" for i in range(LINK_BYTES // 1_000)]
    result = gallery([*keys, keys[0]], {}, places_of(["/archive"]))
    assert list(result.links) == keys[: len(result.links)]
    assert LINK_BYTES - 2_000 < sum(map(len, result.links.values())) + len(result.links[keys[0]]) <= LINK_BYTES
