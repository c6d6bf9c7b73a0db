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

PICTURE_BYTES = 600_000
"""Bytes of all pictures of a page together, as data: URIs."""

LINK_BYTES = 200_000
"""Bytes of all links of a page to originals together."""


@dataclass(frozen=True)
class Gallery:
    """The pictures that a page embeds.

    Attributes:
        names: key of an image -> name of the style class that draws its picture.
        addresses: name of a style class -> data: URI of its picture.
        places: how the page names images.
        links: key of an image -> address of its original.
    """

    names: dict[str, str]
    addresses: dict[str, Markup]
    places: Places = field(default_factory=Places)
    links: dict[str, str] = field(default_factory=dict)


def gallery(
    keys: Iterable[str], pictures: Mapping[str, bytes], places: Places | None = None, room: int = PICTURE_BYTES
) -> Gallery:
    """Return the pictures of a page and the links to their originals, as many as the limits allow.

    Args:
        keys: keys of the images that the page shows, the most important first; one comes as often as it is shown.
        pictures: key -> PNG or JPEG file; an image may have none.
        places: how the page names images; None: by their keys.
        room: bytes that all pictures may take, as data: URIs.
    """
    every, places = list(keys), places or Places()
    names: dict[str, str] = {}
    addresses: dict[str, str] = {}
    for key in every:
        if key in names or key not in pictures:
            continue
        address = data_uri(pictures[key])
        if address not in addresses and len(address) <= room:
            addresses[address] = f"p{len(addresses)}"
            room -= len(address)
        if address in addresses:
            names[key] = addresses[address]
    return Gallery(names, {name: Markup(address) for address, name in addresses.items()}, places, _links(every, places))


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


def data_uri(data: bytes) -> str:
    """Return a PNG or JPEG file as a data: URI (RFC 2397)."""
    kind = "jpeg" if data.startswith(JPEG) else "png"
    return f"data:image/{kind};base64," + base64.b64encode(data).decode("ascii")
