"""The side of an image follows from its pixels: copies are never apart, and no class is left out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from model_training.data.split import contradictions, copies, in_test_split, split, validation_split

few = st.sampled_from([0, 1 << 58, 1 << 60, 1 << 61, 1 << 62, 1 << 63, (1 << 64) - 1])
images = st.lists(st.tuples(few | st.integers(0, (1 << 64) - 1), st.integers(0, 3)), min_size=1, max_size=40)


def columns(pairs: list[tuple[int, int]]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    return np.array([pair[0] for pair in pairs], np.uint64), np.array([pair[1] for pair in pairs], np.int64)


@given(images)
def test_copies_are_on_one_side_and_every_class_is_learned(pairs: list[tuple[int, int]]) -> None:
    hashes, labels = columns(pairs)
    is_test, ranked = split(hashes, labels, 5)
    assert set(hashes[is_test].tolist()).isdisjoint(hashes[~is_test].tolist())
    assert set(labels[~is_test].tolist()) == set(labels.tolist())
    assert set(ranked) <= set(labels.tolist())


@given(
    st.lists(st.tuples(st.integers(0, (1 << 64) - 1), st.integers(0, 3)), min_size=1, unique_by=lambda pair: pair[0])
)
def test_class_of_several_pictures_is_tested_and_the_others_stay_where_their_hash_says(
    pairs: list[tuple[int, int]],
) -> None:
    hashes, labels = columns(pairs)
    is_test, ranked = split(hashes, labels, 4)
    for number, n in enumerate(np.bincount(labels, minlength=4).tolist()):
        mine = labels == number
        assert is_test[mine].any() == (n > 1)
        assert number in ranked or n < 2 or (is_test == in_test_split(hashes))[mine].all()


@given(st.integers(0, 1 << 32))
def test_a_fifth_of_any_hashes_is_for_testing(seed: int) -> None:
    hashes = np.random.default_rng(seed).integers(0, 1 << 64, 1_000, np.uint64)
    assert 100 <= in_test_split(hashes).sum() <= 300


@given(images, st.floats(0, 1))
def test_copies_do_not_validate_what_is_learned(pairs: list[tuple[int, int]], share: float) -> None:
    hashes, _ = columns(pairs)
    validates = validation_split(hashes, share)
    assert set(hashes[validates].tolist()).isdisjoint(hashes[~validates].tolist())
    assert not validates.all()
    assert validates.any() == (len(set(hashes.tolist())) > 1)


@given(images)
def test_counts_of_copies_are_those_of_a_naive_loop(pairs: list[tuple[int, int]]) -> None:
    hashes, labels = columns(pairs)
    of_hash: dict[int, list[int]] = {}
    for number, label in pairs:
        of_hash.setdefault(number, []).append(label)
    assert copies(hashes) == sum(len(found) - 1 for found in of_hash.values())
    assert contradictions(hashes, labels) == sum(len(set(found)) > 1 for found in of_hash.values())
