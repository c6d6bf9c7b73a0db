"""The content of model_spec.json, and the id of a model. Knows no files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from pipeline.model.input_rule import FIRST_FIELDS, InputSpec, check_rule
from pipeline.storage.formats import NEWEST, check_names, check_number

SCALING = "divided by 255 inside the graph"
"""Text in model_spec.json that says where pixels are scaled; there is no other way."""


FORMAT_VERSION = "format_version"
"""Name of the field of model_spec.json that holds its format number; unlike others it is written for number 1, too."""


Task = Literal["classes"]
"""What a model says of an image: "classes" = one of its classes is right, and each has a probability."""


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
        class_names: one name a class, in the order of the model's output.
        model_id: SHA-256 over saved_model/ and the fields that change a row (`model_id`), as hex.
        versions: library -> version at training time.
        training: data set, recipe and test metrics, for people.
        litert: how model.tflite was made; None: nobody tried, as in a model directory of an earlier version.
        golden_tolerance: difference of golden outputs in float32, at most, see `pipeline.model.agreement`.
    """

    input: InputSpec
    class_names: Sequence[str]
    model_id: str
    versions: Mapping[str, str] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    litert: Conversion | None = None
    golden_tolerance: float = GOLDEN_TOLERANCE

    @property
    def has_litert(self) -> bool:
        """Whether the model directory has a model.tflite."""
        return self.litert is not None and bool(self.litert.sha256)

    @property
    def task(self) -> Task:
        """What the model says of an image."""
        return "classes"

    def to_json(self) -> str:
        """Return the text of model_spec.json."""
        rule = self.input.to_json()
        later = {spec.name: spec.default for spec in fields(self) if spec.name in _LATER_FIELDS}
        is_first = rule.keys() <= set(FIRST_FIELDS) and all(getattr(self, name) == later[name] for name in later)
        number = {FORMAT_VERSION: 1 if is_first else NEWEST["model"]}
        content = {**number, **asdict(self), "scaling": SCALING, "input": rule, "class_names": list(self.class_names)}
        told = {name: value for name, value in content.items() if not (is_first and name in later)}
        return json.dumps(told, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, location: str = "") -> ModelSpec:
        """Return the spec that the text of a model_spec.json holds.

        Raises:
            NewerFormatError: its format is newer, or it has an unknown field.
            ValueError: it is not JSON, or lacks a field.
        """
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("it is no JSON object")
        check_number(content.pop(FORMAT_VERSION, 1), "model", location)
        if content.pop("scaling", None) != SCALING:
            raise ValueError(f"scaling is not {SCALING!r}")
        check_names(content, (spec.name for spec in fields(cls)), "model", location)
        try:
            rule = InputSpec.from_json(content["input"], "model", location)
            litert = _conversion(content.get("litert"), location)
            spec = cls(**{**content, "input": rule, "litert": litert})
        except (KeyError, TypeError) as error:
            raise ValueError(f"fields are missing: {error}") from error
        _check_names(spec.class_names)
        check_rule(spec.input)
        if not isinstance(spec.model_id, str):
            raise ValueError("model_id is no text")
        if not (isinstance(spec.golden_tolerance, float) and 0 < spec.golden_tolerance <= LARGEST_TOLERANCE):
            raise ValueError(f"golden_tolerance is {spec.golden_tolerance!r}, expected 0 to {LARGEST_TOLERANCE:g}")
        return spec


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


def _check_names(names: Any) -> None:
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not is_list or not names or len(set(names)) != len(names):
        raise ValueError("class_names are not distinct names")
    "".join(names).encode()  # raises ValueError where one is not UTF-8, as every row with it must be


def model_id(spec_input: InputSpec, class_names: Sequence[str], files: Iterable[tuple[str, bytes]]) -> str:
    """Return the SHA-256 over what changes a row: the input rule, the class names, and saved_model/ in name order."""
    digest = hashlib.sha256()
    rule = {"format_version": 1, "input": spec_input.to_json(), "class_names": list(class_names)}  # 1 for ever
    digest.update(json.dumps({**rule, "scaling": SCALING}, sort_keys=True).encode())
    for name, data in sorted(files):
        digest.update(f"\n{name}\n{len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()
