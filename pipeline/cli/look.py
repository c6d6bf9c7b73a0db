"""`nightscore look`: an image and a model in; what the model sees and says of it, on the screen, and as a PNG file.

Exit codes: 0 shown; 1 a bug; 2 bad usage, no model, or no image; 3 storage fails; 130 interrupted.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline import storage
from pipeline.cli.command import calm, look_on, new_parser
from pipeline.cli.console import answer as print_json
from pipeline.cli.one_screen import Fact
from pipeline.cli.quiet import silence_pillow, stderr_silenced
from pipeline.cli.terminal import Screen, show_facts, show_pictures
from pipeline.errors import UsageError
from pipeline.flag_names import JSON
from pipeline.formatting import percent
from pipeline.option_values import check_ranges
from pipeline.options import add_arguments
from pipeline.text import brief, shell_path

if TYPE_CHECKING:
    from pipeline.model.input_rule import InputSpec
    from pipeline.model.look import Look
    from pipeline.model.spec import ModelSpec

DESCRIPTION = """\
example: nightscore look photo.jpg --model model
         nightscore look photo.jpg --model model --png seen.png

Show an image and, beside it, the pixels that the model sees of it: what is cut
off, squeezed, bordered or turned. A frame in the image shows what is kept.
Below them stands what the model says of these pixels.
"""

EPILOG = "Exit codes: 0 shown, 2 bad usage, no model or no image; 3 storage fails."

DECODING = ("bands", "background")
"""Options of a score that say how an image is decoded."""

LEAST_LINES = 8
OTHERS = 10
"""Lines of a terminal that both pictures take at least, and that the command, the facts and the prompt take."""

LINES = 20
"""Lines of the terminal that the pictures take, at most."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `nightscore look` and return its exit code."""
    return look_on("look", _parser, argv, _look)


def _parser() -> argparse.ArgumentParser:
    parser = new_parser("look", DESCRIPTION, EPILOG)
    parser.add_argument("image", metavar="IMAGE", help="an image file, or gs://")
    parser.add_argument("--model", required=True, metavar="MODEL", help="model directory, or gs://")
    parser.add_argument("--png", metavar="FILE", help="file to write both pictures to; one that is there is replaced")
    add_arguments(parser, DECODING)
    parser.add_argument(JSON, action="store_true", help="one line of JSON on stdout instead of text and pictures")
    return parser


def _look(asked: argparse.Namespace) -> int:
    silence_pillow()
    from pipeline.model.directory import read_spec  # NumPy, which --help does without
    from pipeline.model.look import draw, shrink

    chosen = {name: getattr(asked, name) for name in DECODING if getattr(asked, name)}
    check_ranges(chosen)
    spec = read_spec(storage.absolute(asked.model))
    rule = replace(spec.input, **chosen)
    data, shown = _shown(asked.image, rule)
    if asked.png and not asked.png.lower().endswith(".png"):
        raise UsageError(f"--png {asked.png!r} must end in .png: a PNG file is written")
    if asked.png:
        storage.replace(storage.absolute(asked.png), draw(shown))
    if asked.json:
        facts = {**_as_json(asked, shown, rule), "scaling": _scaling(spec)}
        print_json({"exit_code": 0, **facts, "says": _says(asked, spec, data, shown)[1]})
        return 0
    screen = Screen()
    if screen.is_terminal and screen.color_system and not screen.no_color:
        each, lines = (screen.width - 2) // 2, max(LEAST_LINES, min(LINES, screen.height - OTHERS))
        show_pictures(screen, shrink(shown, (each, 2 * lines)), each)
        asked.is_shown = True
    says, _ = _says(asked, spec, data, shown)
    show_facts(screen, _facts(asked, spec, shown, rule, says))
    return 0


