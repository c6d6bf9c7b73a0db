"""The program that makes model.tflite: `python -m model_training.converter SAVED_MODEL FOLDER`.

It runs in a child process, which `model_training.convert` starts: TensorFlow's converter takes about a gigabyte, prints
much, and may crash. FOLDER holds the images by which the two networks are compared. The program writes the file and the
scores of both networks into it, and at last its answer. Must not know model directories.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.model import agreement
from pipeline.model.directory import TFLITE
from pipeline.model.engines.litert import LiteRTNetwork
from pipeline.model.engines.network import Network, Pixels, Scores
from pipeline.model.engines.tensorflow import TensorFlowNetwork, tensorflow
from pipeline.text import brief, line

GOLDEN = "golden.npy"
"""Name in FOLDER of the golden images' pixels, uint8 [n, height, width, channels]."""

IMAGES = "images.npy"
"""Name in FOLDER of the pixels of more images."""

SCORES = "scores.npz"
"""Name in FOLDER of the golden images' scores, by name of the engine."""

ANSWER = "answer.json"
"""Name in FOLDER of the answer; it is written last."""

_PRECISIONS = {"xf16": "float16", "xbf16": "bfloat16"}
"""Type of a tensor in the converter's text -> name of the precision that LiteRT does not have."""

_MADE_BY = {
    "TensorListReserve": "a recurrent layer such as LSTM or GRU",
    "ScaleAndTranslate": "a resize that is antialiased or of method lanczos",
}
"""Operation -> what makes it, where its name does not tell."""


@dataclass(frozen=True)
class Answer:
    """What became of a conversion.

    Attributes:
        difference: largest difference of the outputs, see `pipeline.model.agreement`.
        images: number of images by which the networks were compared.
        converter: library that converted, with its version.
        missing: why there is no model.tflite that may be used, as one line; "": there is one.
    """

    difference: float = 0.0
    images: int = 0
    converter: str = ""
    missing: str = ""


class _RefusedError(Exception):
    """A network that cannot be converted, or whose conversion is not it; the text is one line."""


def main(argv: Sequence[str]) -> int:
    """Convert, compare, and write the answer; return the exit code."""
    saved_model, folder = argv
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answer = convert_and_compare(saved_model, folder)
    Path(folder, ANSWER).write_text(json.dumps(asdict(answer)), encoding="utf-8")
    return 0


def convert_and_compare(saved_model: str, folder: str) -> Answer:
    """Write model.tflite and the golden scores of both networks into a folder that has the images.

    Args:
        saved_model: folder of the SavedModel, absolute.
        folder: that holds GOLDEN and IMAGES.
    """
    converter = f"tensorflow {tensorflow().__version__}"
    path = Path(folder, TFLITE)
    try:
        path.write_bytes(tflite_of(saved_model))
        return compare(saved_model, str(path), folder, converter)
    except _RefusedError as error:
        return Answer(converter=converter, missing=str(error))


def _end_with_parent() -> None:
    """End this process when its standard input ends, as it does when the parent is killed."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def tflite_of(saved_model: str) -> bytes:
    """Return the content of model.tflite for a SavedModel."""
    tf = tensorflow()
    from tensorflow.lite.python.convert_phase import ConverterError

    try:
        converter = tf.lite.TFLiteConverter.from_saved_model(saved_model, signature_keys=["serving_default"])
        data: bytes = converter.convert()
    except ConverterError as error:
        raise _RefusedError(_reason(error)) from error
    return data


def _reason(error: Any) -> str:
    """Return why the converter refused, without its kilobytes of text."""
    text = str(error)
    found = [(problem.operator.name.removeprefix("tf."), problem.error_code) for problem in error.errors]
    unknown = [name for name, code in found if code] or [name for name, _ in found if name != "Const"]
    names = sorted({name for name in unknown if name})
    if not names:
        return f"the converter failed: {brief(line(text.strip().partition(chr(10))[0]), 200)}"
    told = [_operation(name, text) for name in names[:3]]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"the converter does not take the operation{'s' * (len(names) > 1)} {', '.join(told)}{more}"


def _operation(name: str, text: str) -> str:
    if name in _MADE_BY:
        return f"{name} ({_MADE_BY[name]})"
    (*details,) = re.findall(rf"tf\.{re.escape(name)}\((.*)", text)
    precisions = {precision for kind, precision in _PRECISIONS.items() if any(kind in detail for detail in details)}
    return " ".join([name, *(f"in {precision}" for precision in sorted(precisions))])


def compare(saved_model: str, path: str, folder: str, converter: str) -> Answer:
    """Compare the network of a model.tflite with the one that it was made from; keep the golden scores of both.

    Args:
        saved_model: folder of the SavedModel.
        path: of model.tflite.
        folder: that holds GOLDEN and IMAGES, and gets SCORES.
        converter: library that converted, with its version.
    """
    golden: Pixels = np.load(Path(folder, GOLDEN), allow_pickle=False)
    images: Pixels = np.load(Path(folder, IMAGES), mmap_mode="r", allow_pickle=False)
    height, width, channels = golden.shape[1:]
    reference = TensorFlowNetwork(saved_model, (height, width, channels))
    try:
        network = LiteRTNetwork(path, (height, width, channels))
    except ValueError as error:
        raise _RefusedError(f"LiteRT does not load what the converter made: {brief(line(str(error)), 200)}") from error
    expected, scores = _score(reference, golden), _score(network, golden)
    one_by_one = np.concatenate([_score(network, golden[i : i + 1]) for i in range(len(golden))])
    expected_more, scores_more = _score(reference, images), _score(network, images)
    differences = [
        _difference(scores, expected),
        _difference(one_by_one, expected),
        _difference(np.concatenate([scores, scores_more]), np.concatenate([expected, expected_more])),
    ]
    np.savez(Path(folder, SCORES), tensorflow=expected, litert=scores)
    return Answer(max(differences), len(golden) + len(images), converter)


def _score(network: Network, pixels: Pixels) -> Scores:
    """Return the scores of images, in calls of the size that scoring uses."""
    size = network.call_images
    errors: tuple[type[Exception], ...] = (*network.errors, MemoryError)
    try:
        calls = [np.array(network(np.array(pixels[i : i + size]))) for i in range(0, len(pixels), size)]
    except errors as error:
        raise _RefusedError(f"{network.version} does not run the network: {brief(line(str(error)), 200)}") from error
    return np.concatenate(calls)


def _difference(scores: Scores, expected: Scores) -> float:
    """Return how far outputs are apart.

    No class can change where the expected one leads by more than twice that, see `agreement.changed_classes`.
    """
    if scores.shape != expected.shape:
        raise _RefusedError(f"LiteRT gives scores of shape {scores.shape}, TensorFlow {expected.shape}")
    for engine, found in (("TensorFlow", expected), ("LiteRT", scores)):
        wrong = int((~np.isfinite(found).all(axis=1)).sum())
        if wrong:
            raise _RefusedError(f"{engine} gives {wrong} of {len(found)} images scores that are not finite")
    return agreement.difference(scores, expected)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
