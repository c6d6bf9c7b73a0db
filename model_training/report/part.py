"""`Part`: what the page shows of one matter, and what that says of whether the model can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from model_training.data.image_list import Split

Level = Literal["bad", "doubt", "good"]
"""What a line says: "bad" = a figure is surely worse than it looks; "doubt" = it is not known well enough, or could be
better; "good" = nothing speaks against the model here."""

Shown = tuple[Split, int]
"""An image whose picture the page shows: its split, and its number there."""


@dataclass(frozen=True)
class TrustLine:
    """One line of the answer to "Can it be trusted?".

    Attributes:
        level: see `Level`.
        text: one sentence with its figures.
        section: name of the section that shows more; "": none does.
    """

    level: Level
    text: str
    section: str


@dataclass(frozen=True)
class Part:
    """What the page shows of one matter.

    Attributes:
        name: of its section; the template "training_<name>.html.j2" draws it, with `content` as its `part`.
        title: of the section; "": there is no section.
        content: what the template shows.
        lines: what it says of whether the model can be trusted.
        shown: images whose pictures the section shows, the most important first.
        pictures: more pictures of the section: name -> PNG or JPEG file.
        files: name in training/ -> content of files with more of it.
    """

    name: str
    title: str = ""
    content: object = None
    lines: Sequence[TrustLine] = ()
    shown: Sequence[Shown] = ()
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
