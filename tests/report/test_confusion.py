"""The confusion matrix as a page shows it."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.report.confusion import SHOWN_CLASSES, SHOWN_PAIRS, confusion

NAMES = ["a", "b", "c"]
MATRIX = [[5, 1, 0], [3, 6, 1], [0, 0, 0]]


def example(label: int, predicted: int, key: str) -> dict[str, Any]:
    return {"label": label, "predicted": predicted, "key": key}


def test_small_matrix_is_shown_as_it_is_with_shares_of_its_rows() -> None:
    view = confusion(MATRIX, [], NAMES)
    assert view.classes == [0, 1, 2]
    assert view.rows == MATRIX
    assert view.shares == [[5 / 6, 1 / 6, 0], [0.3, 0.6, 0.1], [0, 0, 0]]
    assert view.mistakes == 5


def test_pairs_are_the_cells_beside_the_diagonal_the_fullest_first() -> None:
    view = confusion(MATRIX, [], NAMES)
    assert [(p.label, p.predicted, p.images, p.share) for p in view.pairs] == [
        (1, 0, 3, 0.3),
        (0, 1, 1, 1 / 6),
        (1, 2, 1, 0.1),
    ]
    assert view.all_pairs == 3
    assert view.links == {(1, 0), (0, 1), (1, 2)}
    assert view.largest_share == 0.3


def test_pair_has_its_examples_in_their_order() -> None:
    view = confusion(MATRIX, [example(1, 0, "x"), example(1, 2, "y"), example(1, 0, "z")], NAMES)
    assert [[e["key"] for e in pair.examples] for pair in view.pairs] == [["x", "z"], [], ["y"]]
    assert view.pairs[0].anchor == "pair-1-0"


def test_of_many_classes_those_of_the_fullest_cells_are_shown() -> None:
    matrix = np.eye(1_000, dtype=np.int64) * 90
    for i in range(0, 900, 2):
        matrix[i, i + 1] = 10 + i
    view = confusion(matrix.tolist(), [], [str(c) for c in range(1_000)])
    assert view.classes == list(range(870, 900))
    assert len(view.classes) == SHOWN_CLASSES
    assert view.rows[0][:2] == [90, 880]
    assert view.shares[0][1] == 880 / 970
    assert len(view.pairs) == SHOWN_PAIRS
    assert view.all_pairs == 450
    assert view.mistakes == sum(10 + i for i in range(0, 900, 2))


def test_without_a_matrix_there_are_pairs_without_counts() -> None:
    view = confusion(None, [example(1, 0, "x"), example(2, 0, "y"), example(1, 0, "z")], NAMES)
    assert view.classes == []
    assert view.mistakes is view.all_pairs is None
    assert [(p.label, p.predicted, p.images, len(p.examples)) for p in view.pairs] == [
        (1, 0, None, 2),
        (2, 0, None, 1),
    ]
    assert view.largest_share == 1


def test_network_without_mistakes_has_no_pairs() -> None:
    view = confusion([[3, 0], [0, 2]], [], ["a", "b"])
    assert view.pairs == []
    assert view.mistakes == 0
