"""Scores of images under rules, each computed once: decodes in threads while the network scores.

Owns the count of forward passes and their limit. Must not know how rules are compared.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from model_import.candidates import Candidate
from model_import.scaling import Scaling
from model_import.trial_images import CheckImages
from pipeline.batches import EncodedBatch
from pipeline.concurrency import ahead, cores
from pipeline.model.input_rule import InputSpec
from pipeline.model.preprocess import preprocess

Score = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float64]]
"""Scaled images, float32 [n, h, w, c] -> log probabilities, float64 [n, classes]."""

MOST_PASSES = 12_000
"""Images that the network scores in a trial, at most, each rule apart."""

CHUNK = 48
"""Images that a thread decodes at once."""


@dataclass(frozen=True)
class Progress:
    """How far a trial is.

    Attributes:
        step: what is tried, in words.
        done: forward passes so far.
        planned: forward passes in all, at most.
        seconds: since the trial began.

    >>> Progress("fit", 3000, 12000, 60.0).line()
    'trying fit: 3,000 of at most 12,000 passes, at most 3 min left'
    """

    step: str
    done: int
    planned: int
    seconds: float

    def line(self) -> str:
        """Return one line for a person."""
        left = self.seconds / max(self.done, 1) * (self.planned - self.done)
        when = f"{left:.0f} s" if left < 100 else f"{left / 60:.0f} min"
        return f"trying {self.step}: {self.done:,} of at most {self.planned:,} passes, at most {when} left"


class Scores:
    """The log probabilities of images under rules, by candidate, as far as they were asked for."""

    def __init__(self, score: Score, images: CheckImages, report: Callable[[Progress], None]) -> None:
        """Remember what scores, and which images.

        Args:
            score: the network.
            images: in the order in which they are taken.
            report: called after each few images.
        """
        self._score, self.images, self._report = score, images, report
        self._found: dict[Candidate, list[npt.NDArray[np.float64]]] = {}
        self._of_pixels: dict[tuple[bytes, Scaling], npt.NDArray[np.float64]] = {}
        self.passes = 0
        self.step = ""
        self._began = time.monotonic()

    def cost(self, candidates: Sequence[Candidate], stop: int) -> int:
        """Return how many passes it takes to have the first `stop` images scored under all candidates."""
        return sum(max(0, stop - self._known(candidate)) for candidate in candidates)

    def first(self, candidate: Candidate, stop: int) -> npt.NDArray[np.float64]:
        """Return the scores of the first `stop` images under one candidate, which have been computed."""
        return np.concatenate(self._found[candidate])[:stop]

    def compute(self, candidates: Sequence[Candidate], stop: int) -> None:
        """Score the first `stop` images under all candidates, as far as they have not been."""
        by_pixels: dict[tuple[InputSpec, int], list[Candidate]] = {}
        for candidate in candidates:
            start = self._known(candidate)
            if start < stop:
                by_pixels.setdefault((_as_rgb(candidate.rule), start), []).append(candidate)
        with ThreadPoolExecutor(cores(), "decode") as pool:
            for (rule, start), sharing in by_pixels.items():
                for pixels in self._pixels(rule, start, stop, pool):
                    for candidate in sharing:
                        self._add(candidate, pixels)

    def _known(self, candidate: Candidate) -> int:
        return sum(map(len, self._found.get(candidate, ())))

    def _pixels(
        self, rule: InputSpec, start: int, stop: int, pool: ThreadPoolExecutor
    ) -> Iterator[npt.NDArray[np.uint8]]:
        chunks = [self.images.encoded[i : min(i + CHUNK, stop)] for i in range(start, stop, CHUNK)]
        for pixels, _ in ahead(lambda chunk: decoded(chunk, rule), chunks, cores() + 1, pool):
            yield pixels

    def _add(self, candidate: Candidate, pixels: npt.NDArray[np.uint8]) -> None:
        ordered = pixels[..., ::-1] if candidate.rule.color_mode == "bgr" else pixels
        key = (hashlib.blake2b(ordered.tobytes()).digest(), candidate.scaling)
        if key not in self._of_pixels:  # some rules give the same pixels
            scores = np.asarray(self._score(candidate.scaling(ordered)), np.float64)
            self._of_pixels[key] = np.nan_to_num(scores, nan=-100.0, neginf=-100.0, posinf=0.0)
            self.passes += len(pixels)
        self._found.setdefault(candidate, []).append(self._of_pixels[key])
        self._report(Progress(self.step, self.passes, MOST_PASSES, time.monotonic() - self._began))


def decoded(encoded: Sequence[bytes], rule: InputSpec) -> tuple[npt.NDArray[np.uint8], Sequence[int]]:
    """Return pixels of encoded images, uint8 [n, h, w, c], and the indices of those that cannot be decoded."""
    batch = preprocess(EncodedBatch.of(encoded), rule)
    return batch.pixels, sorted(batch.images.failures)


def undecodable(images: CheckImages, rule: InputSpec) -> Sequence[int]:
    """Return the indices of the images that cannot be decoded."""
    chunks = [images.encoded[i : i + CHUNK] for i in range(0, len(images), CHUNK)]
    with ThreadPoolExecutor(cores(), "decode") as pool:
        failed = [bad for _, bad in ahead(lambda chunk: decoded(chunk, rule), chunks, cores() + 1, pool)]
    return [number * CHUNK + i for number, bad in enumerate(failed) for i in bad]


def _as_rgb(rule: InputSpec) -> InputSpec:
    """Return the rule that gives the same pixels with their channels in the usual order."""
    return replace(rule, color_mode="rgb") if rule.channels == 3 else rule
