"""What a user asks for with `nightscore import-model`, as one frozen object. Knows no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pipeline.model.input_rule import InputSpec
from pipeline.task import EmbeddingType, Task


@dataclass(frozen=True)
class Request:
    """What a user asks for.

    Attributes:
        source: path of the model from elsewhere.
        labels: file with the names of the classes, or "imagenet"; "": none given.
        signature: of a SavedModel; "": the usual one.
        input_name: of the signature; "": the only one.
        output_name: of the network; "": the only one.
        like: preset of the input rule, named after a loader; "": none given.
        rule: fields of the input rule that are given, by name.
        scaling: see `model_import.scaling.parse_scaling`; "": not given.
        task: what the scores say; None: to be told from the output.
        thresholds: of the task "labels".
        embedding_layer: name of a layer of a Keras model, or of another output, that is kept beside the scores, or
            alone where the task is "embedding"; "": none.
        embedding_type: of its numbers in the rows.
        golden: file with images and the user's own scores of them; "": none given.
        check: folder with images, in folders of their classes or not; "": none given.
        check_by_order: whether the folders in it, sorted by name, are the classes in their order.
        trained_on: inputs with the images that the model was trained on; (): none given.
    """

    source: str
    labels: str = ""
    signature: str = ""
    input_name: str = ""
    output_name: str = ""
    like: str = ""
    rule: Mapping[str, Any] = field(default_factory=dict)
    scaling: str = ""
    task: Task | None = None
    thresholds: Sequence[float] = ()
    embedding_layer: str = ""
    embedding_type: EmbeddingType = "float32"
    golden: str = ""
    check: str = ""
    check_by_order: bool = False
    trained_on: Sequence[str] = ()


@dataclass(frozen=True)
class RuleFlag:
    """A field of the input rule as a flag.

    Attributes:
        name: of the field.
        kind: of its value.
        choices: that it can have; (): any.
    """

    name: str
    kind: type
    choices: Sequence[str] = ()


def rule_flags() -> Sequence[RuleFlag]:
    """Return a flag for every field of the input rule that one word can hold.

    >>> [flag.name for flag in rule_flags()][:3]
    ['height', 'width', 'color_mode']
    """
    hints = get_type_hints(InputSpec)
    found = []
    for spec in fields(InputSpec):
        hint = hints[spec.name]
        if get_origin(hint) is Literal:
            found.append(RuleFlag(spec.name, str, get_args(hint)))
        elif hint is bool:
            found.append(RuleFlag(spec.name, bool, ("true", "false")))
        elif hint in (int, float):
            found.append(RuleFlag(spec.name, hint))
    return found
