"""A model directory of an earlier version to a new one that LiteRT can score with: the same model, and model.tflite.

The model itself is never changed. Must not know how a conversion is done.
"""

from __future__ import annotations

import os

import numpy as np

from model_training.publishing.check_images import check_images
from model_training.publishing.convert import Converted, convert, with_engines, with_scores
from model_training.publishing.publish import OWNED, check_apart, check_output, staged, write_files
from pipeline import storage
from pipeline.errors import GoldenMismatchError, UsageError
from pipeline.model import agreement, directory
from pipeline.model.directory import Golden, check_model, copy_files, read_golden, read_spec
from pipeline.model.loaded import check_golden_pixels, width_of
from pipeline.model.spec import ModelSpec

_COPIED = OWNED - {directory.SPEC, directory.GOLDEN, directory.TFLITE}
"""Names in a model directory that are copied as they are."""


def add_engines(model: str, output: str) -> ModelSpec:
    """Publish a copy of a model directory with a model.tflite, golden scores of LiteRT, and the same model id.

    Args:
        model: folder or gs:// location of the model; one that has a model.tflite gets a new one.
        output: folder or gs:// location of the new one; another model directory that is there is replaced.

    Returns:
        The new spec.

    Raises:
        UsageError: `model` is no model directory or damaged, no model can be published at `output`, or the network
            cannot be converted; nothing is written.
        GoldenMismatchError: this machine does not reproduce the model's golden images.
        NightscoreError: the upload failed.
    """
    source = storage.absolute(model)
    location = check_output(output)
    check_apart("--add_engines", model, location)
    spec = read_spec(source)
    if spec.feed is not None:
        raise UsageError(f"model {source!r} was imported from a .tflite file, which is its {directory.TFLITE}")
    golden = read_golden(source)
    _check_golden(source, spec, golden)
    with staged(location) as folder:
        copy_files(source, _COPIED, folder)
        check_model(folder, spec, source)
        converted = convert(folder, golden.pixels, check_images([golden.pixels]), task=spec.task)
        if converted.conversion.missing:
            raise UsageError(f"no model.tflite can be made of model {source!r}: {converted.conversion.missing}")
        _check_outputs(spec, golden, converted)
        new = with_engines(spec, converted)
        write_files(os.path.join(folder, directory.GOLDEN), with_scores(golden, converted).files())
        write_files(folder, {directory.SPEC: new.to_json().encode()})
    return new


def _check_golden(source: str, spec: ModelSpec, golden: Golden) -> None:
    """Check that golden/ is what the spec makes one expect, and that its images have the same pixels here."""
    n, expected = len(golden.encoded), golden.outputs("tensorflow")
    shapes = (golden.pixels.shape, None if expected is None else expected.scores.shape)
    if n < 1 or golden.pixels.dtype != np.uint8 or shapes != ((n, *spec.input.shape), (n, width_of(spec))):
        raise UsageError(
            f"model {source!r} is damaged: {directory.GOLDEN}/ does not fit {directory.SPEC}; train or copy it again"
        )
    check_golden_pixels(golden, spec.input, "this machine")


def _check_outputs(spec: ModelSpec, golden: Golden, converted: Converted) -> None:
    """Check that TensorFlow gives for the golden images here what it gave when the model was made."""
    expected = golden.outputs("tensorflow")
    assert expected is not None
    difference = agreement.difference_of_outputs(converted.golden["tensorflow"], expected, spec.task)
    if not difference <= converted.golden_tolerance:
        raise GoldenMismatchError(
            "TensorFlow gives the model's golden images scores that differ here from those stored with the model: by "
            f"{difference:.2g} of the spread of its outputs; try it on another machine"
        )
