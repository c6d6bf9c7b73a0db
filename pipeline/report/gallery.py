"""The gallery holds the pictures of a page: each is embedded once, and all together stay small.

Several lists of the page may show the same picture. Must not know what the pictures illustrate.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from markupsafe import Markup

from pipeline.report.places import Places

JPEG = b"\xff\xd8"
"""First bytes of a JPEG file."""

PICTURE_BYTES = 600_000
"""Bytes of all pictures of a page together, as data: URIs."""


@dataclass(frozen=True)
class Gallery:
    """The pictures that a page embeds.

    Attributes:
        names: key of an image -> name of the style class that draws its picture.
        addresses: name of a style class -> data: URI of its picture.
        places: how the page names images.
    """

    names: dict[str, str]
    addresses: dict[str, Markup]
    places: Places = field(default_factory=Places)


def gallery(keys: Iterable[str], pictures: Mapping[str, bytes], places: Places | None = None) -> Gallery:
    """Return the pictures of a page, as many as PICTURE_BYTES allows.

    Args:
        keys: keys of the images that the page shows, the most important first; a key may come more than once.
        pictures: key -> PNG or JPEG file; an image may have none.
        places: how the page names images; None: by their keys.
    """
    names: dict[str, str] = {}
    addresses: dict[str, str] = {}
    room = PICTURE_BYTES
    for key in keys:
        if key in names or key not in pictures:
            continue
        address = data_uri(pictures[key])
        if address not in addresses and len(address) <= room:
            addresses[address] = f"p{len(addresses)}"
            room -= len(address)
        if address in addresses:
            names[key] = addresses[address]
    return Gallery(names, {name: Markup(address) for address, name in addresses.items()}, places or Places())


def data_uri(data: bytes) -> str:
    """Return a PNG or JPEG file as a data: URI (RFC 2397)."""
    kind = "jpeg" if data.startswith(JPEG) else "png"
    return f"data:image/{kind};base64," + base64.b64encode(data).decode("ascii")
