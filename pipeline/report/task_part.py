"""`TaskPart` is what report.html shows that depends on the task of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.report.highlights import Rule


class Tile(NamedTuple):
    """One number of the summary.

    Attributes:
        title: what it is.
        number: the number, as text.
        note: what is to be said of it, below.
    """

    title: str
    number: str
    note: str


@dataclass(frozen=True)
class TaskPart:
    """What the page shows that depends on the task.

    Attributes:
        sections: (name, title, whether it has something to say); `pages/report_<name>.html.j2` draws it.
        rules: what may stand out.
        keys: keys of the images that the sections show, those first whose pictures are most important.
        tile: the number that says best how good the result is; None: there is none.
        sentence: what the summary says of that; "": nothing.
        content: variables of the sections' templates.
    """

    sections: Sequence[tuple[str, str, bool]]
    rules: Sequence[Rule]
    keys: Sequence[str]
    tile: Tile | None
    sentence: str
    content: Mapping[str, object]
