"""What a person reads of an import: lines for the screen, and import/report.html. Must not know how it is done."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from model_import.build import Imported
from model_import.checks import Checked
from model_import.decide import USUAL
from model_import.examine import Examined
from model_import.fact import Fact, How
from model_import.opening import Opened
from model_import.scaling import Scaling
from model_training.publishing.convert import engines_of
from pipeline.formatting import counted
from pipeline.model.thumbnails import thumbnail
from pipeline.model.trained_on import TrainedOn
from pipeline.report.gallery import gallery
from pipeline.report.html import render
from pipeline.text import brief, plain, shell_path

COLUMNS = 80
"""Characters of a line on the screen."""

_LABEL = 14
"""Characters of what stands before a line's text."""

REPORT = "report.html"


def explained(examined: Examined, checks: Sequence[Checked]) -> str:
    """Return what is known of a model and how, and what would be guessed, as lines of 80 columns."""
    rows = _facts(examined.facts)
    rows += [_row("checked", f"{check.name}: {check.result}") for check in checks]
    return "\n".join([_head(examined), *rows, *_trial(examined), *_warning(examined, checks), *_notes(examined)])


def known_so_far(opened: Opened, facts: Mapping[str, Fact[Any]]) -> str:
    """Return what is known of a model before anything is tried, as lines of 80 columns."""
    return "\n".join([_row("source", f"{opened.kind}: {brief(plain(opened.path))}"), *_facts(facts)])


def _facts(facts: Mapping[str, Fact[Any]]) -> list[str]:
    """Return a line for each fact, and one for all that are guessed for the same reason."""
    usual = {name: fact for name, fact in facts.items() if fact.how == "guessed" and USUAL in fact.why}
    rows = [
        _row(name, f"{_written(fact)} ({fact.how}: {fact.why})") for name, fact in facts.items() if name not in usual
    ]
    if usual:
        told = ", ".join(f"{name} {_written(fact)}" for name, fact in usual.items())
        rows.append(_row("the rest", f"{told} (guessed: the default of {USUAL})"))
    return rows


def summary(imported: Imported, output: str) -> str:
    """Return what an import did, as lines of 80 columns.

    Args:
        imported: see `model_import.build.Imported`.
        output: as the user typed it.
    """
    examined = imported.examined
    kinds: Mapping[str, Sequence[How]] = {
        "known": ("given", "declared", "tried"),
        "not settled": ("unsettled",),
        "guessed": ("guessed",),
    }
    told = {label: _told(examined, hows) for label, hows in kinds.items()}
    lines = [_head(examined), *(_row(label, text) for label, text in told.items() if text)]
    for i, check in enumerate(imported.checks):
        lines.append(_row("" if i else "checked", f"{check.name}: {check.result}"))
    if imported.spec.feed is None and imported.spec.litert is not None:
        lines.append(_row("engines", engines_of(imported.spec.litert)))
    else:
        lines.append(_row("engines", "LiteRT alone, which runs the file as it is"))
    if imported.learned is not None:
        lines.append(_row("trained on", _learned(imported.learned)))
    lines += _trial(examined)
    lines += _warning(examined, imported.checks)
    lines += [_row("note", doubt) for doubt in [*examined.doubts, *imported.not_learned]]
    place = shell_path(output)
    lines += [f"{'model':<{_LABEL}}{place}", f"{'report':<{_LABEL}}{place}/import/{REPORT}"]
    lines.append(f"{'next':<{_LABEL}}nightscore look IMAGE --model {place}")
    return "\n".join(lines)


_SHOWN = (
    "takes", "height", "width", "color_mode", "resize", "fit", "crop", "scaling", "task", "thresholds", "embedding",
    "class_names",
)  # fmt: skip
"""The facts that the screen shows; the report shows all."""


def _told(examined: Examined, hows: Sequence[How]) -> str:
    """Return the facts that became known in certain ways, with where guesses come from."""
    facts = {name: examined.facts[name] for name in _SHOWN if name in examined.facts}
    shown = {name: fact for name, fact in facts.items() if fact.how in hows and fact.value != ()}
    usual = [name for name, fact in shown.items() if USUAL in fact.why]
    told = [f"{name} {_written(fact)}" for name, fact in shown.items() if name not in usual]
    rule = ", ".join(f"{name} {_written(shown[name])}" for name in usual)
    rest = f"the rest of the input rule as in {USUAL}: {rule}" if rule else ""
    return "; ".join(part for part in (", ".join(told), rest) if part)


