"""`nightscore.compare`: two OUTPUTs beside each other, as the command `nightscore compare` does it."""

from __future__ import annotations

import os

from nightscore.night import Night, expected_errors
from nightscore.quiet import be_impatient
from pipeline.metrics.comparison_figures import Comparison, JoinBy


def compare(
    a: str | os.PathLike[str] | Night,
    b: str | os.PathLike[str] | Night,
    *,
    join: JoinBy = "key",
    to: str | os.PathLike[str] | None = None,
) -> Comparison:
    """Return how the results in OUTPUT B are beside those in OUTPUT A, as `nightscore compare --json` prints it.

    Args:
        a: the first OUTPUT, or its night.
        b: the one that is judged beside it.
        join: by what an image of A is found in B: "key", its location; "name", its location relative to the input that
            holds it; "pixel_hash", the pixels that the model gets.
        to: HTML page to write; None: none.

    Raises:
        UsageError: one is no OUTPUT, they cannot be compared, or `to` is a file that is no such page.
        UnfinishedError: another run has replaced the rows meanwhile.
        TransientError: storage fails for now.
    """
    from pipeline.comparison.compare import compare as compare_outputs
    from pipeline.comparison.page_file import check_place, write_page

    be_impatient()
    with expected_errors():
        place = None if to is None else check_place(os.fspath(to))
        found = compare_outputs(_output(a), _output(b), join)
        if place is not None:
            write_page(place, found)
        return found.figures


def _output(where: str | os.PathLike[str] | Night) -> str:
    return where.output if isinstance(where, Night) else os.fspath(where)
