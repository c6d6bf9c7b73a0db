"""What the user's own scores prove of the input rule, which loader gives them, and what rounding pixels does.

Every field is changed alone, and the images prove it if the scores then differ. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args, get_type_hints

import numpy as np
import numpy.typing as npt

from model_import.examine import Examined, raw_outputs
from model_import.pick import rows_of
from model_import.pictures import Pictures, pixels_of
from model_import.scaling import SCALINGS, Scaling
from pipeline.errors import UsageError
from pipeline.model.feed import Head, with_head
from pipeline.model.fit import WITH_CROP
from pipeline.model.input_rule import ColorMode, InputSpec, check_rule, library_of
from pipeline.model.pillow import open_image
from pipeline.model.preprocess import upright
from pipeline.model.presets import PRESETS, rule_like
from pipeline.model.resize_tf import resize
from pipeline.text import shell_word

MOST_IMAGES = 8
"""Golden images that other rules are tried on, at most."""

SEEN = 1e-4
"""Difference of a score by which another rule is told apart, at least, beside that of the rule itself."""

WORTH_A_LOOK = 1e-3
"""Difference of the user's scores, at least, from which other loaders are tried although it is allowed."""

MUCH_BETTER = 5
"""A loader is named where its difference is this many times smaller."""

_FIELDS = ("color_mode", "resize", "antialias", "fit", "crop", "exif_orientation", "jpeg_dct", "gray_from", "deep")

_RESIZING = ("resize", "antialias", "fit", "crop")
"""Fields that images of the model's own size say nothing of."""

Rows = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Proof:
    """What golden images prove of an input rule.

    Attributes:
        proven: fields that cannot be otherwise: each other value gives other scores.
        still_open: fields of which these images show nothing.
        advice: what other images would show, as a phrase; "": nothing is open.
    """

    proven: Sequence[str]
    still_open: Sequence[str]
    advice: str


def closest(rows: npt.NDArray[np.floating[Any]], expected: Rows, head: Head) -> tuple[float, Rows]:
    """Return by how much a network's rows differ from the user's scores, and the rows with the head that is nearest.

    The difference is a share of the spread of the scores where these are larger than probabilities.
    """
    own = rows.astype(np.float64)
    shaped = [values for values in (with_head(own, head), own) if values.shape == expected.shape]
    if not shaped:
        return float("inf"), own
    return min(((_difference(values, expected), values) for values in shaped), key=lambda pair: pair[0])


def _difference(values: Rows, expected: Rows) -> float:
    spread = float(np.sqrt(np.mean((expected - expected.mean(axis=0)) ** 2))) if expected.size else 0.0
    return float(np.abs(values - expected).max() / max(1.0, spread))


def prove(examined: Examined, own: float) -> Proof:
    """Return which fields of the rule that are not known the golden images prove.

    Args:
        examined: with golden images whose scores are right under the rule.
        own: difference of the scores under the rule.
    """
    trial = _Trial(examined)
    rule, scaling = examined.decision.rule, examined.decision.scaling
    pixels = trial.pixels(rule)
    proven: list[str] = []
    still_open: list[str] = []
    for name in _FIELDS:
        if name not in examined.decision.not_known:
            continue
        others = [found for found in map(trial.pixels, _changed(rule, name)) if found is not None]
        differing = [one for one in others if pixels is None or _reach(one, pixels) > 1]
        if not others:
            continue  # the rest of the rule leaves no choice
        limit = 2 * own + SEEN
        is_resized = name not in _RESIZING or not trial.is_of_size(rule)
        is_proven = is_resized and bool(differing) and all(trial.off(one, rule, scaling) > limit for one in differing)
        (proven if is_proven else still_open).append(name)
    return Proof(proven, still_open, _advice(trial, rule, still_open))


def _advice(trial: _Trial, rule: InputSpec, still_open: Sequence[str]) -> str:
    if not still_open:
        return ""
    if trial.is_of_size(rule) and {"fit", "resize"} & set(still_open):
        return "the golden images have the model's own size already: save them at their original size"
    return "'encoded' in the .npz, JPEG files as they are, shows how files are decoded"


def nearest_loader(examined: Examined, limit: float) -> str:
    """Return which loader or scaling gives the user's scores, as the rest of a sentence.

    Args:
        examined: with golden images whose scores are others under the rule.
        limit: largest difference that is taken for the same scores.
    """
    off, words = _nearest(examined, limit)
    if off <= limit:
        return f"with {words} it gives your scores (the largest difference is {off:.2g})"
    nearest = f"with {words}" if words else "as it is"
    return (
        f"no loader of --like with any --scaling gives your scores, the nearest is {nearest} (the largest difference "
        f"is {off:.2g}): is it the same model, and are the images as they were before any scaling?"
    )


def better_loader(examined: Examined, own: float) -> str:
    """Return which loader gives the user's scores much better than the rule, as a phrase; "": none does."""
    off, words = _nearest(examined, own / MUCH_BETTER) if own > WORTH_A_LOOK else (own, "")
    if off > own / MUCH_BETTER:
        return ""
    return f"; {words} gives yours more exactly (largest difference {off:.2g}): is that your loader?"


