"""The messages between a run and its local processes, and the frames in which pipes carry them.

A process sends an `Answer` when it is ready, and then one for each `Request`. A frame is the length of the message and
that of the body (8 bytes each, big-endian), the message as JSON, and the body, whose bytes no message describes byte by
byte: encoded images go to the process, pixels come back. Nothing is pickled. Must not know how a request is done.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import IO, Any, Literal, TypeVar, get_args

import numpy as np

from pipeline import errors
from pipeline.batches import Failure, ImageColumns
from pipeline.errors import NightscoreError
from pipeline.output.run import Run
from pipeline.units import WorkUnit

Want = Literal["pixels", "pin"]
"""The work that a request can ask for."""

Body = Literal["nothing", "pixels"]
"""The content that the body of an answer can have."""

CURSOR = struct.Struct("<q")
"""The layout of the memory that both sides share: the index of the image that is being decoded, or -1."""

_LENGTHS = struct.Struct(">QQ")
_REMEDY = "both sides must run the same version of Nightscore"


class GoneError(Exception):
    """The other side has closed its stream."""


@dataclass(frozen=True)
class Request:
    """One request to a local process.

    A request for pixels either names a work unit, which the process reads, or gives the sizes of images that are read
    already; the body of its frame is then these images, one behind the other.

    Attributes:
        want: "pixels": read, decode and resize images; "pin": make the run's plan and write it.
        run: the run that this request and the later ones belong to; None: the run of the request before.
        unit: the work unit to read; None: the body holds the images.
        sizes: bytes of each image in the body; empty if there is a unit.
        failures: index of an image -> why it has failed already; the process does not decode it.

    >>> Request("pixels", sizes=[3, 5]).to_json()
    {'want': 'pixels', 'sizes': [3, 5]}
    >>> Request.from_json({"want": "pin", "by": "noon"})
    Traceback (most recent call last):
    ValueError: a Request has no field 'by': both sides must run the same version of Nightscore
    """

    want: Want
    run: Run | None = None
    unit: WorkUnit | None = None
    sizes: Sequence[int] = ()
    failures: Mapping[int, Failure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what types cannot say."""
        _check_choice(self, "want", self.want, get_args(Want))
        if self.unit is not None and self.sizes:
            raise ValueError(f"a Request has a unit, {self.unit.id!r}, and sizes of images: give only one of them")

    def to_json(self) -> dict[str, Any]:
        """Return the request as JSON values, without the fields that have their default."""
        content: dict[str, Any] = {"want": self.want}
        if self.run is not None:
            content["run"] = self.run.to_record()
        if self.unit is not None:
            content["unit"] = vars(self.unit)
        if self.sizes:
            content["sizes"] = list(self.sizes)
        if self.failures:
            content["failures"] = _failures_to_json(self.failures)
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Request:
        """Return the request that `to_json` wrote.

        Raises:
            ValueError: a field or a choice is unknown, so that this is a request of another version.
        """
        _check_fields(cls, content)
        return cls(
            want=content["want"],
            run=Run.from_record(content["run"]) if "run" in content else None,
            unit=WorkUnit.from_dict(content["unit"]) if "unit" in content else None,
            sizes=content.get("sizes", ()),
            failures=_failures_from_json(content.get("failures", ())),
        )


@dataclass(frozen=True)
class Answer:
    """One answer of a local process.

    Attributes:
        body: "nothing"; or "pixels": the body of the frame is uint8 [n, height, width, channels], in C order.
        images: the images of the unit that the process has read, without failures; None: the request had no unit.
        failures: index of an image -> why it has failed, by now.
        seconds: seconds that the request took, by step.
        error: the error of ours that kept the process from doing the request; it crosses as its type's name and text.
        bug: the traceback of any other exception; "": there was none.

    >>> answer = Answer(error=errors.TransientError("HTTP 503"))
    >>> answer.to_json()
    {'error': ['TransientError', 'HTTP 503']}
    >>> Answer.from_json(answer.to_json()).error
    TransientError('HTTP 503')
    """

    body: Body = "nothing"
    images: ImageColumns | None = None
    failures: Mapping[int, Failure] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    error: NightscoreError | None = None
    bug: str = ""

    def __post_init__(self) -> None:
        """Check what types cannot say."""
        _check_choice(self, "body", self.body, get_args(Body))
        if self.images is not None and self.images.failures:
            raise ValueError("the images of an Answer have failures: they belong in its field 'failures'")

    def to_json(self) -> dict[str, Any]:
        """Return the answer as JSON values, without the fields that have their default."""
        content: dict[str, Any] = {}
        if self.body != "nothing":
            content["body"] = self.body
        if self.images is not None:
            content["images"] = _images_to_json(self.images)
        if self.failures:
            content["failures"] = _failures_to_json(self.failures)
        if self.seconds:
            content["seconds"] = dict(self.seconds)
        if self.error is not None:
            content["error"] = [_type_name(self.error), str(self.error)]
        if self.bug:
            content["bug"] = self.bug
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Answer:
        """Return the answer that `to_json` wrote.

        Raises:
            ValueError: a field, a choice or an error's type is unknown, so that this is an answer of another version.
        """
        _check_fields(cls, content)
        return cls(
            body=content.get("body", "nothing"),
            images=_images_from_json(content["images"]) if "images" in content else None,
            failures=_failures_from_json(content.get("failures", ())),
            seconds=content.get("seconds", {}),
            error=_error(*content["error"]) if "error" in content else None,
            bug=content.get("bug", ""),
        )


