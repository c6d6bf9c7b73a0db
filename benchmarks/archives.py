"""The files that workloads read, made once under the work folder and the same on every machine.

Must not know who reads them.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from model_training.data.datasets import RawImages

PHOTOGRAPHS = ("china", "flower")
"""Names of scikit-learn's two photographs, in its order."""

SHARDS = 28

CAMERA = (4032, 3024)
"""Width and height of what a phone's camera stores: 12 megapixels."""

GRAIN = 6.0
"""Standard deviation of the noise in them, in grey levels: without it they would be stored in a fifth of the bytes."""


def once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder that `make` has filled; one that was left half done is made anew."""
    if not folder.exists():
        half = folder.with_name(f".{folder.name}.half")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        make(half)
        half.rename(folder)
    return folder


def write_pngs(raw: RawImages, images: int, folder: Path) -> None:
    """Write pictures as PNG files, as COPY/train/7/00001.png; further copies are hard links to the first."""
    for i in range(images):
        copy, number = divmod(i, len(raw.images))
        name = f"{'test' if raw.is_test[number] else 'train'}/{raw.labels[number]}/{number:05d}.png"
        path = folder / str(copy) / name
        if not path.parent.exists():
            path.parent.mkdir(parents=True)
        if copy:
            os.link(folder / "0" / name, path)
        else:
            path.write_bytes(raw.encoded(number))


def write_records(raw: RawImages, images: int, folder: Path, shards: int = SHARDS) -> None:
    """Write the same pictures as TFRecord files of `tf.train.Example`, by TensorFlow's own writer."""
    import tensorflow as tf

    train = tf.train
    examples = []
    for i in range(min(images, len(raw.images))):
        feature = {
            "image/encoded": train.Feature(bytes_list=train.BytesList(value=[raw.encoded(i)])),
            "image/class/label": train.Feature(int64_list=train.Int64List(value=[int(raw.labels[i])])),
        }
        examples.append(train.Example(features=train.Features(feature=feature)).SerializeToString())
    for shard in range(shards):
        with tf.io.TFRecordWriter(str(folder / f"{raw.name}-{shard:05d}-of-{shards:05d}")) as writer:
            for i in range(images * shard // shards, images * (shard + 1) // shards):
                writer.write(examples[i % len(examples)])


def write_jpegs(images: int, seed: int, folder: Path) -> None:
    """Write crops of two photographs as JPEG files of about 500 x 375, as china/00001.jpg.

    Flipped and of changed brightness at random, quality 75 to 95, colors at half the resolution (4:2:0).
    """
    random = np.random.default_rng(seed)
    for photograph, path in _to_write(images, folder):
        path.write_bytes(_variant(photograph, random))


def write_camera_jpegs(images: int, seed: int, folder: Path, progressive: bool = False, shrink: int = 1) -> None:
    """Write parts of two photographs as JPEG files of 4032 x 3024, as china/00001.jpg: 2 to 4 MB each.

    Flipped and of changed brightness at random, with grain, quality 85 to 92, colors at half the resolution (4:2:0).

    Args:
        images: how many.
        seed: what differs between the photographs follows from it.
        folder: of the class folders.
        progressive: how they are stored; it changes no pixel.
        shrink: divides width, height and grain.
    """
    random = np.random.default_rng(seed)
    for photograph, path in _to_write(images, folder):
        image = _camera_variant(photograph, random, shrink)
        quality = int(random.integers(85, 93))
        image.save(path, "JPEG", quality=quality, subsampling="4:2:0", progressive=progressive)


def _to_write(images: int, folder: Path) -> Iterator[tuple[Image.Image, Path]]:
    """Yield for each image the photograph to make it from, in turn, and its file in the folder of that one's class."""
    from sklearn.datasets import load_sample_images

    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    for name in PHOTOGRAPHS:
        (folder / name).mkdir()
    for i in range(images):
        which = i % len(PHOTOGRAPHS)
        yield photographs[which], folder / PHOTOGRAPHS[which] / f"{i:05d}.jpg"


def _camera_variant(photograph: Image.Image, random: np.random.Generator, shrink: int) -> Image.Image:
    size = CAMERA[0] // shrink, CAMERA[1] // shrink
    height = int(random.integers(300, photograph.height + 1))
    width = height * CAMERA[0] // CAMERA[1]
    left = int(random.integers(0, photograph.width - width + 1))
    top = int(random.integers(0, photograph.height - height + 1))
    image = photograph.resize(size, Image.Resampling.BICUBIC, (left, top, left + width, top + height))
    if random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    grain = random.standard_normal(size[::-1], np.float32)[..., np.newaxis] * np.float32(GRAIN / shrink)
    pixels = np.asarray(image) * np.float32(random.uniform(0.7, 1.3)) + grain
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _variant(photograph: Image.Image, random: np.random.Generator) -> bytes:
    width, height = int(random.integers(450, 551)), int(random.integers(340, 411))
    left = int(random.integers(0, photograph.width - width + 1))
    top = int(random.integers(0, photograph.height - height + 1))
    image = photograph.crop((left, top, left + width, top + height))
    if random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = ImageEnhance.Brightness(image).enhance(float(random.uniform(0.7, 1.3)))
    stored = io.BytesIO()
    image.save(stored, "JPEG", quality=int(random.integers(75, 96)), subsampling="4:2:0")
    return stored.getvalue()
