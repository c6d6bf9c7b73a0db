"""The types of what a record repeats of a run's options, its model and its rules: what tells a run without them.

docs/schema.md describes every field. `pipeline.metrics.record` has the rest of a record: what the run came to.
"""

from __future__ import annotations

from typing import TypedDict


class Numbered(TypedDict, total=False):
    """The format number of a file; a file without one has number 1."""

    format: int


class RecordedOptions(TypedDict, total=False):
    """The options of a run, see `pipeline.options.ScoreOptions`; an older record lacks later ones."""

    input: list[str]
    model: str
    output: str
    label_source: str
    format: str
    top_k: int | str
    precision: str
    engine: str
    max_failed_fraction: float
    min_accuracy: float | None
    accept_score: float | None
    accept_accuracy: float | None
    unit_images: int
    limit: int | None
    max_pixels: int
    image_timeout: float
    memory_mb: int | None
    retry_deadline: float
    retry_failed: bool
    no_canary: bool
    no_wait: bool
    on_end: None
    accelerator: str | None
    image_key: str | None
    label_key: str | None
    label_offset: int
    labels_file: str | None
    zip_encoding: str | None
    file_column: str | None
    label_column: str | None
    labels_are: str
    columns: str
    slice: str | None
    exif: bool
    pixel_facts: bool
    bands: str
    background: str
    no_pictures: bool
    link_base: str | None


class FirstInputRule(TypedDict):
    """The fields of the input rule that every record has."""

    height: int
    width: int
    color_mode: str
    resize: str
    exif_orientation: bool


class RecordedInputRule(FirstInputRule, total=False):
    """How the model wants its images: `pipeline.model.input_rule`; a later field at its default is absent."""

    decode: str
    fit: str
    crop: float
    antialias: bool
    jpeg_dct: str
    gray_from: str
    deep: str
    bands: str
    background: str


class RecordedEmbedding(TypedDict):
    """The vector that a model gives for an image."""

    size: int
    dtype: str


class RecordedOutputs(TypedDict, total=False):
    """What the model's output is, see `pipeline.model.spec.ModelSpec`; a field at its default is absent."""

    task: str
    thresholds: list[float]
    value_unit: float
    embedding: RecordedEmbedding
    takes: str


class RecordedSpec(RecordedOutputs):
    """What a record repeats of the model directory."""

    input: RecordedInputRule
    class_names: list[str]


class RecordedEngine(TypedDict, total=False):
    """Why the engine of the options was chosen, as a phrase; an older record lacks it."""

    why_engine: str


class RecordedRules(TypedDict, total=False):
    """By which rules the run makes its rows; a record of rules 1 lacks it all.

    `pixel_rule` is the id of the input rule, in hex: pixel hashes are comparable between runs of one id only.
    """

    rules: int
    pixel_rule: str


class RecordedRun(Numbered, RecordedEngine, RecordedRules):
    """What tells a run without its inputs and its model at hand."""

    run: str
    model: str
    options: RecordedOptions
    model_spec: RecordedSpec
