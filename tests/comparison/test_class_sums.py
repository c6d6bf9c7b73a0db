"""Classes that got better or worse: among a thousand, and of models of labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline.comparison.class_sums import ClassSums
from pipeline.comparison.join import Pairs
from pipeline.comparison.judge import judge
from pipeline.comparison.side import BETWEEN, Vocabulary


def rows(label: Sequence[int], predicted: Sequence[int]) -> pa.Table:
    own, said = np.array(label, np.int32), np.array(predicted, np.int32)
    there = np.ones(len(own), np.bool_)
    return pa.table({"ok": there, "label": own, "predicted": said, "labelled": there, "right": own == said})


def test_one_of_a_thousand_classes_that_got_worse_is_found_and_chance_is_not() -> None:
    words = Vocabulary([f"class {c}" for c in range(1_000)])
    label = [c for c in range(1_000) for _ in range(20)]
    chance = np.random.default_rng(0)
    a = [c if chance.random() < 0.9 else (c + 1) % 1_000 for c in label]
    b = [c if chance.random() < 0.9 and c != 7 else (c + 1) % 1_000 for c in label]
    pairs = Pairs(rows(label, a), rows(label, b))
    sums = ClassSums()
    sums.add(pairs, judge(pairs, "classes", 1.0), "classes", words)
    changes = sums.changes("classes")
    assert len(changes) == 1_000
    assert [c["class"] for c in changes if c["outcome"] != "no_difference"] == ["class 7"]
    assert (changes[0]["outcome"], changes[0]["images"], changes[0]["right_b"]) == ("worse", 20, 0)
    assert sum(c["gained"] - c["lost"] for c in changes) == sum(x == y for x, y in zip(b, label, strict=True)) - sum(
        x == y for x, y in zip(a, label, strict=True)
    )


def test_each_labelled_image_is_asked_for_each_label() -> None:
    sets = ["", "cat", "dog", f"cat{BETWEEN}dog"]
    words = Vocabulary(list(sets))
    chance = np.random.default_rng(1)
    label, a, b = (chance.integers(0, 4, 200).tolist() for _ in range(3))
    pairs = Pairs(rows(label, a), rows(label, b))
    sums = ClassSums()
    sums.add(pairs, judge(pairs, "labels", 1.0), "labels", words)
    for change in sums.changes("labels"):
        has = [[change["class"] in sets[number].split(BETWEEN) for number in numbers] for numbers in (label, a, b)]
        right_a, right_b = ([x == y for x, y in zip(has[0], said, strict=True)] for said in has[1:])
        assert (change["images"], change["right_a"], change["right_b"]) == (sum(has[0]), sum(right_a), sum(right_b))
        assert change["gained"] == sum(y > x for x, y in zip(right_a, right_b, strict=True))
        assert change["lost"] == sum(y < x for x, y in zip(right_a, right_b, strict=True))
    assert {change["class"] for change in sums.changes("labels")} == {"cat", "dog"}
