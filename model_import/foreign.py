"""What a model from elsewhere offers, whatever file it comes in: its input, its layers, its outputs, and a call.

Knows no file format and imports no library that reads one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.model.spec import Takes

Kind = Literal["keras", "saved_model", "tflite"]
"""What a model's file is: a Keras file, a folder of `tf.saved_model.save`, or a file for LiteRT."""

Images = npt.NDArray[Any]
"""float32 [n, height, width, channels], scaled as the network wants its values; or object [n], of bytes: files."""

GRAPH = "GraphOperations"
"""Kind of a layer that stands for the first operations in the graph of a SavedModel, whose layers are not known, and
for the first operators of a .tflite file."""

FIRST_WEIGHTS = "FirstWeights"
"""Kind of a layer that stands for the weights in the first layer of a .tflite file, see `model_import.tflite_start`."""


@dataclass(frozen=True)
class Layer:
    """A layer of a Keras model; layers of a model within a model stand where that model stands.

    Attributes:
        kind: name of its class, as "Rescaling".
        name: its own name in the model.
        config: what its `get_config` gives.
    """

    kind: str
    name: str
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Output:
    """An output of a network.

    Attributes:
        name: by which it is asked for.
        shape: of one image's output, without the batch; None for a side that is not fixed.
        activation: of the layer that gives it, as "softmax", "sigmoid", "linear"; "": the source does not tell.
    """

    name: str
    shape: tuple[int | None, ...]
    activation: str = ""


class Foreign(Protocol):
    """A model from elsewhere that was read.

    Attributes:
        kind: what its file is.
        height: of its input in pixels; None: any.
        width: of its input in pixels; None: any.
        channels: of its input, 1 or 3.
        takes: whether it is called with scaled pixels, or with encoded files.
        layers: of a Keras model, in order; of other files, what they do first, see `GRAPH`; () if not known.
        may_be_hub: whether it may come from TF-Hub or Kaggle, whose networks take 0 to 1.
        outputs: all that it gives, in its own order.
    """

    @property
    def kind(self) -> Kind: ...  # noqa: D102
    @property
    def height(self) -> int | None: ...  # noqa: D102
    @property
    def width(self) -> int | None: ...  # noqa: D102
    @property
    def channels(self) -> int: ...  # noqa: D102
    @property
    def takes(self) -> Takes: ...  # noqa: D102
    @property
    def layers(self) -> Sequence[Layer]: ...  # noqa: D102
    @property
    def may_be_hub(self) -> bool: ...  # noqa: D102
    @property
    def outputs(self) -> Sequence[Output]: ...  # noqa: D102

    def __call__(self, images: Images) -> Mapping[str, npt.NDArray[np.float32]]:
        """Return the outputs of images by name, float32 [n, ...]; quantized ones are dequantized.

        Args:
            images: scaled already, or files, as the network takes them, see `Images`.

        Raises:
            ValueError: the network does not take these images; the text is one line.
        """
        ...
