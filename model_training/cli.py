"""`nightscore train`: from a command line to a published model directory.

Exit codes are those of `model_training.command`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from model_training.base.asked import add_flags
from model_training.base.opening import about
from model_training.command import Parser, not_empty, to_exit_code
from model_training.data.archive import stop_decoding
from model_training.data.datasets import Dataset
from model_training.flags import DATA_FLAGS, add_data_flags
from model_training.learning.base import Base
from model_training.learning.checkpoint import Checkpoint
from model_training.learning.head import LEARNED_AS_CLASSES
from model_training.learning.recipe import Recipe
from model_training.learning.training import check_tensorflow
from model_training.publishing.convert import engines_of
from model_training.publishing.publish import undisturbed
from model_training.recipe_flags import RECIPE_FLAGS, add_recipe_flags, at_least_1
from model_training.request import Request, carry_out
from pipeline.cli.console import complain
from pipeline.cli.interrupt import interruptible
from pipeline.cli.quiet import silence_pillow, stderr_silenced
from pipeline.errors import UsageError
from pipeline.formatting import counted
from pipeline.model.spec import ModelSpec
from pipeline.text import brief, plain, shell_path

DESCRIPTION = """\
example: nightscore train --dataset digits --output model

Train a CNN and write a model directory, with a report in training/report.html.

--add_engines OLD trains nothing: it copies a model and adds model.tflite to it.
"""

EXIT_CODES = """\
Exit codes: 0 the model is there, 1 it could not be written, 2 bad usage,
130 or 143 interrupted (--resume goes on).
"""


FIRST = (
    "dataset", "output", "validation", "test", "task", "image_size", "base", "recipe", "network", "epochs", "augment",
    "monitor", "resume",
)  # fmt: skip
"""Names of the options that --help shows; --help_all shows all."""

_FOR_TRAINING = (*DATA_FLAGS, "base", "scaling", "recipe", "resume", *RECIPE_FLAGS)
"""Names of the options that say how a network is trained."""


def main(argv: Sequence[str]) -> int:
    """Run `nightscore train` with the arguments after that name; return its exit code."""
    return to_exit_code(_parser(), argv, _run)


def _parser() -> Parser:
    parser = Parser("train", DESCRIPTION, FIRST, EXIT_CODES)
    add = parser.add_argument
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--dataset",
        action="append",
        type=not_empty,
        metavar="SOURCE",
        help="mnist, digits, a folder of class folders, or other images as nightscore score --input takes them: globs, "
        "lists, archives, on disk or in a bucket; repeatable",
    )
    what.add_argument("--add_engines", type=not_empty, metavar="OLD", help="a model directory, which is not changed")
    add(
        "--output",
        required=True,
        type=not_empty,
        metavar="MODEL",
        help="folder for the model; a model there is replaced",
    )
    add_recipe_flags(parser)
    add_flags(parser)
    add(
        "--with_embedding",
        action="store_true",
        default=None,
        help="the model also gives an embedding of each image: what enters the network's last dense layer",
    )
    add_data_flags(parser, at_least_1)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    check_tensorflow()
    if arguments.add_engines is None:
        with interruptible(stop_decoding):
            return _train(arguments)
    given = [name for name in _FOR_TRAINING if getattr(arguments, name) is not None]
    if given:
        raise UsageError(f"--{given[0]} is for --dataset: --add_engines trains nothing")
    return _add_engines(arguments.add_engines, arguments.output)


def _add_engines(model: str, output: str) -> int:
    from model_training.publishing.add_engines import add_engines

    _print_result(add_engines(model, output), output)
    return 0


def _train(arguments: argparse.Namespace) -> int:
    silence_pillow()  # an image that is left out is named
    request = Request.of(arguments.dataset, arguments.output, vars(arguments))
    run = carry_out(request, _Terminal())
    for line in run.evaluation.lines:
        print(line)
    _print_result(run.spec, arguments.output, os.path.join(arguments.output, "training", "report.html"))
    return 0


class _Terminal:
    """Shows on stderr what a training does: see `model_training.request.Watcher`."""

    @contextlib.contextmanager
    def start(self) -> Iterator[None]:
        """Keep banners back."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with undisturbed(), stderr_silenced():  # an import broken off would show the banners after all
            yield

    @contextlib.contextmanager
    def read(self) -> Iterator[Callable[[int], None] | None]:
        """Show how many images are read."""
        from rich.console import Console

        from model_training.reading_progress import reading_progress

        with reading_progress(Console(stderr=True)) as seen:
            yield seen

    def show_base(self, base: Base) -> None:
        """Show it in a line."""
        complain(about(base))

    @contextlib.contextmanager
    def learn(self, dataset: Dataset, recipe: Recipe, location: str) -> Iterator[Any]:
        """Show what is learned, each epoch, and what is kept if a person stops it."""
        from model_training.learning.progress import progress_on_stderr

        complain(_overview(dataset))
        progress = progress_on_stderr(len(dataset.train), recipe)
        try:
            yield progress.callback
        except KeyboardInterrupt:
            progress.close()
            checkpoint = Checkpoint.beside(location)
            if n := len(checkpoint.epochs()):
                complain(f"{counted(n, 'epoch')} kept in {checkpoint.folder!r}: go on with --resume")
            raise
        finally:
            progress.close()


def _overview(dataset: Dataset) -> str:
    """Return a line that says what is learned."""
    what = counted(len(dataset.class_names), "label") if dataset.task == "labels" else "values"
    if dataset.task in LEARNED_AS_CLASSES:
        what = counted(len(dataset.class_names), "class", "classes")
    return (
        f"{plain(brief(dataset.name))}: {what}, {counted(len(dataset.train), 'image')} to learn from, "
        f"{len(dataset.validation):,} to validate, {len(dataset.test):,} to test"
    )


def _print_result(spec: ModelSpec, output: str, report: str | None = None) -> None:
    """Say what the new model can be scored with, where it lies, and what comes next."""
    if spec.litert is not None:
        print(f"engines       {engines_of(spec.litert)}")
    print(f"model         {shell_path(output)}")
    if report is not None:
        print(f"report        {shell_path(report)}")
    print(f"next          nightscore score --input INPUT --model {shell_path(output)} --output OUTPUT")
