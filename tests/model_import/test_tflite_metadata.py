"""What is packed into a .tflite file, its metadata and its files of class names, is used, and never guessed from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from foreign_models import small_network, write_tflite
from tflite_packing import OFFICIAL, metadata, pack, with_metadata

from model_import import cli
from model_import.tflite_metadata import Metadata, read_metadata

CATS = "cat\ndog\nfox\nowl\nbat\n"
KATZEN = "Katze\nHund\nFuchs\nEule\nFledermaus\n"

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A .tflite file of 5 classes that says nothing of its input."""
    path = tmp_path_factory.mktemp("plain") / "plain.tflite"
    write_tflite(path, small_network(rescale=False))
    return path.read_bytes()


def explained(capfd: Captured, path: Path, *words: str) -> str:
    """Return what --explain says on success, and the one line of its error where it refuses."""
    capfd.readouterr()
    code = cli.main([str(path), "--explain", *words])
    out, err = capfd.readouterr()
    if code:
        assert code == 2
        assert err.count("\n") == 1
        return err
    assert err == ""
    return " ".join(out.split())


def test_metadata_of_the_official_schema_are_read(plain: bytes) -> None:
    found = read_metadata(with_metadata(plain, OFFICIAL))
    assert found == Metadata((127.5,), (127.5,), ("labels.txt", "labels-de.txt"))
    own = metadata([127.5], [127.5], ["labels.txt", "labels-de.txt"])
    assert read_metadata(with_metadata(plain, own)) == found
    assert read_metadata(plain) == Metadata()


@pytest.mark.parametrize(
    ("mean", "deviation"), [([0.0], [0.0]), ([float("nan")], [1.0]), ([1.0, 2.0], [1.0, 2.0]), ([], [])]
)
def test_normalization_that_cannot_be_tells_nothing(mean: list[float], deviation: list[float], plain: bytes) -> None:
    assert read_metadata(with_metadata(plain, metadata(mean, deviation))) == Metadata()


def test_damaged_metadata_are_an_error_and_nothing_else(plain: bytes) -> None:
    data = with_metadata(plain, OFFICIAL)
    random = np.random.default_rng(0)
    damaged = 0
    for _ in range(2000):
        hit = bytearray(data)
        for place in random.integers(len(data), size=4):
            hit[place] = int(random.integers(256))
        try:
            read_metadata(bytes(hit[: int(random.integers(8, len(hit) + 1))]))
        except ValueError:
            damaged += 1
    assert damaged > 100


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("mean", "deviation", "told"),
    [
        ([127.5], [127.5], "sign"),
        ([0], [255], "unit"),
        ([0], [1], "raw"),
        ([103.939, 116.779, 123.68], [1], "caffe"),
    ],
)
def test_normalization_is_the_scaling_unless_a_flag_says_another(
    mean: list[float], deviation: list[float], told: str, plain: bytes, tmp_path: Path, capfd: Captured
) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(with_metadata(plain, metadata(mean, deviation)))
    assert f"scaling {told} (declared: from the metadata in the file)" in explained(capfd, path)
    assert "make sure that it is right" not in explained(capfd, path, "--scaling", told)
    other = explained(capfd, path, "--scaling", "torch")
    assert "scaling torch (given: by --scaling torch)" in other
    assert (
        f"the scaling torch (by --scaling torch) is taken, but {told} from the metadata in the file: make sure" in other
    )


@pytest.mark.heavy
def test_metadata_of_other_channels_tell_nothing(plain: bytes, tmp_path: Path, capfd: Captured) -> None:
    images = small_network((32, 32, 1), rescale=False)
    write_tflite(tmp_path / "a.tflite", images)
    path = tmp_path / "a.tflite"
    path.write_bytes(with_metadata(path.read_bytes(), metadata([1, 2, 3], [1])))
    assert "nothing says to what range" in explained(capfd, path)
    assert "a mean of 3 channels, and its images have 1" in explained(capfd, path, "--scaling", "unit")


