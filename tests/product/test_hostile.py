"""Names that are HTML, shell, formulas, paths, escape codes or no text at all: exact in rows, harmless to look at."""

from __future__ import annotations

import ast
import csv
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from conftest import MakeRun, rows_of
from example_nights import record_of
from parsed_page import ParsedPage
from rich.console import Console

from model_training.data.datasets import RawImages
from model_training.publishing.export import make_spec
from pipeline import storage
from pipeline.batches import Failure
from pipeline.beam import job
from pipeline.cli import score, terminal
from pipeline.cli.console import complain
from pipeline.errors import UsageError
from pipeline.metrics.accuracy import Metrics
from pipeline.model.directory import SPEC, read_spec
from pipeline.output.receipts import Extras, Receipt
from pipeline.output.run import Run
from pipeline.output.summary import Summary, figures
from pipeline.report.page import report
from pipeline.scoring.canary import Canary
from pipeline.scoring.prepare import prepare
from pipeline.storage import key_of, location_of

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"

ON_DISK = [
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "<script>console.error(1)",
    "{{7*7}}{% if %}&amp;",
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned;",
    "--output=pwned",
    '=HYPERLINK("http:x","y")',
    "@SUM(1+1)|cmd",
    "..\\..\\evil",
    "C:\\evil",
    "line\nbreak\r\ttab",
    "\x1b]0;title\x07",
    "\x1b[2J\x1b[31m",
    "\x9b2J\x08\x7f",
    "\u202egpj.exe",
    "\u2066\u2028\ufeff",
    "[bold red]x[/] :bomb:",
    "a!b#1%41",
    "\udcff\udcfe",
    "ü日本",
    "n" * 251,
]
"""Without the suffix; what is not UTF-8 as Python decodes names."""

IN_CONTAINERS = [
    *ON_DISK,
    "../../../../../../../../tmp/pwned",
    "/etc/pwned",
    "..\\..\\..\\pwned",
    "</title></td><script>alert(1)</script>",
    "long/" + "<b>" * 3_400,
]

CLASSES = [
    "<img src=x onerror=alert(1)>",
    "</script><script>console.error(1)</script>",
    "=1+1",
    "../../up",
    "\x1b[2J\x1b]0;title\x07",
    "\u202eesrever",
    "[bold]:bomb:",
    "c" * 10_000,
    "two\nlines",
    "\"' onload='x",
]

BROKEN = "broken"


@dataclass(frozen=True)
class Night:
    """A scored archive of hostile names.

    Attributes:
        folder: that holds everything: archive/, model/, and OUTPUTs.
        arguments: of `nightscore score`, without --output.
        expected: every key there is, with whether its image is broken.
        before: what was there before.
        done: what the command said, into parquet/.
    """

    folder: Path
    arguments: list[str]
    expected: Mapping[str, bool]
    before: frozenset[bytes]
    done: subprocess.CompletedProcess[bytes]

    @property
    def output(self) -> Path:
        return self.folder / "parquet"


def below(folder: Path) -> frozenset[bytes]:
    """Everything in a folder but OUTPUTs."""
    found = (os.path.join(root, name) for root, dirs, files in os.walk(os.fsencode(folder)) for name in (*dirs, *files))
    outputs = tuple(os.fsencode(folder / name) for name in ("parquet", "jsonl", "tty"))
    return frozenset(name for name in found if not name.startswith(outputs))


def command(night: Night, output: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "nightscore", "score", *night.arguments, "--output", output, *more]


@pytest.fixture(scope="module")
def hostile_model(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits' network with other names for its classes."""
    folder = Path(shutil.copytree(tiny_model, tmp_path_factory.mktemp("hostile") / "model"))
    spec = make_spec(str(folder), read_spec(str(folder)).input, CLASSES, {})
    (folder / SPEC).write_text(spec.to_json())
    return folder


@pytest.fixture(scope="module")
def night(hostile_model: Path, digits: RawImages) -> Night:
    folder = hostile_model.parent
    (folder / "cwd").mkdir()
    expected = {**_write_files(folder / "archive", digits), **_write_archives(folder / "packed", digits)}
    _write_manifests(folder / "lists", folder / "archive")
    expected.update(_write_records(folder / "packed", digits))
    expected[f"{folder}/no/such/<b>.png"] = True
    inputs = [folder / "archive", folder / "packed", *sorted((folder / "lists").iterdir())]
    arguments = [flag for path in inputs for flag in ("--input", str(path))]
    arguments += ["--model", str(hostile_model), "--max_failed_fraction", "1", "--unit_images", "20"]
    night = Night(folder, arguments, expected, below(folder), subprocess.CompletedProcess([], 0))
    done = subprocess.run(
        command(night, str(night.output)), cwd=folder / "cwd", env=_environment(), capture_output=True, check=False
    )
    return replace(night, done=done)


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def _write_files(root: Path, digits: RawImages) -> dict[str, bool]:
    expected = {}
    folders = [*(name for name in CLASSES if "/" not in name and len(name) < 200), "\udcff", BROKEN]
    for i, name in enumerate(ON_DISK):
        for folder in (folders[i % len(folders)], "plain", BROKEN):
            path = root / folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"<html>" if folder == BROKEN else digits.encoded(i))
            expected[key_of(str(path))] = folder == BROKEN
    return expected


