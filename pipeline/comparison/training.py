"""What a person must know of the trainings to read a comparison: what is not known of them, and what proves nothing."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.comparison.side import Side
from pipeline.comparison.tally import Basis
from pipeline.formatting import counted
from pipeline.output import records


def on_training(basis: Basis, a: Side, b: Side) -> Iterator[str]:
    """Yield remarks, one line each; none if no label counts, as then nobody can look better than it is."""
    if not basis.sums.labelled:
        return
    if basis.counted == "seen":
        yield "every shared labelled image was seen in training, so the figures of A and B prove nothing for new images"
    whys = [_why_unknown(side) for side in (a, b)]
    if whys[0] == whys[1]:
        yield from (f"A and B: {why}" for why in whys[:1] if why)
        return
    yield from (f"{name}: {why}" for name, why in zip("AB", whys, strict=True) if why)


def _why_unknown(side: Side) -> str:
    """Return why it is not known which images a model has seen, and what follows; "": it is known."""
    if not side.training_unknown:
        return ""
    record = side.stored.record
    unseen = record.get("unseen") if records.has_ended(record) else None
    if unseen is not None and unseen["seen"]:
        seen = counted(unseen["seen"], "image")
        return f"{side.training_unknown}; its run found {seen} seen in training, and these count here"
    return f"{side.training_unknown}; images that it was trained on may count here"
