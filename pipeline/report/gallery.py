"""The gallery holds the pictures of a page: each is embedded once, and all together stay small.

Several lists of the page may show the same picture. Must not know what the pictures illustrate.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from markupsafe import Markup

from pipeline.report.places import Places

JPEG = b"\xff\xd8"
"""First bytes of a JPEG file."""

PICTURE_BYTES = 1_200_000
"""Bytes of all pictures of a page together, as data: URIs."""

FEW_STORED = "a run keeps the pictures of a few images of each work unit, and the page has room for a part of them"
"""Why an image has no picture on the page of a run, as a phrase."""

FEW_SHOWN = "the page has room for the first ones only"
"""The same on the page of a training or an import, where every image could have one."""

SMOOTH = 64
"""Pixels of the longer side of a picture from which on it is drawn smoothly: it may have been larger.

In a smaller one each pixel is to be seen, as the model saw it.
"""

LINK_BYTES = 200_000
"""Bytes of all links of a page to originals together."""


@dataclass(frozen=True)
class Gallery:
    """The pictures that a page embeds.

    Attributes:
        names: key of an image -> name of the style class that draws its picture.
        addresses: name of a style class -> data: URI of its picture.
        smooth: names of the style classes whose pictures are drawn smoothly, not pixel by pixel.
        places: how the page names images.
        links: key of an image -> address of its original.
        why_none: why an image has no picture, as a phrase.
    """

    names: dict[str, str]
    addresses: dict[str, Markup]
    smooth: frozenset[str] = frozenset()
    places: Places = field(default_factory=Places)
    links: dict[str, str] = field(default_factory=dict)
    why_none: str = FEW_STORED


def gallery(
    keys: Iterable[str],
    pictures: Mapping[str, bytes],
    places: Places | None = None,
    room: int = PICTURE_BYTES,
    why_none: str = FEW_STORED,
) -> Gallery:
    """Return the pictures of a page and the links to their originals, as many as the limits allow.

    Args:
        keys: keys of the images that the page shows, the most important first; one comes as often as it is shown.
        pictures: key -> PNG or JPEG file; an image may have none.
        places: how the page names images; None: by their keys.
        room: bytes that all pictures may take, as data: URIs.
        why_none: why some have none, as a phrase.
    """
    every, places = list(keys), places or Places()
    names: dict[str, str] = {}
    smooth: set[str] = set()
    addresses: dict[str, str] = {}
    for key in every:
        if key in names or key not in pictures:
            continue
        address = data_uri(pictures[key])
        if address not in addresses and len(address) <= room:
            addresses[address] = f"p{len(addresses)}"
            if side_of(pictures[key]) >= SMOOTH:
                smooth.add(addresses[address])
            room -= len(address)
        if address in addresses:
            names[key] = addresses[address]
    styles = {name: Markup(address) for address, name in addresses.items()}
    return Gallery(names, styles, frozenset(smooth), places, _links(every, places), why_none)


def _links(keys: Iterable[str], places: Places) -> dict[str, str]:
    """Return key -> address of its original, of the first images, as long as all links take at most LINK_BYTES."""
    links: dict[str, str] = {}
    room = LINK_BYTES
    for key, times in Counter(keys).items():
        address = places.link(key)
        if address is not None and times * len(address) <= room:
            links[key] = address
            room -= times * len(address)
    return links


def side_of(data: bytes) -> int:
    """Return how many pixels the longer side of a PNG or JPEG file has; 0 where its header does not tell."""
    if not data.startswith(JPEG):
        return max(int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"))
    at = 2
    while at + 9 <= len(data):
        if 0xC0 <= data[at + 1] <= 0xC3:  # a frame begins: length, depth, height, width
            return max(int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big"))
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0


def data_uri(data: bytes) -> str:
    """Return a PNG or JPEG file as a data: URI (RFC 2397)."""
    kind = "jpeg" if data.startswith(JPEG) else "png"
    return f"data:image/{kind};base64," + base64.b64encode(data).decode("ascii")
