"""The whole files that fuzzing starts from: small images in every format, small archives of every kind.

Damage to a compressed or checksummed file is noticed at its surface. So most archives come with a way to pack their
content again, checksums and all, after the content was damaged.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import re
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from unittest.mock import patch

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mutations import mutated, mutated_fields
from pictures import GREY, INKS, KINDS, ONE_BIT, PICTURE, RAMP, saved
from PIL import Image

Pack = Callable[[bytes], bytes]


def png_of(data: bytes) -> bytes:
    """Return a PNG file with the checksums of its chunks made right."""
    whole, at = bytearray(data), 8
    while at + 12 <= len(whole):
        end = at + 8 + int.from_bytes(whole[at : at + 4], "big")
        if end + 4 > len(whole):
            break
        struct.pack_into(">I", whole, end, zlib.crc32(whole[at + 4 : end]))
        at = end + 4
    return bytes(whole)


def png_of_rows(data: bytes, rng: random.Random) -> bytes:
    """Return a PNG file whose rows were damaged before they were compressed."""
    start, stop = data.index(b"IDAT") + 4, data.rindex(b"IEND") - 8
    content = zlib.compress(mutated(zlib.decompress(data[start:stop]), data, rng), 1)
    return png_of(data[: start - 8] + struct.pack(">I", len(content)) + b"IDAT" + content + bytes(4) + data[stop + 4 :])


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "a description"
    return exif.tobytes()


_BILEVEL = Image.fromarray(ONE_BIT * 255).convert("1")
_MORE_IMAGES = {
    "JPEG turned": saved(PICTURE, "JPEG", exif=_exif(6)),
    "JPEG subsampled, with restarts": saved(np.tile(PICTURE, (3, 3, 1)), "JPEG", restart_marker_rows=1, quality=40),
    "PNG turned": saved(PICTURE, "PNG", exif=_exif(5)),
    "WebP turned": saved(PICTURE, "WEBP", exif=_exif(3)),
    "WebP large": saved(np.tile(PICTURE, (5, 5, 1)), "WEBP", quality=30),
    "TIFF deflate": saved(PICTURE, "TIFF", compression="tiff_adobe_deflate"),
    "TIFF packbits": saved(PICTURE, "TIFF", compression="packbits"),
    "TIFF JPEG": saved(PICTURE, "TIFF", compression="jpeg"),
    "TIFF CMYK": saved(Image.frombytes("CMYK", PICTURE.shape[1::-1], INKS.tobytes()), "TIFF", compression="tiff_lzw"),
    "TIFF group 3": saved(_BILEVEL, "TIFF", compression="group3"),
    "TIFF zstd": saved(PICTURE, "TIFF", compression="zstd"),
    "TIFF turned": saved(PICTURE, "TIFF", compression="tiff_lzw", exif=_exif(8)),
    "BMP RLE": b"BM" + struct.pack("<IIIIiiHHIIIIII", 86, 0, 62, 40, 8, 2, 1, 8, 1, 24, 0, 0, 2, 2)
    + bytes(4) + b"\xff\xff\xff\0" + b"\x08\1\0\0\0\3\0\1\0\0\5\1\0\0\0\1\0\1\0\2\0\0\0\1",
    "PGM": saved(GREY, "PPM"),
    "PGM of 16 bits": saved(RAMP, "PPM"),
    "PPM": saved(PICTURE, "PPM"),
    "PPM with a comment": b"P6 # by hand\n24 16\n200\n" + PICTURE.tobytes(),
}  # fmt: skip
IMAGES = {name: kind.data for name, kind in KINDS.items()} | _MORE_IMAGES
FORMATS = sorted({name.split()[0].removesuffix(",") for name in IMAGES})


def image_input(form: str, rng: random.Random) -> tuple[str, bytes]:
    """Return the name of an image of a format, and what became of it."""
    name = rng.choice([name for name in IMAGES if name.split()[0] == form])
    if form == "PNG" and rng.random() < 0.3:
        return name, png_of_rows(IMAGES[name], rng)
    data = mutated(IMAGES[name], IMAGES[rng.choice(list(IMAGES))], rng)
    return name, png_of(data) if data.startswith(b"\x89PNG") and rng.random() < 0.7 else data


@dataclass(frozen=True)
class Archive:
    """One input of a run.

    Attributes:
        name: of its file.
        content: what is damaged before it is packed.
        pack: makes the file of the content.
        beside: other files in its folder.
        by_line: whether it is lines that come and go, too.
    """

    name: str
    content: bytes
    pack: Pack = bytes
    beside: Mapping[str, bytes] = field(default_factory=dict)
    by_line: bool = False

    def damaged(self, others: Sequence[Archive], rng: random.Random) -> dict[str, bytes]:
        """Return its files by name, of which one is damaged."""
        other = rng.choice(others)
        if self.beside and rng.random() < 0.3:
            name = rng.choice(list(self.beside))
            return {**self.beside, self.name: self.pack(self.content), name: mutated(self.beside[name], b"\0", rng)}
        if self.by_line and rng.random() < 0.5:
            whole = b"\n".join(mutated_fields(self.content.split(b"\n"), rng))
        elif self.pack is not bytes and rng.random() < 0.6:
            whole = self.pack(mutated(self.content, other.content, rng))
        else:
            whole = mutated(self.pack(self.content), other.pack(other.content), rng)
        return {**self.beside, self.name: whole}


SMALL = {
    "cat/1.png": IMAGES["PNG palette"], "cat/2.GIF": IMAGES["GIF"], "dog/é.jpg": IMAGES["JPEG grey"],
    "dog/notes.txt": b"notes", "top.bmp": IMAGES["BMP 1 bit"],
}  # fmt: skip
LONG = {**SMALL, "d" * 90 + "/" + "n" * 120 + ".png": IMAGES["PNG 1 bit"]}
SAMPLES = {
    "1.png": IMAGES["PNG 1 bit"], "1.cls": b"1", "2.json": b'{"label": "cat", "n": [1, 2]}', "2.png": b"P5 1 1 255\n0",
    "3.left.png": IMAGES["PNG palette"], "3.right.png": IMAGES["GIF"], "3.cls": b"dog", "._4.png": b"",
}  # fmt: skip


def tar_of(files: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, encoding="utf-8") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "1.png"
        archive.addfile(link)
        end = archive.offset + 1024
    return buffer.getvalue()[:end]


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


def checksummed(data: bytes) -> bytes:
    """Return a tar archive with the checksums of what looks like headers made right."""
    whole = bytearray(data)
    for at in range(0, len(whole) - 511, 512):
        if whole[at + 257 : at + 262] == b"ustar":
            whole[at + 148 : at + 156] = b" " * 8
            whole[at + 148 : at + 156] = b"%06o\0 " % sum(whole[at : at + 512])
    return bytes(whole)


def _sparse_tar() -> bytes:
    """Return an archive with a sparse member in the old GNU way: 12 bytes of it are stored, 2 KB are holes."""
    member = tarfile.TarInfo("sparse.png")
    member.size, member.type = 12, tarfile.GNUTYPE_SPARSE
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    for i, number in enumerate((0, 8, 2_000, 4, 2_004, 0)):
        header[386 + 12 * i : 398 + 12 * i] = b"%011o\0" % number
    header[483:495] = b"%011o\0" % 2_004
    return checksummed(bytes(header) + b"P5 40 49 255".ljust(512, b"\0") + tar_of(SMALL))


def _commented_tar() -> bytes:
    """Return an archive with headers for all members to come, before the first and in between."""
    said = tarfile.TarInfo("pax_global_header")
    said.type, said.size = tarfile.XGLTYPE, 36
    header = said.tobuf() + b"15 comment=xyz\n12 path=z.p\n9 size=5\n".ljust(512, b"\0")
    first = tar_of({"1.png": IMAGES["PNG 1 bit"]}, tarfile.USTAR_FORMAT)[:-1024]
    return header + first + header + tar_of(LONG)


def _linked_tar() -> bytes:
    """Return an archive with hard links to an image, to its label and to what is not there."""
    whole = tar_of({"1.png": IMAGES["PNG 1 bit"], "1.cls": b"1"}, tarfile.USTAR_FORMAT)[:-1024]
    for name, target in (("2.png", "1.png"), ("2.cls", "1.cls"), ("3.png", "gone.png")):
        link = tarfile.TarInfo(name)
        link.type, link.linkname = tarfile.LNKTYPE, target
        whole += link.tobuf(tarfile.USTAR_FORMAT)
    return whole + bytes(1024)


_SPARSE_PAX = tar_of({"GNUSparseFile.0/x.png": b"2\n0\n4\n2000\n4\n".ljust(512, b"\0") + b"P5 0    "})
TARS = [
    Archive("x.tar", tar_of(LONG), checksummed),
    Archive("x.tar", tar_of(LONG, tarfile.GNU_FORMAT), checksummed),
    Archive("x.tar", tar_of(SMALL, tarfile.USTAR_FORMAT), checksummed),
    Archive("x.tar", tar_of(SAMPLES), checksummed),
    Archive("x.tar", _sparse_tar(), checksummed),
    Archive("x.tar", _commented_tar(), checksummed),
    Archive("x.tar", _SPARSE_PAX, checksummed),
    Archive("unnamed", tar_of(SMALL), checksummed),
    Archive("x.tar.gz", tar_of(SAMPLES), lambda data: _gzip(checksummed(data))),
    Archive("x.tgz", tar_of(LONG), lambda data: _gzip(data[:900]) + _gzip(data[900:])),
    Archive("x.tar.bz2", tar_of(SMALL), lambda data: bz2.compress(checksummed(data))),
    Archive("x.tar.xz", tar_of(SMALL), lambda data: lzma.compress(checksummed(data), preset=0)),
    Archive("x.tar", _linked_tar(), checksummed),
    Archive("x.tar.gz", _linked_tar(), lambda data: _gzip(checksummed(data))),
    Archive("x.tar", tar_of({"in.tar": tar_of(SAMPLES), "in.tgz": _gzip(tar_of(SMALL))}), checksummed),
    Archive("x.tar.gz", tar_of({"in.tar": tar_of(SAMPLES), "in.tgz": _gzip(tar_of(SMALL))}), _gzip),
]  # fmt: skip


def zip_of(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED, zip64: bool = False) -> bytes:
    buffer = io.BytesIO()
    limit = 0 if zip64 else zipfile.ZIP_FILECOUNT_LIMIT
    with warnings.catch_warnings(), patch("zipfile.ZIP_FILECOUNT_LIMIT", limit):
        warnings.simplefilter("ignore")  # of names that come twice
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for name, data in [*files.items(), *list(files.items())[:1]]:
                with archive.open(zipfile.ZipInfo(name), "w", force_zip64=zip64) as file:
                    file.write(data)
            archive.comment = b"a comment"
    return buffer.getvalue()


class _Pipe(io.RawIOBase):
    """What cannot be entered again: zipfile writes sizes behind the content."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.data += bytes(data)
        return len(data)


