"""A network of TensorFlow from elsewhere: Keras files and SavedModels, read, are both one of these.

It can be called with arrays, and it can stand in the graph of a SavedModel that is written (`model_import.wrap`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from model_import.foreign import Images, Kind, Layer, Output
from model_import.layout import HasLayout, Layout
from model_import.start import tf
from pipeline.model.spec import Takes
from pipeline.text import brief, line

CALL_IMAGES = 32
"""Images in one call of a network, at most."""


@dataclass(frozen=True)
class GraphModel(HasLayout):
    """A network of TensorFlow that was read. See `model_import.foreign.Foreign`.

    Attributes:
        kind: what its file is.
        layout: of its input.
        dtype: of its input, a name as "float32".
        outputs: all that it gives.
        function: its own input, a tensor -> its outputs, tensors by name.
        kept: what holds its weights; a SavedModel that is written must refer to it.
        layers: of a Keras model, or what the graph of a SavedModel does first.
        may_be_hub: whether it may come from TF-Hub or Kaggle.
        network: the Keras model itself; None: its file holds none that Keras can load.
    """

    kind: Kind
    layout: Layout
    dtype: str
    outputs: Sequence[Output]
    function: Callable[[Any], Mapping[str, Any]]
    kept: Any
    layers: Sequence[Layer] = ()
    may_be_hub: bool = False
    network: Any = None
    _compiled: list[Any] = field(default_factory=list, compare=False, repr=False)

    @property
    def takes(self) -> Takes:
        """Whether it is called with pixels, or with encoded files."""
        return "encoded" if self.dtype == "string" else "pixels"

    def tensors(self, values: Any) -> Mapping[str, Any]:
        """Return its outputs for a tensor of scaled images, within a graph.

        Args:
            values: float32 [n, height, width, channels]; or strings [n], if it takes encoded files.
        """
        library = tf()
        if self.layout.order == "nchw":
            values = library.transpose(values, [0, 3, 1, 2])
        elif self.layout.order == "nhw":
            values = values[..., 0]
        if self.dtype not in ("float32", "string"):
            values = library.cast(values, self.dtype)
        if self.layout.batch is None:
            found = self.function(values)
            return {output.name: library.cast(found[output.name], library.float32) for output in self.outputs}
        return self._one_by_one(values)

    def _one_by_one(self, values: Any) -> Mapping[str, Any]:
        """Call a network that takes one image once for each."""
        library = tf()
        names = [output.name for output in self.outputs]

        def call(image: Any) -> list[Any]:
            found = self.function(image[library.newaxis])
            return [library.cast(found[name], library.float32)[0] for name in names]

        return dict(zip(names, library.map_fn(call, values, [library.float32] * len(names)), strict=True))

    def __call__(self, images: Images) -> Mapping[str, npt.NDArray[np.float32]]:
        """Return the outputs of images by name, see `model_import.foreign.Foreign`.

        Raises:
            ValueError: the network does not take these images.
        """
        library = tf()
        if not self._compiled:
            self._compiled.append(library.function(self.tensors, reduce_retracing=True, autograph=False))
        calls: list[Mapping[str, Any]] = []
        try:
            for start in range(0, len(images), CALL_IMAGES):
                calls.append(self._compiled[0](library.constant(images[start : start + CALL_IMAGES])))
        except (library.errors.OpError, ValueError, TypeError, IndexError) as error:
            raise ValueError(brief(line(_first_line(str(error))), 300)) from error
        return {output.name: np.concatenate([call[output.name] for call in calls]) for output in self.outputs}


def _first_line(text: str) -> str:
    """Return the first line of a text of TensorFlow that says something: before it stand file names and frames."""
    lines = [part.strip() for part in text.splitlines() if part.strip()]
    telling = [
        part for part in lines if not part.startswith(("in user code", "File ", "Detected at node", "Graph exec"))
    ]
    return (telling or lines or ["no reason given"])[0]
