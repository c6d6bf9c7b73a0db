"""Pixels enter a foreign network as it wants them, and its outputs become scores, each held to the slow formula."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import NewerFormatError
from pipeline.model.feed import Feed, Head, Quantization, rows_of, tables, values_of, with_head

FEED = Feed((1 / 127.5, 0.5, 1.0), (-1.0, 0.0, -103.9))
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), np.uint8)


@pytest.mark.parametrize(
    ("dtype", "quantization"),
    [("float32", None), ("float16", None), ("uint8", Quantization(0.5, 110)), ("int8", Quantization(0.25, -3))],
)
def test_values_are_those_of_the_formula(dtype: str, quantization: Quantization | None) -> None:
    values = values_of(PIXELS, tables(FEED, dtype, quantization), "nhwc")
    expected = PIXELS.astype(np.float32) * np.float32(FEED.scale) + np.float32(FEED.offset)
    if quantization is not None:
        limits = np.iinfo(dtype)
        numbers = np.rint(expected.astype(np.float64) / quantization.step) + quantization.zero
        expected = np.clip(numbers, limits.min, limits.max)
    assert values.dtype == dtype
    np.testing.assert_array_equal(values, expected.astype(dtype))


def test_whole_numbers_of_a_network_that_is_not_quantized_are_kept_within_their_type() -> None:
    levels = tables(Feed((2.0,), (-10.0,)), np.uint8, None)
    assert levels[0, [0, 5, 128, 255]].tolist() == [0, 0, 246, 255]


def test_axes_are_put_in_order() -> None:
    levels = tables(Feed((1.0,) * 3, (0.0,) * 3), np.float32, None)
    np.testing.assert_array_equal(values_of(PIXELS, levels, "nchw"), PIXELS.transpose(0, 3, 1, 2))
    grey = values_of(PIXELS[..., :1], levels[:1], "nhw")
    np.testing.assert_array_equal(grey, PIXELS[..., 0])


def test_outputs_are_dequantized_and_flat() -> None:
    rows = rows_of(np.array([[[[0, 128, 255]]]], np.uint8), Quantization(1 / 256, 0))
    np.testing.assert_array_equal(rows, np.float32([[0, 0.5, 255 / 256]]))
    assert rows_of(np.zeros((2, 1, 1, 7), np.float16), None).dtype == np.float32


@given(st.lists(st.floats(-80, 80, width=32), min_size=2, max_size=6))
def test_heads_make_probabilities(numbers: list[float]) -> None:
    rows = np.float32([numbers])
    softmax = with_head(rows, "softmax")
    assert softmax.dtype == np.float32
    np.testing.assert_allclose(softmax.sum(), 1, atol=1e-5)
    assert softmax.argmax() == rows.argmax() or softmax.max() == softmax[0, rows.argmax()]
    exact = 1 / (1 + np.exp(-rows.astype(np.float64)))
    np.testing.assert_allclose(with_head(rows, "sigmoid"), exact, rtol=1e-5, atol=1e-30)
    pair = with_head(rows[:, :1], "sigmoid_pair")
    np.testing.assert_allclose(pair, [[1 - exact[0, 0], exact[0, 0]]], atol=1e-6)
    np.testing.assert_array_equal(with_head(rows, "none"), rows)


def test_feed_is_written_and_read() -> None:
    for feed in (FEED, replace(FEED, order="nchw", output=None, head="softmax", embedding=2)):
        assert Feed.from_json(feed.to_json(), 3) == feed


@pytest.mark.parametrize(
    "change",
    [
        {"scale": [1.0]},
        {"offset": [0.0, 0.0, float("nan")]},
        {"order": "hwc"},
        {"head": "argmax"},
        {"output": -1},
        {"output": None},
        {"embedding": True},
        {"scale": "1"},
    ],
)
def test_feed_that_contradicts_itself_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="feed"):
        Feed.from_json({**FEED.to_json(), **change}, 3)
    with pytest.raises(NewerFormatError):
        Feed.from_json({**FEED.to_json(), "mean": [0]}, 3)
    with pytest.raises(ValueError, match="no JSON object"):
        Feed.from_json([], 3)


def test_every_head_is_known() -> None:
    heads: list[Head] = ["none", "softmax", "sigmoid", "pair", "sigmoid_pair"]
    for head in heads:
        assert with_head(np.float32([[0.5]]), head).shape[0] == 1
