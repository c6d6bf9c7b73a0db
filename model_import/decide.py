"""The input rule and the scaling of a model from elsewhere, field by field, each with how it became known.

A flag wins over what the model declares, that over what was tried, that over what is usual. What nothing tells and
nobody may guess, the scaling and a free size, is asked for in one line. Must not know file formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from model_import.declared import Declared
from model_import.fact import Fact
from model_import.foreign import Foreign
from model_import.layout import PICTURE_SIDE
from model_import.request import Request
from model_import.rule_fields import decides
from model_import.scaling import SCALINGS, Scaling, parse_scaling
from pipeline.errors import UsageError
from pipeline.model.input_rule import InputSpec, check_rule
from pipeline.model.presets import rule_like

USUAL = "keras.image_dataset_from_directory"
"""Preset of the fields of a rule that nothing tells."""

CONVENTION = "convention"
"""Word in the source of a scaling that nothing but a custom tells."""

Facts = Mapping[str, Fact[Any]]
"""Field of the input rule, or "scaling" -> its value and how it became known."""


@dataclass(frozen=True)
class Decision:
    """How a model gets its pixels.

    Attributes:
        rule: the input rule.
        scaling: how pixels become values.
        facts: each field that decides a pixel under the rule, and the scaling, with how it became known.
    """

    rule: InputSpec
    scaling: Scaling
    facts: Facts

    @property
    def guessed(self) -> list[str]:
        """The names of what nothing has told."""
        return [name for name, fact in self.facts.items() if fact.how == "guessed"]

    @property
    def not_known(self) -> list[str]:
        """The names of what is guessed, and of what the images of --check leave open."""
        return [name for name, fact in self.facts.items() if fact.how in ("guessed", "unsettled")]


def given_facts(request: Request) -> dict[str, Fact[Any]]:
    """Return what the user's flags say."""
    facts = {name: Fact[Any](value, "given", f"by --{name} {_typed(value)}") for name, value in request.rule.items()}
    if request.scaling:
        scaling = parse_scaling(request.scaling)
        facts["scaling"] = Fact(scaling, "given", f"by --scaling {scaling.flag}")
    return facts


