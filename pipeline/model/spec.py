"""The content of model_spec.json, and the id of a model. Knows no files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal, get_args

from pipeline.model.feed import Feed
from pipeline.model.input_rule import FIRST_FIELDS, InputSpec, check_rule
from pipeline.model.outputs import OUTPUT_FIELDS, THRESHOLD, check_outputs, read_outputs
from pipeline.storage.formats import NEWEST, check_names, check_number
from pipeline.task import Embedding, Task

SCALING = "divided by 255 inside the graph"
"""Text in model_spec.json that says where pixels are scaled, of a network that was trained here."""

IMPORTED_SCALING = "as imported"
"""Text in model_spec.json that says where pixels are scaled, of a network from elsewhere: `imported` tells."""

BASE_SCALING = "as the base, inside the graph"
"""Text in model_spec.json that says where pixels are scaled, of a network that began with a trained one."""

_WITHOUT_BASE = 2
"""Format number of a model_spec.json that tells of no base: earlier versions read it."""


Takes = Literal["pixels", "encoded"]
"""What a network takes of an image: "pixels" = those that the input rule gives, "encoded" = the file itself."""

FORMAT_VERSION = "format_version"
"""Name of the field of model_spec.json that holds its format number; unlike others it is written for number 1, too."""

GOLDEN_TOLERANCE = 1e-3
"""Difference of golden outputs in float32, at most, as `pipeline.model.agreement` measures it, by default."""

LARGEST_TOLERANCE = 1e-2
"""The largest tolerance that a model may ask for: beyond it, a wrong model would pass for the right one."""


@dataclass(frozen=True)
class Conversion:
    """How saved_model/ became model.tflite, or why it did not.

    Attributes:
        sha256: SHA-256 of model.tflite, as hex; "": there is no such file.
        bytes: size of model.tflite.
        difference: largest difference of its outputs from those of saved_model/, see `pipeline.model.agreement`.
        images: number of images by which the two were compared.
        converter: library that converted, with its version.
        missing: why there is no model.tflite, as one line; "": there is one.
    """

    sha256: str = ""
    bytes: int = 0
    difference: float = 0.0
    images: int = 0
    converter: str = ""
    missing: str = ""


_LATER_FIELDS = ("litert", "golden_tolerance")
"""Fields of a model_spec.json that format 1 did not have: they are absent if nothing else is new either."""


@dataclass(frozen=True)
class ModelSpec:
    """The content of model_spec.json.

    Attributes:
        input: the input rule.
        class_names: one name a class, in the order of the model's output; () where the task has no classes.
        model_id: SHA-256 over saved_model/ and the fields that change a row (`model_id`), as hex.
        versions: library -> version at training time.
        training: data set, recipe and test metrics, for people.
        litert: how model.tflite was made; None: nobody tried, as in a model directory of an earlier version.
        golden_tolerance: difference of golden outputs in float32, at most, see `pipeline.model.agreement`.
        task: what the model says of an image.
        thresholds: of the task "labels": the probability from which an image has the label, one a class; (): 0.5 each.
        value_unit: of the task "value": the unit of the integer sums of values, a power of two; else 0.
        embedding: the vector that the model gives for an image, alone or beside its scores; None: it gives none.
        feed: how pixels enter model.tflite if it was made elsewhere, and is the model; None: saved_model/ is.
        imported: of a model from elsewhere, what was read from where, for people; {}: it was trained here.
        takes: "pixels", or "encoded": its network gets each file as it is, and the input rule is for pictures alone.
    """

    input: InputSpec
    class_names: Sequence[str]
    model_id: str
    versions: Mapping[str, str] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    litert: Conversion | None = None
    golden_tolerance: float = GOLDEN_TOLERANCE
    task: Task = "classes"
    thresholds: Sequence[float] = ()
    value_unit: float = 0.0
    embedding: Embedding | None = None
    feed: Feed | None = None
    imported: Mapping[str, Any] = field(default_factory=dict)
    takes: Takes = "pixels"

    @property
    def has_litert(self) -> bool:
        """Whether the model directory has a model.tflite."""
        return self.litert is not None and bool(self.litert.sha256)

    @property
    def label_thresholds(self) -> Sequence[float]:
        """The probability from which an image has the label, one a class."""
        return self.thresholds or (THRESHOLD,) * len(self.class_names)

    @property
    def scaling(self) -> str:
        """Where pixels are scaled, as model_spec.json says it."""
        return _scaling(self.imported, self.training)

    def outputs(self) -> dict[str, Any]:
        """Return what the model's output is and what it takes, as JSON values: the fields that are not at default."""
        values = {spec.name: (getattr(self, spec.name), spec.default) for spec in fields(self)}
        told = {name: values[name][0] for name in OUTPUT_FIELDS if values[name][0] != values[name][1]}
        if self.embedding is not None:
            told["embedding"] = asdict(self.embedding)
        return {name: list(value) if name == "thresholds" else value for name, value in told.items()}

    def identity(self) -> dict[str, Any]:
        """Return what enters the model's id besides input rule, class names and files, as JSON values."""
        return self.outputs() | ({} if self.feed is None else {"feed": self.feed.to_json()})

    def to_json(self) -> str:
        """Return the text of model_spec.json."""
        rule = self.input.to_json()
        later = {spec.name: spec.default for spec in fields(self) if spec.name in _LATER_FIELDS}
        is_first = rule.keys() <= set(FIRST_FIELDS) and all(getattr(self, name) == later[name] for name in later)
        more = self.identity() | ({"imported": dict(self.imported)} if self.imported else {})
        is_first = is_first and not more
        later_number = NEWEST["model"] if self.scaling == BASE_SCALING else _WITHOUT_BASE
        number = {FORMAT_VERSION: 1 if is_first and later_number == _WITHOUT_BASE else later_number}
        content = {
            **number,
            **asdict(self),
            "scaling": self.scaling,
            "input": rule,
            "class_names": list(self.class_names),
        }
        absent = {*OUTPUT_FIELDS, "feed", "imported", *(later if is_first else ())}
        told = {name: value for name, value in content.items() if name not in absent} | more
        return json.dumps(told, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, location: str = "") -> ModelSpec:
        """Return the spec that the text of a model_spec.json holds.

        Raises:
            NewerFormatError: its format is newer, or it has an unknown field.
            ValueError: it is not JSON, lacks a field, or contradicts itself.
        """
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("it is no JSON object")
        check_number(content.pop(FORMAT_VERSION, 1), "model", location)
        scaling = _scaling(content.get("imported"), content.get("training"))
        if content.pop("scaling", None) != scaling:
            raise ValueError(f"scaling is not {scaling!r}")
        check_names(content, (spec.name for spec in fields(cls)), "model", location)
        try:
            rule = InputSpec.from_json(content["input"], "model", location)
            litert = _conversion(content.get("litert"), location)
            outputs = read_outputs(content, "model", location)
            feed = Feed.from_json(content["feed"], rule.channels, location) if "feed" in content else None
            spec = cls(**{**content, "input": rule, "litert": litert, **outputs, "feed": feed})
        except (KeyError, TypeError) as error:
            raise ValueError(f"fields are missing: {error}") from error
        check_outputs(spec.task, spec.class_names, spec.thresholds, spec.value_unit, spec.embedding)
        check_rule(spec.input)
        if spec.takes not in get_args(Takes):
            raise ValueError(f"takes is {spec.takes!r}, unknown here: expected one of {', '.join(get_args(Takes))}")
        if not isinstance(spec.model_id, str):
            raise ValueError("model_id is no text")
        if not (isinstance(spec.golden_tolerance, float) and 0 < spec.golden_tolerance <= LARGEST_TOLERANCE):
            raise ValueError(f"golden_tolerance is {spec.golden_tolerance!r}, expected 0 to {LARGEST_TOLERANCE:g}")
        return spec


