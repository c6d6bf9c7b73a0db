"""The front door: what `import nightscore` gives, what it costs, what it leaves alone, and how it is typed."""

from __future__ import annotations

import inspect
import subprocess
import sys
import venv
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest
from conftest import WriteImages

import nightscore
from model_training import cli
from model_training.data.options import DataOptions
from model_training.learning.recipe import Recipe
from nightscore.scoring import ScoreKeywords
from nightscore.training import ReadingKeywords, train
from pipeline import errors
from pipeline.options import ScoreOptions

ROOT = Path(__file__).parent.parent


def run_program(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_import_is_cheap() -> None:
    program = (
        "import sys, nightscore; "
        "heavy = {'numpy', 'pyarrow', 'apache_beam', 'tensorflow', 'keras'}; assert not heavy & set(sys.modules); "
        "assert nightscore.UsageError; assert not heavy & set(sys.modules)"
    )
    done = run_program(program)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_public_name_is_there_and_none_besides() -> None:
    assert nightscore.__all__ == sorted(nightscore.__all__)
    assert set(nightscore.__all__) <= set(dir(nightscore))
    for name in nightscore.__all__:
        assert getattr(nightscore, name).__name__ == name
        assert inspect.getdoc(getattr(nightscore, name))
    with pytest.raises(AttributeError, match="module 'nightscore' has no attribute 'scores'"):
        nightscore.scores  # noqa: B018


def test_whole_error_tree_is_public() -> None:
    tree = {name for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)}
    assert tree <= set(nightscore.__all__)
    assert all(issubclass(getattr(nightscore, name), nightscore.NightscoreError) for name in tree)


def test_keywords_of_score_are_the_options() -> None:
    needed = {"input", "model", "output"}
    options = {field.name for field in fields(ScoreOptions)}
    assert needed <= inspect.signature(nightscore.score).parameters.keys()
    assert set(get_type_hints(ScoreKeywords)) == options - needed
    types = get_type_hints(ScoreOptions)
    assert get_type_hints(ScoreKeywords) == {name: types[name] for name in options - needed}


def test_keywords_of_train_are_the_flags() -> None:
    flags = {action.dest: action.default for action in cli._parser()._actions if not action.dest.startswith("help")}
    parameters = {
        name: one.default
        for name, one in inspect.signature(train).parameters.items()
        if name not in ("progress", "reading", "validation", "test")
    }
    reading = set(get_type_hints(ReadingKeywords))
    types = get_type_hints(DataOptions)
    assert get_type_hints(ReadingKeywords) == {name: types[name] for name in reading}
    flags = {name: default for name, default in flags.items() if name not in (*reading, "validation", "test")}
    assert set(flags) - {"add_engines"} == set(parameters)
    unless_given = {"seed": Recipe().seed, "resume": False}
    assert {
        name: unless_given.get(name, flags[name]) for name in flags.keys() - {"add_engines", "dataset", "output"}
    } == {name: default for name, default in parameters.items() if name not in ("dataset", "output")}


def test_keyword_that_train_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"train\(\) got an unexpected keyword argument 'lable_key'"):
        train("digits", tmp_path / "model", lable_key="y")  # type: ignore[call-arg]


ALONE = """
import logging, os, random, signal, sys, threading
import nightscore

folder = sys.argv[1]

def state():
    loggers = {n: (one.level, one.disabled, one.handlers) for n, one in logging.root.manager.loggerDict.items()
               if isinstance(one, logging.Logger) and n.split(".")[0] in ("apache_beam", "pipeline", "PIL", "keras")}
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
    changed = {n: how for n, how in loggers.items() if how != (logging.NOTSET, False, [])}
    return (changed, list(logging.root.handlers), logging.root.level, handlers, sys.excepthook, sys.getswitchinterval(),
            os.environ.get("TF_CPP_MIN_LOG_LEVEL"))

before = state()

def work():
    numbers = random.getstate()
    model = nightscore.train("digits", f"{folder}/model", epochs=1, seed=3)
    assert random.getstate() == numbers
    nights.append(nightscore.score(f"{folder}/photos", model, f"{folder}/night", max_failed_fraction=0))
    nights.append(nightscore.score([f"{folder}/photos"], model, f"{folder}/night", max_failed_fraction=1))

nights = []
thread = threading.Thread(target=work)
thread.start()
thread.join()
bad, good = nights
assert bad.exit_code == 3 and "1 of 31 images failed" in bad.verdict.reasons[0], bad.verdict
assert good.exit_code == 0 and good.record["kept"] == 31, good.record
assert state() == before, [pair for pair in zip(state(), before) if pair[0] != pair[1]]
try:
    nightscore.score(f"{folder}/none", f"{folder}/model", f"{folder}/other")
except nightscore.UsageError:
    assert not os.path.exists(f"{folder}/other")
"""


