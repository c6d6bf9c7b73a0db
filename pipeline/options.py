"""The options of a scoring job. The command line, Beam's options and the template are made from this one definition.

Knows argparse, not Beam. Every module takes the whole frozen object, never a list of flags.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NoReturn, get_args

from pipeline.errors import UsageError
from pipeline.option_values import ALL, NONE, TopK, check_ranges, names_in, read_top_k

LOCAL_RUNNERS = (None, "DirectRunner", "FnApiRunner", "BundleBasedDirectRunner", "SwitchingDirectRunner")
"""Names of Beam runners that all mean Beam's FnApiRunner in this process: no download, no socket."""

LabelSource = Literal["auto", "from_directory", "none"]
LabelsAre = Literal["auto", "names", "indices"]
PartFormat = Literal["parquet", "jsonl"]
Precision = Literal["float32", "bfloat16"]
Engine = Literal["litert", "tensorflow"]
EngineChoice = Literal["auto", "litert", "tensorflow"]

MAX_PIXELS = 89_478_485
"""Pixels of an image, at most, by default: a quarter of a gigabyte as RGB, Pillow's own first limit."""

LABEL_SOURCES = get_args(LabelSource)
LABELS_ARE = get_args(LabelsAre)
PART_FORMATS = get_args(PartFormat)
PRECISIONS = get_args(Precision)
ENGINES = get_args(EngineChoice)


def _flag(default: Any, text: str, **argparse_keywords: Any) -> Any:
    return field(default=default, metadata={"help": text, "argparse": argparse_keywords})


