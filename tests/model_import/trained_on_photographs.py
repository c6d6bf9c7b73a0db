"""Small networks trained by the loaders of Keras, TensorFlow and others on photographs with objects, for the trial.

The class is what an object is: its color, its shape (upright or flat), its size. So a wrong order of colors, a
stretched picture and one that is cut closer or less close all make one class look like another.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageOps
from sklearn.datasets import load_sample_images

SIDE = 64
SIZES = {"big": 0.52, "middle": 0.39, "small": 0.29}
"""Size -> longer side of an object, as a share of the photograph's height."""

CLASSES = tuple(f"{color} {shape} {size}" for color in ("blue", "red") for shape in ("flat", "tall") for size in SIZES)
"""In the order of the alphabet, as Keras numbers folders."""

Array = npt.NDArray[np.float32]


def write_photographs(
    folder: Path, images: int, seed: int, noise: float = 18, classes: Sequence[str] = CLASSES
) -> Path:
    """Write photographs of odd sizes in class folders, as JPEG files; noise is in grey levels."""
    random = np.random.default_rng(seed)
    for i in range(images):
        name = classes[i % len(classes)]
        path = folder / name / f"{i:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        photograph(name, random, noise).save(buffer, "JPEG", quality=90)
        path.write_bytes(buffer.getvalue())
    return folder