def _streamed_zip() -> bytes:
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        for name, data in SMALL.items():
            archive.writestr(name, data)
    return pipe.data


def right_sums(data: bytes) -> bytes:
    """Return a zip archive of stored members with the checksums in its directory made right."""
    whole = bytearray(data)
    for found in re.finditer(re.escape(b"PK\1\2"), data):
        entry = data[found.start() : found.start() + 46]
        if len(entry) == 46:
            size, at = struct.unpack_from("<I", entry, 20)[0], struct.unpack_from("<I", entry, 42)[0]
            at += 30 + sum(struct.unpack_from("<HH", data, at + 26)) if at + 30 <= len(data) else 0
            struct.pack_into("<I", whole, found.start() + 16, zlib.crc32(data[at : at + size]))
    return bytes(whole)


ZIPS = [
    Archive("x.zip", zip_of(LONG, zipfile.ZIP_STORED), right_sums),
    Archive("x.zip", zip_of(SMALL)),
    Archive("x.zip", zip_of(SMALL, zip64=True)),
    Archive("x.zip", _streamed_zip()),
    Archive("x.zip", zip_of({"in.zip": zip_of(SMALL), "a.png": b"P5 1 1 255\n0"})),
    Archive("unnamed", zip_of(SMALL)),
    Archive("x.zip", zip_of(SMALL, zipfile.ZIP_BZIP2)),
    Archive("x.zip", zip_of(SMALL, zipfile.ZIP_LZMA)),
    Archive("x.zip", zip_of({"in.zip": zip_of(SMALL), "in.tar": tar_of(LONG)}, zipfile.ZIP_STORED)),
    Archive("x.zip", zip_of({"in.tgz": _gzip(tar_of(SMALL)), "in.tar": tar_of(SAMPLES)})),
]


