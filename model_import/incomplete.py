"""What is known of a model of which something is missing, and all that is missing: for --explain. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model_import.decide import Decision, decide, decision_of_files, merged, missing_parts
from model_import.examine import first_rows, hint_of, scores_of, scores_output
from model_import.fact import Fact
from model_import.known import Known
from model_import.name_sources import class_names
from model_import.request import Request
from model_import.scaling import SCALINGS
from pipeline.errors import UsageError

ASSUMED_SIDE = 224
"""Pixels of a side that is not known, to see what a network of any size gives."""


@dataclass(frozen=True)
class Incomplete:
    """What is known of a model, and what is missing.

    Attributes:
        known: the model that was read.
        facts: what is known or would be guessed, by name.
        missing: flags that are missing -> why, and what to give.
    """

    known: Known
    facts: Mapping[str, Fact[Any]]
    missing: Mapping[str, str]


def incomplete(request: Request, known: Known) -> Incomplete:
    """Return all that is known of a model, and all that is missing.

    What is missing is assumed to be something usual, so that what does not depend on it can be known.

    Args:
        request: what the user asked for.
        known: of the model.
    """
    path = known.opened.path
    if known.opened.model.takes == "encoded":
        return Incomplete(known, decision_of_files(request, path).facts, {})
    missing = dict(missing_parts(known.facts, path, hint_of(known.said, None)))
    usual: dict[str, Fact[Any]] = {
        "height": Fact(ASSUMED_SIDE, "guessed", ""),
        "width": Fact(ASSUMED_SIDE, "guessed", ""),
        "scaling": Fact(SCALINGS["unit"], "guessed", ""),
    }
    assumed = {name: fact for name, fact in usual.items() if name not in known.facts}
    facts = {**known.facts}
    try:
        decision = decide(merged(known.facts, assumed), request.like, path)
        facts = {name: fact for name, fact in decision.facts.items() if name not in assumed}
        missing |= _of_output(request, known, decision, facts)
    except UsageError:  # the rule contradicts itself: the line that ends the command says it
        pass
    return Incomplete(known, facts, missing)


def _of_output(request: Request, known: Known, decision: Decision, facts: dict[str, Fact[Any]]) -> dict[str, str]:
    """Add what is known of the output to facts; return what is missing of it."""
    try:
        output = scores_output(request, known.opened)
    except UsageError as error:
        return {"--output_name": str(error)}
    facts["output"] = Fact(output.name, "given" if request.output_name else "declared", "of the network")
    try:
        rows = first_rows(request, known.opened, decision)
    except UsageError:  # of another size, perhaps: what is to be given says the line that ends the command
        return {}
    try:
        scores = scores_of(request, known.opened, rows)
    except UsageError as error:
        return {"--task": str(error)}
    facts["task"] = Fact(scores.task, "given" if request.task else "declared", scores.why)
    try:
        facts["class_names"] = class_names(request, known.opened, known.said, scores)[0]
    except UsageError as error:
        return {"--labels": str(error)}
    return {}
