"""The names of classes, from every kind of file that people have them in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_import.class_names import BACKGROUND, checked_names, imagenet, parse_names, read_class_names
from pipeline.errors import UsageError

NAMES = ["tabby cat", "dog, small", "9 lives"]


@pytest.mark.parametrize(
    "text",
    [
        "tabby cat\ndog, small\n9 lives\n",
        "0 tabby cat\n1 dog, small\n2 9 lives\n",
        "2: 9 lives\r\n0: tabby cat\r\n1: dog, small\r\n",
        json.dumps(NAMES),
        json.dumps({"0": ["n0", NAMES[0]], "1": ["n1", NAMES[1]], "2": ["n2", NAMES[2]]}),
        json.dumps({"id2label": {str(i): name for i, name in enumerate(NAMES)}, "architectures": ["ViT"]}),
        json.dumps({name: i for i, name in enumerate(NAMES)}),
        json.dumps({"classes": [{"name": name} for name in NAMES]}),
        'id,name\n0,tabby cat\n1,"dog, small"\n2,9 lives\n',
        'name,index\n9 lives,2\ntabby cat,0\n"dog, small",1\n',
    ],
)
def test_names_are_read_from_every_form(text: str, tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_class_names(str(path), 3) == NAMES


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("cat\n", "has 1 names, and the model has 2 classes"),
        ('{"0": "cat", "2": "dog"}', "has no name for the number 1"),
        ('{"0": 3, "1": 4}', "an entry that is no name: 3"),
        ('["cat", ', "is no whole JSON"),
        ('{"a": {"b": 1}}', "JSON without names"),
        ("id,name\n0,cat\nx,dog\n", "'x' where a number is expected"),
        ("cat\ncat\n", "has the name 'cat' 2 times, for the classes 0, 1: give each class a name of its own"),
    ],
)
def test_file_that_does_not_fit_is_refused_in_one_line(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_class_names(str(path), 2)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    for words in (str(tmp_path / "none"), "cat,dog"):
        with pytest.raises(UsageError, match=r"is no file: give a file .* or the word imagenet"):
            read_class_names(words, 2)
    with pytest.raises(UsageError, match="a folder without folders in it: give a file"):
        read_class_names(str(tmp_path), 2)
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    with pytest.raises(UsageError, match="no text in UTF-8"):
        read_class_names(str(tmp_path / "binary"), 2)


def test_folder_of_class_folders_gives_their_names_in_order(tmp_path: Path) -> None:
    for name in ("b", "a", ".hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "notes.txt").touch()
    assert read_class_names(str(tmp_path), 2) == ["a", "b"]


def test_imagenet_has_its_thousand_classes_in_order() -> None:
    synsets = [synset for synset, _ in imagenet()]
    assert synsets == sorted(synsets)
    names = read_class_names("imagenet", 1000)
    assert len(set(names)) == 1000
    assert [names[i] for i in (0, 281, 999)] == ["tench", "tabby", "toilet tissue"]
    assert [name for name in names if "crane" in name] == ["crane (n02012849)", "crane (n03126707)"]
    with_background = read_class_names("imagenet", 1001)
    assert with_background[0] == BACKGROUND
    assert list(with_background[1:]) == list(names)
    with pytest.raises(UsageError, match="has 1,000 names, and the model has 10 classes"):
        read_class_names("imagenet", 10)


WORDS = st.text(st.characters(categories=("L", "Nd", "Zs")), min_size=1).map(str.strip).filter(bool)


@given(st.lists(WORDS, min_size=1, max_size=20))
def test_lists_of_json_are_taken_as_they_are_and_made_unique(names: list[str]) -> None:
    assert parse_names(json.dumps(names), "labels") == names
    unique = checked_names(names, len(names), "labels", is_renamed=True)
    assert len(set(unique)) == len(names)
    assert all(one.startswith(name) for one, name in zip(unique, names, strict=True))
