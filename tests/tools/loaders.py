"""The loaders that presets follow, as people call them: a file in, the pixels that the model would see out."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pictures import Pixels
from PIL import Image, ImageOps

Loader = Callable[[Sequence[bytes], int, int, bool], Sequence[Pixels]]
"""Called with files, height, width, and whether the model takes grey; returns [height, width, channels] of each."""


def each(load: Callable[..., Pixels]) -> Callable[..., Sequence[Pixels]]:
    """Make a loader of a function that loads one file."""

    @wraps(load)
    def loader(files: Sequence[bytes], *rest: Any, **options: Any) -> Sequence[Pixels]:
        return [load(data, *rest, **options) for data in files]

    return loader


def directory(files: Sequence[bytes], height: int, width: int, is_gray: bool, **options: Any) -> Sequence[Pixels]:
    """Return what `keras.utils.image_dataset_from_directory` makes of files in a folder."""
    from keras.utils import image_dataset_from_directory

    with TemporaryDirectory() as folder:
        for i, data in enumerate(files):
            kind = "png" if data.startswith(b"\x89PNG") else "jpg"
            place = Path(folder, "class", f"{i:05}.{kind}")
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(data)
        found = image_dataset_from_directory(
            folder,
            labels=None,
            shuffle=False,
            batch_size=None,
            image_size=(height, width),
            color_mode="grayscale" if is_gray else "rgb",
            verbose=False,
            **options,
        )
        return list(found.as_numpy_iterator())


@each
def load_img(data: bytes, height: int, width: int, is_gray: bool, **options: Any) -> Pixels:
    """Return what `keras.utils.load_img` and `img_to_array` make of a file."""
    from keras.utils import img_to_array
    from keras.utils import load_img as load

    mode = "grayscale" if is_gray else "rgb"
    found: Pixels = img_to_array(load(io.BytesIO(data), color_mode=mode, target_size=(height, width), **options))
    return found


def tf_image(
    files: Sequence[bytes], height: int, width: int, is_gray: bool, how: str = "resize", **options: Any
) -> Sequence[Pixels]:
    """Return what `tf.io.decode_image` and a function of `tf.image` make of files, in tf.data."""
    import tensorflow as tf

    def load(encoded: Any) -> Any:
        image = tf.io.decode_image(encoded, channels=1 if is_gray else 3, expand_animations=False)
        image.set_shape([None, None, 1 if is_gray else 3])
        if how == "resize_with_pad":
            return tf.image.resize_with_pad(image, height, width)
        if how == "central_crop":
            image = tf.image.central_crop(image, 0.875)
        return tf.image.resize(image, (height, width), **options)

    return list(tf.data.Dataset.from_tensor_slices(list(files)).map(load).as_numpy_iterator())


def image_converter(files: Sequence[bytes], height: int, width: int, is_gray: bool, **options: Any) -> Sequence[Pixels]:
    """Return what keras_hub's `ImageConverter` makes of `load_img`'s pixels: it calls `keras.layers.Resizing`."""
    import keras
    import tensorflow as tf
    from keras.utils import img_to_array
    from keras.utils import load_img as load

    resizing = keras.layers.Resizing(height, width, **options)
    images = [img_to_array(load(io.BytesIO(data), color_mode="rgb")) for data in files]
    shape = tf.TensorSpec([None, None, 3], tf.float32)
    made = tf.data.Dataset.from_generator(lambda: iter(images), output_signature=shape).map(resizing)
    return list(made.as_numpy_iterator())


@each
def torchvision(
    data: bytes, height: int, width: int, is_gray: bool, resample: Image.Resampling = Image.Resampling.BILINEAR
) -> Pixels:
    """Return what `Resize(256)` and `CenterCrop(224)` call Pillow for; torchvision/transforms/functional.py."""
    assert height == width == 224
    image = Image.open(io.BytesIO(data)).convert("L" if is_gray else "RGB")
    there = image.size
    long = int(256 * max(there) / min(there))
    image = image.resize((256, long) if there[0] <= there[1] else (long, 256), resample)
    left, upper = (round((side - 224) / 2.0) for side in image.size)
    return np.asarray(image.crop((left, upper, left + 224, upper + 224))).reshape(224, 224, -1)


@each
def torchvision_resize(data: bytes, height: int, width: int, is_gray: bool) -> Pixels:
    """Return what `Resize((height, width))` calls Pillow for."""
    image = Image.open(io.BytesIO(data)).convert("L" if is_gray else "RGB")
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)).reshape(height, width, -1)


@each
def pillow(data: bytes, height: int, width: int, is_gray: bool, resample: Image.Resampling | None = None) -> Pixels:
    """Return what Pillow alone makes of a file, with its default filter if none is given."""
    image = Image.open(io.BytesIO(data)).convert("L" if is_gray else "RGB")
    return np.asarray(image.resize((width, height), resample)).reshape(height, width, -1)


@each
def teachable_machine(data: bytes, height: int, width: int, is_gray: bool) -> Pixels:
    """Return what the code that Teachable Machine exports makes of a file."""
    image = Image.open(io.BytesIO(data)).convert("L" if is_gray else "RGB")
    return np.asarray(ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)).reshape(height, width, -1)


@each
def opencv(
    data: bytes, height: int, width: int, is_gray: bool, method: str = "INTER_LINEAR", is_rgb: bool = False
) -> Pixels:
    """Return what `cv2.imdecode` and `cv2.resize` make of a file."""
    import cv2

    flag = cv2.IMREAD_GRAYSCALE if is_gray else cv2.IMREAD_COLOR
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    if is_rgb and not is_gray:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    found: Pixels = cv2.resize(image, (width, height), interpolation=getattr(cv2, method))
    return found.reshape(height, width, -1)


DIRECTORY = "keras.image_dataset_from_directory"

LOADERS: Mapping[str, Loader] = {
    DIRECTORY: directory,
    f"{DIRECTORY}:crop_to_aspect_ratio": partial(directory, crop_to_aspect_ratio=True),
    f"{DIRECTORY}:pad_to_aspect_ratio": partial(directory, pad_to_aspect_ratio=True),
    **{
        f"{DIRECTORY}:{name}": partial(directory, interpolation=name)
        for name in ("nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic")
    },
    "keras.load_img": load_img,
    **{
        f"keras.load_img:{name}": partial(load_img, interpolation=name)
        for name in ("bilinear", "bicubic", "lanczos", "box", "hamming")
    },
    "keras.load_img:keep_aspect_ratio": partial(load_img, keep_aspect_ratio=True),
    "keras.load_img:bilinear,keep_aspect_ratio": partial(load_img, interpolation="bilinear", keep_aspect_ratio=True),
    "tf.image.resize": tf_image,
    "tf.image.resize:antialias": partial(tf_image, antialias=True),
    "tf.image.resize_with_pad": partial(tf_image, how="resize_with_pad"),
    "tf.image.central_crop": partial(tf_image, how="central_crop"),
    "tfds": tf_image,
    "torchvision": torchvision,
    "torchvision:bicubic": partial(torchvision, resample=Image.Resampling.BICUBIC),
    "timm": partial(torchvision, resample=Image.Resampling.BICUBIC),
    "torchvision.Resize": torchvision_resize,
    "pillow": pillow,
    **{
        f"pillow:{name}": partial(pillow, resample=Image.Resampling[name.upper()])
        for name in ("nearest", "bilinear", "lanczos", "box", "hamming")
    },
    "teachable_machine": teachable_machine,
    "cv2.resize": opencv,
    "cv2.resize:area": partial(opencv, method="INTER_AREA"),
    "cv2.resize:rgb": partial(opencv, is_rgb=True),
    "keras_hub.ImageConverter": partial(image_converter, crop_to_aspect_ratio=True),
    "keras_hub.ImageConverter:stretch": image_converter,
    "keras_hub.ImageConverter:pad_to_aspect_ratio": partial(image_converter, pad_to_aspect_ratio=True),
}
"""Preset -> loader."""
