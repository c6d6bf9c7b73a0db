"""Whether two outputs are about the same images and give them the same classes.

A benchmark that compares different work is none: the work is checked, once, before anything is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.processes import BenchmarkError
from benchmarks.setting import Archive

PEER_COLUMNS = ["key", "predicted", "score"]


@dataclass(frozen=True)
class Agreement:
    """How far two outputs agree.

    Attributes:
        images: in both.
        differing: images to which they give different classes.
        largest_margin: of those, the most that our score of our class is above our score of theirs: 0 for a tie.
        largest_score_difference: between the scores of the winners, over all images.
    """

    images: int
    differing: int
    largest_margin: float
    largest_score_difference: float

    def require(self, archive: Archive, against: str) -> Agreement:
        """Return it, if all images are there and all that differs is ties.

        Args:
            archive: how many images there are, and what counts as a tie.
            against: name of the other.

        Raises:
            BenchmarkError: they are not, or something else differs as well.
        """
        if self.images != archive.images:
            raise BenchmarkError(
                f"{self.images} rows of ours and of {against}, but the archive has {archive.images} images"
            )
        if self.differing > archive.chaotic * archive.images and self.largest_margin > archive.tolerance:
            raise BenchmarkError(
                f"{against} gives {self.differing} of {self.images} images another class than we do, with margins up "
                f"to {self.largest_margin:.3g}, allowed are {archive.tolerance:g}: it does not do the same work"
            )
        return self


def agreement(ours: pa.Table, theirs: pa.Table) -> Agreement:
    """Compare two tables of rows.

    Args:
        ours: key, predicted, score, top_k.
        theirs: key, predicted, score.

    Raises:
        BenchmarkError: they are not about the same images.
    """
    ours, theirs = ours.sort_by("key"), theirs.sort_by("key")
    if ours["key"].to_pylist() != theirs["key"].to_pylist():
        raise BenchmarkError(
            f"not the same images: {len(ours)} rows of ours, the first {_first(ours)!r}, "
            f"and {len(theirs)} of theirs, the first {_first(theirs)!r}"
        )
    predicted = [_column(table, "predicted", np.int64) for table in (ours, theirs)]
    scores = [_column(table, "score", np.float64) for table in (ours, theirs)]
    differing = np.flatnonzero(predicted[0] != predicted[1])
    margins = [_margin(ours["top_k"][int(i)].as_py(), int(predicted[1][i])) for i in differing]
    distance = float(np.abs(scores[0] - scores[1]).max()) if len(ours) else 0.0
    return Agreement(len(ours), len(differing), max(margins, default=0.0), distance)


def read_ours(output: Path) -> pa.Table:
    """Return the rows of a fresh OUTPUT.

    Raises:
        BenchmarkError: an image failed.
    """
    table = pq.read_table(output / "predictions", columns=[*PEER_COLUMNS, "top_k", "status"])
    failed = sum(status != "ok" for status in table["status"].to_pylist())
    if failed:
        raise BenchmarkError(f"{failed} images failed in {output}")
    return table.drop_columns(["status"])


def read_theirs(output: Path) -> pa.Table:
    """Return the rows of a peer's output: all Parquet files in a folder."""
    tables = [pq.read_table(path, columns=PEER_COLUMNS) for path in sorted(output.rglob("*.parquet"))]
    if not tables:
        raise BenchmarkError(f"no Parquet file in {output}")
    schema = pa.schema([("key", pa.string()), ("predicted", pa.int64()), ("score", pa.float64())])
    return pa.concat_tables([table.cast(schema) for table in tables])


def _margin(top_k: list[dict[str, Any]], label: int) -> float:
    """Return how far a class is behind the first; one that is not listed, at least as far as the last that is."""
    scores = {entry["label"]: entry["score"] for entry in top_k}
    return float(top_k[0]["score"] - scores.get(label, top_k[-1]["score"]))


def _column(table: pa.Table, name: str, dtype: Any) -> Any:
    return table[name].to_numpy().astype(dtype)


def _first(table: pa.Table) -> Any:
    return table["key"][0].as_py() if len(table) else None
