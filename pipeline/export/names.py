r"""Names of files and folders that are safe on every common file system, made of names that anybody may have chosen.

A name of ours is one component of a path: it never leaves its folder, is never hidden, never a device of Windows, and
fits into 255 bytes. Two names are the same file where only their case, or the composition of their characters, differs;
`fold` says so. Must not know any folder.
"""

from __future__ import annotations

import os
import re
import unicodedata
from hashlib import blake2b

from pipeline.image_kinds import READ_SUFFIXES

LONGEST = 200
"""Bytes of a name, at most: 255 are allowed, and a hash and a suffix may follow."""

BETWEEN = "__"
"""What stands in a file's name for "/" in the image's path."""

_PLAIN = re.compile(r"[A-Za-z0-9_(\[](?:[A-Za-z0-9_.()\[\] +,#!@=&%-]*[A-Za-z0-9_()\])])?")
"""Names that stay as they are, if they are short and no device."""

_REFUSED = re.compile(r'[/\\<>:"|?*]')
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9\xb9\xb2\xb3]|lpt[0-9\xb9\xb2\xb3])\s*(?:\.|$)", re.IGNORECASE
)
_HASHED = re.compile(r"-[0-9a-f]{16}$")


def safe(name: str) -> str:
    r"""Return a name as a component of a path: what is not allowed becomes `_`.

    >>> safe("night fox"), safe("../etc/passwd"), safe("con.png"), safe("a\0b\n"), safe("x. "), safe("")
    ('night fox', '_.._etc_passwd', '_con.png', 'a_b_', 'x__', '_')
    """
    if len(name) <= LONGEST and _PLAIN.fullmatch(name) and not _DEVICE.match(name):
        return name
    name = unicodedata.normalize("NFC", name)
    name = "".join(
        "_" if unicodedata.category(c)[0] == "C" or unicodedata.category(c) in ("Zl", "Zp") else c for c in name
    )
    name = _shortened(_REFUSED.sub("_", name))
    if not name or name[0] in ".-~ " or _DEVICE.match(name):
        name = f"_{name[1:] if name[:1] == ' ' else name}"
    kept = name.rstrip(". ")
    return kept + "_" * (len(name) - len(kept))


def _shortened(name: str) -> str:
    """Return a name that fits into LONGEST bytes, cut in its middle: its end tells as much as its start."""
    data = name.encode("utf-8", "replace")
    if len(data) <= LONGEST:
        return name
    end = (LONGEST - len(BETWEEN)) * 2 // 3
    start = LONGEST - len(BETWEEN) - end
    return f"{data[:start].decode('utf-8', 'ignore')}{BETWEEN}{data[-end:].decode('utf-8', 'ignore')}"


def fold(name: str) -> str:
    """Return what two names have in common that may be the same file: on macOS and Windows, A.png and a.png are.

    >>> fold("IMG.JPG") == fold("img.jpg")
    True
    """
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def short_hash(text: str) -> str:
    """Return 16 hex digits that tell a text from others."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def file_name(path: str, suffix: str) -> tuple[str, str]:
    """Return the safe name of an image's file, as a stem and a suffix; the folders above it stand in the stem.

    Args:
        path: of the image, relative to its input.
        suffix: for an image whose path ends in none that images have; "" gives none.

    >>> file_name("site 1/IMG_7.JPG", ".png"), file_name("a.tfrecord#17", ".png"), file_name("a.tar!b/c", "")
    (('site 1__IMG_7', '.JPG'), ('a.tfrecord#17', '.png'), ('a.tar!b__c', ''))
    """
    stem, own = os.path.splitext(path)
    if own.lower() in READ_SUFFIXES:
        suffix = own
    else:
        stem = path
    return safe(stem.replace("/", BETWEEN)), suffix


def looks_hashed(stem: str) -> bool:
    """Return whether a name ends as one that `hashed` has made; it then gets a hash in any case, so none is another's.

    >>> looks_hashed(hashed("cat", "a"))
    True
    """
    return _HASHED.search(stem) is not None


def hashed(stem: str, text: str) -> str:
    """Return a name with a hash of a text behind it, which tells it from others that look the same.

    >>> hashed("IMG", "/photos/img.jpg")
    'IMG-b9aebb4b85705a6e'
    """
    return f"{stem}-{short_hash(text)}"
