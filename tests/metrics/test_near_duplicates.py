"""Near duplicates: the groups are those of a comparison of all pairs, and crowds do not take for ever."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics.near_duplicates import LARGEST_DISTANCE, _choices, near_duplicates


def groups_of(hashes: list[int], distance: int) -> list[int]:
    """The oracle: image after image, each takes those behind it that are near and in no group."""
    groups: dict[int, int] = {}
    for i, one in enumerate(hashes):
        if i not in groups:
            near = (j for j in range(i, len(hashes)) if (one ^ hashes[j]).bit_count() <= distance)
            groups.update((j, i) for j in near if j not in groups)
    return [groups[i] for i in range(len(hashes))]


@st.composite
def crowds(draw: st.DrawFn) -> list[int]:
    """Hashes around a few centers, with some bits turned over."""
    centers = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
    turned = st.lists(st.integers(0, 63), max_size=9)
    found = []
    for center, bits in draw(st.lists(st.tuples(st.sampled_from(centers), turned), max_size=25)):
        for bit in bits:
            center ^= 1 << bit
        found.append(center)
    return found


@given(crowds(), st.integers(0, LARGEST_DISTANCE))
def test_groups_are_those_of_a_comparison_of_all_pairs(hashes: list[int], distance: int) -> None:
    found = near_duplicates(np.array(hashes, np.uint64), distance)
    assert found.is_complete
    assert found.groups.tolist() == groups_of(hashes, distance)


@given(crowds(), st.integers(1, LARGEST_DISTANCE), st.integers(1, 3))
def test_what_is_not_compared_is_told_and_no_group_holds_too_much(hashes: list[int], distance: int, most: int) -> None:
    found = near_duplicates(np.array(hashes, np.uint64), distance, most)
    assert not found.is_complete or found.groups.tolist() == groups_of(hashes, distance)
    for i, group in enumerate(found.groups.tolist()):
        assert group <= i
        assert (hashes[i] ^ hashes[group]).bit_count() <= distance


@pytest.mark.parametrize("agreeing", [1, 2, 3])
@pytest.mark.parametrize("distance", range(1, LARGEST_DISTANCE + 1))
def test_bands_cover_all_bits_once_in_every_choice(distance: int, agreeing: int) -> None:
    for bands, others in _choices(distance, agreeing):
        assert len(bands) == agreeing
        assert sorted(bit for start, stop in [*bands, *others] for bit in range(start, stop)) == list(range(64))


@pytest.mark.parametrize("n", [20_000, 200_000])
def test_near_ones_are_found_among_many_by_whatever_bands(n: int) -> None:
    random = np.random.default_rng(n)
    hashes = random.integers(0, 2**64, n, np.uint64)
    copies = hashes[:500].copy()
    for turn in (0, 1, 2, 3):
        copies ^= np.uint64(1) << random.integers(0, 64, len(copies)).astype(np.uint64)
        assert (near_duplicates(np.append(hashes, copies), turn + 1).groups[n:] <= np.arange(500)).all()


def test_a_crowd_is_not_compared_pair_by_pair() -> None:
    crowd = np.arange(1 << 15, dtype=np.uint64) << np.uint64(30)  # all agree in most bands: half a billion pairs
    found = near_duplicates(np.append(crowd, crowd), most_compared=8)
    assert not found.is_complete
    assert np.bincount(found.groups.astype(np.int64)).max() > 100
    assert found.groups[: len(crowd)].tolist() == found.groups[len(crowd) :].tolist()


def test_a_chain_is_cut_into_groups_of_what_is_near_its_first() -> None:
    chain = np.array([(1 << i) - 1 for i in range(60)], np.uint64)
    found = near_duplicates(chain, 4)
    assert found.is_complete
    assert found.groups.tolist() == [i // 5 * 5 for i in range(60)]


def test_many_images_of_one_hash_are_one_hash() -> None:
    hashes = np.zeros(300_000, np.uint64)
    hashes[::1000] = np.uint64(2**64 - 1)
    found = near_duplicates(hashes)
    assert found.is_complete
    assert set(found.groups.tolist()) == {0, 1}


def test_distance_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="distance 9: expected 0 to 8 bits"):
        near_duplicates(np.zeros(1, np.uint64), 9)
    assert near_duplicates(np.zeros(0, np.uint64)).groups.tolist() == []
