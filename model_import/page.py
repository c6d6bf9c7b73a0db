"""What a person reads of an import: lines for the screen, and import/report.html. Must not know how it is done."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from model_import.build import Imported
from model_import.checks import Checked, known_facts, names_of
from model_import.decide import USUAL
from model_import.examine import Examined
from model_import.fact import WORDS, Fact, How
from model_import.incomplete import Incomplete
from model_import.scaling import Scaling
from model_training.publishing.convert import engines_of
from pipeline.formatting import counted
from pipeline.model.thumbnails import thumbnail
from pipeline.model.trained_on import TrainedOn
from pipeline.report.gallery import FEW_SHOWN, gallery
from pipeline.report.html import render
from pipeline.text import brief, plain, shell_path

COLUMNS = 80
"""Characters of a line on the screen."""

_LABEL = 14
"""Characters of what stands before a line's text."""

REPORT = "report.html"


def explained(examined: Examined, checks: Sequence[Checked]) -> str:
    """Return what is known of a model and how, and what would be guessed, as lines of 80 columns."""
    facts = known_facts(examined, checks)
    rows = _facts(facts)
    rows += [_row("checked", f"{check.name}: {check.result}") for check in checks]
    return "\n".join([_head(examined), *rows, *_trial(examined), *_open(facts, checks), *_notes(examined)])


def known_so_far(found: Incomplete) -> str:
    """Return what is known of a model of which something is missing, and what that is, as lines of 80 columns."""
    opened = found.known.opened
    rows = [_row("missing", "; ".join(found.missing))] if found.missing else []
    notes = [_row("note", note) for note in found.known.said.notes]
    return "\n".join(
        [_row("source", f"{opened.kind}: {brief(plain(opened.path))}"), *_facts(found.facts), *rows, *notes]
    )


