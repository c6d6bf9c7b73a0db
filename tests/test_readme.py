"""Every command in the README and in the pages about scoring runs, and the output that the README shows is true."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import DemoRun, WriteImages
from foreign_models import photographs, small_network, written

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = {
    name: (ROOT / "docs" / f"{name}.md").read_text()
    for name in ("score", "results", "when_things_go_wrong", "every_night", "performance", "schema")
}
"""Pages that are about one night, whose commands are run one after the other."""


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(text: str = README) -> list[str]:
    return [line[2:] for block in blocks("console", text) for line in block.splitlines() if line.startswith("$ ")]


def with_this_python(command: str) -> list[str]:
    words = shlex.split(command)
    return {"nightscore": [sys.executable, "-m", *words], "python": [sys.executable, *words[1:]]}.get(words[0], words)


def test_commands_are_the_ones_tested_here() -> None:
    kinds = [command.split()[:2] for command in commands()]
    assert kinds == [
        ["make", "demo"],
        ["make", "test"],
        ["pip", "install"],
        ["uvx", "--from"],
        *[["nightscore", c] for c in ("import-model", "look", "score", "train", "plan", "score", "status")],
    ]
    others = [command.split()[:2] for text in PAGES.values() for command in commands(text)]
    known = ("score", "plan", "score", "pack", "status", "score", "score", "verify", "score")
    known += ("score", "status", "score", "compare", "score", "compare", "plan")
    assert [name for program, name in others if program == "nightscore"] == list(known)
    assert [words for words in others if words[0] not in ("nightscore", "python")] == [["tail", "-1"], ["cp", "-r"]]
    assert [name for program, name in others if program == "python"] == ["-m"] * 5


def test_it_is_short_and_its_picture_is_there() -> None:
    assert len(README.splitlines()) <= 200
    (picture,) = re.findall(r"!\[.*?\]\((.*?)\)", README)
    assert (ROOT / picture).stat().st_size < 500_000


def test_links_lead_to_pages_and_every_page_is_linked() -> None:
    links = set(re.findall(r"\]\(([\w/.]+\.md)\)", README))
    assert all((ROOT / link).exists() for link in links)
    for page in (ROOT / "docs").glob("*.md"):
        others = [README, *(other.read_text() for other in (ROOT / "docs").glob("*.md") if other != page)]
        assert any(f"{page.name})" in text or f"{page.name}#" in text for text in others), page


@pytest.mark.heavy
def test_nightscore_commands_and_the_python_example_run_as_written(write_images: WriteImages, tmp_path: Path) -> None:
    write_images(120, "photos")
    photographs(tmp_path / "one", 1, 0)
    (tmp_path / "one" / "000.jpg").rename(tmp_path / "photos" / "daisy.jpg")
    written(tmp_path, small_network(), "flowers.keras")
    (tmp_path / "flowers.txt").write_text("daisy\ndandelion\nrose\nsunflower\ntulip\n")
    for command in [*commands(), *(command for text in PAGES.values() for command in commands(text))]:
        if "new-model" in command:
            shutil.copytree(tmp_path / "model", tmp_path / "new-model")
        if command.startswith(("nightscore", "python -m json", "tail", "cp")):
            done = subprocess.run(
                with_this_python(command), cwd=tmp_path, capture_output=True, text=True, check=False
            )  # fmt: skip
            assert done.returncode == 0, command + done.stdout + done.stderr
            assert done.stderr == "" or not command.startswith("nightscore plan"), done.stderr
    (files,) = blocks("text", PAGES["results"])
    listed = {line.split()[0].rstrip(",/").split("/")[0] for line in files.splitlines()[1:]}
    assert listed <= {p.name for p in (tmp_path / "night").iterdir()}
    (example,) = blocks("python", PAGES["results"])
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[{'status': 'ok', 'key_count': 121}]\n"


@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_knows_its_targets(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"demo": "nightscore demo --dataset digits", "test": "pytest"}[target] in done.stdout


def shape(text: str) -> list[str]:
    """The text's lines without what differs from run to run: numbers and paths."""
    text = re.sub(r"\S*/(?=demo/)", "", text)
    text = re.sub(r"(?m)^advice .*", "advice", text)  # in so short a run it is the machine's affair
    text = re.sub(r"(?m)^(example +\S+): .*", r"\1", text)  # a long path leaves less room for what was wrong
    return [re.sub(r"[-\d.,]+", "#", " ".join(line.split())) for line in text.splitlines()]


@pytest.mark.heavy
def test_output_of_the_demo_is_the_one_shown(demo_run: DemoRun) -> None:
    (block,) = blocks("text")
    shown, printed = shape(block), shape(demo_run.output)
    start = printed.index(shown[0])
    assert printed[start : start + len(shown)] == shown


@pytest.mark.heavy
def test_make_demo_works_in_a_fresh_clone(tmp_path: Path, room_on_disk: None) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    done = subprocess.run(
        ["make", "demo", f"PYTHON={sys.executable}"], cwd=clone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (clone / "demo" / "night" / "report.html").exists()
    shutil.rmtree(clone)
