"""Files that a run skips, as sums that merge: of a plan, of receipts, of both. Must not know a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.metrics.record import EndedRecord


@dataclass(frozen=True)
class LeftOut:
    """Files and members of containers that are skipped: they get no row.

    `merge` is associative and commutative, and `LeftOut()` its identity.

    Attributes:
        counts: reason -> number of them.
        examples: reason -> key of one of them; an older file may lack it.

    >>> photos = LeftOut({"junk": 2}, {"junk": "/b/Thumbs.db"})
    >>> photos.merge(LeftOut({"junk": 1, "other files": 1}, {"junk": "/a/Thumbs.db", "other files": "/a/x"}))
    LeftOut(counts={'junk': 3, 'other files': 1}, examples={'junk': '/a/Thumbs.db', 'other files': '/a/x'})
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    examples: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self.counts)

    @property
    def total(self) -> int:
        """How many there are of all reasons."""
        return sum(self.counts.values())

    def merge(self, other: LeftOut) -> LeftOut:
        """Return both together: counts are added, and of two examples the smaller text stays."""
        if not other:
            return self
        counts = Counter(self.counts) + Counter(other.counts)
        reasons = sorted(self.examples.keys() | other.examples.keys())
        texts = {reason: [e[reason] for e in (self.examples, other.examples) if reason in e] for reason in reasons}
        return LeftOut(dict(sorted(counts.items())), {reason: min(found) for reason, found in texts.items()})


def left_out(record: EndedRecord) -> LeftOut:
    """Return what a run skipped of its inputs: what its plan counted, and what was found inside by reading."""
    plan = record["plan"]
    planned = LeftOut(plan["skipped"], plan.get("skipped_examples", {}))
    return planned.merge(LeftOut(record.get("skipped_inside", {}), record.get("skipped_inside_examples", {})))
