"""`nightscore export` as a command: what it prints, its exit codes, and what it refuses before it writes anything."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from archive_outputs import write_archive_output
from written_output import class_row, write_output

from pipeline.cli import export

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An OUTPUT of three files in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for n in range(3):
        (tmp_path / "photos" / f"{n}.png").write_bytes(b"\x89PNG" + bytes([n]))
    write_archive_output(tmp_path / "night", tmp_path / "photos", predict=lambda key: {"scores": (0.75, 0.25)})
    return tmp_path


def run(capsys: Captured, *words: str) -> tuple[int, str, str]:
    code = export.main(list(words))
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_everything_at_once(night: Path, capsys: Captured) -> None:
    words = ["--csv", "a.csv", "--parquet", "a.parquet", "--sort_into", "sorted", "--coco", "c.json"]
    code, out, err = run(capsys, "night", *words, "--label_studio", "t.json")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == "sorted: 3 images: 3 exported, 0 kept"
    assert lines[1].startswith("a.csv: 3 rows, 21 columns, ")
    assert lines[2].startswith("a.parquet: 3 rows, 18 columns, ")
    assert lines[3] == "c.json: 3 images, 3 annotations without boxes, 2 categories"
    assert lines[4].startswith("t.json: 3 tasks: 0 of 0 mistakes, ")
    assert lines[6] == f"  LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={night}"
    assert sorted(os.listdir(night)) == ["a.csv", "a.parquet", "c.json", "night", "photos", "sorted", "t.json", "t.xml"]


def test_answer_for_a_program(night: Path, capsys: Captured) -> None:
    code, out, err = run(
        capsys, "night", "--sort_into", "sorted", "--csv", "a.csv", "--label_studio", "t.json", "--json"
    )
    assert (code, err, out.count("\n")) == (0, "", 1)
    answer = json.loads(out)
    assert answer["sort_into"]["counts"] == {"exported": 3}
    assert answer["csv"]["rows"] == 3
    assert answer["label_studio"] == {
        "tasks": 3,
        "not_accepted": None,
        "mistakes": 0,
        "uncertain": 3,
        "document_root": str(night),
        "elsewhere": 0,
    }


def test_images_that_are_missing_are_named_and_the_exit_code_says_so(night: Path, capsys: Captured) -> None:
    (night / "photos" / "1.png").unlink()
    code, out, _ = run(capsys, "night", "--sort_into", "sorted")
    assert code == 3
    assert out.splitlines() == [
        f"  1 not found, such as {night}/photos/1.png",
        "sorted: 3 images: 2 exported, 0 kept, 1 not found",
    ]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "nothing to write: give one or more of --csv, --parquet, "),
        (["--link"], "nothing to write"),
        (["--csv", "a", "--link"], "--link goes with --sort_into, which is missing"),
        (["--csv", "a", "--by", "confused"], "--by confused goes with --sort_into, which is missing"),
        (["--csv", "a", "--review", "3"], "--review goes with --label_studio, which is missing"),
        (
            ["--csv", "a", "--link_base", "https://h"],
            "--link_base goes with --coco or --label_studio, which is missing",
        ),
        (["--label_studio", "a", "--review", "0"], "'0' is no number from 1 on"),
        (["--csv", "a", "--coco", "a"], "two files have the same name"),
        (["--csv", "taken"], "--csv 'taken' is there already: nothing is overwritten"),
        (["--csv", "gs://bucket/a.csv"], "--csv 'gs://bucket/a.csv' is in a bucket"),
        (["--csv", "taken/a.csv"], "a file is where "),
        (["--sort_into", "s", "--by", "accepted"], "--by accepted needs to know which predictions are accepted"),
        (["--sort_into", "photos/s"], "lies in the input"),
        (["--label_studio", "t.json"], "t.xml' is there already"),
    ],
)
def test_bad_usage_is_one_line_and_nothing_is_written(
    night: Path, capsys: Captured, words: list[str], text: str
) -> None:
    (night / "taken").touch()
    (night / "t.xml").touch()
    before = sorted(os.listdir(night))
    code, out, err = run(capsys, "night", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert text in err
    assert sorted(os.listdir(night)) == before


def test_no_output_and_a_run_that_is_not_complete(night: Path, capsys: Captured) -> None:
    code, _, err = run(capsys, "photos", "--csv", "a.csv")
    assert (code, "is not the OUTPUT of a run" in err) == (2, True)
    for record in (night / "night" / "run.json", *(night / "night" / "runs").iterdir()):
        record.write_text(json.dumps({**json.loads(record.read_text()), "complete": False}))
    code, _, err = run(capsys, "night", "--csv", "a.csv")
    assert (code, err.count("\n")) == (3, 1)
    assert "'nightscore status night' says how far it is" in err
    assert not (night / "a.csv").exists()


def test_damaged_part_is_told_in_one_line(night: Path, capsys: Captured) -> None:
    (part,) = (night / "night" / "predictions").iterdir()
    part.write_bytes(part.read_bytes()[:-40])
    code, out, err = run(capsys, "night", "--csv", "a.csv")
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "'nightscore verify night' says what else is damaged" in err
    assert not (night / "a.csv").exists()


def test_formulas_and_classes_left_out_are_told(tmp_path: Path, capsys: Captured) -> None:
    names = [f"={n}" for n in range(12)]
    write_output(tmp_path / "night", [[class_row("/a", [0.01] * 11 + [0.89], names, k=12)]], names, top_k="all")
    _, out, _ = run(capsys, str(tmp_path / "night"), "--csv", str(tmp_path / "a.csv"))
    _, formulas, left_out, training = out.splitlines()
    assert formulas == "  11 cells could run as a formula: an apostrophe stands before each"
    assert left_out == "  the last 2 classes of top_k have no column: --parquet has them"
    assert training == "in_training is empty: the model directory does not tell which images the model was trained on"
