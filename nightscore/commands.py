"""The list of commands: the name of each, the module that runs it, and what it does; it imports none of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Command(NamedTuple):
    """A sub-command of `nightscore`.

    Attributes:
        module: dotted name of the module whose `main(argv)` runs the command and returns its exit code.
        group: what the command is for; commands of one group follow each other.
        text: what the command does, one line of at most 65 characters: a terminal of 80 columns shows it whole.
    """

    module: str
    group: str
    text: str


SCORE, DECIDE = "score an archive", "decide in the morning"
PREPARE, TRY = "get a model, and prepare", "try it"

COMMANDS: Mapping[str, Command] = {
    "demo": Command("model_training.demo", TRY, "train, build an archive with broken images, score it twice"),
    "train": Command("model_training.cli", PREPARE, "train a CNN and write a model directory"),
    "import-model": Command("model_import.cli", PREPARE, "make a model directory of a model from elsewhere"),
    "look": Command("pipeline.cli.look", PREPARE, "show what a model sees of an image: its pixels beside the image"),
    "pack": Command("pipeline.cli.pack", PREPARE, "put many images into few large files, for slow stores"),
    "plan": Command("pipeline.cli.plan", SCORE, "say what scoring would do and how long it takes; write nothing"),
    "score": Command("pipeline.cli.score", SCORE, "score an archive of images with a model"),
    "status": Command("pipeline.cli.status", SCORE, "say how a run stands, while it is under way or long after"),
    "verify": Command("pipeline.cli.verify", SCORE, "check that every image has its row and every file is as written"),
    "report": Command("pipeline.cli.report", DECIDE, "write summary and report anew, also of an unfinished run"),
    "compare": Command("pipeline.cli.compare", DECIDE, "say which of two results is better, and what has changed"),
    "export": Command("pipeline.cli.export", DECIDE, "write CSV or Parquet, sort images, make review tasks"),
}
