"""All that is known of a model from elsewhere before anything is written: its rule, its scores, its class names.

`nightscore import-model --explain` shows this and stops; the import goes on from it (`model_import.build`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model_import.decide import (
    CONVENTION,
    Decision,
    decide,
    decision_of_files,
    given_facts,
    merged,
)
from model_import.declared import Declared
from model_import.declared_layers import folded_notes, shown
from model_import.declared_values import is_same
from model_import.fact import Fact
from model_import.foreign import Output
from model_import.known import Known, maker_facts, read_known, type_facts
from model_import.name_sources import class_names
from model_import.opening import Opened
from model_import.pick import Scores, pick_output, read_scores, rows_of
from model_import.pictures import Pictures, generated, pixels_of, read_folder, read_golden_file
from model_import.request import Request
from model_import.scaling import SCALINGS, Scaling
from model_import.tflite_file import TfliteModel
from model_import.trial_scores import Progress
from model_import.trial_verdict import Verdict
from model_import.try_rules import try_rules, verdict_facts
from pipeline.batches import EncodedBatch, PixelBatch
from pipeline.errors import UsageError
from pipeline.model.input_rule import InputSpec
from pipeline.model.outputs import THRESHOLD
from pipeline.model.presets import preset_of
from pipeline.task import Task


@dataclass(frozen=True)
class Examined:
    """What is known of a model.

    Attributes:
        request: what the user asked for.
        opened: the source that was read.
        decision: input rule and scaling.
        scores: which output has the scores, and what they say; of the task "embedding", the output that is one.
        embedding: which output is kept beside the scores; None: none.
        class_names: in the order of the output; with how they became known.
        pictures: that the model was tried with; those that cannot be decoded are left out.
        pixels: uint8 [n, height, width, channels], theirs.
        rows: float32 [n, k], the network's own output for them.
        vectors: float32 [n, d], the embedding of them; None: there is none beside the scores.
        notes: lines for people.
        verdict: what the images of --check tell of the rule; None: nothing was tried.
        doubts: lines for people of what contradicts what was taken: an import shows them on the screen as well.
    """

    request: Request
    opened: Opened
    decision: Decision
    scores: Scores
    embedding: Scores | None
    class_names: Fact[Sequence[str]]
    pictures: Pictures
    pixels: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.float32]
    vectors: npt.NDArray[np.float32] | None = None
    notes: Sequence[str] = ()
    verdict: Verdict | None = None
    doubts: Sequence[str] = ()

    @property
    def facts(self) -> dict[str, Fact[Any]]:
        """Everything that was decided, by name, with how it became known."""
        scores = self.scores
        given = self.request.thresholds
        limits = Fact[Any](", ".join(f"{limit:g}" for limit in given), "given", "by --thresholds")
        if not given:
            limits = Fact(f"{THRESHOLD:g}", "guessed", "the default: a label counts from this probability on")
        return {
            **self.decision.facts,
            "output": Fact(scores.output, "given" if self.request.output_name else "declared", "of the network"),
            "task": Fact(scores.task, "given" if self.request.task else "declared", scores.why),
            **({} if self.embedding is None else {"embedding": self._embedded(self.embedding)}),
            **({"thresholds": limits} if scores.task == "labels" else {}),
            "class_names": self.class_names,
        }

    @staticmethod
    def _embedded(embedding: Scores) -> Fact[Any]:
        return Fact(f"{embedding.output}, {embedding.width} numbers", "given", embedding.why)


def examine(
    request: Request,
    progress: Callable[[Progress], None] = lambda _: None,
    known: Callable[[Known], None] = lambda _: None,
) -> Examined:
    """Read a model and decide what can be known of it; nothing is written.

    Args:
        request: what the user asked for.
        progress: called now and then while rules are tried.
        known: called with what is known before anything is tried, which may not suffice.

    Raises:
        UsageError: it is no model that can be imported, or something must be given; the text is one line.
    """
    given = given_facts(request)  # a flag that cannot be is told before a model is loaded
    if request.like:
        preset_of(request.like)
    pictures = _pictures(request)
    found = read_known(request, given)
    opened, said, facts = found.opened, found.said, found.facts
    known(found)
    if opened.model.takes == "encoded":
        if request.trained_on:
            raise UsageError(
                "--trained_on cannot be kept: the model decodes the files itself, so nobody else sees their pixels; "
                "leave the option out"
            )
        verdict, decision = None, decision_of_files(request, opened.path)
    else:
        verdict = _trial(request, opened, said, facts, progress) if request.check else None
        tried = {} if verdict is None else verdict_facts(verdict, facts)
        decision = decide(
            merged(_fixed(facts, opened), tried, facts), request.like, opened.path, hint_of(said, verdict)
        )
    pixels, kept = pixels_of(pictures, decision.rule)
    pictures = Pictures([pictures.encoded[i] for i in kept], pictures.origin, pictures.scores)
    if opened.model.takes == "encoded":
        raw = _outputs_of_files(opened, pictures)
    else:
        raw = raw_outputs(opened, decision.scaling, pixels, decision.rule)
    rows = rows_of(raw[scores_output(request, opened).name], opened.path)
    scores = scores_of(request, opened, rows)
    embedding, vectors = _embedding(request, opened, scores, raw)
    names, others = class_names(request, opened, said, scores)
    doubts = [*others, *_scaling_doubts(decision, said), *folded_notes(decision.scaling, opened.model.layers)]
    tried_with = (pictures, pixels, rows, vectors)
    return Examined(request, opened, decision, scores, embedding, names, *tried_with, said.notes, verdict, doubts)


def _scaling_doubts(decision: Decision, said: Declared) -> Sequence[str]:
    """Return a line where the model's files say another scaling than the one that was taken."""
    taken, other = decision.facts.get("scaling"), said.scaling
    if taken is None or other is None or CONVENTION in other.source or taken.how == "tried":
        return ()
    if is_same(taken.value, other.value):
        return ()
    text = f"the scaling {shown(taken.value)} ({taken.why}) is taken, but {shown(other.value)} {other.source}"
    return (f"{text}: make sure that it is right",)


