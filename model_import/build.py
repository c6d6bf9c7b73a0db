"""A model that was examined to a published model directory: wrap, try, convert, describe, publish."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from model_import.checks import Checked, engines_check, known_facts, rounding_check, same, user_check
from model_import.examine import Examined
from model_import.graph_model import GraphModel
from model_import.learned import read_learned
from model_import.opening import source_hash
from model_import.tflite_file import TfliteModel
from model_import.wrap import write_saved_model
from model_training.publishing.check_images import check_images
from model_training.publishing.convert import Converted, convert, with_engines, with_scores
from model_training.publishing.publish import check_apart, check_output, staged, write_files
from pipeline import storage
from pipeline.errors import UsageError
from pipeline.machine import versions
from pipeline.model import directory, trained_on
from pipeline.model.directory import Golden
from pipeline.model.engines.fed_litert import FedLiteRTNetwork
from pipeline.model.engines.network import Outputs, in_calls
from pipeline.model.engines.tensorflow import TensorFlowNetwork
from pipeline.model.feed import Feed
from pipeline.model.outputs import value_unit
from pipeline.model.spec import GOLDEN_TOLERANCE, LARGEST_TOLERANCE, Conversion, ModelSpec, model_id
from pipeline.model.trained_on import TrainedOn
from pipeline.task import Embedding
from pipeline.text import brief, line

GOLDEN_IMAGES = 16
"""Golden images of a model directory, at most."""

COMPARED_IMAGES = 64
"""Images by which two engines are compared, besides the golden ones."""

GOLDEN_BYTES = 8 << 20
"""Bytes of the golden images' files, at most, beyond the first."""

_VERSIONED = ("tensorflow", "keras", "ai-edge-litert", "numpy", "pillow", "nightscore")


@dataclass(frozen=True)
class Imported:
    """An import that is done.

    Attributes:
        examined: what was known before.
        spec: of the model directory.
        golden: its golden images.
        checks: what was compared.
        output: where it was published.
        learned: what it was trained on; None: nobody told.
        not_learned: lines for people of what of that could not be read.
    """

    examined: Examined
    spec: ModelSpec
    golden: Golden
    checks: Sequence[Checked]
    output: str
    learned: TrainedOn | None = None
    not_learned: Sequence[str] = ()


def check_place(source: str, output: str) -> str:
    """Return the location that --output means, if a model can be published there and the source is not in the way.

    Raises:
        UsageError: it cannot, or one lies in the other.
    """
    location = check_output(output)
    if not storage.is_remote(source):  # a remote one is refused when it is opened
        check_apart("SOURCE", source, location)
    return location


def build(
    examined: Examined, location: str, page: Any = None, progress: Callable[[Any], None] = lambda _: None
) -> Imported:
    """Publish a model directory of a model that was examined; nothing is left behind if that fails.

    Args:
        examined: see `model_import.examine`.
        location: from `check_place`.
        page: makes the files of import/ of an `Imported`, by name; None: there are none.
        progress: called now and then while the images of --trained_on are read.

    Raises:
        UsageError: the model does not give the user's own scores, TensorFlow cannot write it, or what it was trained
            on cannot be read.
        OSError: it cannot be written.
        NightscoreError: the upload failed.
    """
    checks: Sequence[Checked] = [*user_check(examined), *rounding_check(examined)]
    with staged(location) as folder:
        golden, spec, checks = _fill(examined, checks, folder)
        imported = Imported(examined, spec, golden, checks, location)
        if examined.request.trained_on:
            learned, notes = read_learned(examined.request.trained_on, spec.input, spec.model_id, progress)
            imported = replace(imported, learned=learned, not_learned=notes)
            write_files(os.path.join(folder, directory.IMPORT, trained_on.FOLDER), learned.files())
        write_files(os.path.join(folder, directory.GOLDEN), golden.files())
        if page is not None:
            write_files(os.path.join(folder, directory.IMPORT), page(imported))
        write_files(folder, {directory.SPEC: spec.to_json().encode()})
    return imported


def _fill(examined: Examined, checks: Sequence[Checked], folder: str) -> tuple[Golden, ModelSpec, Sequence[Checked]]:
    """Write the network into a folder, and return what belongs beside it, with these checks and more."""
    model = examined.opened.model
    chosen = golden_numbers(examined.pictures.encoded)
    golden = Golden([examined.pictures.encoded[i] for i in chosen], examined.pixels[chosen], {})
    if isinstance(model, TfliteModel):
        return _fill_tflite(examined, model, golden, chosen, checks, folder)
    assert isinstance(model, GraphModel)
    saved_model = os.path.join(folder, directory.SAVED_MODEL)
    decision, path = examined.decision, examined.opened.path
    alone = examined.scores.task == "embedding"
    scores, embedding = (None, examined.scores) if alone else (examined.scores, examined.embedding)
    try:
        write_saved_model(model, decision.rule, decision.scaling, scores, embedding, saved_model)
    except ValueError as error:
        raise UsageError(f"{path!r} cannot be written as a SavedModel: {brief(line(str(error)), 300)}") from error
    takes = examined.opened.model.takes
    images = Golden(examined.pictures.encoded, examined.pixels, {}).inputs(takes)
    network = TensorFlowNetwork(saved_model, decision.rule.shape)
    found = in_calls(network, images, network.call_images)
    checks = [*checks, same(examined, found, "the SavedModel")]
    golden = golden.with_outputs("tensorflow", _picked(found, chosen))
    if takes == "encoded":
        converted = Converted(Conversion(missing="its network takes encoded files, which LiteRT does not decode"))
    else:
        more = check_images([examined.pixels], COMPARED_IMAGES)
        converted = convert(folder, golden.pixels, more, task=examined.scores.task)
    root = Path(saved_model)
    files = [(path.relative_to(root).as_posix(), path.read_bytes()) for path in root.rglob("*") if path.is_file()]
    checks = [*checks, engines_check(converted)]
    spec = with_engines(_spec(examined, files, None, checks), converted)
    return with_scores(golden, converted), spec, checks


