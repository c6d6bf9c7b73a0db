"""Names of files, and what they promise: an image, a label, or junk. Must not open a file."""

from __future__ import annotations

import unicodedata

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
)
SIDECAR_SUFFIXES = frozenset({".cls", ".json"})
"""Suffixes of files that lie beside an image in an archive and may hold its label."""

_JUNK = frozenset({"", ".DS_Store", "Thumbs.db", "desktop.ini"})


def suffix(name: str) -> str:
    """Return a name's last suffix in lower case, with its dot.

    >>> suffix("a.b/X.JPG"), suffix("a.b/none")
    ('.jpg', '')
    """
    _, dot, ending = name.rpartition(".")
    return f".{ending.lower()}" if dot and "/" not in ending else ""


def same_name(name: str) -> str:
    r"""Return a name in the one spelling by which names are compared: composed (NFC), without spaces around it.

    A Mac writes é as e and an accent; everything else writes one letter.

    >>> same_name("cafe\u0301 ") == same_name("caf\u00e9"), same_name("cat") == same_name("Cat")
    (True, False)
    """
    name = name.strip()
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def is_image_name(name: str) -> bool:
    """Return whether a name promises an image of a supported format, and is no junk."""
    return suffix(name) in IMAGE_SUFFIXES and not is_junk_name(name)


def is_sidecar_name(name: str) -> bool:
    """Return whether a name in an archive promises a label beside an image, as in WebDataset."""
    return suffix(name) in SIDECAR_SUFFIXES and not is_junk_name(name)


def is_junk_name(name: str) -> bool:
    """Return whether a desktop or a console left this behind: .DS_Store, ._x.jpg, Thumbs.db, __MACOSX/, folders.

    >>> is_junk_name("__MACOSX/a.png"), is_junk_name("a/._b.png"), is_junk_name("a/"), is_junk_name("a/b.png")
    (True, True, True, False)
    """
    folder, _, file = name.rpartition("/")
    return file in _JUNK or file.startswith("._") or ("__MACOSX" in folder and "__MACOSX" in folder.split("/"))
