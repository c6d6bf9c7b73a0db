"""The pictures of a page: each is embedded once, however many lists show it, and all together stay small.

Must not know what they illustrate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.thumbnails import data_uri

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
    chosen: dict[str, Markup] = {}
    room = PICTURE_BYTES
    for key in keys:
        if key in pictures and key not in chosen:
            address = data_uri(pictures[key])
            if len(address) <= room:
                chosen[key] = Markup(address)
                room -= len(address)
    names = {key: f"p{i}" for i, key in enumerate(chosen)}
    return Gallery(names, {names[key]: address for key, address in chosen.items()})