def _fixed(facts: dict[str, Fact[Any]], opened: Opened) -> dict[str, Fact[Any]]:
    """Return what no trial may change: what flags say, the input's shape and type, and what a maker always does."""
    fixed = {*maker_facts(opened), *type_facts(opened), "height", "width"}
    return {name: fact for name, fact in facts.items() if fact.how == "given" or name in fixed}


def _trial(
    request: Request,
    opened: Opened,
    said: Declared,
    facts: dict[str, Fact[Any]],
    progress: Callable[[Progress], None],
) -> Verdict | None:
    """Try rules on the images of --check; None where there is nothing to try.

    What the scores are depends on no rule: it is read from images at any scaling.
    """
    if request.task not in (None, "classes") or not {"height", "width"} <= facts.keys():
        return None
    guess = decide(merged(facts, {"scaling": Fact(SCALINGS["unit"], "guessed", "")}), request.like, opened.path)
    scores = scores_of(request, opened, first_rows(request, opened, guess))
    if scores.task != "classes":
        return None
    names = tuple(class_names(request, opened, said, scores)[0].value)
    fixed = _fixed(facts, opened)
    if request.like:
        fixed = {**{name: fact for name, fact in guess.facts.items() if fact.how == "given"}, **fixed}
    return try_rules(request, opened, said, scores, names, guess.rule, fixed, progress)


def first_rows(request: Request, opened: Opened, decision: Decision) -> npt.NDArray[np.float32]:
    """Return a network's own scores for a few generated images: what they are hardly depends on the input rule.

    Raises:
        UsageError: the network does not take the images.
    """
    pixels, _ = pixels_of(generated(4), decision.rule)
    raw = raw_outputs(opened, decision.scaling, pixels, decision.rule)
    return rows_of(raw[scores_output(request, opened).name], opened.path)


def hint_of(said: Declared, verdict: Verdict | None) -> str:
    """Return what is said of the scaling without being enough."""
    if verdict is not None and not verdict.is_decided:
        best = max(verdict.compared, key=lambda row: row.accuracy) if verdict.accuracy is not None else None
        right = f"; {best.accuracy:.0%} of {best.images} are right under {best.rule}" if best else ""
        return f"--check decides nothing: {verdict.why_not}{right}"
    return f"{said.scaling.value.name} {said.scaling.source}" if said.scaling is not None else ""


def scores_of(request: Request, opened: Opened, rows: npt.NDArray[np.float32]) -> Scores:
    """Return what a network's scores are, by what they look like.

    Raises:
        UsageError: it cannot be told.
    """
    output = scores_output(request, opened)
    asked = Fact[Task](request.task, "given", "by --task") if request.task else None
    step = opened.model.steps[output.name] if isinstance(opened.model, TfliteModel) else 0.0
    return read_scores(output, rows, asked, step, opened.path)


def scores_output(request: Request, opened: Opened) -> Output:
    """Return the output with the scores; where an embedding alone is wanted, the one with that.

    Raises:
        UsageError: there are several, and nothing says which.
    """
    outputs, layer = opened.model.outputs, request.embedding_layer
    if layer and request.task == "embedding":
        return pick_output(outputs, layer, opened.path)
    return pick_output([one for one in outputs if one.name != layer], request.output_name, opened.path)


def _embedding(
    request: Request, opened: Opened, scores: Scores, raw: Mapping[str, npt.NDArray[np.float32]]
) -> tuple[Scores | None, npt.NDArray[np.float32] | None]:
    """Return which output is kept beside the scores, and its rows."""
    layer = request.embedding_layer
    if not layer or scores.task == "embedding":
        return None, None
    output = pick_output(opened.model.outputs, layer, opened.path)
    vectors = rows_of(raw[output.name], opened.path)
    return Scores(output.name, vectors.shape[1], "embedding", "none", "by --embedding_layer"), vectors


def _pictures(request: Request) -> Pictures:
    if request.golden:
        return read_golden_file(request.golden)
    return read_folder(request.check) if request.check else generated()


def _outputs_of_files(opened: Opened, pictures: Pictures) -> Mapping[str, npt.NDArray[np.float32]]:
    """Return a network's own outputs for encoded files by name.

    Raises:
        UsageError: it does not take them.
    """
    try:
        return opened.model(PixelBatch.of_files(EncodedBatch.of(pictures.encoded)).inputs)
    except ValueError as error:
        raise UsageError(
            f"{opened.path!r} takes strings that are no image files ({error}): text, perhaps, or a tf.Example; with "
            "--signature name one that takes images, where there is one"
        ) from error


def raw_outputs(
    opened: Opened, scaling: Scaling, pixels: npt.NDArray[np.uint8], rule: InputSpec
) -> Mapping[str, npt.NDArray[np.float32]]:
    """Return a network's own outputs for pixels by name, before anything is put behind them.

    Raises:
        UsageError: the network does not take them.
    """
    try:
        return opened.model(scaling.for_channels(rule.channels)(pixels))
    except ValueError as error:
        raise UsageError(f"{opened.path!r} does not take images of {rule.height} x {rule.width}: {error}") from error
