"""The precision that a network learns in: mixed where a GPU is faster by it, and float32 again when it has learned.

Weights are float32 in either case. Must not know what is learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from model_training.learning.recipe import TrainingPrecision

Capability = tuple[int, int]
"""Compute capability of a GPU, major and minor number (https://developer.nvidia.com/cuda-gpus)."""


def choose_precision() -> TrainingPrecision:
    """Return the precision that suits the GPUs which TensorFlow sees here; "float32" without one."""
    import tensorflow as tf

    details = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    return precision_of([one.get("compute_capability", (0, 0)) for one in details])


def precision_of(capabilities: Sequence[Capability]) -> TrainingPrecision:
    """Return the precision that suits all of some GPUs.

    >>> precision_of([(9, 0)]), precision_of([(7, 5), (9, 0)]), precision_of([(6, 1)]), precision_of([])
    ('mixed_bfloat16', 'mixed_float16', 'float32', 'float32')
    """
    weakest = min(capabilities, default=(0, 0))
    if weakest >= (8, 0):
        return "mixed_bfloat16"  # as wide as float32: no loss needs to be scaled
    return "mixed_float16" if weakest >= (7, 0) else "float32"


def set_precision(network: Any, precision: TrainingPrecision) -> None:
    """Let the layers of a network compute in a precision; those that scale its input, and the last, stay in float32."""
    import keras

    kept = (keras.layers.InputLayer, keras.layers.Rescaling, keras.layers.Normalization)
    layers = [layer for layer in network._flatten_layers(include_self=False) if not isinstance(layer, kept)]
    for layer in layers[:-1]:
        layer.dtype_policy = precision
