"""What a person says about a benchmark, and what it is about: where files lie, how many, which model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["png", "jpeg", "tfrecord"]


@dataclass(frozen=True)
class Setting:
    """How benchmarks are run.

    Attributes:
        work: folder for archives, models, virtual environments and outputs; kept from run to run.
        results: folder for the JSON files.
        data_dir: folder with MNIST's IDX files; None takes the Keras cache, or downloads into it.
        pairs: how many are measured, after one that is not.
        small: a hundredth of the images, to see that it works.
    """

    work: Path
    results: Path
    data_dir: str | None = None
    pairs: int = 5
    small: bool = False

    @property
    def archives(self) -> Path:
        """Folder for the archives."""
        return self.work / "archives"


@dataclass(frozen=True)
class Archive:
    """Files to be scored, and with what.

    Attributes:
        input: folder or gs:// location.
        images: how many are in it.
        kind: what the files are.
        model: model directory.
        recipe: how it is made: the words of `benchmarks.make_model`, but for where.
        batch: images in one call of a peer's model.
        tolerance: an image may get another class where its margin is at most this. With the same pixels that is the
            rounding of float32; where a peer decodes or resizes with other code, which gives other grey levels, more.
        chaotic: share of the images that may get another class whatever their margin: a network of random weights may
            make much of those grey levels.
    """

    input: str
    images: int
    kind: Kind
    model: Path
    recipe: tuple[str, ...] = ()
    batch: int = 1024
    tolerance: float = 1e-4
    chaotic: float = 0.0
