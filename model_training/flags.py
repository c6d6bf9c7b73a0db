"""The flags of `nightscore train` that say what is learned from, and how it is read.

Must not know how a network learns.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_args

from model_training.command import not_empty
from model_training.data.options import SHUFFLE_MB, Contradictions, DataOptions
from pipeline.model.input_rule import Decode
from pipeline.options import LABEL_SOURCES, LABELS_ARE
from pipeline.task import TASKS

DATA_FLAGS = tuple(field.name for field in fields(DataOptions) if field.name not in ("sources", "seed", "own_rule"))
"""Names of the flags, which are the fields of `DataOptions`; --dataset gives the sources."""


def add_data_flags(parser: argparse.ArgumentParser, whole: Callable[[str], int]) -> None:
    """Add the flags, each without a default: one that is not given is None.

    Args:
        parser: gets them.
        whole: reads a whole number of at least 1.
    """
    _add_images(parser.add_argument_group("images").add_argument, whole)
    _add_pixels(parser.add_argument_group("pixels").add_argument, whole)
    _add_reading(parser.add_argument_group("labels, and how they are read, as nightscore score does").add_argument)


def _add_images(add: Callable[..., Any], whole: Callable[[str], int]) -> None:
    for name, share in (("validation", "a tenth"), ("test", "a fifth")):
        add(
            f"--{name}",
            action="append",
            type=not_empty,
            metavar="SOURCE",
            help=f"separate images for it, given as for --dataset; repeatable (default: {share} of all)",
        )
    add("--data_dir", metavar="DIR", help="folder with MNIST's four IDX files (default: the Keras cache)")
    add(
        "--contradictions",
        choices=get_args(Contradictions),
        help="what to do if copies of one picture have different labels (default: refuse)",
    )
    add(
        "--memory_mb",
        type=whole,
        metavar="N",
        help="megabytes that pixels may take; if all do not fit, images are decoded again for each epoch (default: a "
        "quarter of the machine's or the container's)",
    )
    add(
        "--shuffle_mb",
        type=whole,
        metavar="N",
        help=f"megabytes of the buffer for shuffling, if images are decoded for each epoch (default: {SHUFFLE_MB})",
    )


def _add_pixels(add: Callable[..., Any], whole: Callable[[str], int]) -> None:
    add(
        "--image_size",
        type=whole,
        metavar="N",
        help="side in pixels that images get (default: their own, if it is the same for all; that of --base)",
    )
    add("--color_mode", choices=("grayscale", "rgb"), help="default: grayscale if all images are grey")
    add(
        "--decode",
        choices=get_args(Decode),
        help="how JPEG files are decoded, also when the model scores: reduced = at 1/2, 1/4 or 1/8 of their size if "
        "both sides are then at least twice the model's (default: reduced)",
    )
    add(
        "--like",
        type=not_empty,
        metavar="LOADER",
        help="decode and resize as this loader does, also when the model scores: keras.image_dataset_from_directory, "
        "torchvision, cv2.resize, ...; docs/input_rules.md lists all (default: nightscore)",
    )
    add("--bands", metavar="R,G,B", help="bands of TIFFs with several, counted from 1, also when the model scores")
    add("--background", metavar="COLOR", help="what shows where an image is transparent, also when the model scores")
    add("--max_pixels", type=whole, metavar="N", help="an image with more pixels is left out")
    add("--image_timeout", type=float, metavar="S", help="seconds after which an image is left out (default: 300)")


def _add_reading(add: Callable[..., Any]) -> None:
    add(
        "--task",
        choices=TASKS,
        help="what the network says of an image: a class, any number of labels, a number or a vector "
        "(default: classes)",
    )
    add("--label_source", choices=LABEL_SOURCES, help="where labels come from (default: auto)")
    add("--labels_are", choices=LABELS_ARE, help="what a label means that is a number (default: auto)")
    add(
        "--label_offset",
        type=int,
        metavar="N",
        help="number of the first name, if an archive has its own list of class names",
    )
    add("--image_key", metavar="NAME", help="TFRecord feature, column, array or suffix with the image")
    add("--label_key", metavar="NAME", help="TFRecord feature, column or array with the label")
    add("--labels_file", metavar="FILE", help="IDX file with the labels of the IDX file of images")
    add("--file_column", metavar="NAME", help="column of a list that names the file")
    add("--label_column", metavar="NAME", help="column of a list with the label")
    add("--zip_encoding", metavar="NAME", help="encoding of names in zip archives that do not state it")
