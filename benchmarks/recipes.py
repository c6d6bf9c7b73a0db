"""`python -m benchmarks.recipes --data FOLDER`: how good the recipes and networks of `nightscore train` are on MNIST.

Prints a table: each is trained with the seeds 0, 1 and 2, and a model that is there already is not
trained again. Then the test images are scored by the classic recipe and by each of the others, and compared.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import nightscore
from model_training.learning.recipe import NetworkName
from pipeline.model.directory import SPEC, read_spec

TEST_IMAGES = "t10k-images-idx3-ubyte"
SEEDS = (0, 1, 2)


class Kind(NamedTuple):
    """A recipe and the network that it trains."""

    recipe: str
    network: NetworkName


KINDS: Sequence[Kind] = (Kind("classic", "classic"), Kind("strong", "classic"), Kind("strong", "compact"))
"""The rows of the table; the others are compared with the first."""


def trained(kind: Kind, seed: int, data: Path, work: Path) -> Path:
    """Return the model directory of a training on MNIST, and train it if it is not there."""
    model = work / f"{kind.recipe}-{kind.network}-{seed}"
    if not (model / SPEC).exists():
        nightscore.train(
            "mnist",
            model,
            data_dir=data,
            recipe=kind.recipe,
            network=kind.network,
            seed=seed,
            resume=True,
            progress=True,
        )
    return model


def row(kind: Kind, facts: Sequence[Mapping[str, Any]]) -> str:
    """Return a row of the table, from what the models of all seeds tell."""
    accuracies = [one["test_accuracy"] for one in facts]
    each = ", ".join(f"{accuracy:.4f}" for accuracy in accuracies)
    minutes = mean(one["seconds"] for one in facts) / 60
    cells = (
        kind.recipe,
        kind.network,
        f"{facts[0]['parameters']:,}",
        f"{mean(accuracies):.4f}",
        each,
        f"{minutes:.0f}",
    )
    return f"| {' | '.join(cells)} |"


def scored(model: Path, data: Path) -> nightscore.Night:
    """Return the night of the test images, scored by a model."""
    return nightscore.score(data / f"{TEST_IMAGES}.gz", model, model.with_name(f"{model.name}-night"))


def main() -> None:
    """Print the table, then the verdict on each kind beside the first, of the models of the first seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with MNIST's four IDX files")
    parser.add_argument("--work", type=Path, default=Path("recipes"), help="folder for the models (default: recipes)")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    print("| recipe | network | parameters | mean test accuracy | of seeds 0, 1, 2 | minutes a training |")
    print("|---|---|---:|---:|---|---:|")
    first = {}
    for kind in KINDS:
        models = [trained(kind, seed, asked.data, asked.work) for seed in SEEDS]
        print(row(kind, [read_spec(str(model)).training for model in models]), flush=True)
        first[kind] = models[0]
    classic, *others = (scored(model, asked.data) for model in first.values())
    for kind, night in zip(KINDS[1:], others, strict=True):
        print(f"{kind.recipe}, {kind.network}: {nightscore.compare(classic, night)['verdict']}")


if __name__ == "__main__":
    main()