def packed(folder: Path, data: bytes, *files: tuple[str, str]) -> Path:
    path = folder / "a.tflite"
    path.write_bytes(data)
    pack(path, *files)
    return path


@pytest.mark.heavy
def test_names_that_are_packed_once_or_agree_are_taken(plain: bytes, tmp_path: Path, capfd: Captured) -> None:
    words = ["--scaling", "unit"]
    once = explained(capfd, packed(tmp_path, plain, ("labels.txt", CATS)), *words)
    assert "class_names 5 (cat, dog, fox, owl, …) (declared: by labels.txt, packed into it)" in once
    twice = packed(tmp_path, plain, ("labels.txt", CATS), ("more/label_map.txt", CATS.upper()))
    assert "by labels.txt and more/label_map.txt, packed into it, which agree)" in explained(capfd, twice, *words)
    other = packed(tmp_path, plain, ("labels.txt", "a\nb\n"), ("labels_5.txt", CATS))
    told = explained(capfd, other, *words)
    assert "(declared: by labels_5.txt, packed into it; labels.txt has another number of names)" in told


@pytest.mark.heavy
def test_file_that_metadata_name_may_be_called_anything(plain: bytes, tmp_path: Path, capfd: Captured) -> None:
    data = with_metadata(plain, metadata([0], [255], ["animals.txt"]))
    path = packed(tmp_path, data, ("animals.txt", CATS), ("readme.txt", "1\n2\n3\n4\n5\n"))
    assert "class_names 5 (cat, dog, fox, owl, …) (declared: by animals.txt, packed into it)" in explained(capfd, path)


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["labels-de.txt", "labels.txt"])
def test_packed_names_that_differ_are_refused(second: str, plain: bytes, tmp_path: Path, capfd: Captured) -> None:
    path = packed(tmp_path, plain, ("labels.txt", CATS), (second, KATZEN))
    err = explained(capfd, path, "--scaling", "unit")
    assert f"are packed into {str(path)!r} more than once, and they differ: 'labels.txt' (5 names)" in err
    assert "class 0 is 'cat' in one and 'Katze' in the other" in err
    assert "give it with --labels" in err
    (tmp_path / "mine.txt").write_text(KATZEN)
    told = explained(capfd, path, "--scaling", "unit", "--labels", str(tmp_path / "mine.txt"))
    assert "class_names 5 (Katze, Hund, Fuchs, Eule, …) (given: by --labels)" in told


@pytest.mark.heavy
def test_packed_names_of_another_number_are_refused(plain: bytes, tmp_path: Path, capfd: Captured) -> None:
    path = packed(tmp_path, plain, ("labels.txt", "a\nb\n"))
    err = explained(capfd, path, "--scaling", "unit")
    assert "has 5 classes, and other numbers of names are packed into it: 'labels.txt' (2 names); give the names" in err


@pytest.mark.heavy
def test_given_names_that_differ_from_packed_ones_are_told_at_the_import(
    plain: bytes, tmp_path: Path, capfd: Captured
) -> None:
    path = packed(tmp_path, plain, ("labels.txt", CATS))
    (tmp_path / "mine.txt").write_text("Cat\ndog\nowl\nfox\nbat\n")
    words = ["--scaling", "unit", "--labels", str(tmp_path / "mine.txt")]
    text = "packed into the model, names 2 of 5 classes otherwise: class 2 is 'owl' in one and 'fox' in the other"
    assert text in explained(capfd, path, *words)
    assert cli.main([str(path), *words, "--output", str(tmp_path / "model")]) == 0
    out = capfd.readouterr().out
    assert text in " ".join(out.split())
    assert max(map(len, out.splitlines()[:-3])) <= 80
    (tmp_path / "mine.txt").write_text(CATS)
    assert "classes otherwise" not in explained(capfd, path, *words)
