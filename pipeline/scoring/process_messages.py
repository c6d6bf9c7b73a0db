"""The messages between a run and its local processes: a `Request`, and the `Answer` to it.

A process sends an answer when it is ready, and then one for each request. What is large is in the body of the frame
that carries the message (`pipeline.scoring.process_frames`). Must not know how a request is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast, get_args

import numpy as np

from pipeline import errors
from pipeline.batches import Failure, ImageColumns
from pipeline.errors import NightscoreError
from pipeline.image_facts import ImageFacts
from pipeline.metrics.task_examples import AnyCandidate
from pipeline.model.predict import Range
from pipeline.output.run import Run
from pipeline.units import WorkUnit

Want = Literal["pin", "load", "look", "pixels", "rows", "part", "unit", "measure"]
"""The work that a request can ask for."""

Body = Literal["nothing", "encoded", "pixels", "rows", "part"]
"""The content that the body of a message can have."""

WANTS: tuple[Want, ...] = get_args(Want)
BODIES: tuple[Body, ...] = get_args(Body)

_REMEDY = "both sides must run the same version of Nightscore"


@dataclass(frozen=True)
class Loaded:
    """A model that a process has loaded, and what that took.

    Attributes:
        version: name and version of the engine's library.
        cpu: kind of the CPU.
        before: bytes of memory that only this process had, before.
        after: the same, after the golden images were replayed.
    """

    version: str
    cpu: str
    before: int
    after: int


@dataclass(frozen=True)
class Request:
    """One request to a local process.

    Images come in one of three ways: as a work unit, which the process reads; encoded, in the body; or as pixels, in
    the body. The last two need `images` if rows are wanted.

    Attributes:
        want: "pin": make the run's plan and write it; "load": load the model; "look": read images and tell their sizes
            and whether they are colored; "pixels": read and decode images; "rows": read, decode and score images;
            "part": make a part and its receipt of rows; "unit": read, decode and score a whole unit, and make its part
            and its receipt; "measure": score images again and again, for a while, and tell how long one takes.
        run: the run that this request and the later ones belong to; None: the run of the request before.
        model: folder on this machine with the run's model; "": that of the request before.
        unit: the work unit to read, or whose part is made.
        body: content of the body.
        sizes: bytes of each piece of the body: an encoded image; or, for a part, the rows of a piece.
        images: keys and labels of the images in the body, without failures.
        failures: index of an image -> why it has failed already; the process does not touch it.
        examples: the images that the lists of the unit hold so far, see `pipeline.scoring.pictures`.
        alone: images in these ranges are decoded, and scored, one by one.
        replaced: numbers of the rows that the new rows replace in the part that is the first piece of the body; empty:
            the rows are the part.
        seconds: for how long "measure" goes on.
        bare: whether pixels are wanted alone: of images that do not fail, the answer tells nothing else.

    >>> Request("pixels", body="encoded", sizes=[3, 5]).to_json()
    {'want': 'pixels', 'body': 'encoded', 'sizes': [3, 5]}
    >>> Request.from_json({"want": "pin", "by": "noon"})
    Traceback (most recent call last):
    ValueError: a Request has no field 'by': both sides must run the same version of Nightscore
    """

    want: Want
    run: Run | None = None
    model: str = ""
    unit: WorkUnit | None = None
    body: Body = "nothing"
    sizes: Sequence[int] = ()
    images: ImageColumns | None = None
    failures: Mapping[int, Failure] = field(default_factory=dict)
    examples: Sequence[AnyCandidate] = ()
    alone: Sequence[Range] = ()
    replaced: Sequence[int] = ()
    seconds: float = 0.0
    bare: bool = False

    def __post_init__(self) -> None:
        """Check what types cannot say."""
        _check_choice(self, "want", self.want, WANTS)
        _check_choice(self, "body", self.body, BODIES)
        if self.unit is not None and self.body in ("encoded", "pixels"):
            raise ValueError(f"a Request has a unit, {self.unit.id!r}, and a body with images: give only one of them")
        _check_images(self, self.images)

    def to_json(self) -> dict[str, Any]:
        """Return the request as JSON values, without the fields that have their default."""
        return _to_json(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Request:
        """Return the request that `to_json` wrote.

        Raises:
            ValueError: a field or a choice is unknown, so that this is a request of another version.
        """
        return cls(**_from_json(cls, content))


@dataclass(frozen=True)
class Answer:
    """One answer of a local process.

    Attributes:
        body: content of the body. "pixels": uint8 [n, height, width, channels], in C order. "rows": the rows of the
            images as an Arrow stream in the run's row schema, then the pictures. "part": a part, then its receipt.
        sizes: bytes of each piece of the body.
        images: the images that the process has read, without failures; None: the request had no unit, or wanted pixels
            alone and got them all.
        facts: about the images as they are stored, of an answer with pixels; None: they are in `images`.
        count: number of images in the rows.
        failures: index of an image -> why it has failed, by now.
        seconds: seconds that the request took, by step.
        pictured: index of each image whose picture is in the body.
        enlarged: index of each image whose larger picture is in the body, behind all others.
        examples: images that enter the lists of the unit.
        rescored: number of images that were scored a second time, in float32.
        loaded: the model that was loaded.
        sides: width and height of each image that was looked at, upright; (0, 0): it cannot be told.
        colored: whether any of these has a color.
        error: the error of ours that kept the process from doing the request; it crosses as its type's name and text.
        bug: the traceback of any other exception; "": there was none.

    >>> answer = Answer(error=errors.TransientError("HTTP 503"))
    >>> answer.to_json()
    {'error': ['TransientError', 'HTTP 503']}
    >>> Answer.from_json(answer.to_json()).error
    TransientError('HTTP 503')
    """

    body: Body = "nothing"
    sizes: Sequence[int] = ()
    images: ImageColumns | None = None
    facts: ImageFacts | None = None
    count: int = 0
    failures: Mapping[int, Failure] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    pictured: Sequence[int] = ()
    enlarged: Sequence[int] = ()
    examples: Sequence[AnyCandidate] = ()
    rescored: int = 0
    loaded: Loaded | None = None
    sides: Sequence[tuple[int, int]] = ()
    colored: bool = False
    error: NightscoreError | None = None
    bug: str = ""

    def __post_init__(self) -> None:
        """Check what types cannot say."""
        _check_choice(self, "body", self.body, BODIES)
        _check_images(self, self.images)

    def to_json(self) -> dict[str, Any]:
        """Return the answer as JSON values, without the fields that have their default."""
        return _to_json(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Answer:
        """Return the answer that `to_json` wrote.

        Raises:
            ValueError: a field, a choice or an error's type is unknown, so that this is an answer of another version.
        """
        return cls(**_from_json(cls, content))


def _to_json(message: Request | Answer) -> dict[str, Any]:
    """Return the fields of a message that are not at their default: an empty value, or "nothing"."""
    values = {name: value for name, value in vars(message).items() if _is_set(value)}
    return {name: _WRITTEN[name](value) if name in _WRITTEN else value for name, value in values.items()}


def _is_set(value: Any) -> bool:
    """Return whether a field is not at its default; a batch of no images is not what lacks images."""
    return isinstance(value, ImageColumns | ImageFacts) or bool(value and value != "nothing")


def _from_json(kind: type[Request | Answer], content: Mapping[str, Any]) -> dict[str, Any]:
    unknown = content.keys() - kind.__dataclass_fields__.keys()
    if unknown:
        names = ", ".join(map(repr, sorted(unknown)))
        raise ValueError(f"{_a(kind)} has no field {names}: {_REMEDY}")
    if kind is Request and "want" not in content:
        raise ValueError(f"{_a(kind)} lacks the field 'want': {_REMEDY}")
    return {name: _READ[name](value) if name in _READ else value for name, value in content.items()}


def _check_choice(message: Request | Answer, name: str, choice: str, choices: Sequence[str]) -> None:
    if choice not in choices:
        kind = _a(type(message))
        raise ValueError(f"the field {name!r} of {kind} is {choice!r}, but it must be one of {', '.join(choices)}")


def _check_images(message: Request | Answer, images: ImageColumns | None) -> None:
    if images is not None and images.failures:
        kind = _a(type(message))
        raise ValueError(f"the images of {kind} have failures: they belong in its field 'failures'")


def _a(kind: type[Request | Answer]) -> str:
    return "a Request" if kind is Request else "an Answer"


def _failures_to_json(failures: Mapping[int, Failure]) -> list[list[Any]]:
    return [[i, failure.stage, failure.code, failure.message] for i, failure in failures.items()]


def _failures_from_json(content: Iterable[Sequence[Any]]) -> dict[int, Failure]:
    return {i: Failure(stage, code, message) for i, stage, code, message in content}


def _images_to_json(images: ImageColumns) -> dict[str, Any]:
    lists = {} if images.label_lists is None else {"label_lists": list(images.label_lists)}
    values = {} if images.label_values is None else {"label_values": images.label_values.tolist()}
    return {
        "keys": list(images.keys),
        "labels": images.labels.tolist(),
        "labelled": images.labelled.tolist(),
        "label_names": list(images.label_names),
        **lists,
        **values,
        **({"more": {name: list(column) for name, column in images.more.items()}} if images.more else {}),
        **({} if images.facts is None else {"facts": images.facts.to_json()}),
    }


def _images_from_json(content: Mapping[str, Any]) -> ImageColumns:
    labels, labelled = np.array(content["labels"], np.int32), np.array(content["labelled"], np.bool_)
    values = np.array(content["label_values"], np.float64) if "label_values" in content else None
    return ImageColumns(
        content["keys"],
        labels,
        labelled,
        content["label_names"],
        label_lists=content.get("label_lists"),
        label_values=values,
        more=content.get("more", {}),
        facts=ImageFacts.from_json(content["facts"]) if "facts" in content else None,
    )


_EXAMPLE = ("key", "label", "label_score", "predicted", "score")


def _examples_to_json(examples: Iterable[AnyCandidate]) -> list[list[Any] | dict[str, Any]]:
    """Return those of a model of classes, which are many, without the names of their fields."""
    every = cast(Iterable[dict[str, Any]], examples)
    return [[one[name] for name in _EXAMPLE] if "label_score" in one else one for one in every]


def _examples_from_json(content: Iterable[Any]) -> list[AnyCandidate]:
    return [dict(zip(_EXAMPLE, values, strict=True)) if isinstance(values, list) else values for values in content]


def _error_to_json(error: NightscoreError) -> list[str]:
    """Return the name of the error's type, or of the nearest of its bases, in `pipeline.errors`; and its text."""
    kinds = (kind.__name__ for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
    return [next(kinds), str(error)]


def _error_from_json(content: Sequence[str]) -> NightscoreError:
    name, text = content
    kind = getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, NightscoreError)):
        raise ValueError(f"an Answer has an error of type {name!r}, which is none of ours, with the text {text!r}")
    return kind(text)


_WRITTEN: Mapping[str, Any] = {
    "run": Run.to_record,
    "unit": vars,
    "images": _images_to_json,
    "facts": ImageFacts.to_json,
    "failures": _failures_to_json,
    "examples": _examples_to_json,
    "loaded": asdict,
    "error": _error_to_json,
}
"""Name of a field -> what makes JSON values of it; others are JSON values."""

_READ: Mapping[str, Any] = {
    "run": Run.from_record,
    "unit": WorkUnit.from_dict,
    "images": _images_from_json,
    "facts": ImageFacts.from_json,
    "failures": _failures_from_json,
    "examples": _examples_from_json,
    "alone": lambda content: [(first, stop) for first, stop in content],
    "loaded": lambda content: Loaded(**content),
    "sides": lambda content: [(width, height) for width, height in content],
    "error": _error_from_json,
}
"""Name of a field -> what makes it of JSON values."""
