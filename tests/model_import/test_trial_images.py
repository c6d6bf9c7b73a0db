"""Which folder is which class, and which files are taken."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from model_import.trial_images import MOST_IMAGES, read_aliases, read_check_folder
from pipeline.errors import UsageError


def make(folder: Path, counts: Mapping[str, int]) -> Path:
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            (folder / name / f"{i:04d}.png").write_bytes(b"GIF89a" + f"{name} {i}".encode())
    return folder


def test_folders_are_classes_whatever_the_case_and_the_spelling_of_accents(tmp_path: Path) -> None:
    found = read_check_folder(make(tmp_path, {"CAT": 2, "Cafe\u0301": 3}), ["dog", "caf\u00e9", "cat"])
    assert found.labels is not None
    assert Counter(found.labels.tolist()) == {2: 2, 1: 3}
    assert all(
        data.decode().startswith("GIF89a" + name.split("/")[0])
        for name, data in zip(found.names, found.encoded, strict=True)
    )
    assert list(found.notes) == ["1 of the model's 3 classes have no folder"]


def test_name_of_its_own_counts_before_one_that_is_only_alike(tmp_path: Path) -> None:
    found = read_check_folder(make(tmp_path, {"a": 5, "A": 5}), ["A", "a"])
    assert found.labels is not None
    assert {name.split("/")[0]: int(label) for name, label in zip(found.names, found.labels, strict=True)} == {
        "a": 1,
        "A": 0,
    }


def test_index_and_synset_files_name_classes(tmp_path: Path) -> None:
    index, synsets = tmp_path / "index.json", tmp_path / "synset_words.txt"
    index.write_text(json.dumps({"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}))
    synsets.write_text("n01440764 tench, Tinca tinca\nn01443537 goldfish, Carassius auratus\n")
    folder = make(tmp_path / "check", {"n01443537": 2, "Tench": 3})
    for path in (index, synsets):
        found = read_check_folder(folder, ["fish one", "fish two"], read_aliases(path))
        assert found.labels is not None
        assert Counter(found.labels.tolist()) == {1: 2, 0: 3}
    plain = tmp_path / "names.json"
    plain.write_text(json.dumps(["tench", "n01443537"]))
    assert read_aliases(plain) == {"tench": 0, "n01443537": 1}
    plain.write_text("3")
    with pytest.raises(UsageError, match="is no index of classes"):
        read_aliases(plain)


def test_order_alone_counts_only_if_it_is_asked_for(tmp_path: Path) -> None:
    folder = make(tmp_path, {"0": 2, "1": 3})
    with pytest.raises(UsageError, match="folders '0', '1', and none is a class of the model \\('cat', 'dog'\\)"):
        read_check_folder(folder, ["cat", "dog"])
    found = read_check_folder(folder, ["cat", "dog"], by_order=True)
    assert found.labels is not None
    assert Counter(found.labels.tolist()) == {0: 2, 1: 3}
    with pytest.raises(UsageError, match="2 folders and 3 classes"):
        read_check_folder(folder, ["cat", "cow", "dog"], by_order=True)


def test_two_folders_of_one_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="several folders of one class: 'Cat', 'cat'"):
        read_check_folder(make(tmp_path, {"Cat": 1, "cat": 1}), ["CAT"])


def test_strange_folders_and_hidden_ones_are_left_out(tmp_path: Path) -> None:
    found = read_check_folder(make(tmp_path, {"cat": 2, "misc": 2, ".cache": 2}), ["cat"])
    assert len(found) == 2
    assert list(found.notes) == ["folders that are no class of the model are left out: 'misc'"]


def test_every_beginning_holds_the_classes_in_like_shares(tmp_path: Path) -> None:
    found = read_check_folder(make(tmp_path, {"a": 600, "b": 300, "c": 30}), ["a", "b", "c"])
    assert found.labels is not None
    assert len(found) == MOST_IMAGES
    assert Counter(found.labels.tolist()) == {0: 185, 1: 185, 2: 30}
    assert Counter(found.labels[:30].tolist()) == {0: 10, 1: 10, 2: 10}
    assert len(set(found.names)) == MOST_IMAGES
    numbers = sorted(int(Path(name).stem) for name in found.names if name.startswith("a/"))
    assert numbers[-1] > 590  # not the first ones alone


def test_flat_folder_has_no_labels_and_an_empty_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"GIF89a")
    found = read_check_folder(tmp_path, ["cat"])
    assert found.labels is None
    assert "no labels" in found.too_few()
    (tmp_path / "a.png").unlink()
    for path, text in ((tmp_path, "has no images in it"), (tmp_path / "none", "is no folder")):
        with pytest.raises(UsageError, match=text):
            read_check_folder(path, ["cat"])


def test_folder_of_one_class_and_folder_above_name_the_one_that_is_meant(tmp_path: Path) -> None:
    for part in ("train", "val"):
        make(tmp_path / "shapes" / part, {"circle": 3, "square": 3})
    with pytest.raises(UsageError, match="'circle' is itself a class: did you mean its parent folder"):
        read_check_folder(tmp_path / "shapes" / "val" / "circle", ["circle", "square"])
    with pytest.raises(UsageError, match=r"none is a class .*: did you mean --check \S+/shapes/val\?"):
        read_check_folder(tmp_path / "shapes", ["circle", "square"])


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({"a": 50, "b": 49}, "there are 99 labelled images, and 100 are needed"),
        ({"a": 120, "b": 4}, "class 'b' has 4 images, and 5 of each class are needed"),
        ({"a": 120}, "all images are of one class"),
        ({"a": 60, "b": 40}, ""),
    ],
)
def test_too_few_images_are_told(counts: Mapping[str, int], text: str, tmp_path: Path) -> None:
    found = read_check_folder(make(tmp_path, counts), ["a", "b"])
    assert found.too_few().startswith(text)
    assert bool(found.too_few()) == bool(text)


def test_images_that_cannot_be_decoded_are_left_out_and_told(tmp_path: Path) -> None:
    found = read_check_folder(make(tmp_path, {"a": 3, "b": 3}), ["a", "b"]).without([0, 5])
    assert len(found.encoded) == len(found.names) == 4
    assert found.labels is not None
    assert np.bincount(found.labels).tolist() == [2, 2]
    assert found.notes[-1].startswith("2 images cannot be decoded and are left out, 'a/")


def test_what_is_no_image_is_not_taken(tmp_path: Path) -> None:
    make(tmp_path, {"a": 3, "b": 3})
    (tmp_path / "a" / "notes.txt").write_text("of these images")
    (tmp_path / "a" / "._0000.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "b" / ".cache").mkdir()
    (tmp_path / "b" / ".cache" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "b" / "no suffix").write_bytes(b"\x89PNG\r\n\x1a\n")
    names = read_check_folder(tmp_path, ["a", "b"]).names
    assert sorted(names) == [*(f"a/000{i}.png" for i in range(3)), *(f"b/000{i}.png" for i in range(3)), "b/no suffix"]
