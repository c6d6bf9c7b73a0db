"""Any source into a few large files: units are read side by side, and written as parts that are created once.

What is stored is a function of what was planned: a part that is there already is what would be written. Knows no model.

    DIR/part-<group>-00000.tfrecord   (or .tar)
    DIR/.pack/pack.json               what was asked for: another input into the same DIR is refused
    DIR/.pack/<group>.json            a receipt: its presence says that all parts of a group of units are there
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pipeline import sources, storage
from pipeline.concurrency import ahead, cores
from pipeline.errors import TransientError, UsageError
from pipeline.option_values import ALL, as_names
from pipeline.options import ScoreOptions
from pipeline.sources.inputs import list_columns, plan_units
from pipeline.sources.packed import END, KeptLabels, PackFormat, as_record, as_sample, images_of
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.search import require_input
from pipeline.sources.skipped import Skipped
from pipeline.units import WorkUnit

PART_SIZE = 256_000_000
"""Bytes of a part, about, by default."""

FORMAT = 1
"""Number of the rules by which parts are written; it enters the names of the parts."""

_PART = re.compile(r"part-([0-9a-f]{16})-\d{5}\.(?:tfrecord|tar)")


@dataclass(frozen=True)
class PackOptions:
    """What to pack, and how.

    Attributes:
        reading: inputs, output, and how records and lists are read.
        format: of the parts.
        part_size: bytes of a part, about: a part ends before the image that would exceed it.
    """

    reading: ScoreOptions
    format: PackFormat = "tfrecord"
    part_size: int = PART_SIZE


@dataclass(frozen=True)
class Group:
    """Receipt of neighboring units that were packed together.

    Attributes:
        parts: name -> bytes of each file.
        images: that are in them.
        unreadable: reason -> images that could not be read and are there as empty ones.
        example: key of one of those.
        skipped: reason -> what was found in them by reading and is no image.
        skipped_examples: reason -> key of one of those.
    """

    parts: dict[str, int] = field(default_factory=dict)
    images: int = 0
    unreadable: dict[str, int] = field(default_factory=dict)
    example: str = ""
    skipped: dict[str, int] = field(default_factory=dict)
    skipped_examples: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Return the content of the receipt's file: what is skipped only if anything is, as in earlier versions."""
        content = asdict(self)
        if not self.skipped:
            del content["skipped"], content["skipped_examples"]
        return json.dumps(content, sort_keys=True).encode()


@dataclass
class Packed:
    """What came of it.

    Attributes:
        images: in the archive.
        parts: files of the archive.
        size: their bytes.
        kept: images in parts that an earlier run made.
        unreadable: reason -> images that are there as empty ones.
        example: key of one of those.
        unfinished: groups of units that could not be packed, because storage failed.
        error: of the first of those.
        skipped: what was found and is no image.
    """

    images: int = 0
    parts: int = 0
    size: int = 0
    kept: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    example: str = ""
    unfinished: int = 0
    error: str = ""
    skipped: Skipped = field(default_factory=Skipped)


def pack(options: PackOptions) -> Packed:
    """Pack what the inputs name; what an earlier run has packed stays.

    Raises:
        UsageError: an input or the output cannot be, or the output holds something else.
    """
    output = storage.absolute(options.reading.output)
    inputs = tuple(dict.fromkeys(map(storage.absolute, options.reading.input)))
    _check(inputs, output)
    reading = replace(options.reading, columns=_columns(inputs, options.reading))
    options = replace(options, reading=reading)
    _begin(options, inputs, output)
    there = {found.location: found.size for found in storage.list_objects(f"{output}/")}
    found, groups = Packed(), set()
    units = plan_units(inputs, reading, f"pack {FORMAT}", found.skipped)
    named = ((_name(group, options), group) for group in _grouped(units, options.part_size))
    with ThreadPoolExecutor(max(2, cores()), "pack") as pool:
        work = functools.partial(_packed, options=options, output=output, there=there)
        with closing(ahead(work, named, max(2, cores()) - 1, pool)) as outcomes:
            for name, outcome, is_kept in outcomes:
                groups.add(name)
                _add(found, outcome, is_kept)
    if not found.unfinished:
        _sweep(output, groups, there)
    return found


def _check(inputs: Sequence[str], output: str) -> None:
    for pattern in inputs:
        require_input(pattern)
        place = storage.fixed_prefix(pattern)
        folder = place if place == pattern else place.rpartition("/")[0]
        if f"{output}/".startswith(f"{folder}/"):
            raise UsageError(
                f"--output {output!r} lies in --input {pattern!r}, and would be packed itself: give another"
            )


