"""What is too large, or inflates too far, to be an image."""

from __future__ import annotations

from pipeline.batches import Failure

GZIP = b"\x1f\x8b"
"""Bytes that a gzip file starts with (RFC 1952)."""

DEFLATED = 1032
"""What deflate makes of one byte at most. Others make a thousand times as many, of which no end would be seen."""


BLOCK = 1 << 20
"""Bytes read at once from a container whose members are read one after the other."""


LONGEST = 512 << 20
"""No image's file is larger: as many pixels as --max_pixels allows by default, as 16-bit color without compression."""


RATIO, SMALL = 200, 16 << 20
"""After its first SMALL bytes no image inflates more than RATIO-fold. Formats of images leave little to compress; it
takes a large image of one color, stored as BMP, PPM or plain TIFF, to come near (deflate ends at 1032)."""


MEMBERS = 1 << 22
"""No zip or compressed tar has more: names of so many take half a gigabyte, a zip's directory some three."""


def too_large(size: int, packed: int | None = None, what: str = "member") -> Failure | None:
    """Return why bytes are not read that would be more than an image's; None if they are not.

    >>> too_large(20 << 20, 20_000).message, too_large(20 << 20, 100_000)
    ('member inflates 1,048-fold to 20,971,520 bytes; no image inflates more than 200-fold', None)

    Args:
        size: how many they would be.
        packed: how many are stored, if they are compressed.
        what: they are.
    """
    if size > LONGEST:
        return Failure("read", "RESOURCE_EXHAUSTED", f"{what} of {size:,} bytes is larger than {LONGEST:,}")
    if packed is not None and size > SMALL + RATIO * packed:
        ratio = f"{what} inflates {size // max(packed, 1):,}-fold to {size:,} bytes"
        return Failure("read", "RESOURCE_EXHAUSTED", f"{ratio}; no image inflates more than {RATIO}-fold")
    return None
