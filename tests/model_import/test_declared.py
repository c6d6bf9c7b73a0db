"""What models and files beside them say, against Keras itself and the files of other libraries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from mostly_heavy import mostly_heavy

from model_import.declared import Declared, declared
from model_import.declared_layers import check_scaling
from model_import.foreign import GRAPH, Images, Kind, Layer, Output
from model_import.scaling import SCALINGS, parse_scaling
from pipeline.errors import UsageError
from pipeline.model.spec import Takes

FAMILIES = {
    "ConvNeXtTiny": "raw",
    "DenseNet121": "torch",
    "EfficientNetB0": "raw",
    "EfficientNetV2B0": "raw",
    "EfficientNetV2S": "raw",
    "InceptionResNetV2": "sign",
    "InceptionV3": "sign",
    "MobileNet": "sign",
    "MobileNetV2": "sign",
    "MobileNetV3Small": "raw",
    "NASNetMobile": "sign",
    "ResNet50": "caffe",
    "ResNet50V2": "sign",
    "VGG16": "caffe",
    "Xception": "sign",
}
"""One network of each family in keras.applications -> the scaling of its preprocess_input."""

IN_THE_DEFAULT_SUITE = ("MobileNetV2", "MobileNetV3Small", "ResNet50", "ResNet50V2", "VGG16", "Xception")


@dataclass(frozen=True)
class Told:
    """A model that tells layers and a shape, and is never called."""

    layers: Sequence[Layer] = ()
    height: int | None = 32
    width: int | None = 32
    channels: int = 3
    kind: Kind = "keras"
    takes: Takes = "pixels"
    outputs: Sequence[Output] = field(default_factory=tuple)
    may_be_hub: bool = False

    def __call__(self, images: Images) -> Mapping[str, npt.NDArray[np.float32]]:
        raise AssertionError("what a model says is read without calling it")


def layers_of(model: Any) -> Iterator[Layer]:
    for layer in getattr(model, "operations", None) or model.layers:
        if hasattr(layer, "layers"):
            yield from layers_of(layer)
        else:
            yield Layer(type(layer).__name__, layer.name, layer.get_config() if hasattr(layer, "weights") else {})


def said_by(model: Any, beside: Path, **more: Any) -> Declared:
    return declared(Told(list(layers_of(model)), **more), beside)


def scaling_of(said: Declared) -> str:
    assert said.scaling is not None
    return said.scaling.value.name


def families() -> list[Any]:
    heavy = pytest.mark.heavy
    return [pytest.param(name, marks=() if name in IN_THE_DEFAULT_SUITE else heavy) for name in FAMILIES]


@pytest.mark.heavy
@pytest.mark.parametrize("name", families())
def test_network_of_keras_applications_is_told_alone_and_under_another_head(name: str, tmp_path: Path) -> None:
    import keras

    base = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(96, 96, 3))
    image = keras.Input((96, 96, 3))
    turned = keras.layers.RandomFlip("horizontal")(image)
    nested = keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(base(turned))))
    for model in (base, nested):
        said = said_by(model, tmp_path)
        assert scaling_of(said) == FAMILIES[name]
        assert "color_mode" not in said.rule or said.rule["color_mode"].value == (
            "bgr" if FAMILIES[name] == "caffe" else "rgb"
        )
        assert said.also == {}


SMALLEST = {
    *("ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "InceptionResNetV2", "InceptionV3"),
    *("MobileNet", "MobileNetV2", "MobileNetV3Small", "NASNetMobile", "ResNet50", "ResNet101"),
    *("ResNet50V2", "VGG16", "VGG19", "Xception"),
}
"""A network of every module of keras.applications, and of the few with several, the smallest."""


@pytest.mark.parametrize(
    "are_all", [pytest.param(False, marks=pytest.mark.heavy), pytest.param(True, marks=pytest.mark.soak)]
)
def test_every_network_of_keras_applications_is_told_as_its_preprocess_input_does(
    are_all: bool, tmp_path: Path
) -> None:
    import keras

    pixels = np.arange(27, dtype=np.float32).reshape(3, 3, 3)
    modules = {
        name: module
        for module in vars(keras.applications).values()
        if hasattr(module, "preprocess_input")
        for name in vars(module)
        if name[0].isupper()
    }
    assert len(modules) >= 38
    asked = {name: module for name, module in modules.items() if are_all or name in SMALLEST}
    assert set(asked.values()) == set(modules.values())
    for name, module in asked.items():
        said = said_by(getattr(module, name)(weights=None), tmp_path)
        assert said.scaling is not None
        given = pixels[..., ::-1] if "color_mode" in said.rule and said.rule["color_mode"].value == "bgr" else pixels
        wanted = module.preprocess_input(pixels.copy())
        np.testing.assert_allclose(said.scaling.value(given.astype(np.uint8)), wanted, atol=1e-4, err_msg=name)
        keras.backend.clear_session()


@pytest.mark.parametrize(
    "name", mostly_heavy(["MobileNetV3Small", "EfficientNetV2S", "ConvNeXtTiny"], kept=["MobileNetV3Small"])
)
def test_network_without_the_scaling_that_it_may_have_inside_takes_scaled_values(name: str, tmp_path: Path) -> None:
    import keras

    build = getattr(keras.applications, name)
    model = build(weights=None, include_top=False, include_preprocessing=False, input_shape=(96, 96, 3))
    assert scaling_of(said_by(model, tmp_path)) == ("torch" if name == "ConvNeXtTiny" else "sign")


@pytest.mark.parametrize("module", ["mobilenet_v2", "resnet", "densenet"])
def test_preprocess_input_called_within_a_model_means_that_pixels_enter_raw(module: str, tmp_path: Path) -> None:
    import keras

    image = keras.Input((32, 32, 3))
    scaled = getattr(keras.applications, module).preprocess_input(image)
    said = said_by(keras.Model(image, keras.layers.Conv2D(2, 3)(scaled)), tmp_path)
    assert scaling_of(said) == "raw"
    assert said.rule["color_mode"].value == "rgb"
    assert said.scaling is not None
    assert "preprocess_input" in said.scaling.source


def rescaling(scale: float, offset: float = 0.0) -> Layer:
    return Layer("Rescaling", "rescaling", {"scale": scale, "offset": offset})


CONV = Layer("Conv2D", "conv2d")


@pytest.mark.parametrize(
    ("layers", "wanted"),
    [
        ([rescaling(1 / 255)], "raw"),
        ([rescaling(1 / 127.5, -1.0)], "raw"),
        ([rescaling(2.0, -1.0)], "unit"),
        ([Layer("Normalization", "n", {"mean": [124.0, 116.0, 104.0], "variance": [3300.0] * 3})], "raw"),
        ([Layer("Normalization", "n", {"mean": [0.48, 0.45, 0.4], "variance": [0.05] * 3})], "unit"),
        ([Layer("Normalization", "n", {"mean": None, "variance": None})], "raw"),
        ([Layer("Normalization", "n", {"mean": [104.0, 117.0, 124.0], "variance": [1.0] * 3})], "raw"),
        ([Layer("RandomFlip", "f"), rescaling(1 / 255), Layer("Normalization", "n", {"mean": 0.5})], "raw"),
    ],
)
def test_layer_that_scales_tells_what_enters(layers: Sequence[Layer], wanted: str, tmp_path: Path) -> None:
    said = declared(Told([Layer("InputLayer", "image"), *layers, CONV]), tmp_path)
    assert scaling_of(said) == wanted
    assert said.scaling is not None
    assert said.scaling.source.startswith(f"from the layer {layers[-1 if len(layers) == 1 else 1].kind} '")


def test_normalization_adapted_to_data_is_told_as_an_assumption(tmp_path: Path) -> None:
    adapted = Layer("Normalization", "n", {"mean": None, "variance": None})
    assert any("was adapted to data" in note for note in declared(Told([adapted, CONV]), tmp_path).notes)


def test_rescaling_behind_the_first_convolution_says_nothing(tmp_path: Path) -> None:
    assert declared(Told([CONV, rescaling(1 / 255)]), tmp_path).scaling is None


def test_scaling_inside_that_is_not_that_of_the_network_below_is_told(tmp_path: Path) -> None:
    import keras

    base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(96, 96, 3))
    image = keras.Input((96, 96, 3))
    wrong = said_by(keras.Model(image, base(keras.layers.Rescaling(1 / 255)(image))), tmp_path)
    assert any("values 'unit'" in note and "MobileNetV2 makes 'sign'" in note for note in wrong.notes)
    right = said_by(keras.Model(image, base(keras.layers.Rescaling(1 / 127.5, offset=-1)(image))), tmp_path)
    assert not any("preprocess_input" in note for note in right.notes)


def test_resizing_layer_of_a_network_for_any_size_is_the_rule(tmp_path: Path) -> None:
    resizing = Layer("Resizing", "resizing", {"height": 96, "width": 64, "crop_to_aspect_ratio": True})
    said = declared(Told([resizing, CONV], height=None, width=None), tmp_path)
    values = {name: told.value for name, told in said.rule.items()}
    assert (values["height"], values["width"], values["fit"]) == (96, 64, "keras_crop")
    fixed = declared(Told([resizing, CONV]), tmp_path)
    assert fixed.rule["height"].value == 32
    assert any("Resizing 'resizing'" in note for note in fixed.notes)


def write(folder: Path, name: str, content: Any) -> None:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


def values_beside(folder: Path) -> dict[str, Any]:
    said = declared(Told(height=None, width=None), folder)
    scaling = {"scaling": said.scaling.value.name} if said.scaling else {}
    return {**{name: told.value for name, told in said.rule.items()}, **scaling}


def test_hugging_face_processor_with_a_crop(tmp_path: Path) -> None:
    content = {"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {"height": 224, "width": 224}}
    more = {"do_normalize": True, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    write(tmp_path, "preprocessor_config.json", {**content, **more, "resample": 3, "rescale_factor": 1 / 255})
    assert values_beside(tmp_path) == {
        "height": 224,
        "width": 224,
        "fit": "torch_shorter_side",
        "crop": 0.875,
        "resize": "bicubic",
        "color_mode": "rgb",
        "scaling": "torch",
    }


def test_hugging_face_processor_of_a_vision_transformer(tmp_path: Path) -> None:
    content = {"size": 224, "resample": 2, "do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    write(tmp_path, "preprocessor_config.json", content)
    found = values_beside(tmp_path)
    assert (found["fit"], found["height"], found["resize"], found["scaling"]) == ("stretch", 224, "bilinear", "sign")


def test_timm_config_with_names(tmp_path: Path) -> None:
    chosen = {"input_size": [3, 288, 288], "mean": [0.5] * 3, "std": [0.5] * 3, "crop_pct": 0.95}
    content = {"architecture": "resnet50", "label_names": ["cat", "dog"]}
    write(tmp_path, "config.json", {**content, "pretrained_cfg": {**chosen, "interpolation": "bicubic"}})
    found = values_beside(tmp_path)
    assert (found["height"], found["crop"], found["fit"]) == (288, 0.95, "torch_shorter_side")
    assert (found["scaling"], found["resize"]) == ("sign", "bicubic")
    names = declared(Told(), tmp_path).class_names
    assert names is not None
    assert (names.value, names.source) == (["cat", "dog"], "from config.json beside the model")


def test_open_clip_config(tmp_path: Path) -> None:
    scaled = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}
    write(
        tmp_path,
        "open_clip_config.json",
        {"model_cfg": {"vision_cfg": {"image_size": 224}}, "preprocess_cfg": {**scaled, "interpolation": "bicubic"}},
    )
    found = values_beside(tmp_path)
    assert (found["fit"], found["crop"], found["width"]) == ("torch_shorter_side", 1.0, 224)
    assert found["scaling"] == "custom"


def test_keras_hub_converter(tmp_path: Path) -> None:
    config = {"image_size": [384, 384], "scale": 1 / 127.5, "offset": -1.0, "crop_to_aspect_ratio": False}
    converter = {"class_name": "DeiTImageConverter", "config": {**config, "pad_to_aspect_ratio": False}}
    write(tmp_path, "preprocessor.json", {"config": {"image_converter": converter}})
    found = values_beside(tmp_path)
    assert (found["height"], found["fit"], found["scaling"]) == (384, "stretch", "sign")


def test_names_of_hugging_face_in_the_order_of_their_numbers_and_no_placeholders(tmp_path: Path) -> None:
    write(tmp_path, "config.json", {"id2label": {"10": "k", **{str(i): "abcdefghij"[i] for i in range(10)}}})
    names = declared(Told(), tmp_path).class_names
    assert names is not None
    assert "".join(names.value) == "abcdefghijk"
    write(tmp_path, "config.json", {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}})
    assert declared(Told(), tmp_path).class_names is None


@pytest.mark.parametrize("content", ["[1]", "{", '{"size": "big"}', "[" * 100_000])
def test_file_that_is_not_understood_is_a_note(content: str, tmp_path: Path) -> None:
    write(tmp_path, "preprocessor_config.json", content)
    said = declared(Told(), tmp_path)
    assert said.scaling is None
    assert len([note for note in said.notes if "preprocessor_config.json" in note]) == 1


def test_contradiction_is_told_and_the_network_counts_first(tmp_path: Path) -> None:
    write(tmp_path, "preprocessor_config.json", {"image_mean": [0.5] * 3, "image_std": [0.5] * 3})
    said = declared(Told([rescaling(1 / 255), CONV]), tmp_path)
    assert scaling_of(said) == "raw"
    assert [other.value for other in said.also["scaling"]] == [SCALINGS["sign"]]
    assert any("'raw' from the layer Rescaling" in note and "'sign' from preprocessor" in note for note in said.notes)


def test_saved_model_of_fixed_size_takes_what_tf_hub_agreed_on(tmp_path: Path) -> None:
    said = declared(Told(kind="saved_model", height=224, width=224, may_be_hub=True), tmp_path)
    assert scaling_of(said) == "unit"
    assert said.scaling is not None
    assert "TF-Hub" in said.scaling.source
    assert declared(Told(kind="saved_model", height=None, width=None, may_be_hub=True), tmp_path).scaling is None
    assert declared(Told(kind="saved_model", height=224, width=224), tmp_path).scaling is None


DIVIDED = Layer("TrueDivide", "true_divide")
ADAPTED = Layer("Normalization", "n", {"mean": None, "variance": None})


@pytest.mark.parametrize(
    ("layers", "right", "wrong"),
    [
        ([rescaling(1 / 255)], ["raw", "1.01,0"], ["unit", "sign", "torch", "caffe"]),
        ([rescaling(1 / 255), ADAPTED], ["raw"], ["unit"]),
        ([rescaling(2.0, -1.0)], ["unit", "sign"], ["raw", "caffe"]),
        ([rescaling(1.0)], ["unit", "raw"], []),
        ([ADAPTED], ["unit", "raw"], []),
        ([DIVIDED], ["raw"], ["unit"]),
        ([CONV, rescaling(1 / 255)], ["unit"], []),
        ([Layer(GRAPH, "mul", {"scale": [1 / 255], "offset": [0.0]})], ["raw"], ["unit"]),
        ([Layer(GRAPH, "sub")], ["raw", "unit"], []),
        ([], ["raw", "unit"], []),
    ],
)
def test_scaling_that_the_layers_contradict_is_refused(
    layers: Sequence[Layer], right: Sequence[str], wrong: Sequence[str]
) -> None:
    for text in right:
        check_scaling(parse_scaling(text), layers, "m")
    for text in wrong:
        with pytest.raises(UsageError, match=f"--scaling {text} contradicts 'm': the network .* leave --scaling out"):
            check_scaling(parse_scaling(text), layers, "m")