def _fill_tflite(
    examined: Examined,
    model: TfliteModel,
    golden: Golden,
    chosen: Sequence[int],
    checks: Sequence[Checked],
    folder: str,
) -> tuple[Golden, ModelSpec, Sequence[Checked]]:
    """Write a .tflite file into a folder as it is, and return what belongs beside it."""
    data = Path(model.path).read_bytes()
    target = os.path.join(folder, directory.TFLITE)
    Path(target).write_bytes(data)
    feed = feed_of(examined, model)
    network = FedLiteRTNetwork(target, examined.decision.rule.shape, feed)
    found = in_calls(network, examined.pixels, network.call_images)
    checks = [*checks, same(examined, found, directory.TFLITE)]
    sha256 = hashlib.sha256(data).hexdigest()
    conversion = Conversion(sha256, len(data), 0.0, len(found.scores), "none: the file is used as it is")
    spec = replace(_spec(examined, [(directory.TFLITE, data)], feed, checks), litert=conversion)
    tolerance = LARGEST_TOLERANCE if model.is_quantized else GOLDEN_TOLERANCE
    return golden.with_outputs("litert", _picked(found, chosen)), replace(spec, golden_tolerance=tolerance), checks


def feed_of(examined: Examined, model: TfliteModel) -> Feed:
    """Return how pixels enter a .tflite file and scores leave it."""
    scaling = examined.decision.scaling.for_channels(model.channels)
    names = [output.name for output in model.outputs]
    scores, embedding = examined.scores, examined.embedding
    if scores.task == "embedding":
        return Feed(scaling.scale, scaling.offset, model.layout.order, None, "none", names.index(scores.output))
    beside = None if embedding is None else names.index(embedding.output)
    return Feed(scaling.scale, scaling.offset, model.layout.order, names.index(scores.output), scores.head, beside)


def _picked(outputs: Outputs, numbers: Sequence[int]) -> Outputs:
    """Return the outputs for some of the images."""
    vectors = outputs.embedding
    return Outputs(outputs.scores[numbers], None if vectors is None else vectors[numbers])


def golden_numbers(encoded: Sequence[bytes]) -> list[int]:
    """Return which images are kept as golden ones: from all over, small ones where they are large.

    >>> golden_numbers([b""] * 3)
    [0, 1, 2]
    """
    numbers = np.unique(np.linspace(0, len(encoded) - 1, min(GOLDEN_IMAGES, len(encoded))).astype(np.intp)).tolist()
    kept: list[int] = []
    size = 0
    for i in sorted(numbers, key=lambda number: len(encoded[number])):
        size += len(encoded[i])
        if kept and size > GOLDEN_BYTES:
            break
        kept.append(i)
    return sorted(kept)


def _spec(
    examined: Examined, files: Sequence[tuple[str, bytes]], feed: Feed | None, checks: Sequence[Checked]
) -> ModelSpec:
    rule, names, task = examined.decision.rule, tuple(examined.class_names.value), examined.scores.task
    embedded = examined.scores if task == "embedding" else examined.embedding
    made = ModelSpec(
        rule,
        names,
        "",
        versions(_VERSIONED),
        feed=feed,
        imported=facts_of(examined, checks),
        task=task,
        thresholds=_thresholds(examined),
        value_unit=value_unit(examined.rows) if task == "value" else 0.0,
        takes=examined.opened.model.takes,
        embedding=None if embedded is None else Embedding(embedded.width, examined.request.embedding_type),
    )
    return replace(made, model_id=model_id(rule, names, files, made.identity()))


def _thresholds(examined: Examined) -> tuple[float, ...]:
    """Return the thresholds that the user gives, one a class.

    Raises:
        UsageError: the task has none, or there are more or fewer than classes.
    """
    given, classes = tuple(examined.request.thresholds), examined.scores.classes
    if given and examined.scores.task != "labels":
        raise UsageError(f"--thresholds are for the task labels, and this model's is {examined.scores.task}")
    if given and len(given) not in (1, classes):
        raise UsageError(f"--thresholds has {len(given)} numbers: give one, or one for each of the {classes} classes")
    return given * classes if len(given) == 1 else given


def facts_of(examined: Examined, checks: Sequence[Checked]) -> Mapping[str, Any]:
    """Return what model_spec.json says of an import, as JSON values."""
    facts = {name: fact for name, fact in known_facts(examined, checks).items() if name != "class_names"}
    told = {name: {"value": _json(fact.value), "how": fact.how, "why": line(fact.why)} for name, fact in facts.items()}
    names = examined.class_names
    return {
        "source": os.path.basename(os.path.abspath(examined.request.source)),
        "kind": examined.opened.kind,
        "sha256": source_hash(examined.opened.path),
        "facts": {**told, "class_names": {"how": names.how, "why": line(names.why)}},
        "scaling": {"name": examined.decision.scaling.name, **_numbers(examined)},
        "head": examined.scores.head,
        **({} if examined.verdict is None else {"trial": examined.verdict.to_json()}),
        "checks": {check.name: check.result for check in checks},
    }


def _numbers(examined: Examined) -> dict[str, list[float]]:
    scaling = examined.decision.scaling
    return {"scale": list(scaling.scale), "offset": list(scaling.offset)}


def _json(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else getattr(value, "name", str(value))