@dataclass(frozen=True)
class ScoreOptions:
    """Options of a scoring job as a person typed them; each field is the flag of the same name.

    Raises:
        UsageError: a value is missing or out of range.
    """

    input: tuple[str, ...] = _flag(
        (),
        "images: a file, a folder or a glob; TFRecord or IDX (also .gz), tar (also .gz, .bz2, .xz) or zip; or a list "
        "of image files (.csv, .jsonl, .parquet, .txt); repeatable",
        metavar="PATTERN",
    )
    model: str = _flag("", "model directory", metavar="MODEL")
    output: str = _flag("", "folder for the results", metavar="OUTPUT")
    label_source: LabelSource = _flag(
        "auto",
        "where labels come from: auto = the record's own, else the parent folder if it names a class of the model; "
        "from_directory = the parent folder; none (also --labels)",
        choices=LABEL_SOURCES,
    )
    format: PartFormat = _flag("parquet", "format of the prediction files", choices=PART_FORMATS)
    top_k: TopK = _flag(5, "how many classes a row lists; all = every one", type=read_top_k, metavar="N|all")
    precision: Precision = _flag(
        "float32",
        "precision of the model's arithmetic; bfloat16 gives the same classes and coarser scores, faster on some CPUs "
        "and for some models: 'nightscore plan' measures it",
        choices=PRECISIONS,
    )
    engine: EngineChoice = _flag(
        "auto",
        "what runs the model: litert (model.tflite, on CPUs) or tensorflow (saved_model/); auto = what OUTPUT was "
        "begun with, else tensorflow if there is a GPU or --precision is bfloat16, else litert if the model has it",
        choices=ENGINES,
    )
    max_failed_fraction: float = _flag(
        0.01, "exit code 3 if more than the share F of the images fails", type=float, metavar="F"
    )
    min_accuracy: float | None = _flag(
        None, "exit code 4 if the accuracy (on unseen images, if it is known) is below A", type=float, metavar="A"
    )
    accept_score: float | None = _flag(
        None,
        "accept predictions with a score of at least T; decisions/ and exports say which; scores no image again "
        "(models of classes)",
        type=float,
        metavar="T",
    )
    accept_accuracy: float | None = _flag(
        None,
        "find the lowest score from which the accuracy on labelled images is at least A (95 percent confidence), and "
        "accept from there; exit code 4 if there is none (models of classes)",
        type=float,
        metavar="A",
    )
    unit_images: int = _flag(
        2048, "largest number of images in a work unit; OUTPUT keeps that of its stored rows", type=int, metavar="N"
    )
    limit: int | None = _flag(None, "score only the first N images", type=int, metavar="N")
    max_pixels: int = _flag(MAX_PIXELS, "an image with more pixels is a failed row", type=int, metavar="N")
    image_timeout: float = _flag(
        300.0, "seconds after which an image that is still being decoded is a failed row", type=float, metavar="S"
    )
    memory_mb: int | None = _flag(
        None,
        "megabytes that a run may take on each machine; the number of local processes follows from it (default: half "
        "of the machine's or the container's)",
        type=int,
        metavar="N",
    )
    retry_deadline: float = _flag(900.0, "seconds to keep trying when storage fails", type=float, metavar="S")
    retry_failed: bool = _flag(False, "score again the images that failed in an earlier run", action="store_true")
    no_canary: bool = _flag(False, "start at once, without trying a few images first", action="store_true")
    no_wait: bool = _flag(
        False,
        "with a --runner elsewhere (Dataflow, Flink): return when the job is submitted; a bad verdict then makes the "
        "job fail",
        action="store_true",
    )
    on_end: str | None = _flag(
        None,
        "shell command to run when the run is over, however it ends; NIGHTSCORE_VERDICT, NIGHTSCORE_EXIT_CODE, "
        "NIGHTSCORE_SUMMARY and others are in its environment (docs/on_end.md)",
        metavar="COMMAND",
    )
    accelerator: str | None = _flag(
        None,
        "GPU for the workers that score, as Beam's resource hint: type:nvidia-l4;count:1;install-nvidia-driver",
        metavar="HINT",
    )
    image_key: str | None = _flag(
        None,
        "TFRecord feature with the image (default: image/encoded, else image); also the column of a Parquet file, or "
        "the array of a .npz; in a tar, the suffix of the image among the files of a sample: jpg or left.png; several "
        "with ; between them (default: the one with no second dot)",
        metavar="NAME",
    )
    label_key: str | None = _flag(
        None,
        "TFRecord feature with the label (default: image/class/label, else label); also the column of a Parquet file "
        "with images, or the array of a .npz",
        metavar="NAME",
    )
    label_offset: int = _flag(
        0, "number of the first class in the labels: 1 if they count from 1", type=int, metavar="N"
    )
    labels_file: str | None = _flag(
        None, "IDX file with the labels of the IDX file of images (default: the one beside it)", metavar="FILE"
    )
    zip_encoding: str | None = _flag(
        None,
        "encoding of names in zip archives that do not state it: cp932, gbk, cp866 ... (default: UTF-8 if the names "
        "are valid UTF-8, else cp437)",
        metavar="NAME",
    )
    file_column: str | None = _flag(
        None,
        "column of a list that names the file (default: file_name, else uri, else one of a usual name)",
        metavar="NAME",
    )
    label_column: str | None = _flag(
        None, "column of a list with the label (default: label, else one of a usual name)", metavar="NAME"
    )
    labels_are: LabelsAre = _flag(
        "auto",
        "what a label means that is a number: names = the class with this name; indices = the class at this position; "
        "auto = a name if a class has it, else a position, unless all class names are numbers",
        choices=LABELS_ARE,
    )

    columns: str = _flag(
        "none",
        "columns of lists and tables that pass through to the rows as text: all, none, or names with commas between "
        "them",
        metavar="all|none|A,B",
    )
    slice: str | None = _flag(
        None,
        "give accuracy, failures and drift for each value of these columns, in summary and report: names with commas "
        "between them",
        metavar="A,B",
    )
    exif: bool = _flag(
        False, "also write when an image was taken, and by which camera, as its EXIF data say", action="store_true"
    )
    pixel_facts: bool = _flag(
        False,
        "also write what the pixels tell: a hash that near copies share, brightness, contrast and entropy",
        action="store_true",
    )

    bands: str = _flag(
        "",
        "for TIFFs with several bands: numbers of the red, green and blue band, counted from 1, such as 4,3,2; one "
        "number: grey (default: as the tags say, else a failed row)",
        metavar="R,G,B",
    )
    background: str = _flag(
        "",
        "color behind transparent pixels: white, black, gray or #rrggbb; drop = ignore transparency, as TensorFlow and "
        "Keras do (default: drop, but an image that only its transparency shows is a failed row)",
        metavar="COLOR",
    )
    no_pictures: bool = _flag(
        False,
        "make no small pictures of images, in the report or in the receipts: for images that must not be copied "
        "elsewhere",
        action="store_true",
    )
    link_base: str | None = _flag(
        None,
        "in the report's links to originals, use this address instead of the input's location: https://host/photos "
        "(default: files on disk, and the consoles of Google Cloud and AWS)",
        metavar="URL",
    )

    @property
    def accepts(self) -> bool:
        """Whether predictions are accepted, by a score that is given or found."""
        return self.accept_score is not None or self.accept_accuracy is not None

    @property
    def passed(self) -> tuple[str, ...]:
        """Names of the columns that pass through; `prepare` has put them in the place of "all"."""
        return () if self.columns in (ALL, NONE) else names_in(self.columns)

    @property
    def slices(self) -> tuple[str, ...]:
        """Names of the columns by whose values figures are told apart."""
        return names_in(self.slice or "")

    def __post_init__(self) -> None:
        """Check every value."""
        for name, values in {"input": self.input, "model": (self.model,), "output": (self.output,)}.items():
            if not values or "" in values:
                raise UsageError(f"--{name} is missing")
        check_ranges(vars(self))
        if self.accept_score is not None and self.accept_accuracy is not None:
            raise UsageError("--accept_score gives the score and --accept_accuracy finds it: leave one of them out")
        for spec in fields(self):
            choices = spec.metadata["argparse"].get("choices")
            value = getattr(self, spec.name)
            if choices and value not in choices:
                raise UsageError(f"--{spec.name} {value!r} is unknown: choose from {', '.join(choices)}")