def _head(examined: Examined) -> str:
    return _row("source", f"{examined.opened.kind}: {brief(plain(examined.request.source))}")


SMALL = ("jpeg_dct", "deep", "gray_from", "exif_orientation")
"""Fields of the input rule that change few images, or all of them by a few grey levels."""


def _warning(examined: Examined, checks: Sequence[Checked]) -> list[str]:
    """Return what is said of the fields that nothing tells, in proportion to what they decide."""
    guessed = examined.decision.guessed
    proof = next((check.proof for check in checks if check.proof is not None), None)
    if proof is not None:
        rows = [_row("proven", f"{', '.join(proof.proven)}, by your golden images")] if proof.proven else []
        if proof.still_open:
            text = f"your golden images do not show {', '.join(proof.still_open)}, which nothing tells"
            rows.append(_row("note", f"{text}; {proof.advice}."))
        return rows
    if not guessed:
        return []
    names = ", ".join(guessed)
    if set(guessed) <= {*SMALL, "class_names"}:
        text = f"nothing tells {names}: usually that changes few images, or scores by little."
    else:
        text = (
            f"nothing tells {names}. If the model was trained otherwise, its scores are wrong and nothing shows it: "
            "say how with --like LOADER or single flags, or prove it with --golden."
        )
    return [_row("note", text)]


def _trial(examined: Examined) -> list[str]:
    """Return what the images of --check tell, as lines."""
    told = [] if examined.verdict is None else examined.verdict.lines()
    return [f"{'' if i else 'tried':<{_LABEL}}{plain(text)}" for i, text in enumerate(told)]


def _notes(examined: Examined) -> list[str]:
    return [_row("note", note) for note in [*examined.doubts, *examined.notes]]


def _learned(learned: TrainedOn) -> str:
    """Return what a model was trained on, as a phrase."""
    images, pictures = learned.images["train"], len(learned)
    copies = f", {pictures:,} of them different to the model" if pictures < images else ""
    return f"{counted(images, 'image')}{copies}: hashes of their pixels are stored"


def _row(label: str, text: str) -> str:
    if len(label) >= _LABEL:
        label += " "
    return textwrap.fill(
        plain(text),
        COLUMNS,
        initial_indent=f"{label:<{_LABEL}}",
        subsequent_indent=" " * _LABEL,
        break_on_hyphens=False,
    )


def _written(fact: Fact[Any]) -> str:
    value = fact.value
    if isinstance(value, Scaling):
        return value.name
    if isinstance(value, tuple):
        shown = ", ".join(brief(name, 20) for name in value[:4])
        return f"{len(value)} ({shown}{', …' if len(value) > 4 else ''})"
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def report_files(imported: Imported) -> Mapping[str, bytes]:
    """Return the contents of import/, by name."""
    examined, golden = imported.examined, imported.golden
    names = [f"image {i}" for i in range(len(golden.pixels))]
    pictures = {name: thumbnail(pixels) for name, pixels in zip(names, golden.pixels, strict=True)}
    scores = next(iter(golden.scores.values()))
    shown = [(name, *_best(imported, row)) for name, row in zip(names, scores, strict=True)]
    page = render(
        "import.html.j2",
        package="model_import",
        source=examined.request.source,
        kind=examined.opened.kind,
        facts=[(name, _written(fact), fact.how, fact.why) for name, fact in examined.facts.items()],
        guessed=examined.decision.guessed,
        checks=imported.checks,
        notes=[*examined.doubts, *examined.notes, *imported.not_learned],
        trained_on="" if imported.learned is None else _learned(imported.learned),
        trial=[] if examined.verdict is None else examined.verdict.lines(),
        spec=imported.spec,
        engines=engines_of(imported.spec.litert) if imported.spec.litert else "",
        golden=shown,
        tried=examined.pictures.origin,
        gallery=gallery(pictures, pictures),
    )
    return {REPORT: page.encode()}


def _best(imported: Imported, row: Any) -> tuple[str, float]:
    """Return the name and the score of the best class of a row; of an embedding, nothing."""
    if not len(row):
        return "embedding", 0.0
    names = imported.spec.class_names
    best = int(row.argmax())
    return (names[best] if names else str(best)), float(row[best])
