"""What a release is: a wheel and an sdist that install into an empty environment and run the demo from any folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from package_index import new_environment, run_fetching

ROOT = Path(__file__).parents[2]
PACKAGES = ("nightscore", "pipeline", "model_training", "model_import")
CONSTRAINTS = ROOT / "constraints.txt"

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1200)]


def tracked() -> list[str]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files, in a folder of their own: building leaves files beside them."""
    folder = tmp_path_factory.mktemp("source")
    for name in tracked():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def files(source: Path) -> tuple[Path, Path]:
    """The wheel and the sdist."""
    run_fetching([sys.executable, "-m", "build"], source)
    (wheel,), (sdist,) = source.glob("dist/*.whl"), source.glob("dist/*.tar.gz")
    return wheel, sdist


def check_demo(program: Sequence[str | Path], folder: Path, **more: str) -> None:
    output = run_fetching([*program, "demo"], folder, **more)
    assert "6 of 3,600" in output
    assert (folder / "demo" / "night" / "report.html").exists()


def test_wheel_has_the_packages_and_nothing_else(files: tuple[Path, Path]) -> None:
    wheel, sdist = files
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {name for name in tracked() if name.startswith(tuple(f"{package}/" for package in PACKAGES))}
    with tarfile.open(sdist) as source:
        inside = {name.partition("/")[2] for name in source.getnames()}
    assert names | {"setup.py", "pyproject.toml", "README.md", "LICENSE"} <= inside


@pytest.mark.parametrize("number", [pytest.param(0, id="wheel"), pytest.param(1, id="sdist")])
def test_wheel_and_sdist_run_the_demo_in_an_empty_environment(
    files: tuple[Path, Path], number: int, tmp_path: Path
) -> None:
    python = new_environment(tmp_path / "its own", "--constraint", CONSTRAINTS, files[number])
    folder = tmp_path / "an other folder"
    folder.mkdir()
    place = run_fetching([python, "-c", "import nightscore; print(nightscore.__path__[0])"], folder, PYTHONPATH="")
    assert Path(place.strip()).is_relative_to(tmp_path / "its own")
    check_demo([python.with_name("nightscore")], folder, PYTHONPATH="")


def test_uvx_runs_the_demo_from_the_source(source: Path, tmp_path: Path) -> None:
    uvx = Path(sys.executable).with_name("uvx")
    words = [uvx, "--python", sys.executable, "--from", ".", "nightscore"]
    check_demo(words, source, UV_TOOL_DIR=str(tmp_path / "tools"))