def _columns(inputs: Sequence[str], reading: ScoreOptions) -> str:
    if reading.columns != ALL:
        return reading.columns
    return as_names(tuple(list_columns(inputs, reading)[0]))


def _begin(options: PackOptions, inputs: Sequence[str], output: str) -> None:
    """Say in OUTPUT what is packed there, or find that the same is."""
    asked = {"format": options.format, "inputs": list(inputs), "number": FORMAT, "part_size": options.part_size}
    place = f"{output}/.pack/pack.json"
    try:
        created = storage.create(place, json.dumps(asked, sort_keys=True).encode())
    except OSError as error:
        raise UsageError(f"--output {output!r} cannot be written: {error}; choose another") from error
    if not created and json.loads(storage.read(place)) != asked:
        raise UsageError(f"--output {output!r} holds an archive packed otherwise or of other inputs: choose another")


def _grouped(units: Iterable[WorkUnit], part_size: int) -> Iterator[list[WorkUnit]]:
    """Yield neighboring units that fit into a part together, as their planned bytes say, or one that does not."""
    waiting: list[WorkUnit] = []
    size = 0
    for unit in units:
        if waiting and size + unit.bytes > part_size:
            yield waiting
            waiting, size = [], 0
        waiting.append(unit)
        size += unit.bytes
    if waiting:
        yield waiting


def _name(units: Sequence[WorkUnit], options: PackOptions) -> str:
    identity = [[unit.id for unit in units], options.format, options.part_size, options.reading.columns]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]


def _packed(
    task: tuple[str, list[WorkUnit]], options: PackOptions, output: str, there: dict[str, int]
) -> tuple[str, Group | str, bool]:
    """Pack a group of units, unless that was done; return its name, its receipt or why it failed, if it was done."""
    name, units = task
    receipt = f"{output}/.pack/{name}.json"
    try:
        if receipt in there:
            group = Group(**json.loads(storage.read(receipt)))
            if all(there.get(f"{output}/{part}") == size for part, size in group.parts.items()):
                return name, group, True
        group = _write(name, units, options, output)
        storage.replace(receipt, group.to_json())
    except TransientError as error:
        return name, str(error), False
    return name, group, False


def _write(name: str, units: Sequence[WorkUnit], options: PackOptions, output: str) -> Group:
    reading = ReadRule.of_names(options.reading)
    rule = replace(reading, labels=KeptLabels((), offset=0), columns=options.reading.passed)
    unreadable: Counter[str] = Counter()
    skipped = Skipped()
    example, images = "", 0
    parts: dict[str, int] = {}
    waiting: list[bytes] = []
    size = 0

    def store() -> None:
        data = b"".join((*waiting, END[options.format]))
        part = f"part-{name}-{len(parts):05d}.{options.format}"
        _create(f"{output}/{part}", data)
        parts[part] = len(data)

    for unit in units:
        with closing(sources.read(unit, rule, skipped)) as batches:
            for batch in batches:
                for number, failure in batch.images.failures.items():
                    unreadable[failure.message] += 1
                    example = example or batch.images.keys[number]
                for image in images_of(batch):
                    record = as_record(image) if options.format == "tfrecord" else as_sample(image, images)
                    if waiting and size + len(record) > options.part_size:
                        store()
                        waiting, size = [], 0
                    waiting.append(record)
                    size += len(record)
                    images += 1
    if waiting:
        store()
    return Group(parts, images, dict(unreadable), example, skipped.counts, skipped.examples)


def _create(location: str, data: bytes) -> None:
    """Store a part; one that is there and has no receipt is what somebody made of the same images, or half of it."""
    if not storage.create(location, data) and storage.read(location) != data:
        storage.replace(location, data)


def _add(found: Packed, outcome: Group | str, is_kept: bool) -> None:
    if isinstance(outcome, str):
        found.unfinished += 1
        found.error = found.error or outcome
        return
    found.images += outcome.images
    found.kept += outcome.images if is_kept else 0
    found.parts += len(outcome.parts)
    found.size += sum(outcome.parts.values())
    found.unreadable.update(outcome.unreadable)
    found.example = found.example or outcome.example
    found.skipped.update(outcome.skipped, outcome.skipped_examples)


def _sweep(output: str, groups: set[str], there: dict[str, Any]) -> None:
    """Remove what was packed of images that are not there any more, or that have changed: receipts last."""
    stale = []
    for location in there:
        name = location.removeprefix(f"{output}/")
        part, receipt = _PART.fullmatch(name), re.fullmatch(r"\.pack/([0-9a-f]{16})\.json", name)
        if (part and part[1] not in groups) or (receipt and receipt[1] not in groups):
            stale.append((receipt is not None, location))
    for _, location in sorted(stale):
        storage.delete(location)
