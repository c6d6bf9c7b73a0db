"""Data sets: IDX, MNIST, digits, and folders of class folders."""

from __future__ import annotations

import gzip
import io
import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from gcs_emulator import Emulator
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from image_sets import load, pixels_of
from PIL import Image

from model_training.data import idx
from model_training.data.datasets import EXAMPLES, Dataset, RawImages, from_raw, raw_images, spread
from model_training.data.found import Found, find
from model_training.data.image_set import HeldImages
from model_training.data.split import in_test_split
from pipeline import storage
from pipeline.errors import UsageError
from pipeline.model.input_rule import Decode, InputSpec
from pipeline.model.pixel_hash import pixel_hashes, rule_id
from pipeline.model.preprocess import decode
from pipeline.model.presets import rule_like

Pixels = npt.NDArray[np.uint8]


def idx_file(values: Pixels) -> bytes:
    return struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def png(values: Pixels) -> bytes:
    return encoded(Image.fromarray(values), "PNG")


def encoded(image: Image.Image, form: str, **keywords: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **keywords)
    return buffer.getvalue()


# --- IDX


@given(values=hnp.arrays(np.uint8, hnp.array_shapes(max_dims=3, min_side=0, max_side=5)), zipped=st.booleans())
def test_idx_round_trip(values: Pixels, zipped: bool) -> None:
    data = idx_file(values)
    parsed = idx.parse(gzip.compress(data) if zipped else data, values.ndim)
    assert parsed.shape == values.shape
    assert (parsed == values).all()


@given(data=st.data(), zipped=st.booleans())
def test_damaged_idx_is_parsed_or_a_value_error(data: st.DataObject, zipped: bool) -> None:
    whole = idx_file(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    whole = gzip.compress(whole, mtime=0) if zipped else whole
    position = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:position] + data.draw(st.binary(max_size=3)) + whole[position + data.draw(st.integers(0, 2)) :]
    try:
        assert idx.parse(damaged, 3).ndim == 3
    except ValueError:
        return


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "too few"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "starts with 0x89504e47, expected 0x00000803"),
        (idx_file(np.zeros(4, np.uint8)) + bytes(20), "starts with 0x00000801, expected 0x00000803"),
        (idx_file(np.zeros((2, 2, 2), np.uint8))[:-1], "holds 7 values, its header says 2 x 2 x 2"),
        (idx_file(np.zeros((2, 2, 2), np.uint8)) + b"x", "holds 9 values, its header says 2 x 2 x 2"),
        (gzip.compress(idx_file(np.zeros((2, 2, 2), np.uint8)), mtime=0)[:-9], "gzip: "),
    ],
)
def test_idx_says_what_is_wrong(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        idx.parse(data, 3)


# --- MNIST

MNIST_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@pytest.fixture
def mnist_dir(tmp_path: Path) -> Path:
    """Four IDX files, one of them gzip-compressed, one with a dot in its name: 30 training and 20 test images."""
    random = np.random.default_rng(0)
    folder = tmp_path / "mnist"
    folder.mkdir()
    for split, n in (("train", 30), ("t10k", 20)):
        images = random.integers(0, 256, (n, 28, 28), np.uint8)
        (folder / f"{split}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_file(images)))
        (folder / f"{split}-labels.idx1-ubyte").write_bytes(idx_file((np.arange(n) % 10).astype(np.uint8)))
    return folder


def test_mnist_is_read_from_idx_files(mnist_dir: Path) -> None:
    dataset = load("mnist", data_dir=str(mnist_dir))
    assert [len(one) for one in (dataset.train, dataset.validation, dataset.test)] == [27, 3, 20]
    assert pixels_of(dataset.train).shape == (27, 28, 28, 1)
    assert dataset.test.labels.tolist() == [*range(10), *range(10)]
    assert (dataset.test.labels.dtype, list(dataset.class_names)) == (np.int64, list("0123456789"))
    raw = raw_images("mnist", str(mnist_dir))
    assert raw.is_test.tolist() == [False] * 30 + [True] * 20


def test_missing_idx_file_is_named(mnist_dir: Path) -> None:
    (mnist_dir / "t10k-labels.idx1-ubyte").unlink()
    with pytest.raises(UsageError, match="lacks t10k-labels-idx1-ubyte"):
        load("mnist", data_dir=str(mnist_dir))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.zeros(29, np.uint8), "the train files in .* are not MNIST's: 30 images, 29 labels"),
        (np.full(30, 10, np.uint8), "a label is 10, expected 0 to 9"),
        (np.zeros((30, 2), np.uint8), r"train-labels.idx1-ubyte' is damaged: starts with .*; fetch it again"),
    ],
)
def test_wrong_idx_file_is_named(mnist_dir: Path, values: Pixels, reason: str) -> None:
    (mnist_dir / "train-labels.idx1-ubyte").write_bytes(idx_file(values))
    with pytest.raises(UsageError, match=reason):
        load("mnist", data_dir=str(mnist_dir))


