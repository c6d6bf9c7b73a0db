"""Parquet files whose rows hold images, as Hugging Face's datasets write them, or as a plain column of bytes.

The footer tells the row groups and the columns; a unit reads only its row groups, a few rows at a time. The image is a
struct {bytes, path} or a binary column. A label that is a ClassLabel of Hugging Face has its names in the schema. What
Arrow raises on damaged bytes becomes failed rows with its words. A Parquet file that is a list of image files is
`pipeline.sources.manifest`'s.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from typing import NamedTuple

from pipeline.batches import BATCH_BYTES, BATCH_IMAGES, Code, EncodedBatch, Failure
from pipeline.errors import ChangedError, UsageError
from pipeline.image_kinds import HEAD
from pipeline.sources import images, parquet_columns
from pipeline.sources.container import (
    NONE,
    Extent,
    Image,
    container_unit,
    cut_container,
    fail_the_rest,
    make_batches,
)
from pipeline.sources.foreign_file import DamagedError
from pipeline.sources.labels import Label, as_entry, folder_of
from pipeline.sources.limits import LONGEST, RATIO, too_large
from pipeline.sources.list_columns import as_passed
from pipeline.sources.parquet_columns import Columns
from pipeline.sources.parquet_file import Table
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.skipped import OTHER, Skipped
from pipeline.storage import StoredObject, key_of
from pipeline.units import WorkUnit

NAME = "parquet"
SUFFIXES: tuple[str, ...] = (".parquet", ".parq", ".pq")
MAGIC = b"PAR1"

NO_IMAGES = "Parquet files without images: a list of image files is read where --input names it"
"""Reason of Parquet files that a folder holds among others."""

FIRST_VALUES = 8
"""Number of values of a plain binary column that are looked at to see whether it holds images."""


def is_parquet(head: bytes) -> bool:
    """Return whether a file that starts so is Parquet."""
    return head.startswith(MAGIC)


def has_images(found: StoredObject, image_key: str | None = None) -> bool | None:
    """Return whether the rows of a Parquet file hold images; None if it cannot be read.

    A column of Hugging Face's images, or one that is chosen, does; a plain binary column does if one of its first
    values begins like an image.
    """
    try:
        table = Table(container_unit(NAME, found))
        if parquet_columns.holds_images(table.schema, image_key):
            return True
        return any(_begins_like_images(table, path) for path in parquet_columns.binary(table.schema).values())
    except (DamagedError, FileNotFoundError, ChangedError):
        return None


def why_none(found: StoredObject, image_key: str | None = None) -> str | None:
    """Return the reason why a file holds no images; None if it holds some, or cannot be read."""
    return NO_IMAGES if has_images(found, image_key) is False else None


def _begins_like_images(table: Table, path: str) -> bool:
    for group in range(len(table.starts) - 1):
        for batch in table.rows(group, [path], FIRST_VALUES):
            values = [value for value in parquet_columns.values_at(batch, path) if value]
            if values:
                return any(images.why_none("", bytes(value[:HEAD])) != OTHER for value in values)
    return False


def index(found: StoredObject, unit_images: int, skipped: Skipped, rule: ReadRule | None = None) -> Iterator[WorkUnit]:
    """Cut a file into units by its footer; the units have no id yet. One that cannot be read is one unit of one row.

    Raises:
        UsageError: it is not clear which column is meant.
    """
    whole = container_unit(NAME, found)
    try:
        table = Table(whole)
        _columns(table, rule or ReadRule())
    except DamagedError:
        yield replace(whole, images=1)
        return
    except ValueError as error:
        raise UsageError(f"{found.location!r}: {error}") from error
    yield from cut_container(whole, _extents(table, found.size, unit_images), unit_images)


def _columns(table: Table, rule: ReadRule) -> Columns:
    """Return the columns that a rule means.

    Raises:
        ValueError: it is not clear which.
    """
    plain = [path for path, like in _plain(table, rule).items() if like]
    return parquet_columns.choose(table.schema, rule.image_key, rule.label_key, plain, rule.columns)


def column_names(found: StoredObject, rule: ReadRule) -> Sequence[str]:
    """Return the names of the columns that can pass through to the rows.

    Raises:
        UsageError: it is not clear which column holds the image or the label.
    """
    try:
        table = Table(container_unit(NAME, found))
        columns = _columns(table, rule)
        return parquet_columns.others(table.schema, columns.image, columns.label)
    except DamagedError:
        return ()
    except ValueError as error:
        raise UsageError(f"{found.location!r}: {error}") from error


def _plain(table: Table, rule: ReadRule) -> dict[str, bool]:
    """Return the plain binary columns, and whether each begins like images; {} where that need not be known."""
    if rule.image_key is not None or parquet_columns.holds_images(table.schema, None):
        return {}
    return {name: _begins_like_images(table, path) for name, path in parquet_columns.binary(table.schema).items()}


def _extents(table: Table, size: int, unit_images: int) -> Iterator[Extent]:
    """Yield each row group with its share of the file, in equal parts if it has more rows than a unit may have."""
    total = max(sum(table.sizes), 1)
    at = before_it = 0
    for mine, (first, stop) in zip(table.sizes, pairwise(table.starts), strict=True):
        before_it += mine
        start, at = at, size * before_it // total
        n = stop - first
        parts = -(-n // unit_images)
        for part in range(parts):
            before, after = n * part // parts, n * (part + 1) // parts
            yield Extent(start + (at - start) * before // n, start + (at - start) * after // n, after - before)


def read(unit: WorkUnit, rule: ReadRule) -> Generator[EncodedBatch, None, None]:
    """Yield the unit's rows in order."""
    try:
        table: Table | Exception = Table(unit)
    except (FileNotFoundError, PermissionError, ChangedError, DamagedError) as error:
        table = error
    columns: Columns | Exception | None = None
    if isinstance(table, Table):
        try:
            columns = _columns(table, rule)
            rule = replace(rule, labels=replace(rule.labels, archive_names=columns.names))
        except (ValueError, FileNotFoundError, PermissionError, ChangedError, DamagedError) as error:
            columns = error
    rows = islice(fail_the_rest(unit, _images(unit, table, columns), "#"), unit.images)
    return make_batches(rows, rule)


