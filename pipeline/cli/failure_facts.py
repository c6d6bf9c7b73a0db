"""What a command says of images that failed and of files that were not read: one line each. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from pipeline.cli.one_screen import WIDTH, Fact, fitted
from pipeline.formatting import briefly_why, counted, left_out
from pipeline.metrics.figures import FailureExample, FailureText
from pipeline.metrics.left_out import LeftOut
from pipeline.metrics.task_figures import AnyFigures
from pipeline.storage import fixed_prefix
from pipeline.text import brief, plain

EXAMPLES = 2
SKIPPED = 5
"""Failed images, and reasons why files are not scored, that are shown at most."""

SHOWN_KEY = 38
SHOWN_SKIPPED = 60
LEAST_SKIPPED = 16
"""Characters of the key of a failed image at most, and of that of a file not read at most and at least."""


def name_in(key: str, inputs: Sequence[str]) -> str:
    """Return a key relative to the only input; whole if there are several, or if it lies elsewhere.

    Args:
        key: of an image.
        inputs: of the run, as its record has them.

    >>> name_in("/a/photos/1/x.png", ["/a/photos"]), name_in("/a/t.tar!x.png", ["/a/t.tar"])
    ('1/x.png', 't.tar!x.png')
    >>> name_in("/a/photos/1/x.png", ["/a/*/1/*.png"]), name_in("/a/x.png", ["/a", "/b"])
    ('photos/1/x.png', '/a/x.png')
    """
    if len(inputs) != 1:
        return key
    fixed = fixed_prefix(inputs[0])
    above = fixed.rstrip("/").rpartition("/")[0] if fixed == inputs[0] else fixed.rpartition("/")[0]
    for folder in (fixed.rstrip("/"), above) if fixed == inputs[0] else (above,):
        if folder and key.startswith(f"{folder}/"):
            return key[len(folder) + 1 :]
    return key


def example(failure: FailureText, inputs: Sequence[str] = (), indent: str = "") -> str:
    """Return a failed image and why, as a fact's text of one line."""
    key = indent + brief(plain(name_in(failure["key"], inputs)), SHOWN_KEY)
    message = plain(failure["message"]).removeprefix("cannot be decoded: ")  # the line above says it
    return f"{key}: {brief(message, WIDTH - len(key) - 2)}"


def failed(figures: AnyFigures, inputs: Sequence[str]) -> Iterator[Fact]:
    """Yield how many images failed, why, a few of them, and what to do."""
    by_reason = sorted(figures["failures"], key=lambda one: -one["images"])
    of = f"{figures['failed']:,} of {figures['images']:,}"
    if not by_reason:
        yield "failed", of
        return
    why = [f"{one['images']:,} {briefly_why(one['stage'], one['code'])}" for one in by_reason]
    more = ", {:,} more reasons"
    in_one = fitted(why, f"{of}: ", more)
    if len(in_one) <= WIDTH:
        yield "failed", in_one
    else:
        yield "failed", of
        yield "", fitted(why, more=more)
    for failure in _of_different_reasons(figures["failure_examples"]):
        yield "example", example(failure, inputs)
    yield "retry", "add --retry_failed to the same command to score failed images again"


def _of_different_reasons(examples: Sequence[FailureExample]) -> list[FailureExample]:
    """Return the first few examples, of as many reasons as there are."""
    seen: Counter[tuple[str, str]] = Counter()
    turns = []
    for place, one in enumerate(examples):
        reason = (one["stage"], one["code"])
        turns.append((seen[reason], place, one))
        seen[reason] += 1
    return [one for _, _, one in sorted(turns, key=lambda turn: turn[:2])[:EXAMPLES]]


def not_scored(found: LeftOut, inputs: Sequence[str] = ()) -> Iterator[Fact]:
    """Yield what of the inputs was not scored, with an example of each reason; first those that say what to do."""
    ordered = sorted(found.counts.items(), key=lambda item: (":" not in item[0], -item[1], item[0]))
    for reason, n in ordered[:SKIPPED]:
        key = found.examples.get(reason)
        yield skipped(n, reason, None if key is None else name_in(key, inputs))
    if rest := ordered[SKIPPED:]:
        yield "skipped", f"{sum(n for _, n in rest):,} more, for {counted(len(rest), 'other reason')} (run.json)"


def skipped(n: int, reason: str, key: str | None) -> Fact:
    """Return how many files are skipped, why, one of them if that is known, and what to do if the reason says it.

    Those about which something can be done have a name of their own.

    >>> skipped(30, "HEIC images: convert them", "1/IMG_0001.HEIC")
    ('not read', 'HEIC images: 30 (1/IMG_0001.HEIC); convert them')
    >>> skipped(1, "other files", "notes.txt")
    ('skipped', 'other files: 1 (notes.txt)')
    """
    name = "not read" if ":" in reason else "skipped"
    room = WIDTH - len(left_out(reason, n)) - 3
    shown = "" if key is None else brief(key, room if room >= LEAST_SKIPPED else SHOWN_SKIPPED)
    return name, left_out(reason, n, shown)
