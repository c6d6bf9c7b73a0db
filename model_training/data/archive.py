"""`Archive`: the images of inputs, planned as work units, which local processes decode as often as somebody asks.

An archive may be larger than memory: a unit is a few kilobytes of compressed names, and pixels pass through.
Must not know labels, splits, or who learns from the pixels.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline import sources, storage
from pipeline.batches import BATCH_BYTES, EncodedBatch, PixelBatch
from pipeline.concurrency import ahead, cores, pools
from pipeline.model.input_rule import InputSpec
from pipeline.output.run import Run
from pipeline.scoring.arrangement import arrange_decoders
from pipeline.scoring.planning import read_rule
from pipeline.scoring.process_pool import processes
from pipeline.scoring.requests import look_in_process, preprocess_in_process
from pipeline.sources import Piece, images
from pipeline.sources.skipped import Skipped
from pipeline.units import WorkUnit

PIECE_BYTES = 8 << 20
"""Bytes of pixels that a local process makes in one go, at most."""

PIECES_AHEAD = 2
"""Pieces for each local process: one is being decoded, one waits."""

OPEN_STREAMS = 8
"""Compressed streams that are read at the same time, at most, where the order is to be a random one."""

Rows = npt.NDArray[np.int64]
"""Numbers of images in a unit, sorted."""

T = TypeVar("T")


class Decoded(NamedTuple):
    """Some images of a unit as pixels.

    Attributes:
        unit: number of the unit.
        rows: int64 [n], numbers of the images in the unit.
        batch: the n images.
    """

    unit: int
    rows: Rows
    batch: PixelBatch


class _Job(NamedTuple):
    """A piece of a unit: `rows` are those of its images whose index in the piece is not in `without`."""

    unit: int
    rows: Rows
    piece: Piece
    without: Sequence[int] = ()


@dataclass
class _Track:
    """Units whose pieces come one after the other, and how many images they have left."""

    left: int
    jobs: Iterator[_Job]


@dataclass(frozen=True)
class Archive:
    """The images of inputs, planned.

    Attributes:
        run: a run without a model that would read and decode the same; its spec has the input rule.
        units: each unit as compressed JSON.
        streams: numbers of the units that cannot be entered in the middle, such as compressed tars.
        piece_bytes: bytes of pixels that a local process makes in one go, at most.
    """

    run: Run
    units: Sequence[bytes]
    streams: frozenset[int]
    piece_bytes: int = PIECE_BYTES

    @classmethod
    def of(cls, run: Run, units: Iterable[WorkUnit], piece_bytes: int = PIECE_BYTES) -> Archive:
        """Return the archive of some units."""
        packed, streams = [], set()
        for number, unit in enumerate(units):
            packed.append(zlib.compress(replace(unit, id="").to_json().encode("ascii")))
            if unit.images is None:
                streams.add(number)
        return cls(run, packed, frozenset(streams), piece_bytes)

    def with_rule(self, rule: InputSpec) -> Archive:
        """Return the same images, decoded by another input rule."""
        return replace(self, run=replace(self.run, spec=replace(self.run.spec, input=rule)))

    @property
    def rule(self) -> InputSpec:
        """The input rule that makes the pixels."""
        return self.run.spec.input

    def unit(self, number: int) -> WorkUnit:
        """Return a unit by its number."""
        return replace(WorkUnit.from_json(zlib.decompress(self.units[number]).decode("ascii")), id=str(number))

    def look(self) -> Generator[tuple[Sequence[tuple[int, int]], bool], None, None]:
        """Yield of all images, piece by piece, what `pipeline.scoring.requests.look_in_process` returns."""
        jobs = (job for number in range(len(self.units)) for job in self._whole(number, None))
        return self._ahead(lambda job: look_in_process(job.piece, self.run), jobs)

    def decode(self, skipped: Skipped | None = None) -> Generator[Decoded, None, None]:
        """Decode all images in local processes, in order; one that cannot be had is there as a failed one.

        Args:
            skipped: counts what only reading shows to be no image; None: nobody asks.

        Raises:
            TransientError: storage fails for now, or this process is being interrupted.
        """
        return self._ahead(self._decoded, (job for n in range(len(self.units)) for job in self._whole(n, skipped)))

    def decode_some(
        self, order: Iterable[int], rows_of: Callable[[int], Rows], random: np.random.Generator | None = None
    ) -> Generator[Decoded, None, None]:
        """Decode some images in local processes; one that cannot be had is there as a failed one, and alone has a key.

        Args:
            order: numbers of the units.
            rows_of: gives the images of a unit that are wanted.
            random: draws when a piece of what cannot be entered in the middle comes between those of other units; None:
                unit after unit.

        Raises:
            TransientError: storage fails for now, or this process is being interrupted.
        """
        if random is None or not self.streams:
            return self._ahead(self._bare, self._jobs(order, rows_of))
        return self._ahead(self._bare, self._mixed(list(order), rows_of, random))

    def read(self, number: int, row: int) -> EncodedBatch:
        """Read one image of a unit, as it is stored, in this process; a batch of one, or of none if it is gone."""
        pieces = sources.some_pieces(self.unit(number), [row], read_rule(self.run))
        for piece in pieces:
            if isinstance(piece, EncodedBatch):
                return piece
            with closing(sources.read(piece, read_rule(self.run))) as batches:
                return next(batches)
        return EncodedBatch.of([])

    def _ahead(self, work: Callable[[_Job], T], jobs: Iterator[_Job]) -> Generator[T, None, None]:
        """Let local processes do something with pieces, in order, a few at the same time."""
        is_far = any(storage.store_of(location).parallel_reads > 1 for location in self.run.inputs)
        threads, at_once = (pools().fetch, 2 * cores()) if is_far else (pools().score, cores())
        arrange_decoders(max(1, min(at_once, len(self.units))))
        with closing(ahead(work, jobs, PIECES_AHEAD * at_once, threads)) as done:
            yield from done

    def _decoded(self, job: _Job) -> Decoded:
        return Decoded(job.unit, job.rows, preprocess_in_process(job.piece, self.run))

    def _bare(self, job: _Job) -> Decoded:
        batch = preprocess_in_process(job.piece, self.run, job.without, bare=True)
        if job.without:
            kept = np.delete(np.arange(len(batch.images)), np.asarray(job.without, np.int64))
            batch = PixelBatch(batch.images.pick(kept.tolist()), batch.pixels[kept])
        return Decoded(job.unit, job.rows, batch)

    def _pieces(self, unit: WorkUnit, skipped: Skipped | None) -> Iterator[Piece]:
        """Yield a unit whole if it is small, else in pieces."""
        most = max(1, self.piece_bytes // math.prod(self.rule.shape))
        if unit.images is not None and unit.images <= most and unit.bytes <= BATCH_BYTES:
            return iter([unit])
        return sources.pieces(unit, read_rule(self.run), most, skipped)

    def _whole(self, number: int, skipped: Skipped | None) -> Iterator[_Job]:
        """Yield a unit in pieces."""
        first = 0
        for piece in self._pieces(self.unit(number), skipped):
            n = _count(piece)
            yield _Job(number, np.arange(first, first + n), piece)
            first += n

    def _jobs(self, order: Iterable[int], rows_of: Callable[[int], Rows]) -> Iterator[_Job]:
        """Yield the wanted images of units, unit after unit."""
        for number in order:
            rows = rows_of(number)
            if len(rows):
                yield from self._some(number, rows)

    def _some(self, number: int, rows: Rows) -> Iterator[_Job]:
        """Yield those pieces of a unit that hold wanted images."""
        unit, first = self.unit(number), 0
        if unit.source == images.NAME:  # only these can be read alone
            for piece in self._pieces(images.pick(unit, rows.tolist()), None):
                yield _Job(number, rows[first : first + _count(piece)], piece)
                first += _count(piece)
            return
        for piece in self._pieces(unit, None):
            stop = first + _count(piece)
            mine = rows[np.searchsorted(rows, first) : np.searchsorted(rows, stop)]
            if len(mine) == stop - first:
                yield _Job(number, mine, piece)
            elif len(mine) and isinstance(piece, EncodedBatch):
                yield _Job(number, mine, piece.pick((mine - first).tolist()))
            elif len(mine):
                yield _Job(number, mine, piece, (np.setdiff1d(np.arange(first, stop), mine) - first).tolist())
            first = stop

    def _mixed(
        self, order: Sequence[int], rows_of: Callable[[int], Rows], random: np.random.Generator
    ) -> Iterator[_Job]:
        """Yield the wanted images such that streams end at about the same time as all other units.

        Who comes next is drawn by how much each has left.
        """

        def track(units: Sequence[int]) -> _Track:
            return _Track(sum(len(rows_of(number)) for number in units), self._jobs(units, rows_of))

        waiting = (track([number]) for number in order if number in self.streams)
        tracks = [track([number for number in order if number not in self.streams]), *islice(waiting, OPEN_STREAMS)]
        while tracks:
            left = np.array([max(1, one.left) for one in tracks], np.float64)
            drawn = tracks[int(random.choice(len(tracks), p=left / left.sum()))]
            job = next(drawn.jobs, None)
            if job is None:
                tracks.remove(drawn)
                tracks += islice(waiting, OPEN_STREAMS + 1 - len(tracks))
            else:
                drawn.left -= len(job.rows)
                yield job


def stop_decoding() -> None:
    """End what is under way, because a person wants to stop; a signal's handler may call it."""
    storage.patience().end()
    processes().kill()


def _count(piece: Piece) -> int:
    """Return how many images a piece has."""
    return len(piece.encoded) if isinstance(piece, EncodedBatch) else piece.images or 0
