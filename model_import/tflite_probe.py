"""The program that opens a .tflite file first: `python -m model_import.tflite_probe PATH`.

A file from elsewhere is bytes that nobody has checked, and LiteRT may crash on them: then this process dies, and the
import says so. It prints what the file offers as one line of JSON. Must not know what becomes of it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model_import.tflite_metadata import read_metadata
from model_import.tflite_start import first_operators
from model_import.tflite_start import told as as_json
from pipeline.model.engines.fed_litert import RawLiteRT
from pipeline.model.engines.litert import LoadedFile
from pipeline.model.feed import quantization_of
from pipeline.text import brief, line


def main(argv: Sequence[str]) -> int:
    """Open a file, run it once on nothing, and print what it offers; return the exit code."""
    (path,) = argv
    try:
        network = RawLiteRT(path)
        details = [network.details]
        answer: dict[str, Any] = {"input": _told(network.details), "outputs": [_told(one) for one in network.outputs]}
        answer["quantized"] = network.is_quantized()
        answer["metadata"], answer["damage"] = _metadata(path)
        answer["layers"] = as_json(first_operators(LoadedFile(path)))
        if all(side > 0 for side in answer["input"]["signature"][1:]):
            shape = tuple(1 if side < 0 else side for side in answer["input"]["signature"])
            network(np.zeros(shape, details[0]["dtype"]))
    except (ValueError, RuntimeError, MemoryError, OSError, TypeError, KeyError) as error:
        answer = {"refused": brief(line(" ".join(str(error).split())), 300)}
    print(json.dumps(answer), flush=True)
    return 0


def _metadata(path: str) -> tuple[dict[str, Any], str]:
    """Return what the metadata say as JSON values, and why they are not read."""
    try:
        return vars(read_metadata(Path(path).read_bytes())), ""
    except ValueError as error:
        return {}, brief(line(str(error)), 200)


def _told(details: Any) -> dict[str, Any]:
    signature = details.get("shape_signature")
    sides = signature if signature is not None and len(signature) else details["shape"]
    quantization = quantization_of(details)
    return {
        "name": str(details["name"]),
        "signature": [int(side) for side in sides],
        "dtype": np.dtype(details["dtype"]).name,
        "step": 0.0 if quantization is None else quantization.step,
        "zero": 0 if quantization is None else quantization.zero,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