def message(number: int, *payloads: bytes) -> bytes:
    """Return a field of a protocol buffer's message, once for each payload of less than 16 KB."""
    return b"".join(
        bytes([number << 3 | 2]) + (bytes([n]) if (n := len(p)) < 128 else bytes([n & 127 | 128, n >> 7])) + p
        for p in payloads
    )


def example_of(features: Mapping[str, bytes | int]) -> bytes:
    """Return a tf.train.Example."""
    entries = []
    for name, value in features.items():
        kind = message(1, message(1, value)) if isinstance(value, bytes) else message(3, message(1, bytes([value])))
        entries.append(message(1, name.encode()) + message(2, kind))
    return message(1, message(1, *entries))


def framed(*records: bytes) -> bytes:
    return b"".join(
        head + _masked(head) + record + _masked(record)
        for head, record in ((struct.pack("<Q", len(record)), record) for record in records)
    )


def _masked(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


_EXAMPLES = [
    example_of({"image/encoded": IMAGES["PNG palette"], "image/class/label": 1}),
    example_of({"image": IMAGES["GIF"], "label": b"dog"}),
    example_of({"image_raw": bytes(24), "height": 2, "width": 4, "depth": 3, "label": 0}),
]


def _between(record: bytes) -> bytes:
    return framed(_EXAMPLES[0], record, _EXAMPLES[1])


RECORDS = [
    Archive("x.tfrecord", framed(*_EXAMPLES)),
    *(Archive("x.tfrecord", example, _between) for example in _EXAMPLES),
    Archive("train-00000-of-00001", framed(*_EXAMPLES)),
    Archive("x.tfrecord.gz", framed(*_EXAMPLES), _gzip),
    Archive("x.tfrecord.gz", _EXAMPLES[2], lambda data: _gzip(_between(data))),
    Archive("x.tfrecord.gz", framed(*_EXAMPLES), zlib.compress),
]
_IDX = struct.pack(">IIII", 0x803, 7, 4, 3) + bytes(range(84))
_IDX_LABELS = struct.pack(">II", 0x801, 7) + bytes(range(7))
IDX = [
    Archive("a-images-idx3-ubyte", _IDX, beside={"a-labels-idx1-ubyte": _IDX_LABELS}),
    Archive(
        "a-images-idx3-ubyte.gz", _IDX, _gzip,
        {"a-labels-idx1-ubyte.gz": _gzip(_IDX_LABELS)},
    ),
    Archive("unnamed", _IDX),
]  # fmt: skip
_NAMES = [*SMALL, "cat/1.png", "./gone.png", "sub/../top.bmp"]
_ROWS = [{"file_name": name, "label": i % 3 or "cat", "x": [1.5, None]} for i, name in enumerate(_NAMES)]


def _parquet(compression: str) -> bytes:
    buffer = io.BytesIO()
    table = pa.table({"file_name": _NAMES, "label": list(range(len(_NAMES))), "x": [0.5] * len(_NAMES)})
    pq.write_table(table, buffer, compression=compression, row_group_size=4)
    return buffer.getvalue()


MANIFESTS = [
    Archive("x.csv", b"file_name,label\n" + b"".join(b'"%s",1\n' % n.encode() for n in _NAMES), by_line=True),
    Archive("x.csv", b"\xef\xbb\xbfx,label,uri\r\n" + b"\r\n".join(b"1,cat,%s" % n.encode() for n in _NAMES)),
    Archive("x.jsonl", b"\n".join(json.dumps(row).encode() for row in _ROWS), by_line=True),
    Archive("x.parquet", _parquet("none")),
    Archive("x.parquet", _parquet("snappy")),
    Archive("x.txt", "\n".join(_NAMES).encode(), by_line=True),
]


def _parquet_of_images(compression: str, group: int, **columns: object) -> bytes:
    """Return a Parquet file of images with labels, in the struct of Hugging Face, and any other columns."""
    buffer = io.BytesIO()
    encoded = [IMAGES["PNG palette"], IMAGES["GIF"], None, IMAGES["PNG 1 bit"], b"", IMAGES["GIF"]]
    structs = [{"bytes": data, "path": f"{i}.png"} for i, data in enumerate(encoded)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(structs, kind), "label": [0, 1, -1, None, 0, 7], **columns})
    features = {"image": {"_type": "Image"}, "label": {"names": ["dog", "cat"], "_type": "ClassLabel"}}
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, buffer, compression=compression, row_group_size=group)
    return buffer.getvalue()


