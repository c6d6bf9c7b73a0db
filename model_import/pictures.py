"""Images to try a model with: the user's golden ones, those of a folder, or ones that are generated. Knows no model."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from model_import.check_folder import image_files
from pipeline.batches import EncodedBatch
from pipeline.errors import UsageError
from pipeline.model.input_rule import InputSpec
from pipeline.model.preprocess import preprocess
from pipeline.text import line

SAMPLES = 64
"""Images of a folder that are taken, at most."""

GENERATED = 16
"""Images that are generated where there are no others."""


@dataclass(frozen=True)
class Pictures:
    """Images to try a model with.

    Attributes:
        encoded: image files' contents.
        origin: where they come from, as a phrase.
        scores: the user's own scores of them, [n, k]; None: there are none.
    """

    encoded: Sequence[bytes]
    origin: str
    scores: npt.NDArray[np.float64] | None = None


def read_golden_file(path: str) -> Pictures:
    """Return the images and scores in a file of NumPy.

    Args:
        path: of an .npz with "images", uint8 [n, height, width, 3] or [n, height, width], or "encoded", the contents
            of image files, and with "scores", [n, k] or [n].

    Raises:
        UsageError: it is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = {name: content[name] for name in ("images", "encoded", "scores") if name in content.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, TypeError, AttributeError) as error:
        raise UsageError(f"--golden {path!r} is no .npz without pickles: {line(str(error))}") from error
    if "scores" not in arrays or ("images" in arrays) == ("encoded" in arrays):
        raise UsageError(f"--golden {path!r} must hold 'scores' and one of 'images' and 'encoded'")
    encoded = _encoded(arrays["encoded"], path) if "encoded" in arrays else _as_png(arrays["images"], path)
    scores = arrays["scores"]
    if not (np.issubdtype(scores.dtype, np.floating) and scores.ndim in (1, 2) and len(scores) == len(encoded) > 0):
        raise UsageError(f"--golden {path!r}: 'scores' must be floating-point numbers, a row for each of the images")
    return Pictures(encoded, f"--golden {path}", scores.astype(np.float64).reshape(len(scores), -1))


def _encoded(values: npt.NDArray[np.generic], path: str) -> Sequence[bytes]:
    if values.dtype.kind != "S" or values.ndim != 1:
        raise UsageError(f"--golden {path!r}: 'encoded' must be a list of bytes, the contents of image files")
    return [bytes(value) for value in values.tolist()]


def _as_png(images: npt.NDArray[np.generic], path: str) -> Sequence[bytes]:
    if images.dtype != np.uint8 or not (images.ndim == 3 or (images.ndim == 4 and images.shape[3] in (1, 3))):
        raise UsageError(
            f"--golden {path!r}: 'images' are {images.dtype} {list(images.shape)}; give pixels of 0 to 255 as uint8 "
            "[n, height, width, 3] (before any scaling)"
        )
    if 0 in images.shape:
        raise UsageError(f"--golden {path!r} holds no images")
    return [png(image[..., 0] if images.ndim == 4 and images.shape[3] == 1 else image) for image in images]


def png(pixels: npt.NDArray[np.generic]) -> bytes:
    """Return pixels, uint8 [height, width] or [height, width, 3], as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def read_folder(path: str) -> Pictures:
    """Return images from all over a folder.

    Raises:
        UsageError: it is no folder, or has no images.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UsageError(f"--check {path!r} is no folder")
    files = image_files(folder)
    if not files:
        raise UsageError(f"--check {path!r} has no images in it")
    picked = np.unique(np.linspace(0, len(files) - 1, min(SAMPLES, len(files))).astype(np.intp))
    found = [files[i].read_bytes() for i in picked.tolist()]
    return Pictures(found, f"{len(found)} of the images in --check {path}")


def generated(n: int = GENERATED) -> Pictures:
    """Return images that are made of ramps, disks and grain, of odd sizes: the same on every machine."""
    random = np.random.default_rng(0)
    made = []
    for i in range(n):
        height, width = (int(side) for side in random.integers(180, 420, 2))
        y, x = np.mgrid[0:height, 0:width].astype(np.float64) / 100
        image = np.zeros((height, width, 3))
        for channel in range(3):
            a, b, c, d = random.uniform(-2, 2, 4)
            image[..., channel] = 127 + 90 * np.sin(a * x + b * y + d) + 40 * np.cos(c * x * y)
        for _ in range(6):
            center_y, center_x, radius = random.uniform(0, 4), random.uniform(0, 4), random.uniform(0.1, 1.2)
            image[(y - center_y) ** 2 + (x - center_x) ** 2 < radius**2] = random.uniform(0, 255, 3)
        image += random.normal(0, 4 + i, image.shape)
        made.append(png(np.clip(np.rint(image), 0, 255).astype(np.uint8)))
    return Pictures(made, f"{n} generated images")


def pixels_of(pictures: Pictures, rule: InputSpec) -> tuple[npt.NDArray[np.uint8], Sequence[int]]:
    """Return the pixels of those images that can be decoded, and which these are.

    Raises:
        UsageError: none can, or one of the user's golden images cannot.
    """
    batch = preprocess(EncodedBatch.of(pictures.encoded), rule)
    failed = set(batch.images.failures)
    kept = [i for i in range(len(pictures.encoded)) if i not in failed]
    if not kept or (failed and pictures.scores is not None):
        raise UsageError(f"{len(failed)} of {pictures.origin} cannot be decoded")
    return batch.pixels[kept], kept
