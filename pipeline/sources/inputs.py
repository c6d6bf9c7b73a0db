"""From a run's inputs to work units: list what the inputs name, cut it into units, give each unit its id.

Reads names and headers, never pixels. Must not know how units are scored.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace

from pipeline import sources
from pipeline.errors import UsageError
from pipeline.options import ScoreOptions
from pipeline.sources import idx, images, kinds, manifest, own_names, parquet_images
from pipeline.sources.label_values import BLANK
from pipeline.sources.once import Once
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.search import find_input
from pipeline.sources.skipped import Skipped
from pipeline.storage import StoredObject
from pipeline.units import WorkUnit, unit_id


def list_columns(patterns: Sequence[str], options: ScoreOptions) -> tuple[list[str], bool]:
    """Return the names of the columns of all lists that the inputs name, and whether there is nothing but lists.

    Lists within folders and archives are none: they are no inputs.

    Raises:
        UsageError: a list cannot be read.
    """
    names: dict[str, None] = {}
    lists = [pattern for pattern in patterns if manifest.is_manifest_name(pattern)]
    for pattern in lists:
        for kind, found in find_input(pattern, Skipped(), options):
            if kind == manifest.NAME:
                names |= dict.fromkeys(manifest.column_names(found, options))
            elif kind == parquet_images.NAME:
                names |= dict.fromkeys(parquet_images.column_names(found, ReadRule.of_names(options)))
    return list(names), len(lists) == len(patterns)


def plan_units(patterns: Sequence[str], options: ScoreOptions, model_id: str, skipped: Skipped) -> Iterator[WorkUnit]:
    """Yield work units in the order of the inputs, each image once, `--limit` images at most.

    Args:
        patterns: locations or globs of the inputs, each once.
        options: how units are cut, and what else is in their identity.
        model_id: of the model that scores them; part of their identity.
        skipped: counts by reason what is found and is no image.
    """
    left = options.limit
    own_names.within.cache_clear()
    for unit in _cut(patterns, options, skipped):
        if left is not None:
            if unit.images is None or unit.images > left:
                unit = sources.first_images(unit, left, ReadRule.of_names(options), skipped)
            left -= unit.images or 0
        yield replace(unit, id=unit_id(unit, model_id, options))
        if left == 0:
            return


def _cut(patterns: Sequence[str], options: ScoreOptions, skipped: Skipped) -> Iterator[WorkUnit]:
    """Yield the units of all inputs, without ids: of each input its image files first, then its containers."""
    once = Once(len(patterns) > 1 or any(map(manifest.is_manifest_name, patterns)))
    seen: set[str] = set()
    for number, pattern in enumerate(patterns):
        rest: list[tuple[str, StoredObject]] = []
        for unit in images.cut(_files(pattern, options, once, rest, skipped), options.unit_images):
            yield replace(unit, input=number)
        seen.update(kind for kind, _ in rest)
        for kind, found in rest:
            if kind == manifest.NAME:
                units = _units_of_list(found, once, options, skipped)
            else:
                units = _units_of_archive(kind, found, options, skipped)
            for unit in units:
                seen.add(unit.source)
                yield replace(unit, input=number)
    _check_used(options, seen)


def _check_used(options: ScoreOptions, seen: Container[str]) -> None:
    """Check that options which say where labels stand had something to say.

    Args:
        options: of the run.
        seen: kinds of the inputs, and of what they hold.

    Raises:
        UsageError: there is nothing of the kind that one is about.
    """
    of_lists = (manifest.NAME, "a list", "list")
    about = {
        "labels_file": (idx.NAME, "an IDX file of images", "IDX file"),
        "file_column": of_lists,
        "label_column": of_lists,
    }
    for name, (kind, what, none) in about.items():
        if getattr(options, name) is not None and kind not in seen:
            raise UsageError(
                f"--{name} goes with {what}, but --input has no {none}: leave --{name} out, or give one with --input"
            )


def _units_of_archive(kind: str, found: StoredObject, options: ScoreOptions, skipped: Skipped) -> Iterator[WorkUnit]:
    """Yield the units of a container, of an IDX file with the labels that the options name."""
    for unit in sources.index(kind, found, options.unit_images, skipped, ReadRule.of_names(options)):
        is_labelled = options.labels_file is not None and unit.source == idx.NAME
        yield idx.with_labels_file(unit, str(options.labels_file)) if is_labelled else unit


def _units_of_list(found: StoredObject, once: Once, options: ScoreOptions, skipped: Skipped) -> Iterator[WorkUnit]:
    """Yield the units of what a list names: of its image files first, then of its archives.

    Raises:
        UsageError: it cannot be read, or gives an archive a label.
    """
    archives: list[tuple[str, StoredObject]] = []

    def files() -> Iterator[images.Listed]:
        for listed in manifest.listed(found, options):
            file, label = listed[:2]
            if not once.is_new(listed, skipped):
                continue
            kind = None if file.version == images.MISSING else _kind_listed(file.location)
            if kind in (None, images.NAME):
                yield listed
            elif label in (None, BLANK):
                archives.append((str(kind), file))
            else:
                raise UsageError(
                    f"manifest {found.location!r} gives the archive {file.location!r} the label {label!r}; list "
                    "archives without labels: these lie within them"
                )

    yield from images.cut(files(), options.unit_images)
    for kind, archive in archives:
        yield from _units_of_archive(kind, archive, options, skipped)


def _kind_listed(location: str) -> str | None:
    """Return the kind of a file that a list names, as far as its name tells."""
    return kinds.kind_by_name(location) or kinds.table_by_name(location)


def _files(
    pattern: str, options: ScoreOptions, once: Once, rest: list[tuple[str, StoredObject]], skipped: Skipped
) -> Iterator[images.Listed]:
    """Yield the image files that a pattern finds, without labels, and put all else aside into `rest`."""
    for kind, found in find_input(pattern, skipped, options):
        if not once.is_new((found, None), skipped):
            continue
        if kind == images.NAME:
            yield found, None
        else:
            rest.append((kind, found))
