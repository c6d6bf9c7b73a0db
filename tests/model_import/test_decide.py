"""A flag wins over a preset, a preset over what the model declares, that over what is usual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from model_import.decide import USUAL, decide, declared_facts, merged, shape_facts
from model_import.declared import Declared
from model_import.declared_values import Told
from model_import.fact import Fact
from model_import.foreign import Images, Kind, Layer, Output
from model_import.scaling import SCALINGS, Scaling, parse_scaling
from pipeline.errors import UsageError
from pipeline.model.presets import rule_like
from pipeline.model.spec import Takes


@dataclass(frozen=True)
class Shape:
    """A network of which only the input's shape is known."""

    height: int | None = 32
    width: int | None = 48
    channels: int = 3
    kind: Kind = "keras"
    takes: Takes = "pixels"
    layers: Sequence[Layer] = ()
    outputs: Sequence[Output] = ()
    may_be_hub: bool = False

    def __call__(self, images: Images) -> Mapping[str, Any]:
        raise AssertionError("nobody calls it")


def given(**values: Any) -> dict[str, Fact[Any]]:
    return {name: Fact[Any](value, "given", f"by --{name}") for name, value in values.items()}


def said(**rule: Any) -> dict[str, Fact[Any]]:
    told = {name: Told(value, "from a file") for name, value in rule.items() if name != "scaling"}
    scaling = Told(rule["scaling"], "from a file") if "scaling" in rule else None
    return declared_facts(Declared(scaling, told, None, {}, ()))


def test_nearer_knowledge_wins_field_by_field() -> None:
    flags = given(fit="tf_pad", scaling=SCALINGS["unit"])
    facts = merged(flags, shape_facts(Shape(), flags, "m"), said(resize="bicubic", scaling=SCALINGS["torch"]))
    found = decide(facts, "cv2.resize:area", "m")
    assert (found.rule.shape, found.rule.fit, found.rule.resize) == ((32, 48, 3), "tf_pad", "cv2.area")
    assert (found.rule.color_mode, found.scaling.name) == ("bgr", "unit")
    assert {name: fact.how for name, fact in found.facts.items()}["height"] == "declared"
    assert found.guessed == []
    without = decide(facts, "", "m")
    assert (without.rule.resize, without.facts["resize"].how) == ("bicubic", "declared")
    assert without.rule.jpeg_dct == rule_like(USUAL, 32, 48).jpeg_dct
    assert {"color_mode", "jpeg_dct", "deep"} <= set(without.guessed)


def test_color_follows_the_mean_and_grey_follows_the_shape() -> None:
    shape = shape_facts(Shape(), {}, "m")
    assert decide(merged(shape, given(scaling=SCALINGS["caffe"])), "", "m").rule.color_mode == "bgr"
    grey = shape_facts(Shape(channels=1), {}, "m")
    found = decide(merged(grey, given(scaling=SCALINGS["unit"])), "tfds", "m").rule
    assert (found.color_mode, found.gray_from) == ("grayscale", "jpeg_luma")
    with pytest.raises(UsageError, match="for 3 channels"):
        decide(merged(grey, given(scaling=SCALINGS["torch"])), "", "m")


def test_scaling_of_a_mere_convention_is_no_knowledge() -> None:
    convention = Declared(Told(SCALINGS["unit"], "by TF-Hub's convention"), {}, None, {}, ())
    assert declared_facts(convention) == {}
    with pytest.raises(UsageError, match=r"'SCALE,OFFSET' \(unit by TF-Hub's convention\)"):
        decide(shape_facts(Shape(), {}, "m"), "", "m", "unit by TF-Hub's convention")


def test_size_is_asked_for_and_may_not_contradict() -> None:
    with pytest.raises(UsageError, match="give --width,"):
        decide(merged(shape_facts(Shape(width=None), {}, "m"), given(scaling=SCALINGS["raw"])), "", "m")
    with pytest.raises(UsageError, match="--height 33 contradicts 'm', whose input has a height of 32"):
        shape_facts(Shape(), given(height=33), "m")
    with pytest.raises(UsageError, match="whose images have 1 channel"):
        shape_facts(Shape(channels=1), given(color_mode="rgb"), "m")


@pytest.mark.parametrize("text", ["", "half", "1", "1,2,3", "1 2,0", "nan,0", "1,inf"])
def test_scaling_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is unknown: give one of raw, unit, sign, torch, caffe"):
        parse_scaling(text)


def test_scalings_are_those_of_keras() -> None:
    from keras.src.applications.imagenet_utils import preprocess_input

    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), np.uint8)
    for name, mode in (("sign", "tf"), ("torch", "torch")):
        expected = preprocess_input(pixels.astype(np.float32), mode=mode)
        np.testing.assert_allclose(SCALINGS[name](pixels), expected, atol=1e-6)
    bgr = SCALINGS["caffe"](pixels[..., ::-1])
    np.testing.assert_allclose(bgr, preprocess_input(pixels.astype(np.float32), mode="caffe"), atol=1e-5)
    assert parse_scaling("1 2 3,4 5 6") == Scaling("custom", (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
