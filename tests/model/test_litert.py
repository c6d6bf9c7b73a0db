"""model.tflite as a function from pixels to scores."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import UsageError
from pipeline.model.agreement import changed_classes, difference
from pipeline.model.directory import TFLITE, read_golden, read_spec
from pipeline.model.engines import litert
from pipeline.model.engines.litert import CALL_BYTES, CALL_IMAGES, LiteRTNetwork

SHAPE = (28, 28, 1)


@pytest.fixture
def network(tiny_model: str) -> LiteRTNetwork:
    return LiteRTNetwork(f"{tiny_model}/{TFLITE}", SHAPE)


def test_scores_are_the_same_bits_for_any_number_of_images_in_any_order(
    network: LiteRTNetwork, tiny_model: str
) -> None:
    pixels = np.tile(read_golden(tiny_model).pixels, (6, 1, 1, 1))
    one_by_one = np.concatenate([network(pixels[i : i + 1]).scores for i in range(len(pixels))])
    for size in (16, 3, 5, 40, 1, 17):
        together = np.concatenate([network(pixels[i : i + size]).scores for i in range(0, len(pixels), size)])
        np.testing.assert_array_equal(together, one_by_one)
    assert one_by_one.dtype == np.float32
    np.testing.assert_allclose(one_by_one.sum(axis=1), 1, atol=1e-5)


def test_scores_of_an_earlier_call_stay_as_they_are(network: LiteRTNetwork, tiny_model: str) -> None:
    pixels = read_golden(tiny_model).pixels
    first = network(pixels[:2]).scores
    before = first.copy()
    network(pixels[2:4])
    np.testing.assert_array_equal(first, before)


def test_pixels_that_lie_apart_in_memory_give_the_same(network: LiteRTNetwork, tiny_model: str) -> None:
    pixels = read_golden(tiny_model).pixels[:4]
    apart = np.asfortranarray(np.repeat(pixels, 2, axis=0))[::2]
    np.testing.assert_array_equal(network(apart).scores, network(pixels).scores)


@pytest.mark.parametrize("kernels", ["BUILTIN_REF", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"])
def test_other_kernels_stay_within_the_tolerance(tiny_model: str, kernels: str) -> None:
    """In place of another CPU: LiteRT's reference kernels, and its own without the delegate."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    spec, golden = read_spec(tiny_model), read_golden(tiny_model)
    other = Interpreter(f"{tiny_model}/{TFLITE}", experimental_op_resolver_type=OpResolverType[kernels])
    feed, fetch = other.get_input_details()[0]["index"], other.get_output_details()[0]["index"]
    other.resize_tensor_input(feed, golden.pixels.shape)
    other.allocate_tensors()
    other.set_tensor(feed, golden.pixels)
    other.invoke()
    scores = other.get_tensor(fetch)
    assert difference(scores, golden.scores["litert"]) <= spec.golden_tolerance
    assert changed_classes(scores, golden.scores["litert"], spec.golden_tolerance) == 0


@pytest.mark.parametrize(
    ("shape", "images"),
    [((28, 28, 1), CALL_IMAGES), ((64, 64, 3), CALL_IMAGES), ((224, 224, 3), 4), ((1000, 1000, 3), 1)],
)
def test_calls_are_small_enough_for_the_cache(
    network: LiteRTNetwork, tiny_model: str, shape: tuple[int, int, int], images: int
) -> None:
    assert LiteRTNetwork(f"{tiny_model}/{TFLITE}", shape).call_images == images
    assert images == 1 or images * np.prod(shape) <= CALL_BYTES


@pytest.mark.parametrize("shape", [(2, 28, 28, 3), (2, 27, 28, 1), (2, 28, 28)])
def test_images_of_another_shape_are_an_error_and_the_next_ones_are_scored(
    network: LiteRTNetwork, tiny_model: str, shape: tuple[int, ...]
) -> None:
    pixels = read_golden(tiny_model).pixels[:3]
    expected = network(pixels).scores
    with pytest.raises(network.errors):
        network(np.zeros(shape, np.uint8))
    np.testing.assert_array_equal(network(pixels).scores, expected)


def test_where_memory_runs_out_it_is_a_memory_error_and_fewer_images_are_scored(tiny_model: str) -> None:
    program = """if True:
        import resource, sys
        import numpy as np
        from pipeline.model.directory import TFLITE, read_golden
        from pipeline.model.engines.litert import LiteRTNetwork
        model = sys.argv[1]
        network, pixels = LiteRTNetwork(f"{model}/{TFLITE}", (28, 28, 1)), read_golden(model).pixels
        expected = network(pixels[:4]).scores
        many = np.resize(pixels, (20_000, 28, 28, 1))
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20), resource.RLIM_INFINITY))
        for images in (many, pixels[:4], many, pixels[:2]):
            try:
                print(len(images), np.array_equal(network(images).scores[:2], expected[:2]))
            except MemoryError as error:
                print(len(images), "MemoryError", "\\n" not in str(error))
    """
    done = subprocess.run([sys.executable, "-c", program, tiny_model], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["20000 MemoryError True", "4 True", "20000 MemoryError True", "2 True"], (
        done.stderr
    )


@pytest.mark.parametrize("content", [b"", b"no network", b"\x1c\0\0\0TFL3" + bytes(200)])
def test_file_that_is_no_network_is_a_value_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / TFLITE).write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        LiteRTNetwork(str(tmp_path / TFLITE), SHAPE)


@pytest.mark.parametrize("kind", ["float32", "two inputs"])
def test_network_of_other_inputs_is_a_value_error(tmp_path: Path, kind: str) -> None:
    import tensorflow as tf

    spec = tf.TensorSpec((None, 2, 2, 1), tf.float32 if kind == "float32" else tf.uint8)

    class Small(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[spec] if kind == "float32" else [spec, spec])  # type: ignore[untyped-decorator]
        def serve(self, *images: Any) -> Any:
            return tf.add_n([tf.cast(image[:, 0, 0, :], tf.float32) for image in images])

    module = Small()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.serve.get_concrete_function()], module)
    (tmp_path / TFLITE).write_bytes(converter.convert())
    with pytest.raises(ValueError, match="it takes float32 and gives float32" if kind == "float32" else "unpack"):
        LiteRTNetwork(str(tmp_path / TFLITE), (2, 2, 1))


def test_version_is_that_of_the_package() -> None:
    assert litert.version() == f"LiteRT {metadata.version('ai-edge-litert')}"
    assert litert.is_installed()


def test_where_the_package_is_missing_it_is_one_line(monkeypatch: pytest.MonkeyPatch, tiny_model: str) -> None:
    for name in ("ai_edge_litert", "ai_edge_litert.interpreter"):
        monkeypatch.setitem(sys.modules, name, None)
    litert.interpreter.cache_clear()
    assert not litert.is_installed()
    with pytest.raises(UsageError, match=r"^--engine litert needs the package ai-edge-litert.*pip install") as caught:
        LiteRTNetwork(f"{tiny_model}/{TFLITE}", SHAPE)
    assert "\n" not in str(caught.value)


def test_litert_takes_little_time_and_no_tensorflow_to_load(tiny_model: str) -> None:
    program = """if True:
        import sys
        from pipeline.model.directory import read_spec
        from pipeline.model.loaded import Model
        Model(sys.argv[1], read_spec(sys.argv[1]), "litert")
        print(*{"tensorflow", "keras", "apache_beam", "pyarrow", "matplotlib"} & set(sys.modules))
    """
    done = subprocess.run([sys.executable, "-c", program, tiny_model], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
