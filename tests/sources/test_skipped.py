"""What is not scored: counted by reason, with the first example of each; inside compressed containers, too."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import archive_rows
import pytest
import zstandard
from archive_rows import RULE, Row
from archives import zipped
from fuzz_corpus import example_of, framed
from hypothesis import given, settings
from hypothesis import strategies as st
from read_inputs import read_inputs

from pipeline import sources, storage
from pipeline.errors import ChangedError
from pipeline.sources import tar_archive
from pipeline.sources.container import Cut
from pipeline.sources.skipped import EMPTY, JUNK, LABELS, NO_FILES, OTHER, SYMBOLIC, Skipped, pictures_beside
from pipeline.units import WorkUnit

PGM = b"P5 3 3 255\n" + bytes(9)
PACKS: Mapping[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.compress,
}
Member = tuple[str, bytes, bytes]
"""Name, type as in `tarfile`, content or what a link leads to."""


def tar(members: Sequence[Member]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", errors="surrogateescape") as archive:
        for name, kind, data in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if kind == tarfile.REGTYPE:
                member.size = len(data)
            elif kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                member.linkname = data.decode()
            archive.addfile(member, io.BytesIO(data) if member.size else None)
    return buffer.getvalue()


def tar_of(files: Mapping[str, bytes]) -> bytes:
    return tar([(name, tarfile.REGTYPE, data) for name, data in files.items()])


def read(kind: str, path: Path, unit_images: int = 2048) -> tuple[list[Row], Skipped]:
    """Return the rows of a container, and what is no row: told by planning it, and by reading it."""
    skipped = Skipped()
    units = archive_rows.units_of(kind, path, unit_images, skipped)
    return archive_rows.rows_of(path, units, skipped), skipped


def test_first_example_of_each_reason_is_kept_and_all_are_counted() -> None:
    skipped = Skipped()
    assert not skipped
    for reason, key, n in ((JUNK, "b", 1), (OTHER, "c", 2), (JUNK, "a", 3)):
        skipped.add(reason, key, n)
    assert skipped.counts == {JUNK: 4, OTHER: 2}
    assert skipped.examples == {JUNK: "b", OTHER: "c"}
    assert skipped.total == 6
    assert skipped


def test_counts_of_another_place_are_added() -> None:
    skipped = Skipped()
    skipped.add(JUNK, "b", 2)
    skipped.update({OTHER: 3, JUNK: 1}, {OTHER: "c", JUNK: "a"})
    assert (skipped.counts, skipped.examples) == ({JUNK: 3, OTHER: 3}, {JUNK: "b", OTHER: "c"})


BASES = st.sampled_from(["a", "a/b", "cat/a", "b", "a.seg", "b.left", "é" * 90, ".hidden/a", "__MACOSX/a", "\udcff"])
ENDINGS = st.sampled_from([".png", ".jpg", ".cls", ".json", ".txt", ".heic", ".svg", "", ".idx", "/Thumbs.db"])
NAMES = st.builds("{}{}".format, BASES, ENDINGS)
CONTENTS = st.sampled_from([b"", b"1", PGM, b'{"label": 0}', b"x" * 700])
LEAVES = st.one_of(
    st.tuples(NAMES, st.just(tarfile.REGTYPE), CONTENTS),
    st.tuples(NAMES, st.just(tarfile.REGTYPE), CONTENTS),
    st.tuples(NAMES, st.sampled_from([tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]), st.just(b"")),
    st.tuples(NAMES, st.sampled_from([tarfile.SYMTYPE, tarfile.LNKTYPE]), st.sampled_from([b"a.png", b"b", b"gone"])),
)
FLAT = st.lists(LEAVES, max_size=12)


@settings(max_examples=150)
@given(FLAT, st.sampled_from(sorted(PACKS)), st.integers(1, 4))
def test_a_compressed_tar_counts_what_the_plain_one_counts(members: list[Member], pack: str, unit_images: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.tar"
        path.write_bytes(tar(members))
        rows, plain = read("tar", path, unit_images)
        path.write_bytes(PACKS[pack](tar(members)))
        rows_of_packed, packed = read("tar", path)
    assert rows_of_packed == rows
    assert packed.counts == plain.counts
    assert packed.examples == plain.examples
    empty = int(not rows)  # the archive itself
    assert len(rows) + plain.total - empty == len(members)


INNER = st.lists(st.tuples(NAMES, st.just(tarfile.REGTYPE), CONTENTS), max_size=4)
NESTED = st.lists(
    LEAVES | st.tuples(st.sampled_from(["in.tar", "a/in.tar"]), st.just(tarfile.REGTYPE), INNER | st.just(b"")),
    max_size=6,
)  # fmt: skip


@settings(max_examples=100)
@given(NESTED)
def test_archives_in_a_compressed_tar_count_what_those_in_the_plain_one_count(
    nested: list[tuple[str, bytes, bytes | list[Member]]],
) -> None:
    members = [(name, kind, tar(data) if isinstance(data, list) else data) for name, kind, data in nested]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.tar"
        path.write_bytes(tar(members))
        rows, plain = read("tar", path)
        path.write_bytes(gzip.compress(tar(members)))
        rows_of_packed, packed = read("tar", path)
    assert Counter(rows_of_packed) == Counter(rows)  # those of the inner archives come where these lie
    assert packed.counts == plain.counts


FILES = {
    "0.png": PGM, "0.seg.png": PGM, "0.cls": b"1", "1.png": PGM, "1.seg.png": PGM, "1.json": b"{}",
    "notes.txt": b"n", "Thumbs.db": b"t",
}  # fmt: skip
COUNTS = {pictures_beside("seg.png"): 2, LABELS: 2, OTHER: 1, JUNK: 1}


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tgz", "tar.bz2", "tar.xz", "tar.zst"])
def test_what_the_suffix_says_changes_no_count(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    pack = {**PACKS, "tgz": gzip.compress, "tar": bytes}[suffix.rpartition(".")[2]]
    path.write_bytes(pack(tar_of(FILES)))
    found = read_inputs(path)
    assert (found.rows, found.skipped.counts) == (2, COUNTS)
    assert found.skipped.examples[OTHER] == f"{path}!notes.txt"


@pytest.mark.parametrize("outer", ["tar", "tar.gz", "zip", "stored.zip"])
@pytest.mark.parametrize("inner", ["tar", "tar.gz", "zip", "stored.zip"])
def test_members_of_inner_archives_are_counted(tmp_path: Path, outer: str, inner: str) -> None:
    make: dict[str, Callable[[Mapping[str, bytes]], bytes]] = {
        "tar": tar_of,
        "tar.gz": lambda files: gzip.compress(tar_of(files)),
        "zip": zipped,
        "stored.zip": lambda files: zipped(files, zipfile.ZIP_STORED),
    }
    files = {"0.png": PGM, "notes.txt": b"n", "Thumbs.db": b"t", "sub/more.txt": b"m"}
    path = tmp_path / f"x.{outer}"
    path.write_bytes(make[outer]({f"in.{inner}": make[inner](files), "o.txt": b"o", "no.tar": tar_of({"a.txt": b""})}))
    found = read_inputs(path)
    if outer == "tar.gz" and inner in ("zip", "stored.zip"):
        assert (len(found.failures), found.skipped.counts) == (1, {OTHER: 2, EMPTY: 1})
        return
    assert (list(found.images), found.failures) == ([f"{path}!in.{inner}!0.png"], {})
    assert found.skipped.counts == {OTHER: 4, JUNK: 1, EMPTY: 1}
    assert found.skipped.examples[JUNK] == f"{path}!in.{inner}!Thumbs.db"
    assert found.skipped.examples[EMPTY] == f"{path}!no.tar"


def test_a_compressed_container_without_an_image_is_counted_as_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(tar_of({"notes.txt": b"n"})))
    (tmp_path / "b.tfrecord.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "c.zip").write_bytes(zipped({"in.zip": zipped({"notes.txt": b"n"})}))
    found = read_inputs(tmp_path)
    assert (found.rows, found.skipped.counts) == (0, {EMPTY: 3, OTHER: 2})
    (tmp_path / "b.tfrecord.gz").write_bytes(gzip.compress(framed(example_of({"image": PGM}))))
    assert read_inputs(tmp_path).skipped.counts == {EMPTY: 2, OTHER: 2}


def test_image_key_decides_what_is_counted_inside_too(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(tar_of(FILES)))
    found = read_inputs(path, image_key="seg.png")
    assert [key.rpartition("!")[2] for key in found.images] == ["0.seg.png", "1.seg.png"]
    assert found.skipped.counts == {pictures_beside("png"): 2, LABELS: 2, OTHER: 1, JUNK: 1}


def test_symbolic_links_and_folders_are_counted_inside_too(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    members = [("a.png", tarfile.REGTYPE, PGM), ("b.png", tarfile.SYMTYPE, b"a.png"), ("d", tarfile.DIRTYPE, b"")]
    path.write_bytes(gzip.compress(tar(members)))
    assert read_inputs(path).skipped.counts == {SYMBOLIC: 1, NO_FILES: 1}


@pytest.mark.parametrize("unit_images", [1, 2048])
def test_a_unit_that_planning_has_counted_is_not_counted_again(tmp_path: Path, unit_images: int) -> None:
    for name in ("x.tar", "x.zip"):
        (tmp_path / name).write_bytes(tar_of(FILES) if name == "x.tar" else zipped(FILES))
        skipped = Skipped()
        for unit in archive_rows.units_of(name[2:], tmp_path / name, unit_images):
            list(sources.read(unit, RULE, skipped))
            list(sources.pieces(unit, RULE, skipped=skipped))
        assert not skipped


def test_pieces_have_counted_all_when_the_last_one_is_there(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(tar_of(FILES)))
    (unit,) = archive_rows.units_of("tar", path)
    skipped = Skipped()
    assert len(list(sources.pieces(unit, RULE, 1, skipped))) == 2
    assert skipped.counts == COUNTS


@pytest.mark.parametrize(("limit", "counts"), [(5, COUNTS), (1, {pictures_beside("seg.png"): 1, LABELS: 1})])
def test_a_limit_counts_what_is_read_to_find_as_many_images(tmp_path: Path, limit: int, counts: dict[str, int]) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(tar_of(FILES)))
    found = read_inputs(path, limit=limit)
    assert (found.rows, found.skipped.counts) == (min(limit, 2), counts)


def test_an_archive_that_changes_while_it_is_planned_is_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(tar_of(FILES))

    def index(whole: WorkUnit, cut: Cut) -> list[WorkUnit]:
        cut.skipped.add(OTHER, "what was found before the archive changed")
        raise ChangedError("changed")

    skipped = Skipped()
    with monkeypatch.context() as patched:
        patched.setattr(tar_archive, "index", index)
        found = storage.stat(str(path))
        assert found is not None
        units = list(sources.index("tar", found, 2048, skipped))
    assert (len(units), skipped.total) == (1, 0)
    assert len(archive_rows.rows_of(path, units, skipped)) == 2
    assert skipped.counts == COUNTS
