"""The fields of a model's spec that say what its output is and what it takes: they are read from JSON here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.storage.formats import Kind, check_names
from pipeline.task import TASKS, WITH_CLASSES, Embedding, Task

OUTPUT_FIELDS = ("task", "thresholds", "value_unit", "embedding", "takes")
"""Fields of `pipeline.model.spec.ModelSpec` that change a row; one is written only where it is not at its default."""

THRESHOLD = 0.5
"""Probability from which an image has a label, unless the model says otherwise."""


def read_outputs(content: Mapping[str, Any], kind: Kind, location: str = "") -> dict[str, Any]:
    """Return those of the fields that JSON has, with the types of a `ModelSpec`.

    Args:
        content: of a model_spec.json, or of what a record repeats of it.
        kind: of the file that holds it, for the error's text.
        location: of that file.

    Raises:
        NewerFormatError: the embedding has an unknown field.
        ValueError: the embedding lacks its size, or has none that can be.
    """
    fields = {name: content[name] for name in OUTPUT_FIELDS if name in content}
    if isinstance(fields.get("thresholds"), list):
        fields["thresholds"] = tuple(fields["thresholds"])
    if fields.get("embedding") is not None:
        check_names(fields["embedding"], ("size", "dtype"), kind, location)
        try:
            fields["embedding"] = Embedding(**fields["embedding"])
        except TypeError as error:
            raise ValueError(f"embedding is {fields['embedding']!r}, expected its size and dtype") from error
    return fields


def check_outputs(
    task: Task, class_names: Sequence[str], thresholds: Sequence[float], value_unit: float, embedding: Embedding | None
) -> None:
    """Check that the fields that say what a model's output is contradict neither each other nor what is known here.

    Raises:
        ValueError: they do.
    """
    if task not in TASKS:
        raise ValueError(f"task is {task!r}, unknown here: expected one of {', '.join(TASKS)}")
    if task in WITH_CLASSES:
        _check_class_names(class_names)
    elif list(class_names):
        raise ValueError(f"there are {len(class_names)} class_names, but the task {task!r} has no classes")
    _check_thresholds(task, class_names, thresholds)
    if task != "value" and value_unit:
        raise ValueError(f"value_unit is {value_unit!r}, but the task is {task!r}: only 'value' has one")
    if task == "value" and not _is_power_of_two(value_unit):
        raise ValueError(f"value_unit is {value_unit!r}, expected a power of two: the unit of integer sums of values")
    if embedding is not None and not isinstance(embedding, Embedding):
        raise ValueError(f"embedding is {embedding!r}, expected its size and dtype")
    if task == "embedding" and embedding is None:
        raise ValueError("the task is 'embedding', but nothing says of what size it is")


def _check_class_names(names: Any) -> None:
    is_list = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    if not is_list or not names or len(set(names)) != len(names):
        raise ValueError("class_names are not distinct names")
    "".join(names).encode()  # raises ValueError where one is not UTF-8, as every row with it must be


def value_unit(values: npt.NDArray[np.float32]) -> float:
    """Return the unit of integer sums of values: a power of two, a millionth of how far the values reach.

    >>> value_unit(np.array([[0.0], [3.0]], np.float32)) == 2.0**-19
    True
    """
    reach = float(np.abs(values).max()) or 1.0
    return float(2.0 ** (math.floor(math.log2(reach)) - 20))


def why_no_bfloat16(task: Task, embedding: Embedding | None) -> str:
    """Return why a model's output cannot come from coarse arithmetic, as a phrase; "": it can.

    A class or a label that is not sure is scored again in float32. Of a value or a vector nothing tells.

    >>> why_no_bfloat16("value", None)
    'its output is a value, of which nothing tells how far off it is'
    """
    what = "a value" if task == "value" else "" if embedding is None else "an embedding"
    return f"its output is {what}, of which nothing tells how far off it is" if what else ""


def _check_thresholds(task: Task, class_names: Sequence[str], thresholds: Sequence[float]) -> None:
    if thresholds and task != "labels":
        raise ValueError(f"there are thresholds, but the task is {task!r}: only 'labels' has them")
    if thresholds and len(thresholds) != len(class_names):
        raise ValueError(f"there are {len(thresholds)} thresholds for {len(class_names)} classes: give one a class")
    if not isinstance(thresholds, list | tuple) or not all(map(_is_probability, thresholds)):
        raise ValueError(f"thresholds are {thresholds!r}, expected probabilities above 0 and at most 1")


def _is_probability(value: Any) -> bool:
    return isinstance(value, float) and 0 < value <= 1


def _is_power_of_two(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value) and value > 0 and math.frexp(value)[0] == 0.5
