"""Who may import whom: the table of docs/architecture.md, and which library appears where."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from mostly_heavy import mostly_heavy

from nightscore.commands import COMMANDS

ROOT = Path(__file__).parent.parent

WORDS = frozenset(
    {
        "errors",
        "interruption",
        "image_facts",
        "image_kinds",
        "flag_names",
        "option_values",
        "options",
        "units",
        "batches",
        "task",
        "text",
        "formatting",
        "concurrency",
        "machine",
    }
)
"""Modules at the top of pipeline/ that every package may import; they import nothing but each other."""

MAY_IMPORT: Mapping[str, frozenset[str]] = {
    name: frozenset(others.split())
    for name, others in {
        "storage": "",
        "metrics": "",
        "sources": "storage",
        "model": "storage",
        "report": "metrics storage.locations",
        "output": "storage metrics report model.spec model.input_rule model.outputs model.pixel_hash model.trained_on",
        "comparison": "storage metrics output report",
        "scoring": "storage metrics sources model output",
        "export": "storage sources output model.thumbnails",
        "beam": "storage metrics output scoring",
        "api": "storage metrics model output scoring beam",
        "cli": "api storage metrics model output comparison export scoring beam",
        "model_training": "storage sources model metrics report scoring output.rows output.row_columns output.run "
        "cli.console cli.quiet cli.interrupt model_import",
        "model_import": "storage sources model metrics report cli.console cli.quiet "
        "model_training.command model_training.publishing.check_images model_training.publishing.convert "
        "model_training.publishing.publish",
        "nightscore": "api storage metrics model output report comparison export scoring beam cli model_training "
        "model_import",
    }.items()
}
"""Package -> what it may import, besides the words: a package, or one module of it."""

LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "apache_beam": ("pipeline.beam",),
    "tensorflow": ("pipeline.model.engines.tensorflow", "model_training", "model_import"),
    "ai_edge_litert": ("pipeline.model.engines.litert", "model_import"),
    "keras": ("model_training", "model_import"),
    "PIL": ("pipeline.model", "model_training", "model_import"),
    "zstandard": ("pipeline.sources.compression",),
    "google.cloud": ("pipeline.storage",),
    "obstore": ("pipeline.storage",),
    "rich": ("pipeline.cli.terminal", "model_training"),
    "jinja2": ("pipeline.report.html",),
}
"""Library -> where it may be imported: packages or modules."""

WITHOUT_BEAM = ("pipeline.beam.flex_template",)
"""Modules of beam/ that import no Beam: they are run where it is not installed, or for a file alone."""

STARTED = "pipeline.scoring.process_main"
"""The program of a local process: `pipeline.scoring.process_start` starts it by its name, and nothing imports it."""

OURS = ("nightscore", "pipeline", "model_training", "model_import")
"""Folders with our packages."""

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in OURS
    for path in sorted((ROOT / folder).rglob("*.py"))
}
"""Dotted name -> file, of every module."""


@functools.cache
def imports_of(path: Path) -> list[str]:
    """Return the dotted names that a file imports, also within functions and for types only."""
    return list(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import: write the whole name"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else str(node.module)


def place_of(module: str) -> str:
    """Return the row of the table for a module: "api", "words", or the name of a package.

    >>> place_of("pipeline.storage.gcs"), place_of("pipeline.errors"), place_of("model_training.build")
    ('storage', 'words', 'model_training')
    """
    top, _, rest = module.partition(".")
    name = rest.partition(".")[0]
    if top != "pipeline":
        return top
    return "words" if name in WORDS else name


def is_within(module: str, places: tuple[str, ...]) -> bool:
    return any(f"{module}.".startswith(f"{place}.") for place in places)


def fault(importer: str, imported: str) -> str | None:
    """Return one line about an import that the table forbids, None about any other."""
    me, other = place_of(importer), place_of(imported)
    if importer in ("pipeline", "pipeline.__main__") or me == other:
        return None
    if other == "words" and imported.partition(".")[0] == "pipeline":
        return None
    allowed = MAY_IMPORT.get(me, frozenset())
    if other in allowed or imported.removeprefix("pipeline.") in allowed:
        return None
    may = ", ".join(sorted(allowed)) or "only the words"
    return (
        f"{importer} imports {imported}, but {me} may import {may}: move what it needs to a package that both may "
        "import, or pass it in as an argument"
    )


def test_every_module_has_its_place() -> None:
    for module in MODULES:
        place = place_of(module)
        assert place in ("", "__main__", "words", *MAY_IMPORT), f"{module} lies in no package of the table: move it"


def test_every_module_is_imported_or_started_by_name() -> None:
    launched = "pipeline.cli.launch"  # by templates/launch.py
    started = {STARTED, *WITHOUT_BEAM, launched, *(command.module for command in COMMANDS.values())}
    imported = {name for path in MODULES.values() for name in imports_of(path)}
    packages = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    alone = {name for name in MODULES if name not in imported | started | packages and not name.endswith("__main__")}
    assert alone == set(), "nobody uses these modules: remove them"


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_what_the_table_allows(module: str) -> None:
    ours = [name for name in imports_of(MODULES[module]) if name.partition(".")[0] in OURS]
    assert [text for name in ours if (text := fault(module, name))] == []


def test_import_that_breaks_the_table_is_told_in_one_line() -> None:
    text = fault("pipeline.storage.local", "pipeline.output.run")
    assert text is not None
    assert text.startswith("pipeline.storage.local imports pipeline.output.run, but storage may import only the words")
    assert "\n" not in text
    assert fault("pipeline.output.run", "pipeline.model.spec") is None
    assert fault("pipeline.output.run", "pipeline.model.directory") is not None
    assert fault("model_training.cli", "pipeline.cli.quiet") is None
    assert fault("model_training.cli", "pipeline.cli.terminal") is not None
    assert fault("pipeline.cli.score", "model_training.build") is not None


@pytest.mark.parametrize("module", MODULES)
def test_library_appears_only_where_it_belongs(module: str) -> None:
    for name in imports_of(MODULES[module]):
        for library, places in LIBRARIES.items():
            if is_within(name, (library,)):
                where = " or ".join(places)
                assert is_within(module, places), f"{module} imports {name}, which belongs to {where}: ask that for it"
                assert module not in WITHOUT_BEAM, f"{module} imports {name}, but is run where Beam is not installed"


TOGETHER = {"model_training": "model_making", "model_import": "model_making"}
"""Packages that import modules of each other: no circle may lead through both of them."""


@pytest.mark.parametrize(
    "package", sorted({TOGETHER.get(place_of(module), place_of(module)) for module in MODULES} - {""})
)
def test_no_cycle_between_the_modules_of_a_package(package: str) -> None:
    members = {module for module in MODULES if TOGETHER.get(place_of(module), place_of(module)) == package}
    arrows = {module: members & set(imports_of(MODULES[module])) - {module} for module in members}
    while arrows:
        free = {module for module, others in arrows.items() if not others & arrows.keys()}
        assert free, f"these modules of {package} import each other in a circle: {', '.join(sorted(arrows))}"
        arrows = {module: others for module, others in arrows.items() if module not in free}


def test_packages_import_nothing_at_their_top() -> None:
    """The commands start fast because heavy modules are imported late; tests/test_nightscore.py tests nightscore's."""
    for module, path in MODULES.items():
        if path.name == "__init__.py" and module not in ("nightscore", "pipeline.storage", "pipeline.sources"):
            assert imports_of(path) == [], f"{module} imports something: keep the __init__.py of a package empty"


