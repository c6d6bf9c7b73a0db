"""What golden images prove: only what would give other scores, and the loader that gives the user's."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from foreign_models import small_network, written
from PIL import Image

from model_import import cli
from model_import.checks import user_check
from model_import.examine import examine
from model_import.golden_proof import Proof, rounding
from model_import.request import Request
from model_import.start import keras, tf

Captured = pytest.CaptureFixture[str]

SIDE = 32


def photos(side: int, count: int = 6) -> np.ndarray:
    """Return rough images, uint8 [n, side, 2 * side, 3]."""
    random = np.random.default_rng(3)
    small = random.integers(0, 256, (count, side // 3, side, 3), np.uint8)
    bicubic = Image.Resampling.BICUBIC
    return np.stack([np.asarray(Image.fromarray(one).resize((2 * side, side), bicubic)) for one in small])


def model_file(folder: Path) -> Path:
    return Path(written(folder, small_network(), "plain.keras"))


def save_golden(folder: Path, model: Path, images: np.ndarray, values: np.ndarray) -> str:
    scores = keras().models.load_model(model).predict(values, verbose=0)
    np.savez(folder / "golden.npz", images=images, scores=scores)
    return str(folder / "golden.npz")


def proof_of(model: Path, golden: str) -> Proof:
    found = user_check(examine(Request(str(model), golden=golden)))[0].proof
    assert found is not None
    return found


@pytest.mark.heavy
def test_large_images_prove_fit_and_resize_and_those_of_the_models_size_do_not(tmp_path: Path, capfd: Captured) -> None:
    model, large = model_file(tmp_path), photos(90)
    resized = tf().image.resize(large, (SIDE, SIDE)).numpy()
    golden = save_golden(tmp_path, model, large, resized)
    found = proof_of(model, golden)
    assert {"fit", "resize", "color_mode", "antialias"} <= set(found.proven)
    assert "jpeg_dct" in found.still_open
    assert "'encoded'" in found.advice
    assert cli.main([str(model), "--golden", golden, "--explain"]) == 0
    told = " ".join(capfd.readouterr().out.split())
    assert "prove it with --golden" not in told
    assert "proven color_mode, resize, " in told
    assert "your golden images do not show " in told
    small = photos(SIDE)[:, :, :SIDE]
    of_size = proof_of(model, save_golden(tmp_path, model, small, small.astype(np.float32)))
    assert "color_mode" in of_size.proven
    assert {"fit", "resize"} <= set(of_size.still_open)
    assert "at their original size" in of_size.advice


def test_encoded_files_prove_how_they_are_decoded(tmp_path: Path) -> None:
    model, encoded, values = model_file(tmp_path), [], []
    for image in photos(90):
        buffer = io.BytesIO()
        noisy = image.astype(np.int16) + np.random.default_rng(1).integers(-60, 60, image.shape)
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=60)
        encoded.append(buffer.getvalue())
        decoded = tf().io.decode_jpeg(encoded[-1], 3, dct_method="INTEGER_FAST")
        values.append(tf().image.resize(decoded, (SIDE, SIDE)).numpy().round())
    scores = keras().models.load_model(model).predict(np.stack(values), verbose=0)
    np.savez(tmp_path / "golden.npz", encoded=np.array(encoded), scores=scores)
    assert "jpeg_dct" in proof_of(model, str(tmp_path / "golden.npz")).proven


@pytest.mark.heavy
def test_loader_that_gives_the_users_scores_is_named(tmp_path: Path, capfd: Captured) -> None:
    model, large = model_file(tmp_path), photos(90)
    nearest = [Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.NEAREST) for image in large]
    golden = save_golden(tmp_path, model, large, np.stack(nearest).astype(np.float32))
    assert cli.main([str(model), "--golden", golden, "--explain"]) == 2
    err = capfd.readouterr().err
    assert ":nearest it gives your scores (the largest difference is 0)" in err
    found = re.search(r"image (\d) has (\S+) for class '(\d)' in your file and (\S+) here, the largest difference", err)
    assert found is not None
    image, number = int(found[1]), int(found[3])
    examined = examine(Request(str(model), golden=golden))
    assert examined.pictures.scores is not None
    differences = np.abs(examined.pictures.scores - examined.rows)
    assert differences[image, number] == differences.max()
    assert (
        f"{examined.pictures.scores[image, number]:.3g} {examined.rows[image, number]:.3g}" == f"{found[2]} {found[4]}"
    )
    turned = 255 - np.stack(nearest).astype(np.float32)
    golden = save_golden(tmp_path, model, large, turned)
    assert cli.main([str(model), "--golden", golden, "--explain"]) == 2
    assert "no loader of --like with any --scaling gives your scores, the nearest is with --" in capfd.readouterr().err


def test_scores_of_another_number_are_told_by_both_numbers(tmp_path: Path, capfd: Captured) -> None:
    model, large = model_file(tmp_path), photos(90)
    np.savez(tmp_path / "golden.npz", images=large, scores=np.full((len(large), 12), 0.5))
    assert cli.main([str(model), "--golden", str(tmp_path / "golden.npz"), "--explain"]) == 2
    err = capfd.readouterr().err
    assert (
        "'scores' has 12 numbers for each image, and the model gives 5 numbers: save in 'scores' all that this model"
        in err
    )
    assert err.count("\n") == 1


@pytest.mark.heavy
def test_rounding_is_measured_where_the_resizer_leaves_fractions(tmp_path: Path, capfd: Captured) -> None:
    model, large = model_file(tmp_path), photos(90)
    exact = tf().image.resize(large, (SIDE, SIDE)).numpy()
    golden = save_golden(tmp_path, model, large, exact)
    examined = examine(Request(str(model), golden=golden))
    change = rounding(examined)
    assert examined.pictures.scores is not None
    expected = float(np.abs(examined.rows - examined.pictures.scores).max())
    assert change == pytest.approx(expected, rel=0.01, abs=1e-6)
    assert expected > 1e-5
    assert rounding(examine(Request(str(model), like="keras.load_img"))) is None
    assert cli.main([str(model), "--explain"]) == 0
    assert "pixels are rounded: the scores of 16 generated images change by up to" in " ".join(
        capfd.readouterr().out.split()
    )
