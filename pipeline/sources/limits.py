"""Limits beyond which bytes are no image: too many, or inflated too far."""

from __future__ import annotations

from pipeline.batches import Failure

GZIP = b"\x1f\x8b"
"""Bytes at the start of a gzip file (RFC 1952)."""

DEFLATED = 1032
"""Bytes that deflate makes from one byte, at most. Other methods make a thousand times as many."""

BLOCK = 1 << 20
"""Bytes that are read at once from a container whose members are read one after the other."""


LONGEST = 512 << 20
"""Bytes of an image's file, at most: the default of --max_pixels in 16-bit color without compression."""

RATIO = 200
"""Bytes that an image inflates to from one stored byte, at most, after its first SMALL bytes.

Formats of images leave little to compress. Only a large image of one color, stored as BMP, PPM or plain TIFF, comes
near; deflate itself ends at 1032.
"""

SMALL = 16 << 20
"""Bytes that any image may inflate to, however few are stored."""


MEMBERS = 1 << 22
"""Members of a zip or a compressed tar, at most: their names take half a gigabyte, a zip's directory some three."""


def too_large(size: int, packed: int | None = None, what: str = "member") -> Failure | None:
    """Return why bytes are too many to be an image, None if they are not.

    >>> too_large(20 << 20, 20_000).message, too_large(20 << 20, 100_000)
    ('member inflates 1,048-fold to 20,971,520 bytes; no image inflates more than 200-fold', None)

    Args:
        size: number of bytes, inflated.
        packed: number of bytes that are stored, if these are compressed.
        what: the word for them in the text: "member", "file", "image".
    """
    if size > LONGEST:
        return Failure("read", "RESOURCE_EXHAUSTED", f"{what} of {size:,} bytes is larger than {LONGEST:,}")
    if packed is not None and size > SMALL + RATIO * packed:
        ratio = f"{what} inflates {size // max(packed, 1):,}-fold to {size:,} bytes"
        return Failure("read", "RESOURCE_EXHAUSTED", f"{ratio}; no image inflates more than {RATIO}-fold")
    return None