def reached_from(module: str) -> set[str]:
    """Return every module of ours that is imported, however indirectly."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in MODULES and name not in found:
            found.add(name)
            parents = [".".join(name.split(".")[:i]) for i in range(1, name.count(".") + 1)]
            waiting += [*imports_of(MODULES[name]), *parents]
    return found


def test_local_process_is_a_program_free_of_beam_and_of_engines_until_it_loads_a_model() -> None:
    """The one arrow that is no import: process_start starts process_main by its name."""
    assert STARTED in MODULES
    assert f'"{STARTED}"' in MODULES["pipeline.scoring.process_start"].read_text()
    for module, path in MODULES.items():
        assert STARTED not in imports_of(path), f"{module} imports {STARTED}, which is a program: start it"
    libraries = {name.partition(".")[0] for module in reached_from(STARTED) for name in imports_of(MODULES[module])}
    assert not libraries & {"apache_beam", "keras"}
    program = f"import sys, {STARTED}; print(*{{'tensorflow', 'ai_edge_litert'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    "argv",
    mostly_heavy(
        [
            ["--help"],
            ["score", "--help"],
            ["train", "--help"],
            ["import-model", "--help"],
            ["demo", "--help"],
            ["verify", "--help"],
            ["report", "--help"],
            ["export", "--help"],
            ["status", "--help"],
            ["plan", "--help"],
            ["compare", "--help"],
        ],
        kept=[["--help"], ["score", "--help"], ["train", "--help"], ["import-model", "--help"]],
    ),
)
def test_help_is_there_without_the_heavy_imports(argv: list[str]) -> None:
    program = (
        "import sys, nightscore.__main__; code = nightscore.__main__.main(sys.argv[1:]); "
        "heavy = {'tensorflow', 'apache_beam', 'keras'} & set(sys.modules); "
        "assert not heavy, heavy; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program, *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "example" in done.stdout or "nightscore score" in done.stdout
