"""A look at the embeddings of a sample of a result's images: they are too many bytes to look at all.

Changes nothing.
"""

from __future__ import annotations

from contextlib import closing
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.metrics.review import Embeddings, Review
from pipeline.metrics.vectors import distance, facts_of, farthest
from pipeline.output.review_lists import Lists
from pipeline.output.stored_rows import look_ahead, rows_of

UNITS = 64
"""Number of units of which embeddings are looked at, spread over the plan."""

ROWS = 64
"""Number of images of each, at most, spread over its rows."""


class _Sample(NamedTuple):
    """Some images of a unit: their keys, and their embeddings as float [n, d]."""

    keys: list[str]
    vectors: npt.NDArray[np.floating]


def look_at_embeddings(lists: Lists, before: Review | None) -> Embeddings | None:
    """Return what a sample of the embeddings shows; None: no image has one.

    Args:
        lists: of the result.
        before: the review that lay in OUTPUT before, of the night before; None: there was none.
    """
    run, units = lists.run, lists.units
    chosen = [units[i] for i in np.unique(np.linspace(0, len(units) - 1, UNITS).astype(int))]
    with closing(look_ahead(lambda unit: _sample(lists, unit), chosen, run)) as samples:
        found = [sample for sample in samples if sample.keys]
    if not found:
        return None
    keys = [key for sample in found for key in sample.keys]
    vectors = np.concatenate([sample.vectors for sample in found])
    facts = facts_of(vectors)
    reference = None if before is None or before["model"] != run.spec.model_id else before.get("embeddings")
    far = farthest(vectors, reference["facts"] if reference and _fits(reference, vectors) else facts)
    return {
        "facts": facts,
        "from_before": distance(facts, reference["facts"]) if reference else None,
        "unlike": [keys[i] for i in far],
    }


def _fits(reference: Embeddings, vectors: npt.NDArray[np.floating]) -> bool:
    return bool(len(reference["facts"]["mean"]) == vectors.shape[1])


def _sample(lists: Lists, unit: str) -> _Sample:
    rows = rows_of(lists.run, unit, ["key", "embedding"]).rows
    rows = rows.filter(pc.is_valid(rows["embedding"]))
    places = np.unique(np.linspace(0, len(rows) - 1, ROWS).astype(int)) if len(rows) else np.zeros(0, int)
    some = rows.take(pa.array(places)).combine_chunks()
    size = some.schema.field("embedding").type.list_size
    flat = pc.list_flatten(some["embedding"].combine_chunks()) if len(some) else pa.array([], pa.float32())
    vectors = np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(len(some), size)
    sound = np.isfinite(vectors).all(axis=1)
    keys = some["key"].to_pylist()
    return _Sample([keys[i] for i in np.flatnonzero(sound).tolist()], vectors[sound])
