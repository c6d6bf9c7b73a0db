"""`nightscore import-model`: from a command line to a published model directory.

Exit codes are those of `model_training.command`; 0 with --explain: everything that is needed is known.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_args

from model_training.command import Parser, not_empty, to_exit_code
from pipeline.cli.quiet import silence_pillow, stderr_silenced
from pipeline.errors import NightscoreError, UsageError
from pipeline.task import TASKS, EmbeddingType

DESCRIPTION = """\
example: nightscore import-model cat.keras --like keras.load_img --output cats

Make a model directory of a model from elsewhere: a .keras or .h5 file of Keras,
a SavedModel folder, a .tflite file, or a folder of Teachable Machine. What the
model does not tell is asked for in one line; --explain shows what is known,
what would be guessed, and what is missing.
"""

EXIT_CODES = "Exit codes: 0 good, 1 it could not be written, 2 bad usage, 130 interrupted."

_TEXTS = {
    "labels": ("FILE", "class names: a line each, '0 cat', JSON or CSV; or imagenet"),
    "signature": ("NAME", "which signature, if a SavedModel has several"),
    "input_name": ("NAME", "name of the input that takes images"),
    "output_name": ("NAME", "name of the output with the scores"),
    "like": ("LOADER", "loader that it was trained with, such as keras.image_dataset_from_directory"),
    "scaling": ("SCALING", "range of pixels: raw (0..255), unit (0..1), sign (-1..1), torch, caffe, or 'SCALE,OFFSET'"),
    "golden": ("FILE.npz", "your 'images' and the 'scores' you computed for them: the model must give the same"),
    "check": ("FOLDER", "labelled images in class folders: find by trying what no flag says (100 images or more)"),
}


_RULE_TEXTS = {
    "height": "height of the model's input, in pixels",
    "width": "width of the model's input, in pixels",
    "color_mode": "order of the channels; bgr is OpenCV's",
    "resize": "library and filter that resize: {choices}",
    "exif_orientation": "whether a photo is turned as EXIF says",
    "decode": "reduced decodes large JPEG files at a part of their size",
    "fit": "how an image gets the shape of the input. stretch: all of it, distorted; keras_crop, pil_crop, "
    "teachable_machine: the middle; tf_central_crop, torch_shorter_side: the middle of that, see --crop; tf_pad, "
    "keras_hub_pad: all of it, with a black border (docs/models.md)",
    "crop": "share of each side that is kept, for --fit tf_central_crop and torch_shorter_side (224 of 256: 0.875)",
    "antialias": "the argument antialias of tf.image.resize",
    "jpeg_dct": "arithmetic that decodes JPEG; TensorFlow uses fast",
    "gray_from": "how colors become grey, for models that take grey",
    "deep": "how 16-bit pixels become 8-bit",
}
"""Field of the input rule -> half a line for --help."""


FIRST = (
    "source", "output", "explain", "labels", "like", "scaling", "golden", "check", "check_by_order", "trained_on",
    "task", "height", "width", "fit",
)  # fmt: skip
"""Names of the arguments that --help shows; --help_all shows all."""

_METAVARS = {"resize": "FILTER", "fit": "FIT"}
"""Field of the input rule with many values -> what stands for them in --help."""


def main(argv: Sequence[str]) -> int:
    """Run `nightscore import-model` with the arguments after that name; return its exit code."""
    return to_exit_code(_parser(), argv, _run)


def _parser() -> Parser:
    from model_import.request import rule_flags

    parser = Parser("import-model", DESCRIPTION, FIRST, EXIT_CODES)
    add = parser.add_argument
    add("source", type=not_empty, metavar="SOURCE", help="file or folder of the model, which is not changed")
    add("--output", type=not_empty, metavar="MODEL", help="folder for the model; a model there is replaced")
    add("--explain", action="store_true", help="write nothing; say what is known, and what guessed")
    for name, (metavar, text) in _TEXTS.items():
        add(f"--{name}", type=not_empty, metavar=metavar, help=text)
    add(
        "--check_by_order", action="store_true", help="the folders in --check, sorted by name, are the classes in order"
    )
    add(
        "--trained_on",
        type=not_empty,
        action="append",
        default=[],
        metavar="INPUT",
        help="images that the model was trained on, given as for score --input: reports then show the accuracy on "
        "other images separately; keeps a hash of 8 bytes for each; repeatable",
    )
    add("--task", choices=TASKS, help="what the scores mean (default: taken from the output)")
    add(
        "--thresholds",
        type=_shares,
        default=(),
        metavar="P[,P...]",
        help="thresholds of --task labels: one number, or one per class",
    )
    add("--embedding_layer", type=not_empty, metavar="NAME", help="layer whose output is kept beside the scores")
    add("--embedding_type", choices=get_args(EmbeddingType), default="float32", help="type of its numbers in rows")
    rule = parser.add_argument_group("the input rule, as the model was trained")
    for flag in rule_flags():
        text = _RULE_TEXTS.get(flag.name, "").format(choices=", ".join(flag.choices))
        if flag.choices:
            shown = _METAVARS.get(flag.name)
            rule.add_argument(f"--{flag.name}", choices=flag.choices, metavar=shown, help=text)
        else:
            rule.add_argument(f"--{flag.name}", type=_whole if flag.kind is int else _share, metavar="N", help=text)
    return parser


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:9]) >= 1 and len(text) <= 6):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of pixels")
    return int(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from error
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0 and at most 1")
    return value


def _shares(text: str) -> tuple[float, ...]:
    return tuple(map(_share, text.split(",")))


def _run(arguments: argparse.Namespace) -> int:
    from model_import.request import Request, rule_flags

    given = {flag.name: getattr(arguments, flag.name) for flag in rule_flags()}
    rule = {
        name: {"true": True, "false": False}.get(value, value) for name, value in given.items() if value is not None
    }
    texts: dict[str, Any] = {name: getattr(arguments, name) or "" for name in _TEXTS}
    request = Request(
        arguments.source,
        rule=rule,
        task=arguments.task,
        thresholds=arguments.thresholds,
        embedding_layer=arguments.embedding_layer or "",
        embedding_type=arguments.embedding_type,
        check_by_order=arguments.check_by_order,
        trained_on=tuple(arguments.trained_on),
        **texts,
    )
    if request.check_by_order and not request.check:
        raise UsageError("--check_by_order says how the folders of --check are read: give --check FOLDER as well")
    silence_pillow()  # an image that is left out is counted
    if request.trained_on:
        from model_import.learned import check_inputs

        check_inputs(request.trained_on)
    if arguments.explain:
        return _explain(request)
    if arguments.output is None:
        raise UsageError("--output MODEL is missing: a folder for the model directory; or ask with --explain")
    return _import(request, arguments.output)


def _explain(request: Any) -> int:
    from model_import.checks import rounding_check, user_check
    from model_import.examine import examine
    from model_import.incomplete import incomplete
    from model_import.known import Known
    from model_import.page import explained, known_so_far

    known: list[Known] = []
    found = None
    try:
        with _screen() as show, _quiet_tensorflow():
            try:
                examined = examine(request, show, known.append)
                checks = [*user_check(examined), *rounding_check(examined)]
            except UsageError:
                found = incomplete(request, known[0]) if known else None
                raise
    except UsageError as error:
        if found is None:
            raise
        print(known_so_far(found))
        if any(text in str(error) for text in found.missing.values()):
            raise UsageError("; and ".join(found.missing.values())) from error
        raise
    print(explained(examined, checks))
    return 0


def _import(request: Any, output: str) -> int:
    from model_import.build import build, check_place
    from model_import.examine import examine
    from model_import.page import report_files, summary

    location = check_place(request.source, output)
    with _screen() as show, _quiet_tensorflow():
        imported = build(examine(request, show), location, report_files, show)
    print(summary(imported, output))
    return 0


@contextlib.contextmanager
def _screen() -> Iterator[Callable[[Any], None]]:
    """Yield what shows the progress of a trial on a terminal, which is there while stderr is silenced."""
    with os.fdopen(os.dup(2), "w") as screen:
        width = 0

        def show(progress: Any) -> None:
            nonlocal width
            if screen.isatty():
                text = progress.line()
                screen.write(f"\r{text:<{width}}")
                screen.flush()
                width = len(text)

        yield show
        if width:
            screen.write(f"\r{'':<{width}}\r")


@contextlib.contextmanager
def _quiet_tensorflow() -> Iterator[None]:
    """Keep banners of TensorFlow and Keras off the screen, also where a line says why there is no model."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    refusal: BaseException | None = None
    with stderr_silenced():
        try:
            yield
        except (NightscoreError, OSError, KeyboardInterrupt) as error:
            refusal = error
    if refusal is not None:
        raise refusal
