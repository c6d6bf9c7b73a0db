"""Links lead to the original of an image, whatever it is called."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.links import AWS, GOOGLE, LONGEST, below, link
from pipeline.report.places import places_of
from pipeline.storage.locations import key_of

names = st.binary(min_size=1, max_size=20).map(lambda name: name.replace(b"\0", b"").decode("utf-8", "surrogateescape"))


@given(names)
def test_file_of_any_name_is_the_one_that_a_link_opens(name: str) -> None:
    location = f"/data/photos/{name}"
    address = link(location)
    assert address is not None
    parts = urlsplit(address)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("file", "", "", "")
    assert unquote_to_bytes(parts.path) == location.encode("utf-8", "surrogateescape")
    assert places_of(["/data"]).link(key_of(location)) == address


@pytest.mark.parametrize(
    ("location", "address"),
    [
        ("gs://bucket/a/ü #1?.png", f"{GOOGLE}bucket/a/%C3%BC%20%231%3F.png"),
        ("s3://bucket/a/b&c=d.png", f"{AWS}bucket?prefix=a/b%26c%3Dd.png"),
        ("http://host/a.png?size=3", "http://host/a.png?size=3"),
        ("az://container/a.png", None),
        ("javascript:alert(1)", None),
        ("relative.png", None),
        ("/" + "a" * LONGEST, None),
    ],
)
def test_address_of_what_is_not_on_disk(location: str, address: str | None) -> None:
    assert link(location) == address


@pytest.mark.parametrize(
    ("inputs", "key", "address"),
    [
        (["/a"], "/a/x.tar!b/1.png", "file:///a/x.tar"),
        (["/a"], "/a/x.tfrecord#17", "file:///a/x.tfrecord"),
        (["/a"], "/b/1.png", "file:///b/1.png"),
        ([], "/b/1.png", None),
    ],
)
def test_member_of_an_archive_leads_to_the_archive(inputs: list[str], key: str, address: str | None) -> None:
    assert places_of(inputs).link(key) == address


@pytest.mark.parametrize(
    ("inputs", "base", "key", "address"),
    [
        (["/a"], "https://host/x/", "/a/b/1 2.png", "https://host/x/b/1%202.png"),
        (["/a"], "https://host/x", "/b/1.png", "file:///b/1.png"),
        (["gs://b/a"], "/mnt/b/a", "gs://b/a/1.png", "file:///mnt/b/a/1.png"),
        (["/a"], "gs://b", "/a/1.png", f"{GOOGLE}b/1.png"),
        (["az://c/a"], "https://me.blob.core.windows.net/c/a", "az://c/a/1", "https://me.blob.core.windows.net/c/a/1"),
        (["/a/b", "/a/bc"], "https://host", "/a/bc/1.png", "https://host/bc/1.png"),
        (["/a/b", "/a/b/c"], "https://host", "/a/b/c/1.png", "https://host/c/1.png"),
        (["/a", "gs://b"], "https://host", "/a/1.png", "file:///a/1.png"),
        (["gs://a", "gs://b"], "https://host", "gs://b/1.png", "https://host/b/1.png"),
    ],
)
def test_base_takes_the_place_of_what_the_inputs_have_in_common(
    inputs: list[str], base: str, key: str, address: str
) -> None:
    assert places_of(inputs, base).link(key) == address


def test_address_that_no_browser_takes_is_none() -> None:
    assert below("https://host", "a" * LONGEST) is None
