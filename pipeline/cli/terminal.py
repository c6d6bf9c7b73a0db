"""What a person sees during a run and after it: a bar or lines on stderr, facts on stdout. Computes nothing."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import BarColumn, Progress, TextColumn
from rich.style import Style
from rich.table import Table
from rich.text import Text

from pipeline.cli.facts import facts
from pipeline.cli.one_screen import NAME_WIDTH, Fact, lines_of, on_one_screen
from pipeline.formatting import at_most, rate, reasons
from pipeline.metrics.record import EndedRecord
from pipeline.metrics.review import Review
from pipeline.metrics.task_figures import AnyFigures
from pipeline.output.progress import Count, Meter, tally
from pipeline.text import plain

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

REFRESH_SECONDS = 0.25
PLAIN_SECONDS = 30.0
"""Between two lines where stderr is no terminal."""

LOOK_SECONDS = 1.0

ECHO = 2
"""Columns that a terminal takes to echo Ctrl-C: ^C."""

LEAST_BAR = 8
"""Columns of the bar at least, where what stands beside it can be made short enough."""

LEAST_LINES = 24
"""Lines of the smallest terminal for which a result is cut to one screen."""

AROUND = 3
"""Lines of a screen that stay free: for the command, which often takes two, and for the next prompt."""

UPPER_HALF = "\u2580"
"""A character whose upper half is in the color of the text, and whose lower half is in that of the background."""


class Screen(Console):
    """A console whose reader may leave, as `head` does: the run has its exit code all the same."""

    def on_broken_pipe(self) -> None:
        """Say no more."""
        with contextlib.suppress(SystemExit):
            super().on_broken_pipe()


class _Bar(Progress):
    """One line that leaves room at its end: what the terminal echoes of Ctrl-C would wrap, and the bar would stay."""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield _Narrower(self.make_tasks_table(self.tasks))


class _Narrower:
    """A table that is ECHO columns narrower than its place."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self._table, options.update_width(max(1, options.max_width - ECHO)))


@contextlib.contextmanager
def progress(work: str = "scoring") -> Iterator[None]:
    """Show how far this process has come until the body ends: a bar on a terminal, a line now and then elsewhere.

    Writes to a copy of stderr, so that nothing shown is lost while libraries' banners are kept off it.

    Args:
        work: what is done to the images, as a person calls it.
    """
    with os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace") as stream:
        console = Console(file=stream)
        stop = threading.Event()
        show = _bar if stream.isatty() and not console.is_dumb_terminal else _lines
        thread = threading.Thread(target=show, args=(console, stop, work), name="progress", daemon=True)
        thread.start()
        try:
            yield
        except BaseException:
            tally().take_notes()  # of a run that is refused nothing is told but why
            raise
        finally:
            stop.set()
            thread.join()


def _bar(console: Console, stop: threading.Event, work: str) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), TextColumn("{task.fields[said]}"))
    meter = Meter()
    with _Bar(*columns, console=console, transient=True, expand=True) as bar:
        task = bar.add_task("planning", total=None, said="")
        while not stop.wait(REFRESH_SECONDS):
            count = tally().count()
            doing = _doing(count, work)
            room = console.width - ECHO - len(doing) - LEAST_BAR - 2
            said = progress_text(count, meter.rate(count, time.monotonic()), room)
            bar.update(task, description=doing, total=count.total, completed=count.done, said=said)
            if count.done:
                _show_notes(console)
        _show_notes(console)


def _lines(console: Console, stop: threading.Event, work: str) -> None:
    meter = Meter()
    due = time.monotonic() + PLAIN_SECONDS
    while not stop.wait(min(LOOK_SECONDS, PLAIN_SECONDS)):
        count = tally().count()
        if count.done:
            _show_notes(console)
        now = time.monotonic()
        per_second = meter.rate(count, now)
        if now >= due:
            due += PLAIN_SECONDS
            images = f"{_of_total(count)} images" if count.done or count.total is not None else ""
            said = ", ".join(text for text in (images, _speed(count, per_second), _failed(count)) if text)
            console.print(
                f"{_doing(count, work)}: {said}" if said else _doing(count, work), highlight=False, soft_wrap=True
            )
    _show_notes(console)


def _show_notes(console: Console) -> None:
    """Print what a person should know of the run, on lines of their own: above the bar, if there is one."""
    for line in tally().take_notes():
        show_text(console, line)


def _doing(count: Count, work: str) -> str:
    if count.total is not None and count.done >= count.total:
        return "finishing"
    return work if count.done else "planning" if count.total is None else "starting"


