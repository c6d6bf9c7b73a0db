"""Recipes: their names, their values, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from model_training.learning.recipe import RECIPES, Recipe, recipe_of
from pipeline.errors import UsageError


def test_classic_recipe_is_the_default_and_has_five_epochs() -> None:
    assert recipe_of() == recipe_of("classic") == Recipe()
    assert (Recipe().epochs, Recipe().batch_size, Recipe().network, Recipe().augment) == (5, 32, "classic", "none")


def test_values_of_ones_own_come_before_those_of_the_recipe() -> None:
    assert recipe_of("strong", epochs=2, seed=None) == replace(RECIPES["strong"], epochs=2)


def test_patience_waits_for_the_loss_where_the_recipe_would_keep_the_last_epoch() -> None:
    assert recipe_of("strong").monitor == "last"
    assert recipe_of("strong", patience=3).monitor == "val_loss"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"name": "best"}, "--recipe 'best' is unknown: give classic or strong"),
        ({"epochs": 0}, "--epochs 0 is too small: give a number of at least 1"),
        ({"seed": -1}, "--seed -1 is too small: give a number of at least 0"),
        ({"network": "resnet"}, "--network 'resnet' is unknown: give classic, compact"),
        ({"schedule": "step"}, "--schedule 'step' is unknown: give constant, cosine"),
        ({"augment": "mixup"}, "--augment 'mixup' is unknown: give none, light, strong"),
        ({"class_weight": "log"}, "--class_weight 'log' is unknown"),
        ({"learning_rate": 0.0}, "--learning_rate 0 is out of range: give a number above 0 and below 10"),
        ({"learning_rate": float("nan")}, "--learning_rate nan is out of range"),
        ({"averaging": 1.0}, "--averaging 1 is out of range"),
        ({"weight_decay": -0.1}, "--weight_decay -0.1 is out of range: give a number from 0 to below 1, such as 0.05"),
        ({"label_smoothing": float("nan")}, "--label_smoothing nan is out of range"),
        (
            {"monitor": "last", "patience": 3},
            "--patience stops when no better epoch comes, but --monitor last compares none",
        ),
    ],
)
def test_other_values_are_refused_in_one_line(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as raised:
        recipe_of(**values)
    assert "\n" not in str(raised.value)