def test_mnist_is_read_from_the_keras_cache(mnist_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load("mnist", data_dir=str(mnist_dir))
    raw = raw_images("mnist", str(mnist_dir))
    columns = {"x_train": raw.images[~raw.is_test], "y_train": raw.labels[~raw.is_test]}
    columns |= {"x_test": raw.images[raw.is_test], "y_test": raw.labels[raw.is_test]}
    cache = tmp_path / "keras" / "datasets" / "mnist.npz"
    cache.parent.mkdir(parents=True)
    np.savez(cache, **{name: column.astype(np.uint8) for name, column in columns.items()})
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    cached = load("mnist")
    assert (pixels_of(cached.train) == pixels_of(expected.train)).all()
    assert (cached.test.labels == expected.test.labels).all()
    cache.write_bytes(cache.read_bytes()[:100])
    with pytest.raises(UsageError, match=r"mnist.npz' is damaged: .*; remove it"):
        load("mnist")


# --- digits


def test_digits_are_scikit_learns(digits: RawImages) -> None:
    assert (digits.images.shape, digits.images.dtype, digits.images.max()) == ((1797, 8, 8), np.uint8, 255)
    assert set(np.unique(digits.images)) == {round(v * 255 / 16) for v in range(17)}
    assert np.flatnonzero(digits.is_test).tolist() == list(range(4, 1797, 5))
    dataset = load("digits")
    assert [len(one) for one in (dataset.train, dataset.validation, dataset.test)] == [1294, 144, 359]
    assert dataset.input == InputSpec(28, 28, "grayscale", decode="reduced")


def test_flags_of_other_data_sets_are_refused() -> None:
    for keywords in ({"image_size": 32}, {"color_mode": "rgb"}, {"data_dir": "x"}, {"decode": "half"}):
        with pytest.raises(UsageError):
            load("digits", **keywords)
    with pytest.raises(UsageError, match="--data_dir is for --dataset mnist"):
        load("somewhere", data_dir="x")


# --- folders

WriteFolder = Callable[[dict[str, bytes]], Path]


@pytest.fixture
def write_folder(tmp_path: Path) -> WriteFolder:
    """Write files into a data set folder."""

    def write(files: dict[str, bytes]) -> Path:
        for name, data in files.items():
            path = tmp_path / "set" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return tmp_path / "set"

    return write


def pictures(
    classes: Sequence[str] = ("cat", "dog"), n: int = 15, shape: tuple[int, ...] = (12, 12)
) -> dict[str, bytes]:
    """PNG files of noise, of one size, in class folders."""
    random = np.random.default_rng(0)
    return {f"{c}/{i:03d}.png": png(random.integers(0, 256, shape, np.uint8)) for c in classes for i in range(n)}


def learned_pixels(dataset: Dataset) -> Pixels:
    """Return the pixels of the images that are learned or validate."""
    return np.concatenate([pixels_of(dataset.train), pixels_of(dataset.validation)])


def learned_labels(dataset: Dataset) -> npt.NDArray[np.int64]:
    return np.concatenate([dataset.train.labels, dataset.validation.labels])


def falls_to_test(data: bytes) -> bool:
    """Return whether an image is for testing, by its pixels alone."""
    rule = InputSpec(12, 12, "grayscale", decode="reduced")
    return bool(in_test_split(pixel_hashes(decode(data, rule)[np.newaxis], rule_id(rule)))[0])


def test_folder_becomes_classes_and_splits(write_folder: WriteFolder) -> None:
    files = {f"deep/{name}": data for name, data in pictures(("zebra", "ant"), n=30).items()}
    dataset = load(str(write_folder(files)))
    assert list(dataset.class_names) == ["ant", "zebra"]
    test = sorted(name for name, data in files.items() if falls_to_test(data))
    assert 6 <= len(test) < 24
    assert dataset.test.labels.tolist() == [int("zebra" in name) for name in test]
    for pixels, name in zip(pixels_of(dataset.test), test, strict=True):
        assert (pixels == decode(files[name], dataset.input)).all()
    assert len(learned_labels(dataset)) == 60 - len(test)
    assert (dataset.input, dataset.name) == (InputSpec(12, 12, "grayscale", decode="reduced"), str(write_folder({})))


def test_folder_split_is_stable_when_images_come(write_folder: WriteFolder) -> None:
    files = pictures(("ant", "cat", "dog"), n=80)
    before = load(str(write_folder({name: data for name, data in files.items() if name[-5] in "13579"})))
    after = load(str(write_folder(files)))
    for one, other in (
        (learned_pixels(before), pixels_of(after.test)),
        (pixels_of(before.test), learned_pixels(after)),
    ):
        assert {pixels.tobytes() for pixels in one}.isdisjoint({pixels.tobytes() for pixels in other})


def test_size_and_color_can_be_given(write_folder: WriteFolder) -> None:
    dataset = load(str(write_folder(pictures())), image_size=20, color_mode="rgb")
    assert pixels_of(dataset.train).shape[1:] == (20, 20, 3)


def test_color_is_seen_in_the_pixels(write_folder: WriteFolder) -> None:
    grey = Image.fromarray(np.full((12, 12), 90, np.uint8))
    same = {"cat/a.jpg": encoded(grey.convert("RGB"), "JPEG"), "cat/b.gif": encoded(grey.convert("P"), "GIF")}
    assert load(str(write_folder({**pictures(), **same}))).input.color_mode == "grayscale"
    red = png(np.full((12, 12, 3), (255, 0, 0), np.uint8))
    assert load(str(write_folder({"cat/red.png": red}))).input.color_mode == "rgb"


def test_images_that_lie_on_their_side_have_their_upright_size(write_folder: WriteFolder) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    files = pictures(shape=(16, 12))  # 12 wide
    for form, name in (("JPEG", "a.jpg"), ("TIFF", "b.tif"), ("PNG", "c.png"), ("WEBP", "d.webp")):
        files[f"cat/{name}"] = encoded(Image.new("L", (16, 12)), form, exif=exif)
    assert load(str(write_folder(files))).input.shape == (16, 12, 1)


def test_what_cannot_be_used_is_left_out_and_named(write_folder: WriteFolder, caplog: pytest.LogCaptureFixture) -> None:
    clean = load(str(write_folder(pictures())))
    broken = {"cat/zcut.png": pictures()["cat/000.png"][:50], "dog/zpage.jpg": b"<html>", "dog/zempty.png": b""}
    junk = {
        "cat/.DS_Store": b"x",
        "notes.txt": b"x",
        "cat/notes.txt": b"x",
        "__MACOSX/cat/a.png": b"x",
        ".git/a.png": b"",
    }
    folder = write_folder({**broken, **junk, "loose.png": pictures()["cat/000.png"], "dog/page.svg": b"x"})
    (folder / "bird").mkdir()
    dataset = load(str(folder))
    assert {Path(key).name for key in dataset.left_out} == {"zcut.png", "zpage.jpg", "zempty.png", "loose.png"}
    assert (pixels_of(dataset.train) == pixels_of(clean.train)).all()
    *skipped, warning = caplog.messages
    assert sorted(skipped) == [
        f"not read: SVG images: 1 ({folder}/dog/page.svg); render them as PNG",
        f"skipped: empty folders: 1 ({folder}/bird)",
        f"skipped: junk: 3 ({folder}/.git/a.png)",
        f"skipped: other files: 2 ({folder}/cat/notes.txt)",
    ]
    assert dataset.skipped.total == 7
    assert warning.startswith("left out 4 of 34 images: ")
    assert "loose.png: lies in no class folder; " in warning
    assert warning.endswith("; and 1 more")


def test_images_that_change_while_the_data_set_is_read_are_left_out(
    write_folder: WriteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking at their sizes and decoding them."""
    folder = write_folder(pictures())

    def change_and_find(*arguments: Any) -> Found:
        (folder / "cat" / "001.png").unlink()
        os.utime(folder / "dog" / "002.png", ns=(1, 1))
        return find(*arguments)

    monkeypatch.setattr("model_training.data.from_sources.find", change_and_find)
    dataset = load(str(folder))
    assert {Path(key).name: why for key, why in dataset.left_out.items()} == {
        "001.png": "removed while the data set was read",
        "002.png": "modified while the data set was read",
    }
    assert len(learned_labels(dataset)) + len(dataset.test) == 28


BLACK = png(np.zeros((12, 12), np.uint8))


def of_split(test: bool, folder: str, n: int = 3) -> dict[str, bytes]:
    """Images of a class that all fall to one split."""
    greys = (png(np.full((12, 12), grey, np.uint8)) for grey in range(256))
    return {
        f"{folder}/{i}.png": data for i, data in enumerate([data for data in greys if falls_to_test(data) == test][:n])
    }


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "is nowhere to be found: give mnist, digits or a folder"),
        ({"notes.txt": b"x"}, "has no image or archive of images among its 1 file"),
        (pictures(("cat",)), "has only one class, 'cat': put the images of each class into a folder of its own"),
        ({**pictures(), "dog/b.png": png(np.zeros((20, 30), np.uint8))}, r"12 x 12 \(30\), 30 x 20 \(1\): give --im"),
        (pictures(shape=(300, 300), n=2), r"are large, 300 x 300 \(4\): give --image_size N"),
        (pictures(shape=(8, 8)), r"are small, 8 x 8 \(30\): give --image_size N, at least 10"),
        ({"cat/a.png": b"x", "dog/b.png": b"y"}, "none of the images can be decoded"),
        ({**pictures(), "emu/a.png": b"broken"}, "class 'emu' of .* has no images that can be decoded"),
        ({"cat/a.png": BLACK, "dog/b.png": BLACK}, "1 picture has copies with different labels"),
    ],
)
def test_folder_that_cannot_be_used_says_what_to_do(
    write_folder: WriteFolder, files: dict[str, bytes], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason) as raised:
        load(str(write_folder(files)))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("test", [True, False])
def test_class_of_which_all_would_be_on_one_side_is_split_by_rank_and_named(
    write_folder: WriteFolder, caplog: pytest.LogCaptureFixture, test: bool
) -> None:
    dataset = load(str(write_folder({**pictures(n=30), **of_split(test, "rare", 10)})))
    assert (learned_labels(dataset) == 2).sum() == 8
    assert (dataset.test.labels == 2).sum() == 2
    assert caplog.messages == [
        "a fifth of the pictures of each of these classes are for the test, else all or none would be: 'rare'"
    ]


@pytest.mark.parametrize("test", [True, False])
def test_class_of_one_picture_is_refused(write_folder: WriteFolder, test: bool) -> None:
    one = next(iter(of_split(test, "rare", 1).values()))
    with pytest.raises(UsageError, match="1 class has one picture only, so that none is left to test with: 'rare'"):
        load(write_folder({**pictures(n=30), "rare/a.png": one, "rare/b.png": one}))


def test_class_of_two_pictures_is_learned_and_tested(write_folder: WriteFolder) -> None:
    dataset = load(write_folder({**pictures(n=30), **of_split(True, "rare", 2), **of_split(False, "scarce", 2)}))
    for images in (dataset.train, dataset.test):
        assert np.bincount(images.labels, minlength=4)[2:].tolist() == [1, 1]


def test_picture_in_two_classes_is_refused_or_left_out(
    write_folder: WriteFolder, caplog: pytest.LogCaptureFixture
) -> None:
    files = pictures(n=30)
    folder = write_folder({**files, "dog/wrong.png": files["cat/000.png"]})
    text = r"1 picture has copies with different labels, such as .*cat/000.png \('cat'\) and .*dog/wrong.png \('dog'\)"
    with pytest.raises(UsageError, match=text):
        load(folder)
    dataset = load(folder, contradictions="leave_out")
    assert sum(map(len, (dataset.train, dataset.validation, dataset.test))) == 59
    assert caplog.messages[0].endswith("('dog'): left out 2 images")


@pytest.mark.parametrize("size", [9, 513])
def test_size_that_the_network_cannot_take_is_refused(write_folder: WriteFolder, size: int) -> None:
    with pytest.raises(UsageError, match=f"--image_size {size}: the network takes 10 to 512 pixels"):
        load(str(write_folder(pictures())), image_size=size)


def test_folder_on_gcs_is_the_same_as_on_disk(write_folder: WriteFolder, emulator: Emulator) -> None:
    files = pictures()
    bucket = emulator.bucket()
    for name, data in files.items():
        storage.create(f"{bucket}/set/{name}", data)
    local, remote = load(str(write_folder(files))), load(f"{bucket}/set/")
    assert (pixels_of(remote.train) == pixels_of(local.train)).all()
    assert (remote.test.labels == local.test.labels).all()
    assert list(remote.examples) == list(local.examples)


# --- all of them


def datasets(write_folder: WriteFolder, mnist_dir: Path) -> list[Dataset]:
    photo = Image.effect_noise((700, 500), 90).convert("RGB")
    files = {f"{c}/{i}.jpg": encoded(photo.rotate(i), "JPEG") for i in range(16) for c in [("cat", "dog")[i % 2]]}
    return [load("digits"), load("mnist", data_dir=str(mnist_dir)), load(str(write_folder(files)), image_size=32)]


@pytest.mark.heavy
def test_examples_are_png_files_with_the_pixels_of_test_images(write_folder: WriteFolder, mnist_dir: Path) -> None:
    for dataset in datasets(write_folder, mnist_dir):
        assert len(dataset.examples) == min(EXAMPLES, len(dataset.test.labels))
        for example in dataset.examples:
            image = Image.open(io.BytesIO(example))
            assert (image.format, max(image.size) <= 512) == ("PNG", True)
            assert decode(example, dataset.input).shape == dataset.input.shape


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_training_pixels_are_scoring_pixels(name: str, mnist_dir: Path) -> None:
    raw = raw_images(name, str(mnist_dir) if name == "mnist" else None)
    dataset = from_raw(raw)
    everything = {raw.encoded(i): raw.images[i] for i in range(len(raw.images))}
    for images in (dataset.train, dataset.validation, dataset.test):
        for number in range(min(50, len(images))):
            data = images.encoded(number)
            assert data in everything
            assert (images.pixels([number])[0] == decode(data, dataset.input)).all()


@pytest.mark.parametrize("how", ["reduced", "full"])
def test_training_pixels_of_jpeg_files_are_scoring_pixels(write_folder: WriteFolder, how: Decode) -> None:
    noise = Image.effect_noise((151, 130), 90).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    files = {
        f"{c}/{i}.jpg": encoded(noise.rotate(i * 7), "JPEG", exif=exif, progressive=i % 2 == 1)
        for i in range(16)
        for c in [("cat", "dog")[i % 2]]
    }
    dataset = load(str(write_folder(files)), image_size=16, color_mode="rgb", decode=how)
    assert dataset.input == InputSpec(16, 16, "rgb", decode=how)
    trained = {pixels.tobytes() for pixels in (*learned_pixels(dataset), *pixels_of(dataset.test))}
    assert trained == {decode(data, dataset.input).tobytes() for data in files.values()}
    other = replace(dataset.input, decode="full" if how == "reduced" else "reduced")
    assert trained.isdisjoint({decode(data, other).tobytes() for data in files.values()})


@pytest.mark.parametrize("like", ["keras.image_dataset_from_directory", "torchvision", "cv2.resize"])
def test_model_may_be_trained_on_the_pixels_of_a_loader(write_folder: WriteFolder, like: str) -> None:
    noise = Image.effect_noise((51, 43), 90).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    files = {
        f"{c}/{i}.jpg": encoded(noise.rotate(i * 7), "JPEG", exif=exif)
        for i in range(16)
        for c in [("cat", "dog")[i % 2]]
    }
    dataset = load(str(write_folder(files)), image_size=16, color_mode="rgb", like=like)
    assert dataset.input == rule_like(like, 16, 16)
    trained = {pixels.tobytes() for pixels in (*learned_pixels(dataset), *pixels_of(dataset.test))}
    assert trained == {decode(data, dataset.input).tobytes() for data in files.values()}


@pytest.mark.parametrize(("like", "size"), [("keras.load_img", (12, 20)), ("cv2.resize", (20, 12))])
def test_own_size_is_that_of_the_file_if_the_loader_does_not_turn_it(
    write_folder: WriteFolder, like: str, size: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = Image.effect_noise((20, 12), 90).convert("RGB")
    files = {f"{('cat', 'dog')[i % 2]}/{i}.png": encoded(lying.rotate(i * 7), "PNG", exif=exif) for i in range(16)}
    dataset = load(str(write_folder(files)), like=like)
    assert (dataset.input.height, dataset.input.width) == size
    with pytest.raises(UsageError, match="'torchvision' cannot be taken: input is of 12 x 20 pixels"):
        load(str(write_folder(files)), like="torchvision")


@pytest.mark.heavy
def test_digits_may_be_those_of_a_loader(digits: RawImages) -> None:
    dataset = load("digits", like="tf.image.resize")
    assert dataset.input == rule_like("tf.image.resize", 28, 28, "grayscale")
    pixels = (*learned_pixels(dataset), *pixels_of(dataset.test))
    assert {found.tobytes() for found in pixels} == {
        decode(digits.encoded(i), dataset.input).tobytes() for i in range(len(digits.images))
    }


@given(hnp.arrays(np.int64, st.integers(0, 40), elements=st.integers(0, 12)), st.integers(1, 12))
def test_spread_takes_every_class_before_any_twice(labels: npt.NDArray[np.int64], n: int) -> None:
    chosen = spread(labels, n)
    assert len(chosen) == len(set(chosen)) == min(n, len(labels))
    assert len(set(labels[chosen].tolist())) == min(n, len(set(labels.tolist())))


def test_columns_that_do_not_fit_are_refused() -> None:
    images, labels = np.zeros((2, 8, 8), np.uint8), np.zeros(3, np.int64)
    with pytest.raises(ValueError, match="2 images, 3 labels, 2 splits"):
        RawImages("digits", images, labels, np.zeros(2, np.bool_))
    with pytest.raises(ValueError, match=r"input \(8, 8, 1\)"):
        HeldImages(InputSpec(8, 8, "grayscale"), images, labels, np.arange(2), str, str.encode)