def photograph(name: str, random: np.random.Generator, noise: float = 18) -> Image.Image:
    """Return a part of one of scikit-learn's two photographs with an object of a class on it."""
    color, shape, size = name.split()
    height = int(random.integers(120, 170))
    width = int(height * random.uniform(1.3, 1.6))
    source = backgrounds()[int(random.integers(2))]
    left, upper = int(random.integers(source.width - width)), int(random.integers(source.height - height))
    image = source.crop((left, upper, left + width, upper + height))
    if random.random() < 0.5:
        image = ImageOps.mirror(image)
    long = height * random.uniform(0.96, 1.04) * SIZES[size]
    wide, tall = (long, long / 1.5) if shape == "flat" else (long / 1.5, long)
    x, y = random.uniform(0.37, 0.63) * width, random.uniform(0.35, 0.65) * height  # whole under every fit
    main, other = random.uniform(150, 220), random.uniform(50, 100)
    fill = (other, random.uniform(60, 110), main) if color == "blue" else (main, random.uniform(60, 110), other)
    box = (x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2)
    ImageDraw.Draw(image).ellipse(box, tuple(int(part) for part in fill))
    noisy = np.asarray(image, np.float32) + random.normal(scale=noise, size=(height, width, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


@functools.cache
def backgrounds() -> list[Image.Image]:
    return [
        Image.fromarray(pixels).resize((480, 320), Image.Resampling.BICUBIC) for pixels in load_sample_images().images
    ]


@dataclass(frozen=True)
class Loader:
    """A way from files to values that people train with.

    Attributes:
        load: folder of class folders -> values and labels, by the loader itself; pixels of 0 to 255.
        mode: of keras.applications' preprocess_input, "unit" for 0 to 1, or "raw".
        scaling: what a trial is to find.
        color: likewise.
        fit: likewise, with `crop`.
        crop: likewise.
        resize: likewise, with `antialias`.
        antialias: likewise.
    """

    load: Callable[[Path], Array]
    mode: str
    scaling: str
    color: str
    fit: str
    crop: float
    resize: str
    antialias: bool = False

    def values(self, folder: Path) -> tuple[Array, npt.NDArray[np.int64]]:
        """Return values for training, float32 [n, h, w, 3], and labels, sorted by file."""
        from keras.applications import imagenet_utils

        pixels = self.load(folder)
        labels = np.array([CLASSES.index(path.parent.name) for path in files(folder)], np.int64)
        if self.mode == "raw":
            return pixels, labels
        scaled = pixels / 255 if self.mode == "unit" else imagenet_utils.preprocess_input(pixels.copy(), mode=self.mode)
        return scaled.astype(np.float32), labels


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.jpg"))


def _directory(**arguments: Any) -> Callable[[Path], Array]:
    def load(folder: Path) -> Array:
        import keras

        dataset = keras.utils.image_dataset_from_directory(
            str(folder), image_size=(SIDE, SIDE), shuffle=False, batch_size=64, verbose=False, **arguments
        )
        return np.concatenate([images.numpy() for images, _ in dataset]).astype(np.float32)

    return load


def _each(load: Callable[[Path], Any]) -> Callable[[Path], Array]:
    return lambda folder: np.stack([np.asarray(load(path), np.float32) for path in files(folder)])


def _load_img(**arguments: Any) -> Callable[[Path], Array]:
    def load(path: Path) -> Any:
        import keras

        return keras.utils.img_to_array(keras.utils.load_img(path, target_size=(SIDE, SIDE), **arguments))

    return _each(load)


def _tensorflow(path: Path) -> Any:
    import tensorflow as tf

    return tf.image.resize(tf.io.decode_jpeg(path.read_bytes(), channels=3), (SIDE, SIDE), antialias=True).numpy()


def _torchvision(path: Path) -> Image.Image:
    """Do as torchvision's Resize(73, bicubic) and CenterCrop(64)."""
    image = Image.open(path).convert("RGB")
    shorter = SIDE * 8 // 7
    width, height = image.size
    image = image.resize((int(shorter * width / height), shorter), Image.Resampling.BICUBIC)
    left, upper = round((image.width - SIDE) / 2.0), round((image.height - SIDE) / 2.0)
    return image.crop((left, upper, left + SIDE, upper + SIDE))


def _teachable_machine(path: Path) -> Image.Image:
    return ImageOps.fit(Image.open(path).convert("RGB"), (SIDE, SIDE), Image.Resampling.LANCZOS)


LOADERS = {
    "image_dataset_from_directory": Loader(_directory(), "unit", "unit", "rgb", "stretch", 1.0, "tf.bilinear"),
    "image_dataset_from_directory, cropped": Loader(
        _directory(crop_to_aspect_ratio=True), "tf", "sign", "rgb", "keras_crop", 1.0, "tf.bilinear"
    ),
    "image_dataset_from_directory, padded": Loader(
        _directory(pad_to_aspect_ratio=True), "torch", "torch", "rgb", "tf_pad", 1.0, "tf.bilinear"
    ),
    "load_img": Loader(_load_img(), "caffe", "caffe", "bgr", "stretch", 1.0, "nearest"),
    "load_img, bilinear, cropped": Loader(
        _load_img(interpolation="bilinear", keep_aspect_ratio=True), "unit", "unit", "rgb", "pil_crop", 1.0, "bilinear"
    ),
    "tf.image.resize, antialiased": Loader(
        _each(_tensorflow), "raw", "raw", "rgb", "stretch", 1.0, "tf.bilinear", antialias=True
    ),
    "torchvision": Loader(_each(_torchvision), "torch", "torch", "rgb", "torch_shorter_side", 0.875, "bicubic"),
    "Teachable Machine": Loader(_each(_teachable_machine), "tf", "sign", "rgb", "teachable_machine", 1.0, "lanczos"),
}


def network(values: Array, labels: npt.NDArray[np.int64], seed: int, epochs: int = 10) -> Any:
    """Return a small network trained on values; its output is a softmax."""
    import keras

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    model = keras.Sequential([keras.Input(values.shape[1:])])
    for filters in (16, 32, 64, 96):
        model.add(layers.Conv2D(filters, 5, strides=2, padding="same", use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
    model.add(layers.GlobalMaxPooling2D())
    model.add(layers.Dropout(0.2))
    model.add(layers.Dense(len(CLASSES), activation="softmax"))
    steps = epochs * (len(values) // 32)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    flipped = np.concatenate([values, values[:, :, ::-1]])
    model.fit(flipped, np.concatenate([labels, labels]), batch_size=64, epochs=epochs, verbose=0)
    return model


def scorer(model: Any) -> Callable[[Array], npt.NDArray[np.float64]]:
    """Return what a trial calls: scaled images -> log probabilities."""

    def score(images: Array) -> npt.NDArray[np.float64]:
        return np.log(np.maximum(model.predict_on_batch(images).astype(np.float64), 1e-12))

    return score


def batches(values: Array, size: int = 64) -> Iterator[Array]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def accuracy(model: Any, values: Array, labels: npt.NDArray[np.int64]) -> float:
    found = np.concatenate([model.predict_on_batch(some).argmax(1) for some in batches(values)])
    return float((found == labels).mean())