def _of_total(count: Count) -> str:
    return f"{count.done:,} of {count.total:,}" if count.total is not None else f"{count.done:,}"


def _speed(count: Count, per_second: float) -> str:
    """Return the rate and, where the total is known, what it makes of the rest."""
    return ", ".join(text for text in (_rate(count, per_second), _left(count, per_second)) if text)


def _rate(count: Count, per_second: float) -> str:
    is_over = count.total is not None and count.done >= count.total
    return rate(per_second) if per_second and not is_over else ""


def _left(count: Count, per_second: float) -> str:
    if not _rate(count, per_second) or count.total is None:
        return ""
    return f"{at_most((count.total - count.done) / per_second)} left"


def _failed(count: Count) -> str:
    return f"{count.failed:,} failed: {reasons(count.failures)}" if count.failed else ""


def progress_text(count: Count, per_second: float, room: int) -> str:
    """Return what stands beside the bar: images, rate, time left and failures, in so many characters.

    Where all of it does not fit, the reasons of failures go first, then what can be left out of the words.

    >>> progress_text(Count(2_000, 1_000, 0, {("read", "NOT_FOUND"): 3}), 500.0, 60)
    '1,000 of 2,000  500 images/s  2 s left  3 failed'
    >>> progress_text(Count(2_000, 1_000, 0, {("read", "NOT_FOUND"): 3}), 500.0, 30)
    '1,000/2,000  2 s  3 failed'
    """
    images = _of_total(count) if count.done else ""
    speed, left = _rate(count, per_second), _left(count, per_second)
    failures = f"{count.failed:,} failed" if count.failed else ""
    text = ""
    for parts in (
        (images, speed, left, _failed(count)),
        (images, speed, left, failures),
        (images, speed.replace(" images/s", "/s"), left, failures),
        (images.replace(" of ", "/"), speed.replace(" images/s", "/s"), left.removesuffix(" left"), failures),
        (images.replace(" of ", "/"), left.removesuffix(" left"), failures),
    ):
        text = "  ".join(part for part in parts if part)
        if len(text) <= room:
            break
    return text


def show_result(
    console: Console, record: EndedRecord, figures: AnyFigures | None, output: str, review: Review | None = None
) -> None:
    """Print what a run came to, and where its results are; see `pipeline.cli.facts.facts`.

    On a terminal all of it fits the screen, with the command above it and the verdict's reasons below.
    """
    found = list(facts(record, figures, output, review))
    if console.is_terminal:
        others = AROUND + sum(lines_of(reason, console.width) for reason in record["verdict"]["reasons"])
        found = on_one_screen(found, console.width, max(LEAST_LINES, console.height) - others)
    show_facts(console, found)


def show_facts(console: Console, found: Iterable[Fact]) -> None:
    """Print facts, each on a line of its own, whatever characters are in it."""
    for name, text in found:
        show_fact(console, name, text)


def show_fact(console: Console, name: str, text: str) -> None:
    """Print a fact on a line of its own, whatever characters are in it."""
    console.print(Text.assemble((f"{name:<{NAME_WIDTH}}", "dim"), " ", plain(text)), highlight=False, soft_wrap=True)


def show_text(console: Console, text: str, style: str = "") -> None:
    """Print a text on a line of its own, whatever characters are in it."""
    console.print(Text(plain(text), style), highlight=False, soft_wrap=True)


def show_line(console: Console, text: str) -> None:
    """Print what matters most on a line of its own, whatever characters are in it."""
    show_text(console, text, "bold")


def show_pictures(console: Console, pictures: Sequence[npt.NDArray[np.uint8]], width: int) -> None:
    """Print pictures side by side, two pixels one above the other in each character.

    Args:
        console: to print on.
        pictures: red, green and blue, uint8 [height, width, 3] each.
        width: columns for each of them.
    """
    for y in range(0, max(len(picture) for picture in pictures), 2):
        line = Text(no_wrap=True)
        for picture in pictures:
            rows = picture[y : y + 2]
            for x in range(width):
                colors = [Color.from_rgb(*row[x].tolist()) for row in rows] if x < picture.shape[1] else []
                line.append(UPPER_HALF if colors else " ", Style(color=_nth(colors, 0), bgcolor=_nth(colors, 1)))
            line.append("  ")
        line.rstrip()
        console.print(line)


def _nth(colors: Sequence[Color], n: int) -> Color | None:
    return colors[n] if n < len(colors) else None


def show_table(console: Console, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, numbers to the right, whatever characters are in it."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, name in enumerate(names):
        table.add_column(name, justify="right" if number else "left")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    console.print(table)