def _nearest(examined: Examined, limit: float) -> tuple[float, str]:
    """Return the smallest difference from the user's scores, and the flags that give it."""
    trial, best = _Trial(examined), (float("inf"), "")
    rules: dict[InputSpec, str] = {}
    for words, rule in _loaders(examined.decision.rule):
        rules.setdefault(rule, words)
    known = examined.decision.scaling
    for scalings in ([known], [one for one in SCALINGS.values() if one.name != known.name]):
        for rule, words in rules.items():
            pixels = trial.pixels(rule)
            for scaling in scalings:
                if pixels is None or max(len(scaling.scale), len(scaling.offset)) not in (1, rule.channels):
                    continue
                said = " ".join(part for part in (words, f"--scaling {scaling.name}" * (scaling != known)) if part)
                best = min(best, (trial.off(pixels, rule, scaling), said))
        if best[0] <= limit:
            break
    return best


def _loaders(rule: InputSpec) -> Iterator[tuple[str, InputSpec]]:
    yield "", rule
    if rule.channels == 3:
        turned: ColorMode = "bgr" if rule.color_mode == "rgb" else "rgb"
        yield f"--color_mode {turned}", replace(rule, color_mode=turned)
    color: ColorMode = "grayscale" if rule.channels == 1 else "rgb"
    for name in PRESETS:
        try:
            yield f"--like {shell_word(name)}", rule_like(name, rule.height, rule.width, color)
        except UsageError:  # a preset that cannot have this size
            continue


class _Trial:
    """Some of the golden images, and the user's scores of them."""

    def __init__(self, examined: Examined) -> None:
        """Take images from all over."""
        count = len(examined.pictures.encoded)
        chosen = np.unique(np.linspace(0, count - 1, min(MOST_IMAGES, count)).astype(np.intp)).tolist()
        assert examined.pictures.scores is not None
        self._examined, self._expected = examined, examined.pictures.scores[chosen]
        self._pictures = Pictures([examined.pictures.encoded[i] for i in chosen], examined.pictures.origin)

    def pixels(self, rule: InputSpec) -> npt.NDArray[np.uint8] | None:
        """Return the images' pixels under a rule; None if not all of them can be decoded."""
        try:
            found, kept = pixels_of(self._pictures, rule)
        except UsageError:
            return None
        return found if len(kept) == len(self._pictures.encoded) else None

    def off(self, pixels: npt.NDArray[np.uint8], rule: InputSpec, scaling: Scaling) -> float:
        """Return by how much the scores differ from the user's under a rule."""
        raw = raw_outputs(self._examined.opened, scaling, pixels, rule)
        scores = self._examined.scores
        try:
            rows = rows_of(raw[scores.output], self._examined.opened.path)
        except UsageError:  # numbers that are not finite
            return float("inf")
        return closest(rows, self._expected, scores.head)[0]

    def is_of_size(self, rule: InputSpec) -> bool:
        """Return whether all images have the model's own size."""
        return all(open_image(data).size == (rule.width, rule.height) for data in self._pictures.encoded)


def _changed(rule: InputSpec, name: str) -> Sequence[InputSpec]:
    """Return the rules that differ in one field alone."""
    hint = get_type_hints(InputSpec)[name]
    values = (True, False) if hint is bool else (1.0, 0.875) if hint is float else get_args(hint)
    if name == "color_mode":
        values = ("rgb", "bgr") if rule.channels == 3 else ()
    if (name == "crop" and rule.fit not in WITH_CROP) or (name == "gray_from" and rule.channels == 3):
        return ()
    found = []
    for value in values:
        changes: Mapping[str, Any] = {name: value}
        if name == "fit":
            changes = {name: value, "crop": rule.crop if value in WITH_CROP else 1.0}
        changed = replace(rule, **changes)
        try:
            check_rule(changed)
        except ValueError:
            continue
        if changed != rule:
            found.append(changed)
    return found


def _reach(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> int:
    return int(np.abs(one.astype(np.int16) - other).max())


def rounding(examined: Examined) -> float | None:
    """Return the largest change of a score by rounding pixels to whole grey levels; None where it is not measured.

    It is measured for TensorFlow's resizers, stretched: Keras feeds their fractions to the network, and here pixels are
    whole numbers. Other libraries round by themselves.
    """
    rule, scaling = examined.decision.rule, examined.decision.scaling
    dtype = str(getattr(examined.opened.model, "dtype", "float32"))
    if library_of(rule.resize) != "tf" or rule.resize == "tf.nearest" or rule.fit != "stretch":
        return None
    if examined.opened.model.takes == "encoded" or not dtype.startswith("float"):
        return None
    exact, rows = [], []
    for i, data in enumerate(examined.pictures.encoded[:MOST_IMAGES]):
        width, height = upright(data, rule).size
        whole = np.asarray(upright(data, rule)).reshape(height, width, -1)
        whole = whole[..., ::-1] if rule.color_mode == "bgr" else whole
        made = resize(whole, (rule.width, rule.height), rule.resize.removeprefix("tf."), rule.antialias)
        made = made.reshape(rule.shape).astype(np.float32)
        if np.abs(made - examined.pixels[i]).max() <= 1:
            exact.append(made)
            rows.append(examined.rows[i])
    if not exact:
        return None
    per_channel = scaling.for_channels(rule.channels)
    values = np.stack(exact) * np.asarray(per_channel.scale, np.float32)
    values += np.asarray(per_channel.offset, np.float32)
    found = rows_of(examined.opened.model(values)[examined.scores.output], examined.opened.path)
    head = examined.scores.head
    both = [with_head(one.astype(np.float64), head) for one in (found, np.stack(rows))]
    return float(np.abs(both[0] - both[1]).max())
