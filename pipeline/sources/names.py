"""Names of files, and what they promise: an image, a label, or junk. Must not open a file."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from pipeline.image_kinds import READ_SUFFIXES, unread_by_suffix

IMAGE_SUFFIXES = READ_SUFFIXES
SIDECAR_SUFFIXES = frozenset({".cls", ".json"})
"""Suffixes of files that lie beside an image in an archive and may hold its label."""

_TEXTS = """
txt text md rst log csv tsv jsonl ndjson json geojson xml xmp yaml yml toml ini cfg conf html htm css js ts py pyc ipynb
r m sh bat c h cc cpp hpp java go rs sql tex bib srt vtt lst list names url webloc lnk aae cls id
"""
_DATA = """
parquet feather arrow avro orc db sqlite sqlite3 mdb npy npz mat pkl pickle pt pth h5 hdf5 keras onnx tflite pb bag pcd
ply obj las laz shp shx dbf prj tfw jgw txn pdf doc docx xls xlsx ppt pptx odt ods odp rtf epub ttf otf woff woff2
"""
_REST = """
mp4 m4v mov avi mkv webm mpg mpeg wmv flv 3gp mts m2ts mp3 m4a wav flac ogg opus aac
exe dll so dylib iso dmg apk jar whl deb rpm rar 7z lz4 lzma md5 sha1 sha256 sfv crc sig asc par2 torrent lock pid
"""
OTHER_SUFFIXES = frozenset(f".{name}" for name in f"{_TEXTS} {_DATA} {_REST}".split())
"""Suffixes of files that are no images: in a folder and in an archive they are not opened to see."""

_SUFFIX_WITHIN = re.compile(
    rf"\.({'|'.join(sorted(ending[1:] for ending in IMAGE_SUFFIXES))})(?![a-z0-9])", re.IGNORECASE
)

_JUNK_FILES = frozenset({"", "Thumbs.db", "thumbs.db", "ehthumbs.db", "Desktop.ini", "desktop.ini", "Icon\r"})
_JUNK_FOLDERS = frozenset(
    {
        "__macosx", "network trash folder", "temporary items",  # macOS
        "$recycle.bin", "recycler", "recycled", "system volume information",  # Windows
        "@eadir", "@tmp", "#recycle", "#snapshot",  # Synology
        "@recycle", "@recently-snapshot",  # QNAP, which also has .@__thumb
        "lost+found", "__pycache__",
    }
)  # fmt: skip
"""Names of folders, in lower case, in which systems keep what a person has deleted, or never sees."""


def suffix(name: str) -> str:
    """Return a name's last suffix in lower case, with its dot.

    >>> suffix("a.b/X.JPG"), suffix("a.b/none")
    ('.jpg', '')
    """
    _, dot, ending = name.rpartition(".")
    return f".{ending.lower()}" if dot and "/" not in ending else ""


def same_name(name: str) -> str:
    r"""Return a name in the one spelling by which names are compared: composed (NFC), without spaces around it.

    A Mac writes é as e and an accent; everything else writes one letter.

    >>> same_name("cafe\u0301 ") == same_name("caf\u00e9"), same_name("cat") == same_name("Cat")
    (True, False)
    """
    name = name.strip()
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def same_name_in_any_case(name: str) -> str:
    r"""Return a name such that names are equal which differ in the case of their letters alone, or not at all.

    >>> same_name_in_any_case("Cafe\u0301") == same_name_in_any_case("CAF\u00c9 ")
    True
    """
    return same_name(same_name(name).casefold())


def with_slashes(name: str) -> str:
    r"""Return a name as it is written on Windows with "/" between its folders; one that has "/" stays.

    >>> with_slashes("cat\\1.png"), with_slashes("cat/a\\b.png")
    ('cat/1.png', 'cat/a\\b.png')
    """
    return name if "/" in name else name.replace("\\", "/")


def is_image_name(name: str) -> bool:
    """Return whether a name promises an image of a supported format, and is no junk."""
    return suffix(name) in IMAGE_SUFFIXES and not is_junk_name(name)


def is_sidecar_name(name: str) -> bool:
    """Return whether a name in an archive promises a label beside an image, as in WebDataset."""
    return suffix(name) in SIDECAR_SUFFIXES and not is_junk_name(name)


def may_be_image(name: str) -> bool:
    """Return whether only the first bytes of a file tell whether it is an image. The name is not junk.

    So it is if the name has no suffix, or none that is known, or that of a kind of image that is not read: programs
    give HEIC's suffix to JPEG files. A text's name tells that it is none, unless an image's suffix stands before: mail
    programs make a.jpg.txt of a.jpg.

    >>> may_be_image("0e3f"), may_be_image("a.png?w=640"), may_be_image("a.jpg.txt"), may_be_image("a.txt")
    (True, True, True, False)
    """
    ending = suffix(name)
    if ending == ".txt":
        return suffix(name[:-4]) in IMAGE_SUFFIXES
    return ending not in OTHER_SUFFIXES and ending not in IMAGE_SUFFIXES


def is_other(name: str) -> bool:
    """Return whether a name is that of no image and no archive of images: a text, a table, a film, a program.

    >>> is_other("book.XLSX"), is_other("photos.cbz"), is_other("0e3f")
    (True, False, False)
    """
    return suffix(name) in OTHER_SUFFIXES


def unread_kind(name: str) -> str | None:
    """Return the kind of image that a name promises, if it is one that is not read; see `pipeline.image_kinds`."""
    return unread_by_suffix(suffix(name))


def has_image_suffix(name: str) -> bool:
    """Return whether an image's suffix stands anywhere in a file's name, not as the start of a longer word.

    >>> has_image_suffix("a.jpg~"), has_image_suffix("a.png?w=640"), has_image_suffix("a.jpg_large")
    (True, True, True)
    >>> has_image_suffix("a.mask"), has_image_suffix("b.png/a.mask")
    (False, False)
    """
    return _SUFFIX_WITHIN.search(name.rpartition("/")[2]) is not None


def is_junk_name(name: str, named: Sequence[str] = ()) -> bool:
    """Return whether a system left this behind, and no person: thumbnails, what was deleted, what is hidden, folders.

    Args:
        name: of a file, below the input that it was found in.
        named: see `junk_in`; what one of them matches is no junk.

    >>> is_junk_name("__MACOSX/a.png"), is_junk_name("a/._b.png"), is_junk_name("a/"), is_junk_name("a/b.png")
    (True, True, True, False)
    >>> is_junk_name("4/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg"), is_junk_name(".Trash-1000/files/1.png")
    (True, True)
    """
    folder, _, file = name.rpartition("/")
    if named:
        folder = "/".join(part for part in folder.split("/") if not _matches(part, named))
        if _matches(file, named):
            return _is_in_junk(folder)
    return file in _JUNK_FILES or _is_hidden(file) or _is_in_junk(folder)


def junk_in(pattern: str) -> tuple[str, ...]:
    """Return the names in a glob that are junk: who writes them wants what they match.

    >>> junk_in("photos/*/.thumbnails/*.png"), junk_in("photos/**")
    (('.thumbnails',), ())
    """
    return tuple(part for part in pattern.split("/") if _is_junk_folder(part) or _is_hidden(part))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@lru_cache(4096)
def _is_in_junk(folder: str) -> bool:
    """Return whether any folder of a path is junk."""
    return any(map(_is_junk_folder, folder.split("/")))


def _is_hidden(name: str) -> bool:
    """Return whether a name is one that systems do not show; one that begins with two dots leads up, as on Windows."""
    return name.startswith(".") and name != "." and not name.startswith("..")


def _is_junk_folder(name: str) -> bool:
    return _is_hidden(name) or name.lower() in _JUNK_FOLDERS
