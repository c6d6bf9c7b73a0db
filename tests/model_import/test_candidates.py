"""The rules that are tried: all presets are among them, and what is given or declared is respected."""

from __future__ import annotations

import pytest

from model_import.candidates import Candidate, Space, apart, other_decoding
from model_import.scaling import SCALINGS, Scaling
from pipeline.errors import UsageError
from pipeline.model.input_rule import InputSpec
from pipeline.model.presets import PRESETS, rule_like

BASE = InputSpec(64, 64, "rgb")
ALL = Space(BASE, {}, {})


def with_choice(space: Space, preset: str) -> bool:
    rule = rule_like(preset, 64, 64)
    fits = any(all(getattr(rule, name) == value for name, value in choice.items()) for choice in space.fits())
    resizers = [(choice["resize"], choice["antialias"]) for choice in space.resizers()]
    return fits and (rule.resize, rule.antialias) in resizers and rule.color_mode in space.colors()


@pytest.mark.parametrize("preset", PRESETS)
def test_every_loader_that_users_can_name_is_within_reach_of_the_trial(preset: str) -> None:
    assert with_choice(ALL, preset)


def test_a_usual_loader_is_tried_with_its_own_decoding() -> None:
    start = Candidate(BASE, SCALINGS["unit"])
    found = [ALL.with_parts(start, values) for values in ALL.resizers()]
    rules = {one.rule.resize: one.rule for one in found if one is not None and not one.rule.antialias}
    for preset in ("keras.image_dataset_from_directory", "keras.load_img", "cv2.resize:rgb"):
        wanted = rule_like(preset, 64, 64)
        assert rules[wanted.resize] == wanted


def test_given_fields_are_not_tried() -> None:
    space = Space(BASE, {"fit": "stretch", "color_mode": "rgb", "scaling": SCALINGS["sign"], "resize": "bicubic"}, {})
    assert space.scalings() == [SCALINGS["sign"]]
    assert space.colors() == ["rgb"]
    assert space.fits() == [{}]
    start = Candidate(InputSpec(64, 64, "rgb", "bicubic"), SCALINGS["sign"])
    tried = {space.with_parts(start, values) for values in space.resizers()}
    assert {one.rule for one in tried if one is not None} == {rule_like("keras.load_img:bicubic", 64, 64)}


def test_what_is_declared_comes_first_and_is_more_plausible_than_anything_else() -> None:
    own = Scaling("custom", (0.02,), (-2.0,))
    space = Space(BASE, {}, {"scaling": [own, SCALINGS["raw"]], "resize": ["pillow.box"], "color_mode": ["bgr"]})
    assert list(space.scalings())[:2] == [own, SCALINGS["raw"]]
    assert len(space.scalings()) == 6
    assert list(space.colors()) == ["bgr", "rgb"]
    assert space.resizers()[0]["resize"] == "pillow.box"
    declared = Candidate(InputSpec(64, 64, "bgr", "pillow.box"), own)
    usual = Candidate(rule_like("keras.load_img", 64, 64), SCALINGS["sign"])
    assert space.rank(declared) < space.rank(usual)
    assert (space.tier(declared)[0], space.tier(usual)[0]) == (0, 3)


def test_declared_crop_goes_with_the_declared_fit() -> None:
    space = Space(BASE, {}, {"fit": ["torch_shorter_side", "stretch"], "crop": [0.9375]})
    assert list(space.fits())[:2] == [{"fit": "torch_shorter_side", "crop": 0.9375}, {"fit": "stretch", "crop": 1.0}]


def test_loaders_in_use_are_more_plausible_than_mixtures_of_them() -> None:
    def rank(preset: str, **changes: str) -> tuple[int, ...]:
        return ALL.rank(Candidate(InputSpec(**{**vars(rule_like(preset, 64, 64)), **changes}), SCALINGS["unit"]))

    teachable = rank("teachable_machine")
    assert teachable < rank("teachable_machine", resize="bilinear")
    assert rank("torchvision") < rank("torchvision", jpeg_dct="fast")
    assert rank("cv2.resize:rgb") < rank("torchvision", fit="keras_crop", crop=1.0)


def test_grey_networks_have_one_color_and_no_scaling_of_three_channels() -> None:
    space = Space(InputSpec(28, 28, "grayscale"), {}, {})
    assert list(space.colors()) == ["grayscale"]
    assert [one.name for one in space.scalings()] == ["sign", "unit", "raw"]
    grey = Candidate(InputSpec(28, 28, "grayscale"), SCALINGS["unit"])
    assert {one.rule.gray_from for one in other_decoding(space, grey)} == {"rgb", "jpeg_luma"}
    colored = Candidate(BASE, SCALINGS["unit"])
    assert [apart(one, colored) for one in other_decoding(ALL, colored)] == [{"jpeg_dct"}]


def test_no_rule_that_contradicts_itself_is_tried() -> None:
    start = Candidate(InputSpec(64, 96, "rgb"), SCALINGS["unit"])
    assert ALL.with_parts(start, {"fit": "torch_shorter_side", "crop": 0.875}) is None
    tensorflow = ALL.with_parts(start, {"resize": "tf.bilinear"})
    assert tensorflow is not None
    assert ALL.with_parts(tensorflow, {"fit": "teachable_machine"}) is None
    with pytest.raises(UsageError):
        SCALINGS["caffe"].for_channels(1)
