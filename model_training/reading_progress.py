"""The progress that a person sees while images are read for the first time. Must not know what is learned from them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@contextlib.contextmanager
def reading_progress(console: Console) -> Iterator[Callable[[int], None] | None]:
    """Yield what is told of more images that were read; it shows how many there are by now, on a terminal only.

    Args:
        console: to draw on; None is yielded if it is no terminal.
    """
    if not console.is_terminal:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("reading images: {task.completed:,.0f}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        bar = bars.add_task("", total=None)
        yield lambda images: bars.advance(bar, images)
