"""Try rules on the images of --check, and turn what was found into facts.

A trial needs to know before what the scores are and which classes there are; neither depends on the input rule. Must
not know how rules are compared (`model_import.trial`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model_import.candidates import PARTS
from model_import.class_names import IMAGENET, imagenet
from model_import.declared import Declared
from model_import.fact import Fact, How
from model_import.opening import Opened
from model_import.pick import Scores, rows_of
from model_import.request import Request
from model_import.rule_fields import decides
from model_import.trial import trial
from model_import.trial_images import read_aliases, read_check_folder
from model_import.trial_scores import Progress
from model_import.trial_verdict import Part, Verdict
from pipeline.errors import UsageError
from pipeline.model import agreement
from pipeline.model.feed import Head, with_head
from pipeline.model.input_rule import InputSpec, Library, library_of

_HOW: Mapping[str, How] = {
    "given": "given",
    "declared": "declared",
    "tried": "tried",
    "usual": "unsettled",
    "untried": "guessed",
}


def try_rules(
    request: Request,
    opened: Opened,
    said: Declared,
    scores: Scores,
    class_names: tuple[str, ...],
    base: InputSpec,
    given: Mapping[str, Fact[Any]],
    progress: Callable[[Progress], None],
) -> Verdict:
    """Return what the images of --check tell of the input rule.

    Args:
        request: what the user asked for.
        opened: the source that was read.
        said: what it declares.
        scores: which output has them.
        class_names: of the model.
        base: rule of the right size; what is neither given nor tried stays as in it.
        given: what is not tried.
        progress: called now and then.

    Raises:
        UsageError: the folder has none of the classes, or no rule is better than chance.
    """
    aliases = _aliases(request, class_names)
    images = read_check_folder(Path(request.check), class_names, aliases, request.check_by_order)

    def score(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        try:
            found = opened.model(values)[scores.output]
        except ValueError as error:
            raise UsageError(
                f"{opened.path!r} does not take images of {base.height} x {base.width}: {error}"
            ) from error
        return log_probabilities(rows_of(found, opened.path), scores.head)

    fixed = {name: fact for name, fact in given.items() if name not in ("height", "width")}
    return trial(score, images, base, fixed, progress, declared=said)


def log_probabilities(rows: npt.NDArray[np.float32], head: Head) -> npt.NDArray[np.float64]:
    """Return logarithms of the probabilities that a network's rows mean, float64 [n, classes].

    >>> log_probabilities(np.array([[0.0, 0.0]], np.float32), "softmax").round(2).tolist()
    [[-0.69, -0.69]]
    """
    if head == "softmax":
        values = rows.astype(np.float64)
        values -= values.max(axis=1, keepdims=True)
        return np.asarray(values - np.log(np.exp(values).sum(axis=1, keepdims=True)))
    return agreement.log_scores(with_head(rows, head))


def _aliases(request: Request, class_names: tuple[str, ...]) -> Mapping[str, int]:
    """Return other names of the classes: ImageNet's synsets, or those of the file that --labels names."""
    if request.labels == IMAGENET:
        offset = len(class_names) - len(imagenet())
        return {synset: i + offset for i, (synset, _) in enumerate(imagenet())}
    if not request.labels:
        return {}
    try:
        return read_aliases(Path(request.labels))
    except (UsageError, OSError, ValueError):  # a file of names in another form: they are known already
        return {}


def verdict_facts(found: Verdict, known: Mapping[str, Fact[Any]]) -> dict[str, Fact[Any]]:
    """Return what a trial has decided, by field of the rule, and the scaling; what was given before is not among it.

    Args:
        found: what the trial found.
        known: what was known before it.
    """
    if not found.is_decided:
        return {}
    facts: dict[str, Fact[Any]] = {}
    for part in found.parts.values():
        for name in part.fields:
            value = found.scaling if name == "scaling" else getattr(found.rule, name)
            how = "unsettled" if name in found.unsettled else _HOW[part.how]
            facts[name] = Fact(value, how, _why(part, found.images))
    decoded = f"as files are usually decoded before {_LIBRARIES[library_of(found.rule.resize)]} resizes"
    given = {name for part in found.parts for name in PARTS[part] if name not in facts and decides(found.rule, name)}
    for name, value in vars(found.rule).items():
        if name not in (*facts, *given, "height", "width"):
            facts[name] = Fact(value, "guessed", decoded)
    same = [name for name, fact in facts.items() if name in known and known[name].value == fact.value]
    return {name: fact for name, fact in facts.items() if fact.how != "guessed" or name not in same}


_LIBRARIES: Mapping[Library, str] = {"tf": "TensorFlow", "pillow": "Pillow", "cv2": "OpenCV"}
"""Library of a resizer -> its name."""


def _why(part: Part, images: int) -> str:
    if part.how == "declared":
        return part.source
    if part.how == "untried":
        return "not tried"
    if not part.is_settled:
        return f"the most usual of {len(part.not_distinguished) + 1} that are as good on {images} images of --check"
    return f"the best on {images} images of --check"