def _write_archives(root: Path, digits: RawImages) -> dict[str, bool]:
    root.mkdir()
    expected = {}
    tar_name, zip_name = root / "\x1b[2J<b>.tar", root / "$(touch pwned).zip"
    with tarfile.open(tar_name, "w", format=tarfile.PAX_FORMAT) as archive:
        for i, name in enumerate(IN_CONTAINERS):
            for suffix, data in ((".png", digits.encoded(i)), (".cls", CLASSES[i % 10].encode())):
                info = tarfile.TarInfo(f"{name}{suffix}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            expected[f"{tar_name}!{key_of(name)}.png"] = False
    with zipfile.ZipFile(zip_name, "w") as archive:
        for i, name in enumerate(IN_CONTAINERS):
            archive.writestr(_Raw(f"{name}.png"), b"GIF8" if i % 3 == 0 else digits.encoded(i))
            expected[f"{zip_name}!{key_of(name)}.png"] = i % 3 == 0
    return expected


class _Raw(zipfile.ZipInfo):
    """A member of a name in any bytes, as Info-ZIP writes them."""

    def __init__(self, name: str) -> None:
        super().__init__("x")
        self.filename, self.create_system = name, 3

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - its name in zipfile
        return os.fsencode(self.filename), self.flag_bits


def _write_records(root: Path, digits: RawImages) -> dict[str, bool]:
    import tensorflow as tf

    path = root / "<svg onload=alert(1)>.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for i, name in enumerate(CLASSES):
            key = "image/encoded" if i % 2 else f"no {name}"
            feature = {
                key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[digits.encoded(i)])),
                "image/class/label": tf.train.Feature(bytes_list=tf.train.BytesList(value=[name.encode()])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return {f"{path}#{i}": i % 2 == 0 for i in range(len(CLASSES))}


def _write_manifests(root: Path, archive: Path) -> None:
    """Lists of files that are there already, by a way around, and of one that is not."""
    root.mkdir()
    names = [f"../lists/../{archive.name}/plain/{name}.png" for name in ON_DISK]
    valid = [name for name in names if name.isascii() or "ü" in name]
    labels = [*CLASSES, "\ud800", "<b>"]
    rows = [{"file_name": name, "label": labels[i % 12]} for i, name in enumerate([*names, "../no/such/<b>.png"])]
    (root / "<b>.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with (root / "=1+1.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file_name", "label"], *([name, "=cmd()"] for name in valid)])


def test_every_name_is_in_its_row_exactly(night: Night) -> None:
    assert night.done.returncode == 0, night.done.stderr.decode()
    rows = rows_of(night.output)
    assert {row["key"]: row["status"] == "failed" for row in rows} == night.expected
    assert len(rows) == len(night.expected)
    for row in rows:
        path = location_of(row["key"])
        if path.startswith(str(night.folder / "archive")):
            assert Path(path).is_file()
            assert key_of(path) == row["key"]
    assert {name["name"] for row in rows for name in row["top_k"] or ()} <= set(CLASSES)


def test_labels_are_the_hostile_classes(night: Night) -> None:
    labels = {row["label_name"]: row["label"] for row in rows_of(night.output) if row["label"] is not None}
    assert labels == {name: i for i, name in enumerate(CLASSES)}


def test_results_are_parseable_and_hold_no_other_file(night: Night) -> None:
    for name in ("run.json", "summary.json"):
        assert json.loads((night.output / name).read_bytes().decode())["units" if "sum" in name else "run"]
    table = (night.output / "table.txt").read_bytes().decode().splitlines()
    assert all(Path(line).is_file() for line in table)
    assert len(table) == len(list((night.output / "predictions").iterdir()))
    assert below(night.folder) == night.before
    assert not list((night.folder / "cwd").iterdir())
    assert not Path("/tmp/pwned.png").exists()


@pytest.mark.heavy
def test_jsonl_rows_are_a_line_each(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(night.folder / "cwd")
    output = str(night.folder / "jsonl")
    assert score.main([*night.arguments, "--output", output, "--format", "jsonl"]) == 0
    assert {row["key"] for row in rows_of(output)} == set(night.expected)


FOREIGN = {"img", "iframe", "object", "embed", "link", "base", "form"}
"""Elements that our pages never have."""


def test_report_has_no_element_that_came_from_a_name(night: Night) -> None:
    text = (night.output / "report.html").read_bytes().decode()
    page = ParsedPage(text)
    assert page.unclosed == []
    assert_nothing_foreign(page)
    away = [link for link in page.links if not link.startswith("#")]
    assert away, "pictures lead to their originals"
    assert all(re.fullmatch(r"file:///[A-Za-z0-9._~/%-]+", link) for link in away), "a name is no part of an address"
    assert "<img src=x onerror=alert(1)>" in page.text
    assert r"\x1b[2J" in page.text
    assert not unseen(text)
    assert max(map(len, re.findall(r"\S+", page.text))) < 3_000


def assert_nothing_foreign(page: ParsedPage) -> None:
    """Fail if a name has become markup: an element or an attribute of its own."""
    assert {element[0] for element in page.elements}.isdisjoint(FOREIGN)
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "src"]
    assert page.source.count("<script") == page.source.count("</script") == 1
    assert {value for tag, name, value in page.attributes if (tag, name) == ("svg", "class")} <= {"chart"}


@pytest.mark.heavy
@pytest.mark.skipif(not os.path.exists(CHROMIUM), reason=f"there is no {CHROMIUM}")
def test_report_runs_nothing_in_a_browser(night: Night, tmp_path: Path) -> None:
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={tmp_path}"]
    page = shutil.copy(night.output / "report.html", tmp_path / "report.html")
    done = subprocess.run(
        [CHROMIUM, *flags, "--virtual-time-budget=2000", "--dump-dom", f"file://{page}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "What to look at first" in done.stdout
    assert_nothing_foreign(ParsedPage(done.stdout))
    assert "CONSOLE" not in done.stderr


STYLING = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[2K|\x1b\[1A|\r")


def unseen(text: str) -> set[str]:
    """Return the characters that no output may have."""
    return set(re.findall("[\0-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]", text))


def test_output_holds_no_control_character(night: Night) -> None:
    for stream in (night.done.stdout, night.done.stderr):
        assert not unseen(stream.decode())
    out = night.done.stdout.decode()
    assert night.done.stderr == b""
    assert r"\x1b" in out
    assert max(map(len, out.splitlines())) < 1_000


@pytest.mark.heavy
def test_output_holds_no_control_character_on_a_terminal(night: Night) -> None:
    screen = on_terminal(command(night, str(night.output)))
    assert "kept from earlier runs" in screen
    assert not unseen(STYLING.sub("", screen))


def test_output_in_a_locale_without_the_letters_is_escaped() -> None:
    program = "from pipeline.cli.quiet import tame_streams; tame_streams('%(message)s'); print('ü…日本')"
    done = subprocess.run(
        [sys.executable, "-c", program], env=_environment(PYTHONIOENCODING="ascii"), capture_output=True, check=False
    )
    assert done.stdout == rb"\xfc\u2026\u65e5\u672c" + b"\n"


def on_terminal(arguments: list[str]) -> str:
    """Return what a command shows on a terminal."""
    controller, screen = pty.openpty()
    with subprocess.Popen(arguments, stdout=screen, stderr=screen, env=_environment(TERM="xterm")) as process:
        os.close(screen)
        seen = b"".join(_read(controller))
    os.close(controller)
    assert process.returncode in (0, 2, 3)
    return seen.decode()


def _read(controller: int) -> Iterator[bytes]:
    while True:
        try:
            more = os.read(controller, 65536)
        except OSError:  # Linux says EIO when the other side of a terminal is closed
            return
        if not more:
            return
        yield more


@pytest.mark.parametrize("name", [*IN_CONTAINERS, *CLASSES, "a\0b"], ids=lambda name: ascii(name)[:30])
def test_whoever_is_named_is_named_harmlessly(name: str, make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    failure = Failure("read", "DATA_LOSS", f"feature {name} is not there")
    canary = Canary(1, [(key_of(name), failure)])
    complain(f"nightscore score: {canary.reason()}")
    complain(f"nightscore score: {UsageError(f'--input {name} is not there')}")
    run = make_run(name, f"{name}2")
    run = replace(run, spec=replace(run.spec, class_names=[name, *"123456789"]))
    mistake = {"row": 0, "key": key_of(name), "label_name": name, "predicted_name": name, "score": 0.9}
    mistake |= {"label": 0, "label_score": 0.05, "predicted": 1}
    failed = {"row": 1, "key": key_of(name), "stage": "read", "code": "DATA_LOSS", "message": failure.message}
    metrics = Metrics(
        images=3, scored=2, failures={("read", "DATA_LOSS"): 1}, labelled=1, confusion={(0, 1): 1}, unlabelled={0: 1}
    )  # fmt: skip
    summary = Summary.of(Receipt("u", 3, 0, metrics, [mistake], [failed], Extras(0, {0: b"PNG"})))
    content = figures(summary, run)
    record = record_of(content, [name, "5"]) | {
        "options": {"input": [name], "model": name, "output": name, "image_key": name},
        "verdict": {"exit_code": 3, "reasons": [canary.reason()]},
    }
    stream = io.StringIO()
    terminal.show_result(Console(file=stream, force_terminal=True), record, content, name)
    err = capsys.readouterr().err
    assert not unseen(err)
    assert err.count("\n") == 2
    assert max(map(len, err.splitlines())) <= 2_000
    shown = STYLING.sub("", stream.getvalue())
    assert not unseen(shown)
    assert ("[bold" in name) <= (":bomb:" in shown), "what looks like markup is text"
    page = report(content, record, summary.thumbnails)
    assert_nothing_foreign(ParsedPage(page))
    assert not unseen(page)


def test_long_name_is_cut_in_its_middle_where_it_is_shown(night: Night) -> None:
    report = (night.output / "report.html").read_text()
    assert "c" * 15 + "…" in report
    for shown in (night.done.stdout.decode(), report):
        assert "c" * 200 not in shown
    assert any("n" * 251 in row["key"] for row in rows_of(night.output))


@pytest.mark.parametrize("name", ["two\nlines", "\x1b[2J", "\udcff", "\u2028"], ids=ascii)
def test_output_that_a_table_cannot_name_is_refused(night: Night, name: str) -> None:
    asked = job.parse([*night.arguments, "--output", str(night.folder / "tty" / name)])
    with pytest.raises(UsageError, match="line break or another control character"):
        prepare(asked.options)
    assert not (night.folder / "tty").exists()


@pytest.mark.heavy
def test_hostile_output_is_a_folder_like_others(night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    output = "<b> $(touch pwned) ; *[1]? ü/=1+1"
    archive = str(night.folder / "archive" / "plain")
    assert score.main(["--input", archive, "--model", night.arguments[-5], "--output", output]) == 0
    assert len(rows_of(tmp_path / output)) == len(ON_DISK)
    assert os.listdir(tmp_path) == ["<b> $(touch pwned) ; *[1]? ü"]


def test_input_that_is_not_utf8_is_recorded_as_it_is(night: Night, tmp_path: Path) -> None:
    asked = job.parse(
        [*night.arguments, "--input", str(night.folder / "archive" / "\udcff"), "--output", str(tmp_path)]
    )
    run = prepare(asked.options)
    record = json.loads(storage.read(run.record))
    assert record["options"]["input"][-1] == f"{night.folder}/archive/%FF"
    assert Run.from_record(record).inputs == run.inputs


PICKLES = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "torch",
    "yaml",
    "jsonpickle",
    "h5py",
}
EVALUATORS = {"eval", "exec", "compile", "__import__"}
SAFE = {"load_model": ("safe_mode", True), "load": ("allow_pickle", False), "fromfile": ("allow_pickle", False)}


def _of_numpy_or_keras(call: ast.Call) -> str:
    """Return "load", "load_model", ... for a call of NumPy's or Keras's function of that name."""
    if isinstance(call.func, ast.Attribute):
        owner = ast.unparse(call.func.value)
        if call.func.attr == "load_model" or (owner in ("np", "numpy") and call.func.attr in SAFE):
            return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) and call.func.id == "load_model" else ""


ON_END = ROOT / "pipeline" / "output" / "on_end.py"
"""Runs a person's own command; names reach it by its environment alone, see tests/output/test_on_end.py."""


@pytest.mark.parametrize(
    "path",
    sorted(p for top in ("nightscore", "pipeline", "model_training") for p in (ROOT / top).rglob("*.py")),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_nothing_foreign_is_ever_unpickled_or_evaluated(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & PICKLES
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in PICKLES
            assert "load_model" not in {alias.name for alias in node.names}
        elif isinstance(node, ast.Call):
            assert not (isinstance(node.func, ast.Name) and node.func.id in EVALUATORS)
            has_shell = any(word.arg == "shell" for word in node.keywords)
            assert not has_shell or path == ON_END, "a name could reach a shell"
            name = _of_numpy_or_keras(node)
            if name:
                keyword, value = SAFE[name]
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert given.get(keyword) == repr(value), f"{path}:{node.lineno} without {keyword}={value}"