def add_arguments(parser: argparse.ArgumentParser, names: Collection[str] = ()) -> None:
    """Add options to a parser as --name. The parser requires none of them: `ScoreOptions` checks them.

    Args:
        parser: gets the options.
        names: of the options; empty: every one.
    """
    for spec in (one for one in fields(ScoreOptions) if not names or one.name in names):
        keywords: Mapping[str, Any] = spec.metadata["argparse"]
        text = spec.metadata["help"]
        if spec.name == "input":
            parser.add_argument("--input", action="append", default=[], help=text, **keywords)
            continue
        if spec.default and "default" not in text:
            text += f" (default: {spec.default})"
        parser.add_argument(f"--{spec.name}", default=spec.default, help=text, **keywords)


def from_arguments(arguments: Mapping[str, Any]) -> ScoreOptions:
    """Return the options among parsed arguments; names that are no options are ignored."""
    values = {spec.name: arguments[spec.name] for spec in fields(ScoreOptions) if spec.name in arguments}
    return ScoreOptions(**{**values, "input": tuple(values.get("input") or ())})


def to_flags(options: ScoreOptions) -> list[str]:
    """Return the flags from which a command line would make the same options; defaults are left out.

    >>> to_flags(ScoreOptions(input=("a", "b"), model="m", output="o", no_canary=True, limit=9))
    ['--input=a', '--input=b', '--model=m', '--output=o', '--limit=9', '--no_canary']
    """
    flags: list[str] = []
    for spec in fields(ScoreOptions):
        value = getattr(options, spec.name)
        if spec.name == "input":
            flags += [f"--input={pattern}" for pattern in value]
        elif value is True:
            flags.append(f"--{spec.name}")
        elif value != spec.default:
            flags.append(f"--{spec.name}={value}")
    return flags


def rename_labels(argv: Sequence[str]) -> list[str]:
    """Return the arguments with `--labels auto` as `--label_source auto`; `--labels key=value` is Beam's.

    >>> rename_labels(["--labels", "none", "--labels", "team=vision"])
    ['--label_source=none', '--labels', 'team=vision']

    Raises:
        UsageError: it is neither.
    """
    return [flag for pair in _pairs(argv) for flag in _rename(pair)]


def _pairs(argv: Sequence[str]) -> list[list[str]]:
    """Return the arguments with `--labels X` kept together."""
    pairs: list[list[str]] = []
    for argument in argv:
        if pairs and pairs[-1] == ["--labels"]:
            pairs[-1].append(argument)
        else:
            pairs.append([argument])
    return pairs


def _rename(pair: list[str]) -> list[str]:
    text = "=".join(pair)
    value = text.partition("=")[2]
    is_ours = text.startswith("--labels=") and ("=" not in value and not value.startswith("{"))
    if is_ours and value not in LABEL_SOURCES:
        raise UsageError(f"--labels {value!r} is unknown: choose from {', '.join(LABEL_SOURCES)}")
    return [f"--label_source={value}"] if is_ours else pair


def refuse(message: str) -> NoReturn:
    """Raise a UsageError with what argparse finds wrong."""
    raise UsageError(f"{message}; see 'nightscore score --help'")
