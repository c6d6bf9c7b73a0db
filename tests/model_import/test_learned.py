"""`nightscore import-model --trained_on`: the pixels of any inputs are remembered, and what cannot be is said."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from archives import tar, zipped
from PIL import Image
from test_import_command import Captured, pixels_of, run, whole

from model_import.learned import check_inputs, read_learned
from pipeline.errors import UsageError
from pipeline.model.directory import read_spec
from pipeline.model.input_rule import InputSpec
from pipeline.model.pixel_hash import pixel_hashes, rule_id
from pipeline.model.trained_on import read_hashes

RULE = InputSpec(8, 8, "rgb")
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same six pictures as each kind of input, some with a file that is cut short."""
    folder = tmp_path_factory.mktemp("inputs")
    files = {f"{i}.png": png(pixels) for i, pixels in enumerate(PIXELS)}
    broken = {**files, "cut.png": files["0.png"][:60]}
    (folder / "files").mkdir()
    for name, data in broken.items():
        (folder / "files" / name).write_bytes(data)
    (folder / "list.csv").write_text("file_name\n" + "".join(f"files/{name}\n" for name in files))
    (folder / "all.tar").write_bytes(tar(broken))
    (folder / "all.zip").write_bytes(zipped(broken))
    np.save(folder / "all.npy", PIXELS)
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["files", "list.csv", "all.tar", "all.zip", "all.npy"])
def test_pictures_have_the_same_hashes_whatever_carries_them(name: str, inputs: dict[str, Path]) -> None:
    known, notes = read_learned([str(inputs[name])], RULE, "c0ffee")
    assert known.hashes["train"].tolist() == sorted(pixel_hashes(PIXELS, rule_id(RULE)).tolist())
    assert (known.images, known.rule, known.model_id) == (
        {"train": 6, "validation": 0},
        rule_id(RULE).hex(),
        "c0ffee",
    )
    assert known.sources == (str(inputs[name]),)
    assert known.left_out == len(notes) == (0 if name in ("list.csv", "all.npy") else 1)
    for note in notes:
        assert note.startswith("1 image of --trained_on cannot be decoded, such as ")
        assert "cut.png" in note


def test_several_inputs_are_read_each_file_once(inputs: dict[str, Path]) -> None:
    counts: list[int] = []
    files = str(inputs["files"])
    several = [files, files, str(inputs["list.csv"]), str(inputs["all.npy"])]
    known, _ = read_learned(several, RULE, "", lambda reading: counts.append(reading.images))
    assert (known.images["train"], len(known)) == (12, 6)
    assert counts == sorted(counts)
    assert counts[-1] == 13
    assert known.sources == tuple(dict.fromkeys(several))


def test_input_without_an_image_is_refused_by_the_name_of_the_flag(inputs: dict[str, Path], tmp_path: Path) -> None:
    check_inputs([str(path) for path in inputs.values()])
    with pytest.raises(UsageError, match=r"^--trained_on '.*/nowhere' does not exist or is empty"):
        check_inputs([str(inputs["files"]), str(tmp_path / "nowhere")])
    (tmp_path / "cut.png").write_bytes(png(PIXELS[0])[:60])
    refusal = r"^no image of --trained_on can be decoded, such as .*/cut\.png: .* \(1 tried\)"
    with pytest.raises(UsageError, match=refusal):
        read_learned([str(tmp_path)], RULE, "")


def test_imported_model_knows_what_it_was_trained_on(
    foreign: Path, photos: Path, tmp_path: Path, capfd: Captured
) -> None:
    model = tmp_path / "model"
    words = ["--trained_on", f"{photos}/*.jpg", "--trained_on", f"{photos}/*.png", "--output", model]
    code, out, err = run(capfd, foreign / "quantized.tflite", *words)
    assert (code, err) == (0, "")
    told = " ".join(out.split())
    assert f"trained on {len(whole(photos))} images: hashes of their pixels are stored" in told
    assert "note 3 images of --trained_on cannot be decoded, such as" in told
    assert max(map(len, out.splitlines()[:-3])) <= 80
    assert "Trained on 24 images" in (model / "import" / "report.html").read_text()
    spec, known = read_spec(str(model)), read_hashes(str(model))
    assert known is not None
    assert (known.model_id, known.rule, known.left_out) == (spec.model_id, rule_id(spec.input).hex(), 3)
    assert known.contains(pixel_hashes(pixels_of(whole(photos), spec.input), rule_id(spec.input))).all()
    assert not known.contains(np.array([0], np.uint64)).any()


def test_input_that_is_missing_is_told_before_anything_is_made(foreign: Path, tmp_path: Path, capfd: Captured) -> None:
    words = ["--trained_on", tmp_path / "nowhere", "--output", tmp_path / "model"]
    code, out, err = run(capfd, foreign / "quantized.tflite", *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"nightscore import-model: --trained_on '{tmp_path}/nowhere' does not exist")
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
