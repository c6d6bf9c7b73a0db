"""`DataOptions`: what is learned from, and how it is read, as a person says it. Must not know how anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from model_training.learning.network import LARGEST_SIDE, SMALLEST_SIDE
from pipeline.errors import UsageError
from pipeline.model.input_rule import ColorMode, Decode, InputSpec
from pipeline.model.presets import preset_of, rule_like
from pipeline.option_values import check_ranges
from pipeline.options import MAX_PIXELS, LabelsAre, LabelSource, ScoreOptions
from pipeline.task import TASKS, Task

DATASETS = ("mnist", "digits")
"""The names of data sets that are no inputs."""

SHUFFLE_MB = 256
"""Megabytes of pixels that wait to be drawn at random, at most, if nothing else is asked for."""

Contradictions = Literal["refuse", "leave_out"]
"""What becomes of pictures that are there with different labels."""

READING = (
    "label_source", "labels_are", "label_offset", "image_key", "label_key", "labels_file", "file_column",
    "label_column", "zip_encoding", "max_pixels", "image_timeout",
)  # fmt: skip
"""The options that have the name and the meaning of one of `pipeline.options.ScoreOptions`."""

_FOR_SOURCES = ("validation", "test", "bands", "background", "contradictions", "memory_mb", *READING)
"""The options that say nothing of mnist and digits."""


@dataclass(frozen=True)
class DataOptions:
    """What is learned from, and how it is read.

    Attributes:
        sources: "mnist", "digits", or inputs as `nightscore score` takes them: folders, globs, lists, archives, on
            disk or in a bucket.
        validation: inputs whose images validate; (): a share of those of the sources does.
        test: inputs whose images test; (): a share of those of the sources does.
        task: what the network is to say of an image; an embedding is learned from classes.
        data_dir: for mnist, the folder with its four IDX files; None takes the Keras cache, or downloads into it.
        image_size: side in pixels of the square that images are resized to; None takes their own size, which must be
            one.
        color_mode: None takes "grayscale" if every image is grey, else "rgb".
        decode: how JPEG files are decoded, in training and in scoring: "reduced" or "full". None takes "reduced", but
            with a preset "full".
        like: name of a preset whose input rule the model gets, one of `pipeline.model.presets.PRESETS`; None takes the
            rule of Nightscore.
        seed: of mnist and digits: decides which images validate.
        label_source: see `pipeline.options.ScoreOptions`, also for all options up to `image_timeout`.
        labels_are: the same.
        label_offset: the same.
        image_key: the same.
        label_key: the same.
        labels_file: the same.
        file_column: the same.
        label_column: the same.
        zip_encoding: the same.
        max_pixels: the same.
        image_timeout: the same.
        bands: as --bands, see `pipeline.model.input_rule.InputSpec`; becomes part of the model's input rule.
        background: as --background; the same.
        contradictions: "refuse" images that are the same picture with different labels, or "leave_out" all of them.
        memory_mb: megabytes that pixels may take; if all do not fit, they are decoded again for each epoch. None: a
            quarter of the memory of the machine or the container.
        shuffle_mb: megabytes of pixels that wait to be drawn at random, if pixels are decoded for each epoch.
        own_rule: the whole input rule, if a network has one already; None: it is made of what is given above.

    Raises:
        UsageError: a value is out of range, or two contradict each other.
    """

    sources: tuple[str, ...]
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    task: Task = "classes"
    data_dir: str | None = None
    image_size: int | None = None
    color_mode: ColorMode | None = None
    decode: Decode | None = None
    like: str | None = None
    seed: int = 0
    label_source: LabelSource = "auto"
    labels_are: LabelsAre = "auto"
    label_offset: int = 0
    image_key: str | None = None
    label_key: str | None = None
    labels_file: str | None = None
    file_column: str | None = None
    label_column: str | None = None
    zip_encoding: str | None = None
    max_pixels: int = MAX_PIXELS
    image_timeout: float = 300.0
    bands: str = ""
    background: str = ""
    contradictions: Contradictions = "refuse"
    memory_mb: int | None = None
    shuffle_mb: int = SHUFFLE_MB
    own_rule: InputSpec | None = None

    def __post_init__(self) -> None:
        """Check what does not need the images."""
        if not self.sources or "" in (*self.sources, *self.validation, *self.test):
            raise UsageError("--dataset is empty: give mnist, digits or images")
        check_ranges(vars(self))
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UsageError(f"--{name} {getattr(self, name)!r} is unknown: give {' or '.join(choices)}")
        if self.decode is not None and self.decode not in get_args(Decode):
            raise UsageError(f"--decode {self.decode!r} is unknown: give reduced or full")
        if self.image_size is not None and not SMALLEST_SIDE <= self.image_size <= LARGEST_SIDE:
            raise UsageError(
                f"--image_size {self.image_size}: the network takes {SMALLEST_SIDE} to {LARGEST_SIDE} pixels"
            )
        if self.shuffle_mb < 1:
            raise UsageError(f"--shuffle_mb {self.shuffle_mb} is too small: give a number of at least 1")
        self._check_sources()
        if self.like is not None:
            preset_of(self.like)
            if self.decode == "reduced":
                raise UsageError(
                    f"--decode reduced contradicts --like {self.like}, which decodes every pixel: leave one of them out"
                )

    def _check_sources(self) -> None:
        named = [source for source in self.sources if source in DATASETS]
        if named:
            self._check_named(named[0])
        elif self.data_dir is not None:
            raise UsageError(f"--data_dir is for --dataset mnist, not for {self.sources[0]!r}")

    def _check_named(self, name: str) -> None:
        """Check that nothing is said of a data set that has it already."""
        if len(self.sources) > 1:
            raise UsageError(f"--dataset {name} is a data set of its own: give it alone")
        if self.image_size is not None or self.color_mode is not None:
            raise UsageError(f"--image_size and --color_mode are for folders: {name} is 28 x 28 and grayscale")
        if self.task not in ("classes", "embedding"):
            raise UsageError(f"--task {self.task} is for images of your own: {name} has classes")
        defaults = {field.name: field.default for field in fields(self)}
        for option in _FOR_SOURCES:
            if getattr(self, option) != defaults[option]:
                raise UsageError(f"--{option} is for images of your own: {name} has its images, labels and splits")

    @property
    def name(self) -> str | None:
        """The name of a data set that is no input; None: there are inputs."""
        return self.sources[0] if self.sources[0] in DATASETS else None

    def rule(self, height: int, width: int, color_mode: ColorMode) -> InputSpec:
        """Return the input rule of a model that takes images of a size and of a kind of color.

        Raises:
            UsageError: the preset cannot have this size.
        """
        if self.own_rule is not None:
            made = self.own_rule
        elif self.like is None:
            made = InputSpec(height, width, color_mode, decode=self.decode or "reduced")
        else:
            made = rule_like(self.like, height, width, color_mode)
        return replace(made, bands=self.bands or made.bands, background=self.background or made.background)

    def with_rule(self, rule: InputSpec) -> DataOptions:
        """Return the same options for a network that has its input rule already: it decides what a rule decides."""
        return replace(self, own_rule=rule, image_size=None, color_mode=None, decode=None, like=None)

    @property
    def read_as(self) -> Task:
        """The task as which labels are read."""
        return "classes" if self.task == "embedding" else self.task

    def to_score(self, unit_images: int) -> ScoreOptions:
        """Return the options of a run that reads the same inputs; it has no model, and no OUTPUT.

        Args:
            unit_images: images in a work unit, at most.
        """
        inputs = (*self.sources, *self.validation, *self.test)
        reading: Mapping[str, Any] = {name: getattr(self, name) for name in READING}
        return ScoreOptions(inputs, "-", "-", engine="tensorflow", unit_images=unit_images, **reading)


_CHOICES: Mapping[str, tuple[str, ...]] = {
    "task": TASKS,
    "contradictions": get_args(Contradictions),
    "label_source": get_args(LabelSource),
    "labels_are": get_args(LabelsAre),
}