def _parquet_of_bytes() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"content": [IMAGES["GIF"], IMAGES["PNG 1 bit"]] * 4, "y": ["cat"] * 8}), buffer)
    return buffer.getvalue()


PARQUETS = [
    Archive("x.parquet", _parquet_of_images("none", 2)),
    Archive("x.parquet", _parquet_of_images("snappy", 6, day=[1.5, None, 3.0, 4.0, 5.0, 6.0])),
    Archive("x.parquet", _parquet_of_images("zstd", 4)),
    Archive("train-00000-of-00001", _parquet_of_images("gzip", 2)),
    Archive("x.parquet", _parquet_of_bytes()),
]


def _npy(values: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(values))
    return buffer.getvalue()


_DIGITS = np.arange(7 * 4 * 5, dtype=np.uint8).reshape(7, 4, 5)
_ARRAYS = {"x_test.npy": _npy(_DIGITS), "y_test.npy": _npy(np.arange(7)), "x_train.npy": _npy(_DIGITS[:3, :, :, None])}
NUMPYS = [
    Archive("x_test.npy", _ARRAYS["x_test.npy"], beside={"y_test.npy": _ARRAYS["y_test.npy"]}),
    Archive("x.npy", _npy(np.zeros((3, 3, 8, 6), np.uint8))),
    Archive("x.npz", zip_of(_ARRAYS, zipfile.ZIP_STORED), right_sums),
    Archive("x.npz", zip_of(_ARRAYS)),
    Archive("x.npz", _ARRAYS["x_test.npy"], lambda data: zip_of({"images.npy": data, "labels.npy": _npy(["cat"] * 7)})),
    Archive("unnamed", zip_of(_ARRAYS, zipfile.ZIP_STORED)),
]
ARCHIVES = {
    "tar": TARS, "zip": ZIPS, "tfrecord": RECORDS, "idx": IDX, "manifest": MANIFESTS, "parquet": PARQUETS,
    "numpy": NUMPYS,
}  # fmt: skip


def folder_of_files(rng: random.Random) -> dict[bytes, bytes]:
    """Return files by names, both damaged, that a disk can hold side by side."""
    names = mutated_fields([b"cat/a.png", b"cat/b.GIF", b"._c.png", b"d.jpg", b"e.tar/f.png", b"g.txt"], rng)
    files: dict[bytes, bytes] = {}
    for name in names:
        parts = [part[:200] for part in name.replace(b"\0", b"%").split(b"/") if part not in (b"", b".", b"..")]
        name = b"/".join(parts[:8])
        taken = any((name + b"/").startswith(other + b"/") or (other + b"/").startswith(name + b"/") for other in files)
        if name and not taken:
            source = IMAGES[rng.choice(list(IMAGES))]
            files[name] = mutated(source, SMALL["cat/1.png"], rng) if rng.random() < 0.5 else source
    return files
