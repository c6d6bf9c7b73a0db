"""The list of commands: the name of each, the module that runs it, and what it does; it imports none of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Command(NamedTuple):
    """A sub-command of `nightscore`.

    Attributes:
        module: dotted name of the module whose `main(argv)` runs the command and returns its exit code.
        text: what the command does, one line.
    """

    module: str
    text: str


COMMANDS: Mapping[str, Command] = {
    "train": Command("model_training.cli", "train a CNN and write a model directory"),
    "import-model": Command("model_import.cli", "make a model directory of a model from elsewhere"),
    "look": Command("pipeline.cli.look", "show what a model sees of an image: its pixels beside the image"),
    "pack": Command("pipeline.cli.pack", "put many images into few large files, for slow stores"),
    "plan": Command("pipeline.cli.plan", "say what a score would do and how long it takes; write nothing"),
    "score": Command("pipeline.cli.score", "score an archive of images with a model"),
    "status": Command("pipeline.cli.status", "say how a night stands, while it is under way or long after"),
    "verify": Command("pipeline.cli.verify", "check an OUTPUT: every image accounted for, every part as written"),
    "export": Command("pipeline.cli.export", "write an OUTPUT as CSV or Parquet, sort its images, make review tasks"),
    "report": Command("pipeline.cli.report", "write an OUTPUT's summary and report anew, from its receipts"),
    "compare": Command("pipeline.cli.compare", "say which of two OUTPUTs is better, and what has changed"),
    "demo": Command("model_training.demo", "train, build an archive with broken images, score it twice"),
}
