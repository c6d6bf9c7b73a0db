"""Runs of two commands in turn, and what follows from them: ratios pair by pair, medians, one JSON file.

Pure arithmetic and JSON; must not know which commands they were.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.processes import Run


@dataclass(frozen=True)
class Comparison:
    """Our runs of a workload beside another command's, each with the one that ran next to it.

    Attributes:
        workload: its name.
        against: name of the other command; "" where ours ran alone.
        images: in one run.
        ours: our runs, in order.
        others: the other command's, as many; none where ours ran alone.
        facts: what else was found, as JSON values: agreement, limit, commands.
        machine: what they ran on, as JSON values.

    >>> fast, slow = Run(2.0, 3.0, 0.0, 100, 0.0), Run(3.0, 6.0, 0.0, 50, 0.0)
    >>> result = Comparison("toy", "peer", 600, (fast,), (slow,))
    >>> result.ratios["wall"], result.ratios["cpu"], result.ratios["peak_bytes"]
    ([1.5], [2.0], [0.5])
    >>> result.medians["ours"]["images_per_second"]
    300.0
    """

    workload: str
    against: str
    images: int
    ours: Sequence[Run]
    others: Sequence[Run] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the runs are pairs."""
        if not self.ours or (self.others and len(self.ours) != len(self.others)):
            raise ValueError(f"{len(self.ours)} runs of ours and {len(self.others)} of {self.against!r} are no pairs")

    @property
    def ratios(self) -> dict[str, list[float]]:
        """Of each pair, the other's figure divided by ours: above 1 is good for us."""
        pairs = list(zip(self.ours, self.others, strict=True)) if self.others else []
        return {
            "wall": [other.wall / ours.wall for ours, other in pairs],
            "cpu": [other.cpu / ours.cpu for ours, other in pairs],
            "peak_bytes": [other.peak_bytes / ours.peak_bytes for ours, other in pairs],
        }

    @property
    def medians(self) -> dict[str, dict[str, float]]:
        """Of each side, the median of every figure; of the ratios, their medians."""
        found = {"ours": _medians(self.ours, self.images)}
        if self.others:
            found["others"] = _medians(self.others, self.images)
            found["ratios"] = {name: median(values) for name, values in self.ratios.items()}
        return found

    def to_json(self) -> str:
        """Return the text of the result's file."""
        content = {
            "workload": self.workload,
            "against": self.against,
            "images": self.images,
            "medians": self.medians,
            "ratios": self.ratios,
            "ours": [_row(run, self.images) for run in self.ours],
            "others": [_row(run, self.images) for run in self.others],
            "facts": self.facts,
            "machine": self.machine,
        }
        return json.dumps(content, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Comparison:
        """Return the result that the text of a file holds; what follows from the runs is computed anew."""
        content = json.loads(text)
        ours, others = ([_run(row) for row in content[side]] for side in ("ours", "others"))
        given = {name: content[name] for name in ("workload", "against", "images", "facts", "machine")}
        return cls(ours=ours, others=others, **given)

    @property
    def file_name(self) -> str:
        """Name of its file."""
        return f"{self.workload}--{self.against}.json" if self.against else f"{self.workload}.json"

    def save(self, folder: Path) -> Path:
        """Write its file into a folder and return the path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.file_name
        path.write_text(self.to_json())
        return path


def load_results(folder: Path) -> list[Comparison]:
    """Return all results in a folder, by name, numbers in names as numbers."""
    paths = sorted(folder.glob("*.json"), key=lambda path: re.sub(r"\d+", lambda n: n[0].zfill(12), path.name))
    return [Comparison.from_json(path.read_text()) for path in paths]


def in_turn(ours: Callable[[], Run], other: Callable[[], Run], pairs: int) -> tuple[list[Run], list[Run]]:
    """Run two commands A B A B and return the runs of each."""
    rows = [(ours(), other()) for _ in range(pairs)]
    return [first for first, _ in rows], [second for _, second in rows]


def _medians(runs: Sequence[Run], images: int) -> dict[str, float]:
    rows = [_row(run, images) for run in runs]
    return {name: median(row[name] for row in rows) for name in rows[0] if name != "exact"}


def _row(run: Run, images: int) -> dict[str, Any]:
    figures = {name: value for name, value in asdict(run).items() if value is not None}
    rounded = {name: value if isinstance(value, int) else round(value, 3) for name, value in figures.items()}
    return {**rounded, "cpu": round(run.cpu, 3), "images_per_second": round(images / run.wall, 1)}


def _run(row: Mapping[str, Any]) -> Run:
    return Run(**{field.name: row[field.name] for field in fields(Run) if field.name in row})
