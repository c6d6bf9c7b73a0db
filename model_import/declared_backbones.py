"""Which of keras.applications' networks a model is built on, told by its layers' names, and what that network takes.

The names are those that keras/src/applications gives its layers; a head, a nested backbone or one that was cut off
leaves them. Only names of the first blocks are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from model_import.declared_layers import first_layers, values_inside
from model_import.declared_values import Reading, is_same, reading
from model_import.foreign import Layer
from model_import.scaling import SCALINGS


@dataclass(frozen=True)
class Backbone:
    """A family of networks in keras.applications.

    Attributes:
        name: as keras.applications calls the family.
        marks: patterns, each of which is the whole name of some layer of it.
        scaling: name of the scaling of `preprocess_input`; of a network that has it inside, what it takes without.
        never: pattern of a layer's name that none of them has.
    """

    name: str
    marks: tuple[str, ...]
    scaling: str
    never: str = "(?!)"


BACKBONES = (
    Backbone("ConvNeXt", (r".*_?stage_0_block_0_depthwise_conv", r".*stage_0_block_0_layernorm"), "torch"),
    Backbone("DenseNet", (r"conv1_conv", r"conv2_block1_concat"), "torch"),
    Backbone("EfficientNetV2", (r"stem_conv", r"block1a_project_conv"), "sign", r"block1a_dwconv"),
    Backbone("EfficientNet", (r"stem_conv", r"block1a_dwconv"), "raw"),
    Backbone("InceptionResNetV2", (r"mixed_5b", r"block35_1_mixed|block35_1"), "sign"),
    Backbone("InceptionV3", (r"mixed0",), "sign"),
    Backbone("MobileNetV3", (r"expanded_conv_project", r"expanded_conv_depthwise"), "sign", r"bn_Conv1"),
    Backbone("MobileNetV2", (r"bn_Conv1", r"expanded_conv_depthwise"), "sign"),
    Backbone("MobileNet", (r"conv1_bn", r"conv_dw_1", r"conv_pw_1"), "sign"),
    Backbone("NASNet", (r"stem_bn1", r"reduction_conv_1_stem_1"), "sign"),
    Backbone("ResNetV2", (r"conv1_conv", r"conv2_block1_preact_bn"), "sign"),
    Backbone("ResNet", (r"conv1_conv", r"conv2_block1_1_conv", r"conv2_block1_add"), "caffe"),
    Backbone("ResNet50 of Keras 2", (r"bn_conv1", r"res2a_branch2a"), "caffe"),
    Backbone("Xception", (r"block1_conv1_bn", r"block2_sepconv1"), "sign"),
    Backbone("VGG", (r"block1_conv1", r"block2_conv1"), "caffe", r"block1_conv1_bn"),
)


def backbone_of(layers: Sequence[Layer]) -> Backbone | None:
    """Return the network that a model is built on, None if it is none of keras.applications."""
    names = "\n".join(layer.name for layer in layers)
    for backbone in BACKBONES:
        if all(_has(mark, names) for mark in backbone.marks) and not _has(backbone.never, names):
            return backbone
    return None


def backbone_says(layers: Sequence[Layer]) -> Reading | None:
    """Return what the network takes that a model is built on; None if it is unknown or scales its pixels itself.

    What `preprocess_input` does for a network that has it inside is nothing, so its first layers say all of it.
    """
    backbone = backbone_of(layers)
    if backbone is None:
        return None
    first = [layer.kind for layer in first_layers(layers) if layer.kind not in ("Resizing", "CenterCrop")]
    if first:
        return None
    color = "bgr" if backbone.scaling == "caffe" else "rgb"
    source = f"from the layers of {backbone.name} and its preprocess_input in keras.applications"
    return reading(source, {"scaling": SCALINGS[backbone.scaling], "color_mode": color})


def backbone_objects(layers: Sequence[Layer]) -> Sequence[str]:
    """Return a line where a model's own scaling is not that of the network that it is built on.

    It may have been trained so from the start, so this decides nothing.
    """
    backbone, inside = backbone_of(layers), values_inside(layers)
    if backbone is None or inside is None or backbone.name in ("EfficientNet", "EfficientNetV2"):
        return ()
    if is_same(inside, SCALINGS[backbone.scaling], 0.1):
        return ()
    return (
        f"the network's own layers make values {inside.name!r}, but preprocess_input of {backbone.name} makes "
        f"{backbone.scaling!r}: right only if it was trained so",
    )


def _has(pattern: str, names: str) -> bool:
    """Return whether a pattern is the whole of one of the names, one a line."""
    return re.search(rf"^(?:{pattern})$", names, re.MULTILINE) is not None
