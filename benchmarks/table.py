"""The results as a page of Markdown, made from the JSON files alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.comparison import Comparison, load_results

PAGE = "README.md"
HEAD = (
    "workload",
    "images",
    "beside",
    "ours, images/s",
    "theirs, images/s",
    "times as fast (each pair)",
    "CPU seconds, theirs / ours",
    "peak memory, ours / theirs",
    "of the limit",
    "classes that differ",
)
EXPLANATION = """\
Made by `python -m benchmarks table` from the JSON files beside this page, which hold every run.

Whole processes, from start to exit, on the same files with the same model, in turn, after a run of each that does not
count (but of the slow store). Figures are medians; *times as fast* is their seconds divided by ours, of each pair the
median, and in brackets the least and the most. *Of the limit* is our speed as a share of what the bare pieces (read,
decode with the fastest decoder that gives the same pixels, the model in its best batch) would reach on all cores
after one import of TensorFlow, with nothing around them; of the slow store, what our requests take on all
connections.
*Classes that differ* are ties within rounding, or no figure would be here; of MobileNetV2 with random weights, which
makes much of the grey levels that TensorFlow's JPEG decoder has otherwise, at most 0.2 %. Where we ran alone, our own
seconds stand.
"""
BRIEF = ("workload", "images", "beside", "ours, images/s", "times as fast (each pair)", "peak memory, ours / theirs")
"""The columns that the README quotes."""

START, END = "<!-- made by: python -m benchmarks table -->", "<!-- end of the table -->"


def table(results: Sequence[Comparison]) -> str:
    """Return a Markdown table with a row for each result."""
    rows = [HEAD, ("---",) * len(HEAD), *map(_cells, results)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def brief_table(results: Sequence[Comparison]) -> str:
    """Return the columns of the same table that the README quotes."""
    chosen = [HEAD.index(name) for name in BRIEF]
    rows = [BRIEF, ("---",) * len(BRIEF), *([_cells(result)[i] for i in chosen] for result in results)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def page(results: Sequence[Comparison]) -> str:
    """Return the whole page; the results are of one machine, or the page says so."""
    machines = dict.fromkeys(_machine(result) for result in results)
    warning = "" if len(machines) <= 1 else "**These were measured on different machines:**\n\n"
    facts = "".join(f"- {line}\n" for line in machines)
    return f"# Benchmarks\n\n{EXPLANATION}\n{warning}{facts}\n{table(results)}"


def quoted(text: str, results: Sequence[Comparison]) -> str:
    """Return a page of Markdown with the brief table between its marks.

    Raises:
        ValueError: it has no marks.
    """
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"no place for the table: {START} ... {END}")
    return f"{before}{start}\n{brief_table(results)}{end}{after}"


def write_page(folder: Path) -> Path:
    """Write the page about all results in a folder into it, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PAGE
    path.write_text(page(load_results(folder)), encoding="utf-8")
    return path


def _cells(result: Comparison) -> tuple[str, ...]:
    ours = result.medians["ours"]
    start = (result.workload, f"{result.images:,}", result.against or "-", f"{ours['images_per_second']:,.0f}")
    memory = f"{ours['peak_bytes'] / 1e6:,.0f} MB"
    end = (_of_limit(result), f"{_differing(result)}")
    if not result.others:
        cpu = f"{ours['cpu']:.1f}, {1e6 * ours['cpu'] / result.images:,.0f} µs an image"
        return (*start, "-", f"{ours['wall']:.1f} s", cpu, memory, *end)
    theirs, ratios = result.medians["others"], result.ratios["wall"]
    return (
        *start,
        f"{theirs['images_per_second']:,.0f}",
        f"**{median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f}; {len(ratios)})",
        f"{theirs['cpu']:.1f} / {ours['cpu']:.1f} = {result.medians['ratios']['cpu']:.2f}",
        f"{memory} / {theirs['peak_bytes'] / 1e6:,.0f} MB",
        *end,
    )


def _of_limit(result: Comparison) -> str:
    limit = result.facts.get("limit", {}).get("whole_process_images_per_second")
    return f"{result.medians['ours']['images_per_second'] / limit:.0%}" if limit else "-"


def _differing(result: Comparison) -> str:
    return str(result.facts.get("agreement", {}).get("differing", "-"))


def _machine(result: Comparison) -> str:
    found = result.machine
    if not found:
        return "an unknown machine"
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return f"{found['cpu']}, {found['cores']} cores, {found['memory_bytes'] / 2**30:.0f} GiB; {versions}"
