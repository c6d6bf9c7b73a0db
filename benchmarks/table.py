"""The results as a page of Markdown, made from the JSON files alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.comparison import Comparison, load_results
from benchmarks.limit import LIMIT
from benchmarks.processes import Run

PAGE = "README.md"
HEAD = (
    "workload",
    "images",
    "beside",
    "ours, images/s",
    "theirs, images/s",
    "times as fast (each pair)",
    "CPU seconds, theirs / ours (each pair)",
    "memory, ours / theirs",
    "our parent's CPU",
    "of the limit",
    "classes that differ",
)
EXPLANATION = """\
Made by `python -m benchmarks table` from the JSON files beside this page, which hold every run.

Each row compares Nightscore ("ours") with the program in the column *beside* ("theirs"). Both score the same files with
the same model, as whole processes from start to exit, in turn. Before that, each runs once without being counted, but
for the slow store. Figures are medians. *Times as fast* is their seconds divided by ours: the median of the pairs, and
in brackets the smallest, the largest, and the number of pairs. CPU seconds are shown in the same way. *Memory* is the
most that all processes of a program take together at one time, by proportional set size: if n processes share a page,
each counts an n-th of it. If the kernel does not tell that, shared pages count in full, and the figure says "at most".

`before` is Nightscore at commit 7c95bb3, with the libraries that it pinned. `limit` are bare processes, one a core,
that only use the same decoder and LiteRT and write the same rows as Parquet. *Of the limit* is our speed as a share of
theirs; of the slow store, as a share of the speed that our requests allow if all connections are always in use. *Our
parent's CPU* is the CPU time for each image in our first process, without its children; what a run of ten images takes
there is subtracted.

*Classes that differ* is the number of images to which the two programs give different classes. These are ties within
rounding; if they were not, there would be no figure here. MobileNetV2 has random weights, and small differences in the
grey levels of TensorFlow's JPEG decoder change its classes: at most 0.2 % of its images may differ, and of the
photographs of 12 megapixels 1 %. Where we ran alone, our own seconds stand.
"""
BRIEF = (
    "workload",
    "images",
    "beside",
    "ours, images/s",
    "times as fast (each pair)",
    "CPU seconds, theirs / ours (each pair)",
    "memory, ours / theirs",
)
"""The columns that the README quotes."""

QUOTED = (
    ("mnist-png", "tfdata"),
    ("mnist-png", "run-inference"),
    ("mnist-tfrecord", "tfdata"),
    ("jpeg-cnn", "tfdata"),
    ("jpeg-mobilenet", "tfdata"),
    ("photo-mobilenet", "tfdata"),
)
"""Workload and what is beside ours: the rows that the README quotes, if they were measured."""

START, END = "<!-- made by: python -m benchmarks table -->", "<!-- end of the table -->"


def table(results: Sequence[Comparison]) -> str:
    """Return a Markdown table with a row for each result."""
    rows = [HEAD, ("---",) * len(HEAD), *map(_cells, results)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def brief_table(results: Sequence[Comparison]) -> str:
    """Return the rows and columns of the same table that the README quotes."""
    chosen = [HEAD.index(name) for name in BRIEF]
    quoted = [result for result in results if (result.workload, result.against) in QUOTED]
    rows = [BRIEF, ("---",) * len(BRIEF), *([_cells(result)[i] for i in chosen] for result in quoted)]
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
    memory = _memory(result.ours)
    end = (_parent(result), _of_limit(result), _differing(result))
    if not result.others:
        cpu = f"{ours['cpu']:.1f}, {1e6 * ours['cpu'] / result.images:,.0f} µs an image"
        return (*start, "-", f"{ours['wall']:.1f} s", cpu, memory, *end)
    theirs, ratios = result.medians["others"], result.ratios
    return (
        *start,
        f"{theirs['images_per_second']:,.0f}",
        f"**{median(ratios['wall']):.2f}** ({_range(ratios['wall'])})",
        f"{theirs['cpu']:.1f} / {ours['cpu']:.1f} = {median(ratios['cpu']):.2f} ({_range(ratios['cpu'])})",
        f"{memory} / {_memory(result.others)}",
        *end,
    )


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}; {len(values)}"


def _memory(runs: Sequence[Run]) -> str:
    text = f"{median(run.peak_bytes for run in runs) / 1e6:,.0f} MB"
    return text if all(run.exact for run in runs) else f"at most {text}"


def _parent(result: Comparison) -> str:
    values = result.facts.get("parent", {}).get("microseconds_an_image")
    return f"{median(values):.1f} µs ({_range(values)})" if values else "-"


def _of_limit(result: Comparison) -> str:
    if result.against == LIMIT:
        return f"{median(result.ratios['wall']):.0%}"
    limit = result.facts.get("limit", {}).get("whole_process_images_per_second")
    return f"{result.medians['ours']['images_per_second'] / limit:.0%}" if limit else "-"


def _differing(result: Comparison) -> str:
    return str(result.facts.get("agreement", {}).get("differing", "-"))


def _machine(result: Comparison) -> str:
    found = result.machine
    if not found:
        return "an unknown machine"
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    flags = " ".join(found.get("flags", ()))
    cpu = f"{found['cpu']} with {flags}" if flags else found["cpu"]
    return f"{cpu}, {found['cores']} cores, {found['memory_bytes'] / 2**30:.0f} GiB; {versions}"
