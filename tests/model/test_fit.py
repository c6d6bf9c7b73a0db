"""Each fit is that of the library that it is named after, at all sizes."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from pipeline.model.fit import FITS, WITH_CROP, Fit, Placement, Size, place
from pipeline.model.input_rule import InputSpec
from pipeline.model.preprocess import decode

TARGETS = [(224, 224), (96, 64), (1, 1), (299, 299), (31, 77)]


def sizes(n: int) -> Iterator[Size]:
    """Yield every size of which one side is small or the input's, and n random ones up to 700."""
    yield from ((width, height) for width in range(1, 12) for height in range(1, 12))
    yield from ((side, other) for side in range(1, 701) for other in (223, 224, 225))
    yield from ((other, side) for side in range(1, 701) for other in (223, 224, 225))
    chance = random.Random(0)
    yield from ((chance.randint(1, 700), chance.randint(1, 700)) for _ in range(n))


def marked(size: Size) -> np.ndarray[tuple[int, int, int], np.dtype[np.float32]]:
    """Return pixels that say where they are: their column and their row."""
    rows, columns = np.meshgrid(np.arange(size[1]), np.arange(size[0]), indexing="ij")
    return np.stack([columns, rows], axis=2).astype(np.float32)


@pytest.mark.parametrize("target", TARGETS)
def test_teachable_machine_is_imageops_fit(target: Size) -> None:
    asked: list[Placement] = []

    class Asked(Image.Image):
        size = (1, 1)

        def resize(self, size, resample=None, box=None, reducing_gap=None):  # type: ignore[no-untyped-def]
            asked.append(Placement(box, size))
            return self

    for size in sizes(5_000):
        image = Asked()
        Asked.size = size  # type: ignore[assignment]
        ImageOps.fit(image, target)
        assert place("teachable_machine", size, target) == asked.pop()


@pytest.mark.parametrize("target", [(96, 64), (224, 224)])
def test_keras_crop_is_smart_resize(target: Size, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `image_dataset_from_directory` calls it: in a graph, with sizes that are not known before."""
    import tensorflow as tf
    from keras.src.backend import tensorflow as backend
    from keras.src.utils import image_utils

    monkeypatch.setattr(backend.image, "resize", lambda image, **_: image)

    @tf.function(input_signature=[tf.TensorSpec([None, None, 2])])
    def cut(image: tf.Tensor) -> tf.Tensor:
        size = (target[1], target[0])
        return image_utils.smart_resize(image, size, data_format="channels_last", backend_module=backend)

    for size in list(sizes(2_000))[::5]:
        kept = cut(marked(size)).numpy()
        left, upper = kept[0, 0].astype(int).tolist()
        assert place("keras_crop", size, target).box == (left, upper, left + kept.shape[1], upper + kept.shape[0])


@pytest.mark.parametrize("crop", [0.875, 0.5, 1 / 3, 1.0])
def test_tf_central_crop_is_central_crop(crop: float) -> None:
    import tensorflow as tf

    for size in list(sizes(2_000))[::10]:
        kept = tf.image.central_crop(marked(size), crop).numpy()
        left, upper = kept[0, 0].astype(int).tolist()
        expected = (left, upper, left + kept.shape[1], upper + kept.shape[0])
        assert place("tf_central_crop", size, (224, 224), crop).box == expected


@pytest.mark.parametrize("target", [(96, 64), (224, 224)])
def test_tf_pad_is_resize_with_pad(target: Size) -> None:
    """As tf.data calls it. TensorFlow refuses an image of which a side would become 0."""
    import tensorflow as tf

    def fit(there: tf.Tensor) -> tf.Tensor:
        white = tf.ensure_shape(tf.ones((there[1], there[0], 1)), [None, None, 1])
        return tf.image.resize_with_pad(white, target[1], target[0], method="nearest")

    kept = [
        size for size in list(sizes(2_000))[::10] if min(target[0] * size[1] // size[0], target[1] * size[0] // size[1])
    ]
    made = tf.data.Dataset.from_tensor_slices(kept).map(fit)
    for there, pixels in zip(kept, made.as_numpy_iterator(), strict=True):
        rows, columns = np.nonzero(pixels[..., 0])
        _, size, offset, _ = place("tf_pad", there, target)
        assert offset == (columns.min(), rows.min())
        assert size == (columns.max() - columns.min() + 1, rows.max() - rows.min() + 1)


@pytest.mark.parametrize("name", ["nearest", "bilinear", "lanczos"])
def test_pil_crop_gives_the_pixels_of_load_img(name: str) -> None:
    from keras.utils import load_img

    chance = np.random.default_rng(0)
    for width, height in [(640, 427), (427, 640), (31, 700), (224, 224), (5, 3), (301, 300), (96, 64)]:
        file = io.BytesIO()
        Image.fromarray(chance.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(file, "PNG")
        expected = load_img(
            io.BytesIO(file.getvalue()), target_size=(64, 96), interpolation=name, keep_aspect_ratio=True
        )
        spec = InputSpec(64, 96, "rgb", name, fit="pil_crop")  # type: ignore[arg-type]
        assert np.array_equal(decode(file.getvalue(), spec), np.asarray(expected))


def test_torch_shorter_side_gives_the_pixels_of_resize_and_center_crop() -> None:
    chance = np.random.default_rng(0)
    for width, height, resized in [(640, 427, (383, 256)), (427, 640, (256, 383)), (100, 700, (256, 1792))]:
        image = Image.fromarray(chance.integers(0, 256, (height, width, 3), dtype=np.uint8))
        file = io.BytesIO()
        image.save(file, "PNG")
        left, upper = (round((there - 224) / 2.0) for there in resized)
        expected = image.resize(resized, Image.Resampling.BICUBIC).crop((left, upper, left + 224, upper + 224))
        spec = InputSpec(224, 224, "rgb", "bicubic", fit="torch_shorter_side", crop=0.875)
        assert np.array_equal(decode(file.getvalue(), spec), np.asarray(expected))


@settings(max_examples=300)
@given(
    st.sampled_from(FITS),
    st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
    st.floats(0.05, 1),
)
def test_every_fit_covers_the_input_or_leaves_a_border(fit: Fit, size: Size, target: Size, crop: float) -> None:
    if fit == "torch_shorter_side":
        target = (target[0], target[0])
    (left, upper, right, lower), resized, offset, _ = place(fit, size, target, crop if fit in WITH_CROP else 1.0)
    assert min(resized) >= 1
    if fit == "keras_hub_pad":
        assert left <= 0 <= size[0] <= right
        assert upper <= 0 <= size[1] <= lower
    else:
        assert 0 <= left < right <= size[0] + 1e-9
        assert 0 <= upper < lower <= size[1] + 1e-9
    for at, there, wanted in zip(offset, resized, target, strict=True):
        if fit == "tf_pad":
            assert at >= 0
            assert at + there <= wanted + 1
        else:
            assert at <= 0
            assert at + there >= wanted