@pytest.mark.heavy
def test_a_program_notices_nothing_but_the_results(tmp_path: Path) -> None:
    """In a thread, in a process that has not imported TensorFlow: no output, no setting changed, nothing ended."""
    from model_training.data.datasets import raw_images

    digits = raw_images("digits")
    for i in range(30):
        path = tmp_path / "photos" / str(digits.labels[i]) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(digits.encoded(i))
    (tmp_path / "photos" / "0" / "broken.png").write_bytes(b"no image")
    done = run_program(ALONE, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done.stderr[-3000:]


INTERRUPTED = """
import os, signal, sys, threading, time
import nightscore

photos, model, output = sys.argv[1:]

def interrupt():
    while not os.path.isdir(f"{output}/receipts") or len(os.listdir(f"{output}/receipts")) < 2:
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt, daemon=True).start()
try:
    nightscore.score(photos, model, output, unit_images=4)
    sys.exit("not interrupted")
except KeyboardInterrupt:
    pass
night = nightscore.open_night(output)
assert night.verdict is None and 2 <= len(night.rows()) < 600, len(night.rows())
night = nightscore.score(photos, model, output, unit_images=4)
assert night.exit_code == 0 and night.record["kept"] >= 2 and len(night.rows()) == 600, night.record
"""


@pytest.mark.heavy
def test_same_call_goes_on_after_an_interrupt(write_images: WriteImages, tiny_model: str, tmp_path: Path) -> None:
    done = run_program(INTERRUPTED, write_images(600), tiny_model, tmp_path / "night")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done.stderr[-3000:]


TYPED = """
import nightscore
from pathlib import Path

model = nightscore.train(Path("photos"), "model", epochs=3, color_mode="rgb", decode="full")
night = nightscore.score([Path("photos"), "more"], model, "night", top_k=3, precision="bfloat16", runner="FlinkRunner")
code: int = night.exit_code or 0
reveal_type(night)
reveal_type(nightscore.open_night("night").verdict)
reveal_type(night.status().images)
reveal_type(night.verify().findings)
try:
    night.rows(["key"])
except nightscore.UnfinishedError as error:
    print(error)
nightscore.score("photos", "model", "night", top_k="three")
nightscore.score("photos", "model", "night", topk=3)
"""


@pytest.mark.heavy
def test_program_elsewhere_is_checked_by_mypy(tmp_path: Path) -> None:
    """As installed: mypy looks into a package that has py.typed, and says nothing about what is wrong in there."""
    venv.create(tmp_path / "venv")
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    for package in ("nightscore", "pipeline", "model_training"):
        (site / package).symlink_to(ROOT / package)
    (tmp_path / "program.py").write_text(TYPED)
    python = tmp_path / "venv" / "bin" / "python"
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python), "program.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    notes = [line.partition("Revealed type is ")[2] for line in done.stdout.splitlines() if ": note: Rev" in line]
    wrong = [line.partition(": error: ")[2] for line in done.stdout.splitlines() if ": error: " in line]
    assert notes[0].strip('"').endswith("nightscore.night.Night"), done.stdout
    assert "nightscore.night.Verdict" in notes[1]
    assert "None" in notes[1]
    assert "int" in notes[2]
    assert "Finding" in notes[3]
    assert [line.split(";")[0].split("  ")[0] for line in wrong] == [
        'Argument "top_k" to "score" has incompatible type "Literal[\'three\']"',
        'Unexpected keyword argument "topk" for "score"',
    ], done.stdout
