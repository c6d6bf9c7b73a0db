"""Each preset gives the pixels of the loader that it is named after: the loader itself says what is right."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from loaders import DIRECTORY, LOADERS
from mostly_heavy import mostly_heavy
from photographs import KINDS, files_of
from pictures import Pixels

from pipeline.errors import UsageError
from pipeline.model.input_rule import InputSpec, check_rule
from pipeline.model.preprocess import decode
from pipeline.model.presets import PRESETS, rule_like

EQUAL = {
    name
    for name, preset in PRESETS.items()
    if not preset.resize.startswith("cv2.") and preset.resize not in ("tf.lanczos3", "tf.lanczos5", "tf.gaussian")
}
"""Presets whose pixels are the loader's, all of them. The others are off by one level here and there."""

REFUSED_GRAY = ("jpeg cmyk",)
"""Kinds that TensorFlow cannot make grey of."""


def seen(loaded: Pixels) -> Pixels:
    """Return pixels as the model gets them here: clipped and rounded."""
    return np.rint(np.clip(loaded, 0, 255)).astype(int)


def compare(name: str, kind: str, found: Pixels, loaded: Pixels) -> None:
    expected = seen(loaded)
    assert found.shape == expected.shape, (name, kind)
    off = abs(found.astype(int) - expected)
    if name in EQUAL:
        assert off.max() == 0, (name, kind, int(off.max()), float((off > 0).mean()))
    else:
        assert off.max() <= 1, (name, kind, int(off.max()), float((off > 1).mean()))
        assert (off > 0).mean() < 0.1, (name, kind, float((off > 0).mean()))


def check(name: str, is_gray: bool, made: Sequence[Mapping[str, bytes]]) -> None:
    """Compare a preset with its loader on photographs, of which each is there as a file of every kind."""
    preset = PRESETS[name]
    height, width = (224, 224) if preset.fit == "torch_shorter_side" else (96, 131)
    rule = rule_like(name, height, width, "grayscale" if is_gray else "rgb")
    left_out = REFUSED_GRAY if is_gray and preset.decoder == "tensorflow" else ()
    files = [(kind, data) for kinds in made for kind, data in kinds.items() if kind not in left_out]
    loaded = LOADERS[name]([data for _, data in files], height, width, is_gray)
    for (kind, data), pixels in zip(files, loaded, strict=True):
        compare(name, kind, decode(data, rule), pixels)


WITH_GRAY = [name for name in LOADERS if not name.startswith("keras_hub")]
"""The loaders that can give grey: keras_hub's converter takes color only."""


GRAY_BY_LIBRARY = {name.partition(".")[0].partition(":")[0]: name for name in WITH_GRAY}.values()
"""One of them of each library: how it makes grey does not depend on how it resizes."""


@pytest.mark.parametrize(
    ("name", "is_gray"),
    mostly_heavy(
        [*((name, False) for name in LOADERS), *((name, True) for name in WITH_GRAY)],
        kept=[*((name, False) for name in LOADERS), *((name, True) for name in GRAY_BY_LIBRARY)],
    ),
)
def test_preset_is_its_loader(name: str, is_gray: bool) -> None:
    if name.startswith("cv2."):
        pytest.importorskip("cv2")
    check(name, is_gray, [files_of(3 if is_gray else 2)])


IN_HEAVY = (0,)
"""First photographs of the fives that the heavy tests take; all others are for `make soak`."""


@pytest.mark.parametrize(
    "first",
    [pytest.param(n, marks=pytest.mark.heavy if n in IN_HEAVY else pytest.mark.soak) for n in range(0, 200, 5)],
)
def test_presets_are_their_loaders_on_200_photographs(first: int) -> None:
    made = [files_of(seed) for seed in range(first, first + 5)]
    for name in LOADERS:
        check(name, False, made)
        if name in WITH_GRAY:
            check(name, True, made[:3])


