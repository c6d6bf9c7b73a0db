"""`nightscore compare` as a command: what it prints in 80 columns, its exit codes, its page and its JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from learned_pixels import write_model
from written_output import Row, class_row, failed_row, write_output

from pipeline import storage
from pipeline.cli import compare

Captured = pytest.CaptureFixture[str]
NAMES = ("cat", "dog", "<b>eel</b>", "fox\x1b[31m")


class Outputs(NamedTuple):
    worse: str
    better: str


def rows(wrong: Sequence[int], names: Sequence[str] = NAMES) -> list[Row]:
    found: list[Row] = []
    for i in range(120):
        label = i % len(names)
        said = (label + 1) % len(names) if i in wrong else label
        scores = [0.9 if c == said else 0.1 / 3 for c in range(len(names))]
        found.append(class_row(f"/archive/{names[label]}/ü%41 \u202e{i}.png", scores, names, names[label]))
    return found


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    """Two OUTPUTs, of which the second is better; nobody writes into them."""
    folder = tmp_path_factory.mktemp("compare")
    worse, better = rows(range(0, 60, 4)), rows([1])
    better[3] = failed_row(str(worse[3]["key"]))
    better[2] = {**better[2], "label": 0, "label_name": "cat"}
    for name, some in (("worse", worse), ("better", better)):
        write_output(folder / name, [some[:50], some[50:]], NAMES)
    return Outputs(str(folder / "worse"), str(folder / "better"))


def run(capsys: Captured, *arguments: str) -> tuple[int, str, str]:
    code = compare.main(list(arguments))
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_first_line_is_the_verdict_and_all_fits_80_columns(
    outputs: Outputs, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(outputs.worse).parent)
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = run(capsys, "worse", "better")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "B is better: 99.15 % against 87.29 %, +11.86 points (5.60 to 19.13), p = 0.00052"
    assert "images       120 in both, 119 scored, 118 labelled" in lines
    assert "changed      16 predictions, 13.45 % of those scored in both" in lines
    assert "             1 right to wrong, 15 wrong to right" in lines
    assert "better       'cat' +15 -0" in lines
    assert "failed       1 image in B only, scored in A; such as" in lines
    assert any(line.startswith("labels       1 image left out: A and B have other labels") for line in lines)
    assert lines[-1] == "next         nightscore compare worse better --to comparison.html"
    note = lines.index("note         A and B: the model directory does not tell which images the model")
    assert lines[note + 1] == "             was trained on; images that it was trained on may count here"
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_json_is_one_line(outputs: Outputs, capsys: Captured) -> None:
    code, out, err = run(capsys, *outputs, "--json")
    assert (code, err, out.count("\n")) == (0, "", 1)
    found = json.loads(out)
    assert (found["outcome"], found["shared"], found["changed"]) == ("better", 120, 16)
    assert [image["label"] for image in found["right_to_wrong"]] == ["dog"]


def test_what_only_unseen_images_say_comes_first_and_fits_80_columns(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = [[{**row, "pixel_hash": f"{i:016x}"} for i, row in enumerate(rows(wrong))] for wrong in ([], range(80))]
    model = write_model(tmp_path / "model", range(60))
    write_output(tmp_path / "a", [hashed[0]], NAMES, model=model)
    write_output(tmp_path / "b", [hashed[1]], NAMES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = run(capsys, "a", "b", "--fail_if_worse")
    lines = out.splitlines()
    verdict = "on unseen images, B is worse: 66.67 % against 100.00 %, -33.33 points (-45.94 to -21.14), p < 0.0001"
    assert (code, err) == (4, f"nightscore compare: {verdict}\n")
    assert " ".join(lines[:2]) == verdict
    place = lines.index("images       120 in both, 120 scored, 60 labelled and unseen")
    assert lines[place + 1 : place + 5] == [
        "seen         60 of 120 labelled images were seen in training and do not count:",
        "             60 by the model of A",
        "with them    B is worse: 33.33 % against 100.00 %, -66.67 points (-74.47 to",
        "             -57.30), p < 0.0001",
    ]
    assert "             20 right to wrong, 0 wrong to right among the unseen ones" in lines
    assert max(map(len, lines)) <= 80


def test_limits_that_are_not_kept_are_exit_code_4_with_a_line_each(outputs: Outputs, capsys: Captured) -> None:
    worse, better = outputs
    assert run(capsys, worse, better, "--fail_if_worse", "--max_flips", "0.2")[0] == 0
    code, out, err = run(capsys, better, worse, "--fail_if_worse", "--max_flips", "0.1")
    assert code == 4
    assert out.startswith("B is worse: 87.29 % against 99.15 %")
    assert err.splitlines() == [
        "nightscore compare: B is worse: 87.29 % against 99.15 %, -11.86 points (-19.13 to -5.60), p = 0.00052",
        "nightscore compare: 13.45 % of the predictions differ, more than --max_flips 0.1 allows",
    ]
    code, out, _ = run(capsys, better, worse, "--fail_if_worse", "--json")
    assert (code, json.loads(out)["exit_code"]) == (4, 4)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["{a}"], "the following arguments are required: B; see 'nightscore compare --help'"),
        (["{a}", "{b}", "--max_flips", "2"], "--max_flips 2 is no share: expected 0 to 1"),
        (["{a}", "{b}", "--max_flips", "nan"], "--max_flips nan is no share: expected 0 to 1"),
        (["{a}", "{b}", "--join", "size"], "argument --join: invalid choice: 'size'"),
        (["{a}", "{b}", "--to", "{a}"], "is a folder: give the name of a file"),
        (["{a}", "{b}", "--to", "{a}/run.json"], "exists and is no page of nightscore compare: it stays"),
        (["{a}", "nowhere"], "nowhere' is not the OUTPUT of a run"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    outputs: Outputs, capsys: Captured, arguments: list[str], text: str
) -> None:
    filled = [word.format(a=outputs.worse, b=outputs.better) for word in arguments]
    before = Path(outputs.worse, "run.json").read_bytes()
    code, out, err = run(capsys, *filled)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert text in err
    assert Path(outputs.worse, "run.json").read_bytes() == before


def test_page_is_written_where_it_is_asked_for_and_replaces_only_a_page(
    outputs: Outputs, capsys: Captured, tmp_path: Path
) -> None:
    page = tmp_path / "new folder" / "ü.html"
    code, out, _ = run(capsys, *outputs, "--to", str(page))
    assert code == 0
    assert out.splitlines()[-1] == f"page         '{page}'"
    first = page.read_text(encoding="utf-8")
    assert run(capsys, *outputs[::-1], "--to", str(page))[0] == 0
    assert page.read_text(encoding="utf-8") != first
    foreign = tmp_path / "report.html"
    foreign.write_text("<html>my notes</html>")
    assert run(capsys, *outputs, "--to", str(foreign))[0] == 2
    assert foreign.read_text() == "<html>my notes</html>"


def test_outputs_and_the_page_may_lie_in_a_bucket(outputs: Outputs, gcs_bucket: str, capsys: Captured) -> None:
    for path in Path(outputs.better).rglob("*"):
        if path.is_file():
            storage.create(f"{gcs_bucket}/better/{path.relative_to(outputs.better)}", path.read_bytes())
    page = f"{gcs_bucket}/pages/comparison.html"
    for _ in range(2):  # the second time over a page that is there
        code, out, err = run(capsys, outputs.worse, f"{gcs_bucket}/better", "--to", page)
        assert (code, err) == (0, "")
        assert out.startswith("B is better: 99.15 % against 87.29 %")
    assert b"nightscore compare" in storage.read(page)
    assert run(capsys, outputs.worse, outputs.better, "--to", f"{gcs_bucket}/better/run.json")[0] == 2