def _typed(value: Any) -> str:
    """Return the value of a flag as it is typed."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def shape_facts(model: Foreign, given: Facts, path: str) -> dict[str, Fact[Any]]:
    """Return what the shape of a network's input says.

    Raises:
        UsageError: a flag contradicts it.
    """
    facts: dict[str, Fact[Any]] = {}
    for name in ("height", "width"):
        side = getattr(model, name)
        if side is not None:
            facts[name] = Fact(side, "declared", "by the shape of its input")
            if name in given and given[name].value != side:
                raise UsageError(
                    f"--{name} {given[name].value} contradicts {path!r}, whose input has a {name} of {side}"
                )
    if model.channels == 1:
        facts["color_mode"] = Fact("grayscale", "declared", "by the shape of its input")
    if "color_mode" in given and (given["color_mode"].value == "grayscale") != (model.channels == 1):
        raise UsageError(
            f"--color_mode {given['color_mode'].value} contradicts {path!r}, whose images have "
            f"{model.channels} channel{'s' * (model.channels != 1)}"
        )
    return facts


def merged(*layers: Facts) -> dict[str, Fact[Any]]:
    """Return facts of which an earlier one wins over a later one of the same name."""
    found: dict[str, Fact[Any]] = {}
    for facts in layers:
        found |= {name: fact for name, fact in facts.items() if name not in found}
    return found


def declared_facts(declared: Declared) -> dict[str, Fact[Any]]:
    """Return what the model's layers and the files beside it say.

    A scaling that is a mere convention counts for nothing: a wrong one would be wrong in silence.
    """
    facts = {name: Fact[Any](told.value, "declared", told.source) for name, told in declared.rule.items()}
    scaling = declared.scaling
    if scaling is not None and CONVENTION not in scaling.source:
        facts["scaling"] = Fact(scaling.value, "declared", scaling.source)
    return facts


def decide(facts: Facts, like: str, path: str, hint: str = "") -> Decision:
    """Return the input rule that facts make, with what is usual where there are none.

    Args:
        facts: the known ones; those of a flag win over the preset, the preset over all others.
        like: name of the preset that the user gives; "": none.
        path: of the model, for the error's text.
        hint: what is said of the scaling without being enough, as a phrase; "": nothing.

    Raises:
        UsageError: the size or the scaling is not known, or the fields contradict each other.
    """
    missing = missing_parts(facts, path, hint)
    if missing:
        raise UsageError("; and ".join(missing.values()))
    scaling = facts["scaling"]
    given = {name: fact for name, fact in facts.items() if fact.how == "given"}
    size = facts["height"].value, facts["width"].value
    color = facts.get("color_mode")
    preset = _preset(like, size, color) if like else {}
    known = merged(given, preset, facts)
    if "color_mode" not in known:
        known["color_mode"] = _color(scaling.value)
    usual = rule_like(USUAL, *size, known["color_mode"].value)
    why = f"the default of {USUAL}"
    guessed = {name: Fact[Any](value, "guessed", why) for name, value in vars(usual).items()}
    all_facts = {name: known.get(name, guess) for name, guess in guessed.items()}
    rule = InputSpec(**{name: fact.value for name, fact in all_facts.items()})
    try:
        check_rule(rule)
    except ValueError as error:
        raise UsageError(f"the input rule contradicts itself: {error}") from error
    scaling.value.for_channels(rule.channels)
    facts = {name: fact for name, fact in all_facts.items() if name in given or decides(rule, name)}
    return Decision(rule, scaling.value, {**facts, "scaling": scaling})


def missing_parts(facts: Facts, path: str, hint: str = "") -> Mapping[str, str]:
    """Return what nothing tells and nobody may guess: flags -> what is missing and what to give, as a sentence."""
    found = {}
    sides = [f"--{name}" for name in ("height", "width") if name not in facts]
    if sides:
        flags = " and ".join(sides)
        found[flags] = f"{path!r} takes images of any size: give {flags}, as it was trained"
    if "scaling" not in facts:
        said = f" ({hint})" if hint else ""
        found["--scaling"] = (
            f"nothing says to what range {path!r} wants pixels scaled: give --scaling, one of {', '.join(SCALINGS)} or "
            f"'SCALE,OFFSET'{said}: raw if the network has a Rescaling layer or scales its images for itself, unit if "
            "your code divided by 255; or --check FOLDER with a folder of images for each class: then it is tried"
        )
    return found


def decision_of_files(request: Request, path: str) -> Decision:
    """Return the decision for a network that decodes files itself: its rule is for the report's pictures alone.

    Raises:
        UsageError: a flag says what only the network decides.
    """
    flags = [*(["like"] if request.like else []), *(["scaling"] if request.scaling else []), *request.rule]
    if flags:
        raise UsageError(
            f"--{flags[0]} is for networks that take pixels, and {path!r} takes encoded files: it decodes them itself"
        )
    rule = replace(rule_like("nightscore", PICTURE_SIDE, PICTURE_SIDE), decode="reduced")
    fact = Fact[Any]("encoded files", "declared", "by its signature, which takes strings: it decodes them itself")
    return Decision(rule, SCALINGS["raw"], {"takes": fact})


def _preset(like: str, size: tuple[int, int], color: Fact[Any] | None) -> dict[str, Fact[Any]]:
    """Return what a preset says: every field but the size, and the color where it has one of its own."""
    is_gray = color is not None and color.value == "grayscale"
    rule = vars(rule_like(like, *size, "grayscale" if is_gray else "rgb"))
    facts = {name: Fact[Any](value, "given", f"by --like {like}") for name, value in rule.items()}
    return {name: fact for name, fact in facts.items() if name not in ("height", "width")}


def _color(scaling: Scaling) -> Fact[Any]:
    if scaling.name == "caffe":
        return Fact("bgr", "declared", "by the scaling caffe, whose mean is of blue, green and red")
    return Fact("rgb", "guessed", "the usual one")
