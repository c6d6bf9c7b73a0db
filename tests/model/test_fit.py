"""Each fit is that of the library that it is named after, at all sizes."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

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


class Asked(Image.Image):
    """An image without pixels, which keeps what it is asked to be resized to."""

    size = (1, 1)
    mode = "RGB"

    def resize(self, size, resample=None, box=None, reducing_gap=None):  # type: ignore[no-untyped-def]
        self.placement = Placement(tuple(box), size)
        return self


@pytest.mark.parametrize("target", TARGETS)
def test_teachable_machine_is_imageops_fit(target: Size) -> None:
    image = Asked()
    for size in sizes(5_000):
        image.size = size
        ImageOps.fit(image, target)
        assert place("teachable_machine", size, target) == image.placement


@pytest.mark.parametrize("target", TARGETS)
def test_pil_crop_is_load_img(target: Size, monkeypatch: pytest.MonkeyPatch) -> None:
    from keras.src.utils import image_utils

    image = Asked()
    monkeypatch.setattr(image_utils.pil_image, "open", lambda file: image)
    for size in sizes(5_000):
        crop = (size[0] * target[1] // target[0], size[1] * target[0] // target[1])
        if size == target or min(crop) < 1:
            continue  # not resized at all, or refused by Pillow
        image.size = size
        image_utils.load_img(io.BytesIO(), target_size=(target[1], target[0]), keep_aspect_ratio=True)
        assert place("pil_crop", size, target) == image.placement


Asking = Callable[[Any, Size], tuple[Any, Any, Any, Any]]
"""Return left, upper, right and lower side of a box; called in tf.data with a white image and the input's size."""


def asked_of_smart_resize(image: Any, target: Size) -> tuple[Any, Any, Any, Any]:
    """Return what `image_dataset_from_directory(crop_to_aspect_ratio=True)` cuts out."""
    import tensorflow as tf
    from keras.src.backend import tensorflow as backend
    from keras.src.utils import image_utils

    class Backend:
        convert_to_tensor, shape, cast, numpy = backend.convert_to_tensor, backend.shape, backend.cast, backend.numpy

        class image:  # noqa: N801
            resize = staticmethod(lambda kept, **_: kept)

    height, width = tf.shape(image)[0], tf.shape(image)[1]
    here = tf.stack(tf.meshgrid(tf.range(width), tf.range(height)), 2)
    kept = image_utils.smart_resize(
        tf.ensure_shape(here, [None, None, 2]),
        (target[1], target[0]),
        data_format="channels_last",
        backend_module=Backend,
    )
    return kept[0, 0, 0], kept[0, 0, 1], kept[-1, -1, 0] + 1, kept[-1, -1, 1] + 1


def asked_of_keras_pad(image: Any, target: Size) -> tuple[Any, Any, Any, Any]:
    """Return the part that `keras.layers.Resizing(pad_to_aspect_ratio=True)` resizes, with its border."""
    import tensorflow as tf
    from keras.src.backend import tensorflow as backend

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tf.image, "resize", lambda padded, *_, **__: padded)
        padded = backend.image.resize(
            image, (target[1], target[0]), pad_to_aspect_ratio=True, data_format="channels_last"
        )
    y, x = ((tf.shape(padded)[axis] - tf.shape(image)[axis]) // 2 for axis in (0, 1))
    return -x, -y, tf.shape(padded)[1] - x, tf.shape(padded)[0] - y


def asked_of_resize_with_pad(image: Any, target: Size) -> tuple[Any, Any, Any, Any]:
    """Return where `tf.image.resize_with_pad` lays an image."""
    import tensorflow as tf

    made = tf.image.resize_with_pad(image, target[1], target[0], method="nearest")[..., 0] > 0
    columns, rows = tf.where(tf.reduce_any(made, 0))[:, 0], tf.where(tf.reduce_any(made, 1))[:, 0]
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


ASKED: dict[Fit, Asking] = {
    "keras_crop": asked_of_smart_resize,
    "keras_hub_pad": asked_of_keras_pad,
    "tf_pad": asked_of_resize_with_pad,
}


def check_in_tf_data(fit: Fit, target: Size, sizes: Sequence[Size]) -> None:
    """Compare with what a function of TensorFlow or Keras does in tf.data, which is where loaders call it."""
    import tensorflow as tf

    if fit == "tf_pad":  # TensorFlow refuses an image of which a side would become 0
        sizes = [(w, h) for w, h in sizes if min(target[0] * h // w, target[1] * w // h) >= 1]

    def ask(size: Any) -> Any:
        image = tf.ensure_shape(tf.ones((size[1], size[0], 1)), [None, None, 1])
        return tf.stack([tf.cast(side, tf.int32) for side in ASKED[fit](image, target)])

    made = tf.data.Dataset.from_tensor_slices(list(sizes)).map(ask, num_parallel_calls=2).batch(1024)
    found = np.concatenate(list(made.as_numpy_iterator())).tolist()
    for size, expected in zip(sizes, found, strict=True):
        box, (width, height), (x, y), _ = place(fit, size, target)
        assert expected == list((x, y, x + width, y + height) if fit == "tf_pad" else box), size


@pytest.mark.parametrize("target", [(96, 64), pytest.param((224, 224), marks=pytest.mark.heavy)])
@pytest.mark.parametrize("fit", ASKED)
def test_fit_is_that_of_tensorflow_or_keras(fit: Fit, target: Size) -> None:
    check_in_tf_data(fit, target, list(sizes(2_000))[::10])


@pytest.mark.soak
@pytest.mark.parametrize("fit", ASKED)
def test_fit_is_that_of_tensorflow_or_keras_at_all_sizes(fit: Fit) -> None:
    check_in_tf_data(fit, (224, 224), [(width, height) for width in range(1, 701) for height in range(1, 701)])


@pytest.mark.parametrize("crop", [0.875, 0.5, 1 / 3, 1.0])
def test_tf_central_crop_is_central_crop_at_small_and_large_sizes(crop: float) -> None:
    import tensorflow as tf

    for side in range(1, 701, 4 if crop == 0.875 else 9):
        size = (side, 701 - side)
        kept = tf.image.central_crop(marked(size), crop).numpy()
        left, upper = kept[0, 0].astype(int).tolist()
        expected = (left, upper, left + kept.shape[1], upper + kept.shape[0])
        assert place("tf_central_crop", size, (224, 224), crop).box == expected


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
