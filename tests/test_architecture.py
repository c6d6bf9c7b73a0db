"""The import direction of the design."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

GROUPS = [
    ["text", "imports", "wording", "confusion"],
    [
        "errors",
        "batches",
        "metrics",
        "examples",
        "concurrency",
        "progress",
        "html",
        "frames",
        "quiet",
        "interrupt",
        "findings",
    ],
    ["options", "slices", "charts", "formats"],
    ["units", "forecast", "storage", "labels", "thumbnails", "native", "timing", "cpu", "inference"],
    ["flags", "template", "gallery", "machine", "outcome"],
    ["model_dir"],
    ["run", "rows"],
    ["sources", "preprocess", "history", "nights"],
    ["predict", "children", "shortlist"],
    ["plan", "commit"],
    ["pinned"],
    ["child", "counters", "follow", "sweep", "logs"],
    ["score", "canary"],
    ["summarize", "rehearsal", "attention"],
    ["report"],
    ["finish"],
    ["transforms", "verify", "status", "prepare", "rerun", "rebuild"],
    ["dataflow"],
    ["job"],
    ["headstart"],
    ["terminal", "look_cli"],
    ["cli", "verify_cli", "report_cli", "status_cli"],
    ["plan_cli", "launch"],
    ["__main__"],
]
"""A module imports from earlier groups only."""

ONLY = {
    "apache_beam": {"counters", "transforms", "dataflow", "job"},
    "tensorflow": {"inference"},
    "PIL": {"native", "preprocess", "thumbnails"},
    "google.cloud": {"storage"},
    "rich": {"terminal"},
    "jinja2": {"html"},
}

PIPELINE = sorted((ROOT / "pipeline").rglob("*.py"))


def module_of(path: Path) -> str:
    """The name in GROUPS: a subpackage counts as one module."""
    return path.relative_to(ROOT / "pipeline").parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_module_has_its_place() -> None:
    placed = {name for group in GROUPS for name in group}
    assert {module_of(path) for path in PIPELINE} - {"__init__"} == placed


@pytest.mark.parametrize("path", PIPELINE, ids=lambda p: str(p.relative_to(ROOT)))
def test_module_imports_only_what_lies_below_it(path: Path) -> None:
    level = {name: i for i, group in enumerate(GROUPS) for name in group}
    me = module_of(path)
    for imported in imports_of(path):
        top, _, rest = imported.partition(".")
        assert top != "model_training", f"{me} imports {imported}"
        used = rest.split(".")[0]
        if top == "pipeline" and used != me:
            assert level[used] < level[me], f"{me} imports {imported}"
        for library, owners in ONLY.items():
            assert not f"{imported}.".startswith(f"{library}.") or me in owners, f"{me} imports {imported}"


def test_model_training_does_not_know_beam_or_the_job() -> None:
    for path in (ROOT / "model_training").rglob("*.py"):
        for imported in imports_of(path):
            assert not imported.startswith(("apache_beam", "pipeline.job", "pipeline.transforms", "pipeline.cli"))


@pytest.mark.parametrize(
    "argv",
    [
        ["--help"],
        ["score", "--help"],
        ["train", "--help"],
        ["demo", "--help"],
        ["verify", "--help"],
        ["report", "--help"],
        ["status", "--help"],
        ["plan", "--help"],
    ],
)
def test_help_is_there_without_the_heavy_imports(argv: list[str]) -> None:
    program = (
        "import sys, nightscore; code = nightscore.main(sys.argv[1:]); "
        "assert not {'tensorflow', 'apache_beam', 'keras'} & set(sys.modules); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program, *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "example" in done.stdout or "nightscore score" in done.stdout