def test_every_preset_has_a_loader_and_is_a_rule() -> None:
    assert {*LOADERS, "nightscore"} == set(PRESETS)
    for name in PRESETS:
        for color in ("rgb", "bgr", "grayscale"):
            check_rule(rule_like(name, 224, 224, color))  # type: ignore[arg-type]
    assert rule_like("nightscore", 5, 7) == InputSpec(5, 7, "rgb")
    assert len(KINDS) == len(files_of(0))


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (f"{DIRECTORY}(crop_to_aspect_ratio=True)", f"{DIRECTORY}:crop_to_aspect_ratio"),
        (f"{DIRECTORY}(interpolation='bilinear')", DIRECTORY),
        ("keras.load_img(keep_aspect_ratio=True, interpolation='bilinear')", "keras.load_img:bilinear,keep_aspect_ratio"),  # noqa: E501
        ("Keras.load_img(keep_aspect_ratio=False)", "keras.load_img"),
        ("cv2.resize(interpolation=cv2.INTER_AREA)", "cv2.resize:area"),
        ("torchvision:bilinear", "torchvision"),
        ("torchvision.transforms.Resize", "torchvision.Resize"),
        ("tf.keras.utils.image_dataset_from_directory", DIRECTORY),
        ("keras.preprocessing.image.load_img(interpolation='box')", "keras.load_img:box"),
        ("PIL.Image.open", "pillow"),
        ("PIL", "pillow:bicubic"),
        ("pillow(resample=Image.Resampling.LANCZOS)", "pillow:lanczos"),
    ],
)  # fmt: skip
def test_arguments_may_be_written_as_in_python(written: str, name: str) -> None:
    assert rule_like(written, 224, 224) == rule_like(name, 224, 224)


def test_page_of_the_loaders_lists_all_as_they_are() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "input_rules.md").read_text()
    listed = re.findall(r"^\| `(\S+)` \| (.*?) \| [0-9.]+ ms \|", page, re.MULTILINE)
    assert dict(listed) == {name: preset.about for name, preset in PRESETS.items()}


def test_loader_without_its_library_is_taken_where_one_library_has_it() -> None:
    for short in ("image_dataset_from_directory", "image_dataset_from_directory(interpolation='bilinear')"):
        assert rule_like(short, 24, 24) == rule_like("keras.image_dataset_from_directory", 24, 24)
    assert rule_like("load_img:box", 24, 24) == rule_like("keras.load_img:box", 24, 24)
    with pytest.raises(UsageError, match="unknown loader 'resize'"):
        rule_like("resize", 24, 24)


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("keras", "it may be keras.image_dataset_from_directory or keras.load_img"),
        ("torchvison", "did you mean torchvision?"),
        ("Pilow", "did you mean pillow?"),
        ("resize", "it may be tf.image.resize, torchvision.Resize or cv2.resize"),
        ("Image.resize", "for image.resize give pillow or tf.image.resize"),
        ("opencv", "for opencv give cv2.resize, cv2.resize:area or cv2.resize:rgb"),
        ("cv2.resize:cubic", "it may be cv2.resize, cv2.resize:area or cv2.resize:rgb"),
        ("ImageDataGenerator.flow_from_directory", "give keras.load_img"),
        ("pytorch", "for pytorch give torchvision, torchvision.Resize or timm"),
        ("skimage.io", "give one of nightscore, keras.image_dataset_from_directory, keras.load_img, tf.image.resize"),
    ],
)
def test_unknown_loader_is_told_with_those_that_may_be_meant(written: str, hint: str) -> None:
    with pytest.raises(UsageError, match=r"^unknown loader .* lists all$") as told:
        rule_like(written, 224, 224)
    assert hint in str(told.value)


def test_loader_that_cannot_have_this_size_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^preset 'timm' cannot be taken: input is of 2 x 3 pixels"):
        rule_like("timm", 2, 3)
