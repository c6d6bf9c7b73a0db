"""What a user asks for beside a base: what it does not tell itself, and nothing that contradicts it. Knows no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, get_args

from model_training.command import Parser, not_empty
from model_training.learning.recipe import OF_BASE, FineTune
from pipeline.errors import UsageError
from pipeline.model.input_rule import ColorMode, Decode, InputSpec
from pipeline.model.presets import rule_like


@dataclass(frozen=True)
class Asked:
    """What a user asks for of the input rule of a base.

    Attributes:
        image_size: side of its square input, in pixels; None: as the base has it.
        color_mode: "grayscale" or "rgb"; None: as the base has it.
        decode: of JPEG files; None: as the base has it.
        like: name of the loader whose input rule it is; None: as the base has it.
        scaling: of pixels to values, see `model_import.scaling.parse_scaling`; None: as the base tells.
    """

    image_size: int | None = None
    color_mode: ColorMode | None = None
    decode: Decode | None = None
    like: str | None = None
    scaling: str | None = None

    @property
    def rule(self) -> dict[str, Any]:
        """Fields of the input rule that are given, but its size."""
        given = {"color_mode": self.color_mode, "decode": self.decode}
        return {name: value for name, value in given.items() if value is not None}

    def check(self, rule: InputSpec, base: str) -> None:
        """Check that nothing of this contradicts the input rule of a base.

        Args:
            rule: of the base.
            base: what a person calls it.

        Raises:
            UsageError: something does.
        """
        for flag, value, own in (
            ("image_size", self.image_size, {rule.height, rule.width}),
            ("color_mode", self.color_mode, {rule.color_mode}),
            ("decode", self.decode, {rule.decode}),
        ):
            if value is not None and {value} != own:
                takes = f"{rule.width} x {rule.height} pixels, {rule.color_mode}, decode {rule.decode}"
                raise UsageError(f"--{flag} {value} contradicts --base {base}, which takes {takes}: leave it out")
        if self.like is not None and not _is_like(self.like, rule):
            raise UsageError(f"--like {self.like} contradicts the input rule of --base {base}, which is kept")

    def refuse_scaling(self, base: str) -> None:
        """Check that no scaling is given for a base that scales pixels itself.

        Raises:
            UsageError: one is.
        """
        if self.scaling is not None:
            raise UsageError(f"--scaling {self.scaling} is for files: --base {base} knows its own, so leave it out")


def _is_like(like: str, rule: InputSpec) -> bool:
    """Return whether a rule is that of a loader, whatever its size, its color and its decoding of JPEG files."""
    color: ColorMode = "grayscale" if rule.color_mode == "grayscale" else "rgb"
    usual = rule_like(like, rule.height, rule.width, color)
    return replace(usual, decode=rule.decode) == rule


def check_alone(base: str | None, given: Mapping[str, Any]) -> None:
    """Check that options which go only with a base, or only without one, are given so.

    Args:
        base: that the user gives; None: none.
        given: option -> its value; None: not given.

    Raises:
        UsageError: one is not.
    """
    if base is not None and given.get("network") is not None:
        raise UsageError("--network builds a network, and --base brings one: leave one of them out")
    for name in ("scaling", *OF_BASE):
        if base is None and given.get(name) is not None:
            raise UsageError(f"--{name} is for --base MODEL, which the training would start from")


ASKED = tuple(field.name for field in fields(Asked))
"""Names of the options that `Asked` holds."""


def add_flags(parser: Parser) -> None:
    """Add the options of a training that starts from a trained network."""
    add = parser.add_argument
    add(
        "--base",
        type=not_empty,
        metavar="MODEL",
        help="start from a trained network, and replace its last layer: a model directory, a .keras or .h5 file, a "
        "SavedModel folder, or a network of keras.applications",
    )
    add(
        "--frozen_epochs",
        type=int,
        metavar="N",
        help="first N epochs, in which only the new last layer learns (default: half)",
    )
    add(
        "--fine_tune",
        choices=get_args(FineTune),
        help="layers of the base that learn after the frozen epochs (default: all)",
    )
    add("--fine_tune_rate", type=float, metavar="RATE", help="learning rate after the frozen epochs (default: a tenth)")
    add(
        "--scaling",
        type=not_empty,
        metavar="SCALING",
        help="range of pixel values, if the --base does not state it: raw (0..255), unit (0..1), sign (-1..1), torch, "
        "caffe, or 'SCALE,OFFSET'",
    )
