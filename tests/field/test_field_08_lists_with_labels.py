"""Plain lists as there have been for ten years: "path label" a line, and MXNet's .lst."""

from __future__ import annotations

from pathlib import Path

import pytest
from label_inputs import DIGITS, labels_of, write_pictures

NAMES = [f"ILSVRC 2012/{d:05d}.pgm" for d in range(10)]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("val.txt", "{name} {d}\n"),
        ("val.txt", "{name}   {d}.0\r\n"),
        ("tab.txt", "{name}\t{d}\n"),
        ("first.txt", "{d}\t{name}\n"),
        ("first.txt", "{d} {name}\n"),
        ("comma.txt", "{name},{d}\n"),
        ("semicolon.txt", "{name}; {d}\n"),
        ("quoted.txt", '"{name}" {d}\n'),
        ("val.lst", "{d}\t{d}.000000\t{name}\n"),
        ("val.lst", "{d}\t{name}\n"),
        ("hot.txt", "{name} {hot}\n"),
    ],
)
def test_each_line_has_its_image_and_its_label(tmp_path: Path, name: str, line: str) -> None:
    write_pictures(tmp_path, NAMES)
    hot = [" ".join(str(int(i == d)) for i in range(10)) for d in range(10)]
    text = "".join(line.format(name=name, d=d, hot=hot[d]) for d, name in enumerate(NAMES))
    (tmp_path / name).write_bytes(text.encode())
    assert labels_of(tmp_path / name) == list(DIGITS)


def test_labels_may_be_names_with_spaces(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a.pgm", "b.pgm"])
    (tmp_path / "x.txt").write_text("a.pgm golden retriever\nb.pgm\tcat\n")
    assert labels_of(tmp_path / "x.txt", classes=("golden retriever", "cat")) == ["golden retriever", "cat"]


def test_several_labels_of_an_lst_are_no_label(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a.pgm"])
    (tmp_path / "x.lst").write_text("0\t1.0\t2.0\ta.pgm\n")
    assert labels_of(tmp_path / "x.lst") == ['["1.0", "2.0"]']


@pytest.mark.parametrize("name", ["classes.txt", "labels.txt"])
def test_names_beside_a_list_come_before_the_models_order(tmp_path: Path, name: str) -> None:
    write_pictures(tmp_path, ["a.pgm", "b.pgm", "c.pgm"])
    (tmp_path / "val.txt").write_text("a.pgm 0\nb.pgm 1\nc.pgm 2\n")
    (tmp_path / name).write_text("hen\ncat\n")
    nameless = "2, of which the archive has no name"
    assert labels_of(tmp_path / "val.txt", classes=("cat", "dog")) == ["hen", "cat", nameless]
    assert labels_of(tmp_path / "val.txt", classes=("cat", "dog", "cow"), labels_are="indices") == ["cat", "dog", "cow"]
    (tmp_path / name).write_text("1 dog\n2 cat\n")
    assert labels_of(tmp_path / "val.txt", classes=("cat", "dog"))[1:] == ["dog", "cat"]


def test_a_file_of_labels_that_is_a_list_has_no_names(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a.pgm", "b.pgm"])
    (tmp_path / "labels.txt").write_text("a.pgm 1\nb.pgm 0\n")
    (tmp_path / "val.csv").write_text("file_name,label\na.pgm,1\nb.pgm,0\n")
    for name in ("labels.txt", "val.csv"):
        assert labels_of(tmp_path / name, classes=("cat", "dog")) == ["dog", "cat"]


@pytest.mark.parametrize("line", ["# my list", "#", "#two", "# 0.pgm 3", "## 0.pgm", "  # 0.pgm"])
def test_a_comment_in_a_plain_list_is_no_file(tmp_path: Path, line: str) -> None:
    write_pictures(tmp_path, ["0.pgm", "#1.pgm"])
    (tmp_path / "list.txt").write_text(f"{line}\n0.pgm 0\n{line}\n#1.pgm 1\n")
    assert labels_of(tmp_path / "list.txt") == ["0", "1"]
