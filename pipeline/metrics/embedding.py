"""`EmbeddingSums` are sums over the rows of a model that gives an image an embedding and nothing else.

They tell whether embeddings are there and how long they are. Must not know where rows are stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.metrics.sums import Sums, failures_in
from pipeline.metrics.task_figures import Bin, EmbeddingComputed

NORM_BINS = 4
"""Number of bins of the norm for each doubling of it."""


@dataclass(frozen=True)
class EmbeddingSums(Sums):
    """Integer sums over the prediction rows of a model of an embedding.

    Attributes:
        zeros: number of scored rows whose embedding is 0 everywhere.
        norms: bin of the norm -> number of the other scored rows; bin i begins at 2**(i / NORM_BINS).
    """

    task = "embedding"

    zeros: int = 0
    norms: Mapping[int, int] = field(default_factory=dict)


def norms_of(rows: pa.Table) -> npt.NDArray[np.float64]:
    """Return the Euclidean norm of the embedding of each row; NaN where it has none."""
    column = rows["embedding"].combine_chunks()
    is_there = np.asarray(pc.is_valid(column), np.bool_)
    norms = np.full(len(rows), np.nan)
    numbers = np.asarray(column.filter(pa.array(is_there)).flatten()).reshape(-1, column.type.list_size)
    norms[is_there] = np.sqrt(np.einsum("ij,ij->i", *2 * (numbers.astype(np.float64),)))
    return norms


def measure_embeddings(rows: pa.Table) -> EmbeddingSums:
    """Return the sums of prediction rows (`pipeline.output.rows.row_schema`)."""
    scored = np.asarray(pc.equal(rows["status"], "ok"), np.bool_)
    norms = norms_of(rows)[scored]
    bins, counts = np.unique(np.floor(NORM_BINS * np.log2(norms[norms > 0])).astype(np.int64), return_counts=True)
    return EmbeddingSums(
        images=len(rows),
        scored=int(scored.sum()),
        failures=failures_in(rows),
        zeros=int((norms == 0).sum()),
        norms=dict(zip(bins.tolist(), counts.tolist(), strict=True)),
    )


def compute_embeddings(sums: EmbeddingSums) -> EmbeddingComputed:
    """Return the figures that a person reads."""
    bins: list[Bin] = [
        {"from": 2.0 ** (i / NORM_BINS), "to": 2.0 ** ((i + 1) / NORM_BINS), "images": count}
        for i, count in sorted(sums.norms.items())
    ]
    return {
        "task": "embedding",
        "images": sums.images,
        "scored": sums.scored,
        "failed": sums.failed,
        "failures": sums.failure_counts(),
        "zero_embeddings": sums.zeros,
        "norm_histogram": bins,
    }
