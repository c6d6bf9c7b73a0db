"""A network of keras.applications by its name, with the weights that ImageNet gave it."""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import sys
import warnings
from collections.abc import Mapping
from typing import Any

from model_import.declared_backbones import backbone_says
from model_import.declared_layers import layers_say
from model_import.fact import Fact
from model_import.keras_config import layers_of
from model_training.base.asked import Asked
from model_training.base.foreign import decided, of_keras, told
from model_training.learning.base import Base
from pipeline.errors import UsageError
from pipeline.text import brief, line

SIDE = 224
"""Pixels of a side of most networks' input."""

SIDES: Mapping[str, int] = {
    name: side
    for side, names in {
        240: ("EfficientNetB1", "EfficientNetV2B1"),
        260: ("EfficientNetB2", "EfficientNetV2B2"),
        299: ("InceptionV3", "InceptionResNetV2", "Xception"),
        300: ("EfficientNetB3", "EfficientNetV2B3"),
        331: ("NASNetLarge",),
        380: ("EfficientNetB4",),
        384: ("EfficientNetV2S",),
        456: ("EfficientNetB5",),
        480: ("EfficientNetV2M", "EfficientNetV2L"),
        528: ("EfficientNetB6",),
        600: ("EfficientNetB7",),
    }.items()
    for name in names
}
"""Network -> pixels of a side of its input, where that is not `SIDE`."""


def open_application(name: str, asked: Asked) -> Base:
    """Return a network of keras.applications without its last layer, as a base.

    Its weights come from the Keras cache, or are downloaded into it. Its scaling is that of its `preprocess_input`.

    Args:
        name: of the network, in any case of letters.
        asked: what the user asks for beside it; its size may be another than the usual one.

    Raises:
        UsageError: there is no such network, or its weights cannot be had.
    """
    whole = _whole_name(name)
    asked.refuse_scaling(whole)
    if asked.color_mode == "grayscale":
        raise UsageError(f"--color_mode grayscale contradicts --base {whole}, which takes colors: leave it out")
    side = asked.image_size or SIDES.get(whole, SIDE)
    network = _built(whole, side)
    layers = layers_of({"config": network.get_config()})
    size = Fact[Any](side, "declared", f"by {whole} of keras.applications")
    facts: dict[str, Fact[Any]] = {"height": size, "width": size}
    facts |= {flag: Fact[Any](value, "given", f"by --{flag}") for flag, value in asked.rule.items()}
    for reading in (*layers_say(layers, False), backbone_says(layers)):
        for field, one in {} if reading is None else reading.told.items():
            facts.setdefault(field, Fact(one.value, "declared", one.source))
    decision = decided(facts, asked, whole)
    about = {"name": whole, "kind": "keras.applications, ImageNet", **told(decision, "predictions")}
    return of_keras(whole, network, decision, about)


def _whole_name(name: str) -> str:
    """Return the name of a network as keras.applications spells it.

    Raises:
        UsageError: there is none.
    """
    import keras

    known = {one.lower(): one for one in dir(keras.applications) if one[0].isupper()}
    if name.lower() in known:
        return known[name.lower()]
    near = [known[one] for one in difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)] or ["MobileNetV2"]
    raise UsageError(
        f"--base {name!r} is no file or folder, and no network of keras.applications: nearest are {', '.join(near)}"
    )


def _built(name: str, side: int) -> Any:
    """Return a network with its weights: images of a side -> features [n, d].

    Raises:
        UsageError: Keras does not have the weights and cannot download them, or takes no images of this side.
    """
    import keras

    network = getattr(keras.applications, name)
    chatter = sys.stderr if sys.stderr.isatty() else io.StringIO()  # how far a download is; stdout is for results
    with contextlib.redirect_stdout(chatter), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`input_shape` is undefined")
        try:
            return network(include_top=False, weights="imagenet", input_shape=(side, side, 3), pooling="avg")
        except ValueError as error:
            raise UsageError(f"--base {name} with --image_size {side}: {_reason(error)}") from error
        except Exception as error:  # Keras raises it bare
            home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
            cache = os.path.join(home, "models")
            raise UsageError(
                f"the weights of {name} are not in {cache!r} and cannot be downloaded ({_reason(error)}): put that "
                "file there, or give --base a file of a network"
            ) from error


def _reason(error: Exception) -> str:
    return brief(line(" ".join(str(error).split())), 300)
