"""Texts that are kept compressed are the texts that were added."""

from __future__ import annotations

import pytest

from model_training.data.compressed_texts import BLOCK, CompressedTexts


@pytest.mark.parametrize("n", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_compressed_texts_are_the_texts(n: int) -> None:
    expected = [f"{i}\udcff\n\0é" for i in range(n)]
    texts = CompressedTexts(expected[: n // 2])
    texts.add(expected[n // 2 :])
    assert (len(texts), [text for block in texts.blocks() for text in block]) == (n, expected)
    assert [texts[i] for i in range(n)] == expected
    with pytest.raises(IndexError):
        texts[n]