def _scaling(imported: Any, training: Any) -> str:
    """Return the text that says where pixels are scaled."""
    if imported:
        return IMPORTED_SCALING
    return BASE_SCALING if isinstance(training, Mapping) and training.get("base") else SCALING


def _conversion(content: Any, location: str) -> Conversion | None:
    """Return how model.tflite was made; None if the spec does not tell."""
    if content is None:
        return None
    check_names(content, (spec.name for spec in fields(Conversion)), "model", location)
    conversion = Conversion(**content)
    if not isinstance(conversion.sha256, str) or not isinstance(conversion.missing, str):
        raise ValueError("litert has a sha256 or a reason that is no text")
    if bool(conversion.sha256) == bool(conversion.missing):
        raise ValueError("litert tells neither of a file nor why there is none")
    return conversion


def model_id(
    spec_input: InputSpec,
    class_names: Sequence[str],
    files: Iterable[tuple[str, bytes]],
    outputs: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """Return the SHA-256 over what changes a row.

    Args:
        spec_input: the input rule.
        class_names: of the model.
        files: name and content of each file of saved_model/, or of model.tflite; taken in the order of their names.
        outputs: what else changes a row, see `ModelSpec.identity`.
    """
    digest = hashlib.sha256()
    rule = {"format_version": 1, "input": spec_input.to_json(), "class_names": list(class_names)}  # 1 for ever
    rule |= outputs
    digest.update(json.dumps({**rule, "scaling": SCALING}, sort_keys=True).encode())
    for name, data in sorted(files):
        digest.update(f"\n{name}\n{len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()
