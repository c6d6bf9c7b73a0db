"""One scoring run: its name, its options, its model, and where in OUTPUT each result lies.

The one object that travels with the pipeline. Must not do anything with what it names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pipeline import storage
from pipeline.labels import LabelRule
from pipeline.model_dir import ModelSpec
from pipeline.options import ScoreOptions

OWNED = re.compile(r"(?:part-)?([0-9a-f]{32})\.(?:parquet|jsonl|json)|\..*\.tmp")
"""Names in predictions/ and receipts/ that Nightscore wrote; it never removes any other file."""


@dataclass(frozen=True)
class Run:
    """One run of the scoring job.

    Attributes:
        id: its name; sorts by time of its start.
        options: as given.
        spec: of the model.
    """

    id: str
    options: ScoreOptions
    spec: ModelSpec

    @property
    def inputs(self) -> list[str]:
        """Locations or globs of the inputs, each once."""
        return list(dict.fromkeys(storage.absolute(pattern) for pattern in self.options.input))

    @property
    def model(self) -> str:
        """Location of the model directory."""
        return storage.absolute(self.options.model)

    @property
    def output(self) -> str:
        """Location of OUTPUT."""
        return storage.absolute(self.options.output)

    @property
    def label_rule(self) -> LabelRule:
        """How labels are found."""
        return LabelRule(self.spec.class_names, self.options.label_source, self.options.label_offset)

    @property
    def top_k(self) -> int:
        """How many classes a row lists: never more than the model has."""
        return min(self.options.top_k, len(self.spec.class_names))

    @property
    def plan(self) -> str:
        """Location of the pinned plan."""
        return self.result("plan", f"{self.id}.jsonl.gz")

    @property
    def record(self) -> str:
        """Location of what is known about this run."""
        return self.result("runs", f"{self.id}.json")

    def result(self, *names: str) -> str:
        """Return a location in OUTPUT."""
        return storage.join(self.output, *names)

    def part(self, unit_id: str) -> str:
        """Return where a unit's rows lie."""
        return self.result("predictions", f"part-{unit_id}.{self.options.format}")

    def receipt(self, unit_id: str) -> str:
        """Return where a unit's receipt lies."""
        return self.result("receipts", f"{unit_id}.json")

    def identity(self) -> dict[str, Any]:
        """Return what all runs into one OUTPUT have in common."""
        return {"model": self.spec.model_id}