def _says(
    asked: argparse.Namespace, spec: ModelSpec, data: bytes, shown: Look
) -> tuple[Sequence[Fact], Mapping[str, Any]]:
    """Return what the model says of the image, as facts and as JSON values."""
    from pipeline.cli.answer_facts import NAME, answer_facts, answer_json
    from pipeline.model.answer import answer, engine_here

    engine = engine_here(spec)
    if engine is None:
        package = "tensorflow" if spec.feed is None else "ai-edge-litert"
        why = f"needs the package {package}: pip install {package}"
        return [(NAME, f"not computed: it {why}")], {"error": f"it {why}"}
    calm()
    with stderr_silenced():  # LiteRT says there which delegate it has
        batch = answer(storage.absolute(asked.model), spec, engine, data, shown.pixels)
    return list(answer_facts(batch, spec)), answer_json(batch, spec)


def _shown(image: str, rule: InputSpec) -> tuple[bytes, Look]:
    from pipeline.model.look import look

    try:
        data = storage.read(storage.absolute(image))
    except FileNotFoundError as error:
        raise UsageError(f"{image!r} is not a file: give an image file; one in an archive cannot be shown") from error
    try:
        return data, look(data, rule)
    except Exception as error:  # Pillow's parsers raise whatever they stumble over
        raise UsageError(f"{image!r} cannot be decoded: {error or type(error).__name__}") from error


def _facts(
    asked: argparse.Namespace, spec: ModelSpec, shown: Look, rule: InputSpec, says: Sequence[Fact]
) -> Iterator[Fact]:
    yield "image", f"{brief(asked.image)}: {shown.size[0]} x {shown.size[1]} pixels"
    left, upper, right, lower = shown.kept
    if shown.share < 1:
        text = f"{right - left:.0f} x {lower - upper:.0f} pixels at ({left:.0f}, {upper:.0f})"
        yield "kept", f"{text}: {percent(shown.share, 0)} of the image"
    yield "model input", f"{rule.width} x {rule.height} pixels, {rule.color_mode}"
    others = {name: value for name, value in _rule(rule).items() if name not in ("height", "width", "color_mode")}
    yield "input rule", ", ".join(f"{name} {value}" for name, value in others.items())
    yield "scaling", _scaling_text(spec)
    yield from says
    if asked.png:
        yield "picture", shell_path(asked.png)
    elif not getattr(asked, "is_shown", False):
        yield "pictures", "no terminal with colors: --png FILE.png writes them to a file"


def _rule(rule: InputSpec) -> dict[str, Any]:
    """Return the input rule as it is stored, also those fields that are at their default but decide much."""
    return {**rule.to_json(), "fit": rule.fit}


def _scaling(spec: ModelSpec) -> dict[str, Any]:
    """Return how pixels become the network's values, as JSON values: where, and name and numbers if known."""
    from pipeline.model.spec import SCALING

    if spec.takes == "encoded":
        return {"where": "the network decodes and scales the file by itself"}
    if spec.imported:
        return {"where": spec.scaling, **spec.imported.get("scaling", {})}
    if spec.scaling == SCALING:
        return {"where": spec.scaling, "name": "unit", "scale": [1 / 255], "offset": [0.0]}
    base = spec.training.get("base", {})
    return {"where": spec.scaling, **({"name": base["scaling"]} if "scaling" in base else {})}


def _scaling_text(spec: ModelSpec) -> str:
    """Return how pixels become the network's values, as a phrase."""
    scaling = _scaling(spec)
    name = f"{scaling['name']}: " if "name" in scaling else ""
    if "scale" not in scaling:
        return name + str(scaling["where"])
    ends = [(offset, 255 * scale + offset) for scale, offset in _pairs(scaling["scale"], scaling["offset"])]
    low, high = min(map(min, ends)), max(map(max, ends))
    return f"{name}the network gets values from {low:.4g} to {high:.4g}"


def _pairs(scale: Sequence[float], offset: Sequence[float]) -> list[tuple[float, float]]:
    """Return the factor and the offset of each channel, or of all channels together."""
    count = max(len(scale), len(offset))
    return [(scale[i % len(scale)], offset[i % len(offset)]) for i in range(count)]


def _as_json(asked: argparse.Namespace, shown: Look, rule: InputSpec) -> dict[str, Any]:
    kept = [round(side, 3) for side in shown.kept]
    sides = {"width": shown.size[0], "height": shown.size[1]}
    return {"image": asked.image, **sides, "kept": kept, "share": round(shown.share, 6), "input": _rule(rule)}
