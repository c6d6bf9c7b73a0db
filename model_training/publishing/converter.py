"""The program that makes model.tflite: `python -m model_training.publishing.converter SAVED_MODEL FOLDER TASK`.

It runs in a child process, which `model_training.publishing.convert` starts: TensorFlow's converter takes about a
gigabyte, prints much, and may crash. FOLDER holds the images by which the two networks are compared. The program writes
the file and the scores of both networks into it, and at last its answer. Must not know model directories.
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
from pipeline.model.engines.network import Network, Outputs, Pixels, in_calls
from pipeline.model.engines.tensorflow import TensorFlowNetwork, tensorflow
from pipeline.options import Engine
from pipeline.task import TASKS, Task
from pipeline.text import brief, line

GOLDEN = "golden.npy"
"""Name in FOLDER of the golden images' pixels, uint8 [n, height, width, channels]."""

IMAGES = "images.npy"
"""Name in FOLDER of the pixels of more images."""

SCORES = "scores.npz"
"""Name in FOLDER of the golden images' scores, by name of the engine; of embeddings, by that name and EMBEDDING."""

EMBEDDING = "_embedding"
"""Ending of a name in SCORES, of the embeddings that the engine gave."""

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
    saved_model, folder, name = argv
    (task,) = (known for known in TASKS if known == name)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answer = convert_and_compare(saved_model, folder, task)
    Path(folder, ANSWER).write_text(json.dumps(asdict(answer)), encoding="utf-8")
    return 0


def convert_and_compare(saved_model: str, folder: str, task: Task = "classes") -> Answer:
    """Write model.tflite and the golden scores of both networks into a folder that has the images.

    Args:
        saved_model: folder of the SavedModel, absolute.
        folder: that holds GOLDEN and IMAGES.
        task: of the model, which says how outputs are compared.
    """
    converter = f"tensorflow {tensorflow().__version__}"
    path = Path(folder, TFLITE)
    try:
        path.write_bytes(tflite_of(saved_model))
        return compare(saved_model, str(path), folder, converter, task)
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


def compare(saved_model: str, path: str, folder: str, converter: str, task: Task = "classes") -> Answer:
    """Compare the network of a model.tflite with the one that it was made from; keep the golden scores of both.

    Args:
        saved_model: folder of the SavedModel.
        path: of model.tflite.
        folder: that holds GOLDEN and IMAGES, and gets SCORES.
        converter: library that converted, with its version.
        task: of the model, which says how outputs are compared.
    """
    golden: Pixels = np.load(Path(folder, GOLDEN), allow_pickle=False)
    images: Pixels = np.load(Path(folder, IMAGES), mmap_mode="r", allow_pickle=False)
    height, width, channels = golden.shape[1:]
    reference = TensorFlowNetwork(saved_model, (height, width, channels))
    try:
        network = LiteRTNetwork(path, (height, width, channels))
    except ValueError as error:
        raise _RefusedError(f"LiteRT does not load what the converter made: {brief(line(str(error)), 200)}") from error
    expected, outputs = _score(reference, golden), _score(network, golden)
    one_by_one = Outputs.joined([_score(network, golden[i : i + 1]) for i in range(len(golden))])
    expected_more, more = _score(reference, images), _score(network, images)
    differences = [
        _difference(outputs, expected, task),
        _difference(one_by_one, expected, task),
        _difference(Outputs.joined([outputs, more]), Outputs.joined([expected, expected_more]), task),
    ]
    np.savez(Path(folder, SCORES), **_by_name("tensorflow", expected), **_by_name("litert", outputs))
    return Answer(max(differences), len(golden) + len(images), converter)


def _by_name(engine: Engine, outputs: Outputs) -> dict[str, Any]:
    vectors = {} if outputs.embedding is None else {f"{engine}{EMBEDDING}": outputs.embedding}
    return {engine: outputs.scores, **vectors}


def read_outputs(folder: str) -> dict[Engine, Outputs]:
    """Return what each engine gave for the golden images, as `compare` kept it."""
    engines: tuple[Engine, ...] = ("tensorflow", "litert")
    with np.load(Path(folder, SCORES), allow_pickle=False) as found:
        return {engine: Outputs(found[engine], found.get(f"{engine}{EMBEDDING}")) for engine in engines}


def _score(network: Network, pixels: Pixels) -> Outputs:
    """Return the outputs for images, in calls of the size that scoring uses."""
    errors: tuple[type[Exception], ...] = (*network.errors, MemoryError)
    try:
        return in_calls(network, pixels, network.call_images)
    except errors as error:
        raise _RefusedError(f"{network.version} does not run the network: {brief(line(str(error)), 200)}") from error


def _difference(outputs: Outputs, expected: Outputs, task: Task) -> float:
    """Return how far outputs are apart.

    No class can change where the expected one leads by more than twice that, see `agreement.changed_classes`.
    """
    for name, one, other in zip(("scores", "embeddings"), outputs, expected, strict=True):
        if (None if one is None else one.shape) != (None if other is None else other.shape):
            found, wanted = (None if array is None else array.shape for array in (one, other))
            raise _RefusedError(f"LiteRT gives {name} of shape {found}, TensorFlow {wanted}")
        for engine, array in (("TensorFlow", other), ("LiteRT", one)):
            wrong = 0 if array is None else int((~np.isfinite(array).all(axis=1)).sum())
            if array is not None and wrong:
                raise _RefusedError(f"{engine} gives {wrong} of {len(array)} images {name} that are not finite")
    return agreement.difference_of_outputs(outputs, expected, task)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
