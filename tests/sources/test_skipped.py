"""What is not scored: counted by reason, with the first example of each."""

from __future__ import annotations

from pipeline.sources.skipped import JUNK, OTHER, Skipped


def test_first_example_of_each_reason_is_kept_and_all_are_counted() -> None:
    skipped = Skipped()
    assert not skipped
    for reason, key, n in ((JUNK, "b", 1), (OTHER, "c", 2), (JUNK, "a", 3)):
        skipped.add(reason, key, n)
    assert skipped.counts == {JUNK: 4, OTHER: 2}
    assert skipped.examples == {JUNK: "b", OTHER: "c"}
    assert skipped.total == 6
    assert skipped
