"""Compressed streams read forward: whole, to any place, past their end, and bombs."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
import zstandard
from mostly_heavy import mostly_heavy

from pipeline.sources.compression import is_compressed
from pipeline.sources.inflate import BombError, Inflated
from pipeline.sources.limits import DEFLATED, RATIO, SMALL

Compress = Callable[[bytes], bytes]
COMPRESSIONS = [gzip.compress, bz2.compress, lzma.compress, zlib.compress, zstandard.compress]


def opened(data: bytes) -> Inflated:
    return Inflated(io.BufferedReader(io.BytesIO(data)))  # type: ignore[arg-type]


@pytest.mark.parametrize("compress", COMPRESSIONS)
class TestHonest:
    def test_content_is_read_in_pieces_of_any_size(self, compress: Compress) -> None:
        content = random.Random(0).randbytes(3 << 17)
        packed = compress(content)
        for size in (1 << 12, 1 << 18, (1 << 18) + 1, 5 << 18):
            file = opened(packed)
            assert b"".join(iter(lambda: file.read(size), b"")) == content  # noqa: B023
            assert file.tell() == len(content)

    def test_what_lies_between_is_passed_over(self, compress: Compress) -> None:
        content = random.Random(0).randbytes(3 << 17)
        file = opened(compress(content))
        for at in (0, 5, 6, 1 << 18, len(content) - 1):
            assert file.seek(at) == at
            assert file.read(1) == content[at : at + 1]
        assert file.seek(1 << 60) == len(content)
        assert file.read(1) == b""

    def test_several_streams_are_one(self, compress: Compress) -> None:
        assert opened(compress(b"a" * 600) + compress(b"b")).read(1_000) == b"a" * 600 + b"b"

    def test_a_few_megabytes_of_zeros_are_no_bomb(self, compress: Compress) -> None:
        assert opened(compress(bytes(SMALL))).read(SMALL + 1) == bytes(SMALL)


def test_what_is_compressed_is_known_by_its_start() -> None:
    assert all(is_compressed(compress(b"x")) for compress in COMPRESSIONS)
    assert not is_compressed(b"PK\3\4")
    assert not is_compressed(b"")


@pytest.mark.parametrize("compress", mostly_heavy(COMPRESSIONS, kept=[gzip.compress, zstandard.compress]))
def test_one_read_that_inflates_too_far_ends_early(compress: Compress) -> None:
    file = opened(compress(bytes(100 << 20)))
    tracemalloc.start()
    with pytest.raises(BombError, match=f"{RATIO}-fold|1,032-fold"):
        file.read(100 << 20)
    assert tracemalloc.get_traced_memory()[1] < 80 << 20
    tracemalloc.stop()
    assert file.tell() < 64 << 20


@pytest.mark.heavy
def test_a_stream_that_inflates_without_end_is_not_passed_over_to_its_end() -> None:
    """90 GB in 90 kB, as bzip2 packs them; deflate cannot, and is passed over."""
    file = opened(bz2.compress(bytes(45_000_000)) * 2_000)
    with pytest.raises(BombError, match="inflates more than 1,032-fold"):
        file.seek(1 << 60)
    assert file.tell() < SMALL + DEFLATED * 200_000
    packed = gzip.compress(bytes(100 << 20))
    assert opened(packed).seek(1 << 60) == 100 << 20