Message = TypeVar("Message", Request, Answer)


def send(stream: IO[bytes], message: Request | Answer, body: Iterable[bytes | memoryview] = ()) -> None:
    """Write a message and its body to an unbuffered stream; the body may come in several pieces.

    Raises:
        GoneError: nobody reads the stream.
    """
    text = json.dumps(message.to_json(), separators=(",", ":")).encode("ascii")
    pieces = [memoryview(piece) for piece in body]
    head = _LENGTHS.pack(len(text), sum(piece.nbytes for piece in pieces)) + text
    try:
        for piece in (memoryview(head), *pieces):
            left = piece.cast("B") if piece.nbytes else piece
            while left.nbytes:
                left = left[stream.write(left) :]
    except (BrokenPipeError, ValueError) as error:  # ValueError: closed on our side
        raise GoneError from error


def receive(stream: IO[bytes], kind: type[Message]) -> tuple[Message, bytearray]:
    """Read the next message and its body from an unbuffered stream.

    Raises:
        GoneError: the stream has ended, maybe in the middle of a frame.
        ValueError: the message is not of this kind or of another version; the frame is read to its end.
    """
    text_length, body_length = _LENGTHS.unpack(_read_exactly(stream, _LENGTHS.size))
    text = _read_exactly(stream, text_length)
    body = _read_exactly(stream, body_length)
    return kind.from_json(json.loads(text)), body


def _read_exactly(stream: IO[bytes], n: int) -> bytearray:
    data = bytearray(n)
    left = memoryview(data)
    while left:
        try:
            count = stream.readinto(left)  # type: ignore[attr-defined]
        except ValueError as error:
            raise GoneError from error
        if not count:
            raise GoneError
        left = left[count:]
    return data


def _check_fields(kind: type[Request | Answer], content: Mapping[str, Any]) -> None:
    unknown = content.keys() - {known.name for known in fields(kind)}
    if unknown:
        names = ", ".join(map(repr, sorted(unknown)))
        raise ValueError(f"{_a(kind)} has no field {names}: {_REMEDY}")
    if kind is Request and "want" not in content:
        raise ValueError(f"{_a(kind)} lacks the field 'want': {_REMEDY}")


def _check_choice(message: Request | Answer, name: str, choice: str, choices: Sequence[str]) -> None:
    if choice not in choices:
        kind = _a(type(message))
        raise ValueError(f"the field {name!r} of {kind} is {choice!r}, but it must be one of {', '.join(choices)}")


def _a(kind: type[Request | Answer]) -> str:
    return "a Request" if kind is Request else "an Answer"


def _failures_to_json(failures: Mapping[int, Failure]) -> list[list[Any]]:
    return [[i, failure.stage, failure.code, failure.message] for i, failure in failures.items()]


def _failures_from_json(content: Iterable[Sequence[Any]]) -> dict[int, Failure]:
    return {i: Failure(stage, code, message) for i, stage, code, message in content}


def _images_to_json(images: ImageColumns) -> dict[str, Any]:
    return {
        "keys": list(images.keys),
        "labels": images.labels.tolist(),
        "labelled": images.labelled.tolist(),
        "label_names": list(images.label_names),
    }


def _images_from_json(content: Mapping[str, Any]) -> ImageColumns:
    labels, labelled = np.array(content["labels"], np.int32), np.array(content["labelled"], np.bool_)
    return ImageColumns(content["keys"], labels, labelled, content["label_names"])


def _type_name(error: NightscoreError) -> str:
    """Return the name of the error's type, or of the nearest of its bases, in `pipeline.errors`."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == errors.__name__)


def _error(name: str, text: str) -> NightscoreError:
    kind = getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, NightscoreError)):
        raise ValueError(f"an Answer has an error of type {name!r}, which is none of ours, with the text {text!r}")
    return kind(text)
