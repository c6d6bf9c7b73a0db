"""Hashes of 64 bits as the rows have them: texts of 16 hex digits, a whole column at once.

A number of 64 bits would lose its last digits wherever a reader of the rows makes a float of it.
Must not know what is hashed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

DIGITS = 16
"""Hex digits of a hash."""


def to_texts(hashes: npt.NDArray[np.uint64], known: npt.NDArray[np.bool_]) -> pa.Array:
    """Return hashes as a column of strings.

    Args:
        hashes: uint64 [n].
        known: bool [n]; where it is False, the text is null.

    >>> to_texts(np.array([255, 1], np.uint64), np.array([True, False])).to_pylist()
    ['00000000000000ff', None]
    """
    texts = hashes.astype(">u8").tobytes().hex().encode("ascii")
    places = np.arange(0, len(texts) + 1, DIGITS, dtype=np.int32)
    column = pa.StringArray.from_buffers(len(hashes), pa.py_buffer(places), pa.py_buffer(texts))
    return column if known.all() else pc.if_else(pa.array(known), column, None)


def from_texts(column: pa.Array | pa.ChunkedArray) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """Return a column of strings as hashes.

    Args:
        column: strings of 16 hex digits, or null.

    Returns:
        uint64 [n], 0 where the text is null, and bool [n], whether there is a text.

    Raises:
        ValueError: a text is no hash.

    >>> hashes, known = from_texts(pa.array(["00000000000000ff", None]))
    >>> hashes.tolist(), known.tolist()
    ([255, 0], [True, False])
    """
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(whole, pa.ChunkedArray):  # more than a column of strings can hold comes in several
        pieces = [from_texts(one) for one in whole.chunks]
        return np.concatenate([one for one, _ in pieces]), np.concatenate([one for _, one in pieces])
    known = np.asarray(pc.is_valid(whole).to_numpy(zero_copy_only=False), np.bool_)
    hashes = np.zeros(len(whole), np.uint64)
    if known.any():
        hashes[known] = _numbers(whole.drop_null())
    return hashes, known


def _numbers(texts: pa.Array) -> npt.NDArray[np.uint64]:
    """Return the numbers of texts, of which none is null."""
    refusal = f"a hash is no text of {DIGITS} hex digits"
    lengths = pc.binary_length(texts)
    if pc.min(lengths).as_py() != DIGITS or pc.max(lengths).as_py() != DIGITS:
        raise ValueError(refusal)
    binary = texts.cast(pa.binary()).cast(pa.binary(DIGITS))  # digits behind each other, wherever the column begins
    start = binary.offset * DIGITS
    digits = binary.buffers()[1].slice(start, len(binary) * DIGITS).to_pybytes()
    try:
        found = bytes.fromhex(digits.decode("ascii"))
    except ValueError as error:
        raise ValueError(refusal) from error
    if len(found) * 2 != len(digits):  # spaces are passed over
        raise ValueError(refusal)
    return np.frombuffer(found, ">u8").astype(np.uint64)
