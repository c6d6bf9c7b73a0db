"""What is known of a model from elsewhere before anything is tried: of flags, of its file, and of what lies beside it.

Both an import and a training that starts from the model begin with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model_import.decide import declared_facts, given_facts, merged, shape_facts
from model_import.declared import Declared, declared
from model_import.declared_layers import check_scaling
from model_import.declared_metadata import metadata_says
from model_import.fact import Fact
from model_import.opening import Opened, open_source
from model_import.request import Request
from model_import.scaling import SCALINGS
from model_import.tflite_file import TfliteModel
from pipeline.model.presets import rule_like


@dataclass(frozen=True)
class Known:
    """A model that was read, with what is known of it.

    Attributes:
        opened: the model.
        said: what its layers and the files beside it say.
        facts: all that is known: fields of the input rule, and "scaling", each with how it became known.
    """

    opened: Opened
    said: Declared
    facts: dict[str, Fact[Any]]


def read_known(request: Request, given: Mapping[str, Fact[Any]] | None = None) -> Known:
    """Read the model that a user means, and what is known of it.

    Args:
        request: what the user asks for.
        given: from `given_facts` of the request, if that was called already.

    Raises:
        UsageError: there is no model that can be read, or a flag contradicts it.
    """
    given = given_facts(request) if given is None else given
    opened = open_source(request)
    if "scaling" in given:
        check_scaling(given["scaling"].value, opened.model.layers, opened.path)
    said = declared(opened.model, opened.beside, metadata_says(opened.model))
    shape = shape_facts(opened.model, given, opened.path)
    return Known(opened, said, merged(given, shape, maker_facts(opened), type_facts(opened), declared_facts(said)))


def maker_facts(opened: Opened) -> dict[str, Fact[Any]]:
    """Return what is known of models of a maker."""
    if not opened.is_teachable_machine:
        return {}
    why = "as Teachable Machine trains"
    rule = rule_like("teachable_machine", 224, 224)
    facts = {name: Fact[Any](value, "declared", why) for name, value in vars(rule).items()}
    return {**facts, "scaling": Fact(SCALINGS["sign"], "declared", why)}


def type_facts(opened: Opened) -> dict[str, Fact[Any]]:
    """Return what the type of a network's input says: whole numbers are pixels as they are."""
    model = opened.model
    if isinstance(model, TfliteModel) and model.quantization is not None:
        scaling = model.scaling()
        return {} if scaling is None else {"scaling": Fact(scaling, "declared", "by the quantization of its input")}
    dtype = str(getattr(model, "dtype", "float32"))
    if dtype.startswith(("uint", "int")):
        return {"scaling": Fact(SCALINGS["raw"], "declared", f"by the type of its input, {dtype}")}
    return {}