def _facts(facts: Mapping[str, Fact[Any]]) -> list[str]:
    """Return a line for each fact, and one for all that are guessed for the same reason."""
    usual = {name: fact for name, fact in facts.items() if fact.how == "guessed" and USUAL in fact.why}
    rows = [
        _row(name, f"{_written(fact)} ({WORDS.get(fact.how, fact.how)}: {fact.why})")
        for name, fact in facts.items()
        if name not in usual
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
    facts = known_facts(examined, imported.checks)
    lines = [_head(examined)]
    for label, hows in _KINDS.items():
        if text := _told(facts, names_of(facts, *hows), is_brief=label == "known"):
            lines.append(_row(label, text))
    for i, check in enumerate(imported.checks):
        lines.append(_row("" if i else "checked", f"{check.name}: {check.result}"))
    if imported.spec.feed is None and imported.spec.litert is not None:
        lines.append(_row("engines", engines_of(imported.spec.litert)))
    else:
        lines.append(_row("engines", "LiteRT alone, which runs the file as it is"))
    if imported.learned is not None:
        lines.append(_row("trained on", _learned(imported.learned)))
    lines += _trial(examined)
    lines += _open(facts, imported.checks)
    lines += [_row("note", doubt) for doubt in [*examined.doubts, *imported.not_learned]]
    place = shell_path(output)
    lines += [f"{'model':<{_LABEL}}{place}", f"{'report':<{_LABEL}}{place}/import/{REPORT}"]
    lines.append(f"{'next':<{_LABEL}}nightscore look IMAGE --model {place}")
    return "\n".join(lines)


_KINDS: Mapping[str, Sequence[How]] = {
    "known": ("given", "declared", "tried", "proven"),
    "not settled": ("unsettled",),
    "guessed": ("guessed",),
}
"""What stands before facts -> how they became known."""

_BRIEF = (
    "takes", "height", "width", "color_mode", "resize", "fit", "crop", "scaling", "task", "thresholds", "embedding",
    "class_names",
)  # fmt: skip
"""What is known and stands on the screen; the report has all. What is not known stands there in full."""


def _told(facts: Mapping[str, Fact[Any]], names: Sequence[str], is_brief: bool) -> str:
    """Return some of the facts, with where guesses come from."""
    shown = {name: facts[name] for name in names if not is_brief or (name in _BRIEF and facts[name].value != ())}
    usual = [name for name, fact in shown.items() if USUAL in fact.why]
    told = [f"{name} {_written(fact)}" for name, fact in shown.items() if name not in usual]
    rule = ", ".join(f"{name} {_written(shown[name])}" for name in usual)
    rest = f"the rest of the input rule as in {USUAL}: {rule}" if rule else ""
    return "; ".join(part for part in (", ".join(told), rest) if part)


def _head(examined: Examined) -> str:
    return _row("source", f"{examined.opened.kind}: {brief(plain(examined.request.source))}")


SMALL = ("jpeg_dct", "deep", "gray_from", "exif_orientation", "decode")
"""Fields of the input rule that change few images, or all of them by a few grey levels."""

_FLAGS = {"class_names": "--labels", "thresholds": "--thresholds"}
"""What is guessed and no part of the input rule -> the flag that says it."""


def advice(facts: Mapping[str, Fact[Any]]) -> str:
    """Return what may be wrong with what is guessed, and which flags say it, as sentences; "": nothing is guessed."""
    guessed = names_of(facts, "guessed")
    rule = [name for name in guessed if name not in _FLAGS]
    flags = [flag for name, flag in _FLAGS.items() if name in guessed]
    said = []
    if rule and set(rule) <= set(SMALL):
        said.append(f"Another {' or '.join(rule)} usually changes few images, or scores by little.")
    elif rule:
        said.append(
            "If the model was trained otherwise than is guessed, its scores are wrong and nothing shows it: say how "
            "with --like LOADER or single flags, or prove it with --golden."
        )
    if flags:
        said.append(f"What {' and '.join(flags)} would say is the default.")
    return " ".join(said)


def _open(facts: Mapping[str, Fact[Any]], checks: Sequence[Checked]) -> list[str]:
    """Return what is said of what nothing tells, and of what the user's own scores prove, as lines."""
    proof = next((check.proof for check in checks if check.proof is not None), None)
    rows = [_row("proven", f"{', '.join(proof.proven)}, by your golden images")] if proof and proof.proven else []
    if proof is not None and proof.still_open:
        text = f"your golden images do not show {', '.join(proof.still_open)}, which nothing tells"
        return [*rows, _row("note", f"{text}; {proof.advice}.")]
    text = advice(facts)
    return [*rows, _row("note", text)] if text else rows


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
    facts, verdict = known_facts(examined, imported.checks), examined.verdict
    page = render(
        "import.html.j2",
        package="model_import",
        source=examined.request.source,
        kind=examined.opened.kind,
        facts=[(name, _written(fact), WORDS.get(fact.how, fact.how), fact.why) for name, fact in facts.items()],
        doubtful=("guessed", WORDS["unsettled"]),
        warnings=[] if verdict is None else verdict.warnings,
        unsettled=_told(facts, names_of(facts, "unsettled"), is_brief=False),
        guessed=_told(facts, names_of(facts, "guessed"), is_brief=False),
        advice=advice(facts),
        checks=imported.checks,
        notes=[*examined.doubts, *examined.notes, *imported.not_learned],
        trained_on="" if imported.learned is None else _learned(imported.learned),
        trial=[] if verdict is None else verdict.paragraphs(),
        spec=imported.spec,
        engines=engines_of(imported.spec.litert) if imported.spec.litert else "",
        golden=shown,
        tried=examined.pictures.origin,
        gallery=gallery(pictures, pictures, why_none=FEW_SHOWN),
    )
    return {REPORT: page.encode()}


def _best(imported: Imported, row: Any) -> tuple[str, float]:
    """Return the name and the score of the best class of a row; of an embedding, nothing."""
    if not len(row):
        return "embedding", 0.0
    names = imported.spec.class_names
    best = int(row.argmax())
    return (names[best] if names else str(best)), float(row[best])
