"""The name of an image relative to the input that holds it: what stays if an archive lies elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.storage import fixed_prefix, key_of


def relative_names(keys: pa.ChunkedArray, inputs: Sequence[str]) -> pa.ChunkedArray:
    """Return the part of each key behind the folder of its input; a key that lies in none stays whole.

    The folder of an input is the input itself; of a file the folder that holds it; of a glob the folder before the
    first wildcard.

    Args:
        keys: large_string.
        inputs: locations or globs, as the run has them.

    >>> keys = pa.chunked_array([["/a/x/1.png", "/a/t.tar!2.png", "gs://b/3.png"]], pa.large_string())
    >>> relative_names(keys, ["/a/x", "/a/t.tar", "/c"]).to_pylist()
    ['1.png', 't.tar!2.png', 'gs://b/3.png']
    """
    names, rest = pa.scalar(None, pa.large_string()), keys
    for folder in folders_of_inputs(inputs):
        inside = pc.starts_with(rest, folder)
        names = pc.coalesce(names, pc.if_else(inside, pc.utf8_slice_codeunits(rest, len(folder)), None))
        rest = pc.if_else(inside, None, rest)
        if rest.null_count == len(rest):
            break
    return pc.coalesce(names, rest)


def folders_of_inputs(inputs: Sequence[str]) -> list[str]:
    """Return the folders in which the images of inputs lie, as keys begin: the longest first, each with its slash.

    >>> folders_of_inputs(["/a/x", "gs://b/*.png"])
    ['gs://b/', '/a/x/', '/a/']
    """
    return sorted({folder for pattern in inputs for folder in _folders(pattern)}, key=lambda one: (-len(one), one))


def _folders(pattern: str) -> Iterator[str]:
    fixed = fixed_prefix(pattern)
    if fixed == pattern:
        yield key_of(pattern.rstrip("/") + "/")
    above = fixed.rstrip("/") if fixed == pattern else fixed
    yield key_of(above[: above.rfind("/") + 1])