def _images(unit: WorkUnit, table: Table | Exception, columns: Columns | Exception | None) -> Iterator[Image]:
    location, folder = key_of(unit.locations[0]), folder_of(unit.locations[0])
    numbers = range(unit.first, unit.first + (1 if unit.images is None else unit.images))
    why = table if isinstance(table, Exception) else columns
    if isinstance(why, (FileNotFoundError, PermissionError, ChangedError)):
        raise why
    if isinstance(table, Exception) or not isinstance(columns, Columns):
        code: Code = "DATA_LOSS" if isinstance(why, DamagedError) else "INVALID_ARGUMENT"
        failure = Failure("read", code, f"Parquet file cannot be read: {why}")
        yield from (Image(f"{location}#{number}", failure, None, "") for number in numbers)
        return
    rows = _rows(table, columns, numbers)
    for number, row in zip(numbers, rows, strict=True):
        yield Image(f"{location}#{number}", row.encoded, row.label, folder, row.more)


class _Row(NamedTuple):
    """A row: its image, or why there is none; its label; and what passes through."""

    encoded: bytes | Failure
    label: Label = None
    more: Mapping[str, str] = NONE


def _rows(table: Table, columns: Columns, numbers: range) -> Iterator[_Row]:
    """Yield image and label of some rows; what is damaged costs the rest of its row group."""
    done = numbers.start
    for group, (first, stop) in enumerate(zip(table.starts, table.starts[1:], strict=False)):
        last = min(stop, numbers.stop)
        if done >= last or stop <= done:
            continue
        why = "it ends"
        try:
            for row in islice(_rows_of_group(table, columns, group), done - first, last - first):
                yield row
                done += 1
        except DamagedError as error:
            why = str(error)
        for number in range(done, last):
            text = f"row group {group} is damaged at row {number} or a little before: {why}"
            yield _Row(Failure("read", "DATA_LOSS", text))
        done = last
    lost = Failure("read", "DATA_LOSS", "the file has no such row any more")
    yield from (_Row(lost) for _ in range(done, numbers.stop))


def _rows_of_group(table: Table, columns: Columns, group: int) -> Iterator[_Row]:
    size = table.sizes[group]
    if size > LONGEST and size > RATIO * table.stored:
        raise DamagedError(f"{table.stored:,} bytes inflate to {size:,}; no images inflate more than {RATIO}-fold")
    n = table.starts[group + 1] - table.starts[group]
    most = max(1, min(BATCH_IMAGES, BATCH_BYTES // max(size // max(n, 1), 1)))
    for batch in table.rows(group, columns.paths, most):
        with table.reading():
            encoded = parquet_columns.values_at(batch, columns.image)
            paths = parquet_columns.values_at(batch, columns.path) if columns.path else [None] * len(encoded)
            labels = parquet_columns.values_at(batch, columns.label) if columns.label else [None] * len(encoded)
            passed = [parquet_columns.values_at(batch, name) for name in columns.more]
        for i, (data, path, label) in enumerate(zip(encoded, paths, labels, strict=True)):
            missing = columns.names and label == parquet_columns.NO_CLASS
            own = as_entry(None if missing else label) if columns.label else None
            texts = ((name, as_passed(values[i])) for name, values in zip(columns.more, passed, strict=True))
            more = {name: text for name, text in texts if text is not None} if passed else NONE
            yield _Row(_image(data, path), own, more)


def _image(data: object, path: object) -> bytes | Failure:
    """Return the bytes of an image, or why there are none."""
    if not isinstance(data, bytes):
        text = "the row has no image" if path is None else f"the row has no bytes, only the path {str(path)!r}"
        return Failure("read", "INVALID_ARGUMENT", f"{text}; embed the images before writing Parquet")
    return too_large(len(data), what="image") or data


def first_images(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of its first n rows."""
    return replace(unit, images=min(n, 1 if unit.images is None else unit.images))


sample = first_images
