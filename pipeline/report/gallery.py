"""The pictures of a page: each is embedded once, however many lists show it, and all together stay small.

Must not know what they illustrate.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

JPEG = b"\xff\xd8"


PICTURE_BYTES = 600_000
"""All pictures of a page together, as it embeds them."""


@dataclass(frozen=True)
class Gallery:
    """What is embedded.

    Attributes:
        names: key -> name of its style class.
        addresses: name of a style class -> data: URI.
    """

    names: dict[str, str]
    addresses: dict[str, Markup]


def gallery(keys: Iterable[str], pictures: Mapping[str, bytes]) -> Gallery:
    """Return the pictures that there is room for.

    Args:
        keys: of the images that a page shows, those first whose pictures tell most; repeated as may be.
        pictures: key -> PNG or JPEG file; not for all.
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
    return Gallery(names, {name: Markup(address) for address, name in addresses.items()})


def data_uri(data: bytes) -> str:
    """Return a PNG or JPEG file as a data: URI (RFC 2397)."""
    kind = "jpeg" if data.startswith(JPEG) else "png"
    return f"data:image/{kind};base64," + base64.b64encode(data).decode("ascii")
