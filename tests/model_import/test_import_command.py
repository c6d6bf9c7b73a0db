"""`nightscore import-model`, as a person meets it: it scores like the original, or says in one line why not."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from foreign_models import small_network, written
from PIL import Image

import nightscore
from model_import import cli
from model_import.keras_file import read_keras_file
from model_import.start import keras
from pipeline.batches import EncodedBatch, ImageColumns
from pipeline.cli import verify
from pipeline.model.directory import read_golden, read_spec
from pipeline.model.input_rule import InputSpec
from pipeline.model.preprocess import preprocess

Captured = pytest.CaptureFixture[str]


def run(capfd: Captured, *words: str | Path) -> tuple[int, str, str]:
    capfd.readouterr()
    code = cli.main([str(word) for word in words])
    out, err = capfd.readouterr()
    return code, out, err


def pixels_of(files: list[Path], rule: InputSpec) -> npt.NDArray[np.uint8]:
    batch = preprocess(EncodedBatch(ImageColumns.of([f.name for f in files]), [f.read_bytes() for f in files]), rule)
    assert not batch.images.failures
    return batch.pixels


def scored(photos: Path, model: Path, output: Path, broken: int = 3) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Score photographs, resume and verify; return the predicted names and scores of those that are whole."""
    night = nightscore.score(f"{photos}/*", model, output, max_failed_fraction=0.5)
    again = nightscore.score(f"{photos}/*", model, output, max_failed_fraction=0.5)
    assert night.exit_code == again.exit_code == 0
    assert verify.main([str(output)]) == 0
    rows = pq.read_table(output / "predictions").sort_by("key").to_pylist()
    assert [row["status"] for row in rows].count("failed") == broken
    whole = [row for row in rows if row["status"] == "ok"]
    return [row["predicted_name"] for row in whole], np.float32([row["score"] for row in whole])


def whole(photos: Path) -> list[Path]:
    return sorted(path for path in photos.iterdir() if not path.name.startswith("broken"))


@pytest.mark.heavy
def test_imported_network_scores_as_keras_does_on_the_same_photographs(
    photos: Path, tmp_path: Path, capfd: Captured
) -> None:
    network = keras().applications.MobileNetV2((96, 96, 3), 0.35, weights=None, classes=7)
    for weight in network.weights[-1:]:
        weight.assign(np.random.default_rng(0).normal(0, 0.3, weight.shape))
    source = tmp_path / "source" / "mobile.keras"
    source.parent.mkdir()
    network.save(source)
    (tmp_path / "names.txt").write_text("".join(f"{i} class {i}\n" for i in range(7)))
    model = tmp_path / "my model"
    words = ["--labels", tmp_path / "names.txt", "--scaling", "sign", "--like", "torchvision", "--output", model]
    code, out, err = run(capfd, source, *words)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines()[:-3])) <= 80
    assert [line.split("  ")[0] for line in out.splitlines() if line[0] != " "] == [
        *("source", "known", "checked", "engines", "model", "report", "next")
    ]
    spec = read_spec(str(model))
    assert spec.has_litert
    assert (spec.input.fit, spec.input.crop, spec.input.shape) == ("torch_shorter_side", 0.875, (96, 96, 3))
    assert spec.imported["facts"]["scaling"] == {"value": "sign", "how": "given", "why": "by --scaling sign"}
    assert "nothing was guessed" in (model / "import" / "report.html").read_text()
    values = pixels_of(whole(photos), spec.input).astype(np.float32) / 127.5 - 1
    expected = network.predict(values, verbose=0)
    names, scores = scored(photos, model, tmp_path / "night")
    assert names == [f"class {i}" for i in expected.argmax(axis=1)]
    np.testing.assert_allclose(scores, expected.max(axis=1), atol=1e-5)


@pytest.mark.heavy
def test_file_of_keras_2_with_one_sigmoid_gives_two_classes(
    foreign: Path, photos: Path, tmp_path: Path, capfd: Captured
) -> None:
    model = tmp_path / "model"
    words = ["--embedding_layer", "features", "--output", model]
    assert run(capfd, foreign / "binary.keras", *words)[0] == 0
    spec = read_spec(str(model))
    assert spec.imported["facts"]["scaling"]["how"] == "declared"
    assert spec.embedding is not None
    assert (spec.task, spec.class_names, spec.embedding.size) == ("classes", ["0", "1"], 8)
    network = keras().models.load_model(foreign / "binary.keras")
    golden = read_golden(str(model))
    expected = network.predict(golden.pixels.astype(np.float32), verbose=0)
    for engine in ("tensorflow", "litert"):
        pairs = np.concatenate([1 - expected, expected], axis=1)
        np.testing.assert_allclose(golden.scores[engine], pairs, atol=1e-5)
        assert golden.embeddings[engine].shape == (len(expected), 8)


@pytest.mark.heavy
def test_signature_of_one_uint8_image_is_called_for_each(foreign: Path, tmp_path: Path, capfd: Captured) -> None:
    source, model = foreign / "signatures", tmp_path / "model"
    words = ["--signature", "b", "--output_name", "logits", "--output", model]
    assert run(capfd, source, *words)[0] == 0
    spec, golden = read_spec(str(model)), read_golden(str(model))
    assert spec.imported["facts"]["scaling"]["why"] == "by the type of its input, uint8"
    assert spec.imported["head"] == "softmax"
    network = keras().models.load_model(foreign / "plain.keras")
    np.testing.assert_allclose(
        golden.scores["tensorflow"], network.predict(golden.pixels.astype(np.float32), verbose=0), atol=1e-5
    )


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["float.tflite", "quantized.tflite"])
def test_tflite_file_is_scored_as_it_is(
    name: str, foreign: Path, photos: Path, tmp_path: Path, capfd: Captured
) -> None:
    from ai_edge_litert.interpreter import Interpreter

    model = tmp_path / "model"
    words = [] if name == "quantized.tflite" else ["--scaling", "raw"]
    code, out, err = run(capfd, foreign / name, *words, "--output", model)
    assert (code, err) == (0, "")
    assert "LiteRT alone" in out
    assert (model / "model.tflite").read_bytes() == (foreign / name).read_bytes()
    assert not (model / "saved_model").exists()
    spec = read_spec(str(model))
    assert spec.feed is not None
    interpreter = Interpreter(str(foreign / name), num_threads=1)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    expected = []
    for image in pixels_of(whole(photos), spec.input):
        interpreter.set_tensor(source["index"], image[np.newaxis].astype(source["dtype"]))
        interpreter.invoke()
        step, zero = target["quantization"]
        found = interpreter.get_tensor(target["index"])[0].astype(np.float32)
        expected.append((found - zero) * np.float32(step) if step else found)
    names, scores = scored(photos, model, tmp_path / "night")
    assert names == [str(row.argmax()) for row in expected]
    np.testing.assert_allclose(scores, [row.max() for row in expected], atol=1e-6)


def test_tflite_model_has_no_other_engine_and_is_whole(
    foreign: Path, photos: Path, tmp_path: Path, capfd: Captured
) -> None:
    model = tmp_path / "model"
    assert run(capfd, foreign / "quantized.tflite", "--output", model)[0] == 0
    with pytest.raises(nightscore.UsageError, match=r"imported from a \.tflite file, which LiteRT alone runs"):
        nightscore.score(f"{photos}/*", model, tmp_path / "night", engine="tensorflow")
    text = (model / "model_spec.json").read_text()
    (model / "model_spec.json").write_text(
        text.replace('"head": "none",\n    "embedding"', '"head": "softmax",\n    "embedding"')
    )
    with pytest.raises(nightscore.UsageError, match=r"is damaged: model\.tflite and its input rule have the id"):
        nightscore.score(f"{photos}/*", model, tmp_path / "night")


def test_explain_says_how_everything_is_known_and_writes_nothing(
    foreign: Path, tmp_path: Path, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capfd, foreign / "plain.keras", "--explain")
    assert (code, err) == (0, "")
    told = " ".join(out.split())
    assert "scaling raw (declared: from the layer Rescaling" in told
    assert "the rest resize tf.bilinear, " in told
    assert "(guessed: the default of keras.image_dataset_from_directory)" in told
    assert "task classes (declared: the rows of 16 images lie in [0, 1] and add up to 1)" in told
    assert list(tmp_path.iterdir()) == []


def test_own_scores_prove_the_rule_or_refuse_it(foreign: Path, tmp_path: Path, capfd: Captured) -> None:
    images = np.random.default_rng(5).integers(0, 256, (6, 32, 32, 3), np.uint8)
    network = keras().models.load_model(foreign / "logits.keras")
    own = network.predict(images / np.float32(255), verbose=0)
    np.savez(tmp_path / "golden.npz", images=images, scores=own)
    words = [foreign / "logits.keras", "--golden", tmp_path / "golden.npz", "--explain", "--scaling"]
    code, _, err = run(capfd, *words, "raw")
    assert code == 2
    assert "are not what this model gives for its images with this input rule" in err
    assert len(err.splitlines()) == 1
    code, out, _ = run(capfd, *words, "unit")
    assert code == 0
    assert "your own scores" in " ".join(out.split())


def test_teachable_machine_folder_has_a_fixed_rule_and_names(foreign: Path, tmp_path: Path, capfd: Captured) -> None:
    import h5py

    folder = tmp_path / "converted_keras"
    folder.mkdir()
    library = keras()
    images = library.Input((224, 224, 3))
    values = library.layers.DepthwiseConv2D(3, 8)(images)
    values = library.layers.GlobalAveragePooling2D()(values)
    library.Model(images, library.layers.Dense(2, activation="softmax")(values)).save(folder / "keras_model.h5")
    with h5py.File(folder / "keras_model.h5", "r+") as file:  # as Keras 2 wrote that layer
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "DepthwiseConv2D":
                layer["config"]["groups"] = 1
        file.attrs["model_config"] = json.dumps(config)
    (folder / "labels.txt").write_text("0 cat\n1 dog\n")
    code, out, err = run(capfd, folder, "--explain")
    assert (code, err) == (0, "")
    told = " ".join(out.split())
    assert "fit teachable_machine (declared: as Teachable Machine trains)" in told
    assert "scaling sign (declared: " in told
    assert "class_names 2 (cat, dog) (declared: " in told
    assert "guessed" not in told


@pytest.mark.heavy
def test_free_size_and_contradictions_are_asked_for(foreign: Path, capfd: Captured) -> None:
    for words, why in (
        (["free.keras"], "takes images of any size: give --height and --width"),
        (["plain.keras", "--height", "48"], "--height 48 contradicts"),
        (["plain.keras", "--color_mode", "grayscale"], "whose images have 3 channels"),
        (["plain.keras", "--fit", "stretch", "--crop", "0.5"], "contradicts itself"),
        (["logits.keras"], "give --scaling, one of raw, unit, sign, torch, caffe"),
        (["logits.keras", "--scaling", "half"], "--scaling 'half' is unknown"),
        (["logits.keras", "--scaling", "unit", "--like", "keras.load_image"], "keras.load_img"),
        (["signatures"], "several signatures: say which with --signature, one of 'a' (float32 ?x32x32x3)"),
        (["signatures", "--signature", "c"], "has no signature 'c'"),
        (
            ["signatures", "--signature", "a", "--scaling", "raw"],
            "several outputs: say which has the scores with --output_name",
        ),
        (["signatures", "--signature", "a", "--input_name", "x"], "--input_name can be images"),
        (["plain.keras", "--labels", "imagenet"], "1,000 names, and the model has 5 classes"),
        (["plain.keras", "--embedding_layer", "none"], "--embedding_layer 'none' cannot be taken"),
        (["plain.keras", "--thresholds", "2"], "is not above 0 and at most 1"),
        (["plain.keras", "--signature", "a"], "--signature is for SavedModel folders"),
        (["plain.keras", "--check", "nowhere"], "is no folder"),
        (["plain.keras"], "--output MODEL is missing"),
    ):
        explain = [] if why.startswith("--output") else ["--explain"]
        code, _, err = run(capfd, foreign / words[0], *words[1:], *explain)
        assert code == 2, words
        assert why in err, words
        assert len(err.splitlines()) == 1


@pytest.mark.heavy
def test_explain_shows_what_is_known_where_that_does_not_suffice(foreign: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "nightscore",
        "import-model",
        str(foreign / "free.keras"),
        "--width",
        "40",
        "--explain",
    ]
    done = subprocess.run([*words, "--explain"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "width         40 (given: by --width 40)" in done.stdout
    assert "scaling raw (declared: " in " ".join(done.stdout.split())
    assert "missing       --height\n" in done.stdout
    assert "task classes (declared: " in " ".join(done.stdout.split())
    assert done.stderr.endswith("takes images of any size: give --height, as it was trained\n")
    assert len(done.stderr.splitlines()) == 1  # a process of its own: no banners of TensorFlow


def test_explain_lists_all_that_is_missing_and_what_is_known_besides(tmp_path: Path, capfd: Captured) -> None:
    written(tmp_path, small_network((None, None, 3), 3, None, rescale=False), "free size é.keras")
    (tmp_path / "names.txt").write_text("cat\ndog\nfox\n")
    words = [tmp_path / "free size é.keras", "--labels", tmp_path / "names.txt"]
    code, out, err = run(capfd, *words, "--resize", "bicubic", "--explain")
    told = " ".join(out.split())
    assert code == 2
    assert "missing --height and --width; --scaling" in told
    assert "resize bicubic (given: by --resize bicubic)" in told
    assert "class_names 3 (cat, dog, fox) (given: by --labels)" in told
    assert "the rest fit stretch, " not in told
    assert "guessed: the default of keras.image_dataset_from_directory" in told
    assert "() " not in told
    for text in ("give --height and --width, as it was trained; and nothing says", "give --scaling, one of raw, unit"):
        assert text in err
    assert len(err.splitlines()) == 1
    written(tmp_path, small_network((None, None, 3), 1, None, rescale=False), "value.keras")
    code, out, err = run(capfd, tmp_path / "value.keras", "--explain")
    assert "missing --height and --width; --scaling; --task" in " ".join(out.split())
    assert "pass --task value if it is a measure" in err
    code, out, err = run(capfd, words[0], "--output", tmp_path / "model")
    assert (code, out) == (2, "")
    assert "--height and --width" in err
    assert "--scaling" in err


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("flags", "is_guessed"),
    [
        pytest.param([], True, id="no flag"),
        pytest.param(["--like", "pillow"], True, id="its loader"),
        pytest.param(["--like", "pillow", "--color_mode", "rgb", "--labels", "names.txt"], False, id="everything"),
    ],
)
def test_report_and_screen_say_the_same_of_what_is_not_known(
    flags: list[str], is_guessed: bool, tmp_path: Path, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, small_network((16, 16, 3)), "plain.keras")
    Path("names.txt").write_text("a\nb\nc\nd\ne\n")
    code, out, _ = run(capfd, "plain.keras", "--output", "model", *flags)
    assert code == 0
    told, report = " ".join(out.split()), Path("model/import/report.html").read_text()
    guessed = told.partition(" guessed ")[2].partition(" checked ")[0]
    assert bool(guessed) == is_guessed == ("Guessed: " in report)
    assert ("nothing was guessed" in report) == (not is_guessed)
    assert f"Guessed: {guessed}." in report or not guessed
    assert "by a flag<" not in report


@pytest.mark.heavy
def test_threshold_of_labels_is_shown(tmp_path: Path, capfd: Captured) -> None:
    written(tmp_path, small_network(classes=4, activation="sigmoid"), "tags.keras")
    for words, told in (
        ([], "thresholds 0.5 (guessed: the default"),
        (["--thresholds", "0.3"], "thresholds 0.3 (given"),
    ):
        code, out, _ = run(capfd, tmp_path / "tags.keras", "--task", "labels", *words, "--explain")
        assert code == 0
        assert told in " ".join(out.split())


def test_size_that_is_given_is_taken(foreign: Path, capfd: Captured) -> None:
    code, out, _ = run(capfd, foreign / "free.keras", "--height", "40", "--width", "56", "--explain")
    assert code == 0
    assert "width 56 (given: by --width 56)" in " ".join(out.split())


def damaged(folder: Path, foreign: Path) -> dict[str, Path]:
    """Return files and folders that are no models, by the words with which they are refused."""
    folder.mkdir()

    def cut(name: str) -> Path:
        path = folder / name
        data = (foreign / name).read_bytes()
        path.write_bytes(data[: len(data) // 2])
        return path

    (folder / "model.pkl").write_bytes(pickle.dumps({"a": 1}))
    (folder / "empty.keras").touch()
    (folder / "text.tflite").write_text("not a model at all")
    Image.new("RGB", (8, 8)).save(folder / "photo.png")
    (folder / "nothing").mkdir()
    (folder / "torch.pt").write_bytes(b"PK\x03\x04" + bytes(100))
    (folder / "broken").mkdir()
    (folder / "broken" / "saved_model.pb").write_bytes(b"\x12\xff\xff\xff")
    (folder / "half").mkdir()
    (folder / "half" / "variables").mkdir()
    return {
        "is no whole .keras file": cut("plain.keras"),
        "is no whole HDF5 file": cut("old.h5"),
        "LiteRT": cut("float.tflite"),
        "is a pickle: loading one runs whatever code it holds": folder / "model.pkl",
        "is empty": folder / "empty.keras",
        "is no .tflite file, whatever its name says": folder / "text.tflite",
        "is no model that can be imported": folder / "photo.png",
        "is no model: it is empty": folder / "nothing",
        "is a file of PyTorch": folder / "torch.pt",
        "cannot be loaded by TensorFlow": folder / "broken",
        "has variables/ and no saved_model.pb": folder / "half",
        "does not exist": folder / "nowhere",
        "layer 'scale it', which would run code of Python that the file holds: not run": foreign / "lambda.keras",
        "has the Lambda layer 'scale it'": foreign / "lambda.h5",
        "takes 2 inputs for a prediction ('left', 'right')": foreign / "two.keras",
        "is a map of 6x6x4 numbers": foreign / "map.keras",
        "is for networks that take pixels": foreign / "strings",
        "holds weights and no network": foreign / "only.weights.h5",
        "is a folder with several models": foreign,
        "is part of a SavedModel: give its folder": foreign / "strings" / "saved_model.pb",
    }


@pytest.mark.heavy
def test_what_is_no_model_is_refused_in_one_line_and_nothing_is_written(
    foreign: Path, tmp_path: Path, capfd: Captured
) -> None:
    for why, source in damaged(tmp_path / "bad", foreign).items():
        code, out, err = run(capfd, source, "--scaling", "raw", "--output", tmp_path / "model")
        assert (code, out) == (2, ""), source
        assert why in err, source
        assert len(err.splitlines()) == 1, err
        assert not (tmp_path / "model").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["bad"]


@pytest.mark.heavy
def test_tflite_file_on_which_the_interpreter_dies_is_refused(foreign: Path, tmp_path: Path, capfd: Captured) -> None:
    """Whatever bytes are hit, there is a model, or one line."""
    data = bytearray((foreign / "float.tflite").read_bytes())
    random = np.random.default_rng(1)
    outcomes = []
    for i in range(4):
        hit = bytearray(data)
        for place in random.integers(8, len(data), 30):
            hit[place] = int(random.integers(256))
        (tmp_path / f"{i}.tflite").write_bytes(hit)
        code, _, err = run(capfd, tmp_path / f"{i}.tflite", "--scaling", "raw", "--explain")
        outcomes.append(code)
        assert code == 0 or (code == 2 and len(err.splitlines()) == 1), err
    assert 2 in outcomes


def test_output_within_the_source_is_refused(foreign: Path, tmp_path: Path, capfd: Captured) -> None:
    source = foreign / "signatures"
    for output in (source, source / "model", foreign):
        code, _, err = run(capfd, source, "--signature", "a", "--output", output)
        assert code == 2
        assert len(err.splitlines()) == 1
    assert sorted(path.name for path in source.iterdir()) == ["assets", "fingerprint.pb", "saved_model.pb", "variables"]


@pytest.mark.heavy
def test_tflite_way_needs_no_tensorflow(foreign: Path, tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None; from model_import.cli import main; "
        "sys.exit(main(sys.argv[1:]))"
    )
    words = [str(foreign / "quantized.tflite"), "--output", str(tmp_path / "model")]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert read_spec(str(tmp_path / "model")).feed is not None


def test_layers_of_nested_models_are_flat(tmp_path: Path) -> None:
    library = keras()
    inner = library.Sequential([library.Input((16, 16, 3)), library.layers.Conv2D(2, 3, name="deep")], name="inner")
    outer = library.Sequential([library.layers.Rescaling(1 / 255), inner, library.layers.Flatten()])
    outer.build((None, 16, 16, 3))
    outer.save(tmp_path / "nested.keras")
    model = read_keras_file(str(tmp_path / "nested.keras"))
    assert [layer.kind for layer in model.layers] == ["InputLayer", "Rescaling", "InputLayer", "Conv2D", "Flatten"]
    assert model.layers[3].name == "deep"


def test_images_without_labels_are_shown_side_by_side_and_decide_nothing(
    foreign: Path, photos: Path, capfd: Captured
) -> None:
    code, out, _ = run(capfd, foreign / "plain.keras", "--check", photos, "--explain")
    assert code == 0
    told = " ".join(out.split())
    assert "nothing is decided: the images have no labels" in told
    assert "scaling raw (declared: " in told
    code, _, err = run(capfd, foreign / "logits.keras", "--check", photos, "--explain")
    assert code == 2
    assert "--check decides nothing: the images have no labels" in err


def test_folders_that_are_no_class_of_the_model_are_refused(foreign: Path, photos: Path, capfd: Captured) -> None:
    code, _, err = run(capfd, foreign / "plain.keras", "--check", photos.parent, "--explain")
    assert code == 2
    assert "none is a class of the model" in err
    assert len(err.splitlines()) == 1


def test_folders_are_classes_by_their_order_only_if_that_is_asked_for(
    foreign: Path, photos: Path, tmp_path: Path, capfd: Captured
) -> None:
    names = ["ant", "bee", "cat", "dog", "elk"]
    for i, name in enumerate(names):
        (tmp_path / "check" / name).mkdir(parents=True)
        (tmp_path / "check" / name / "one.jpg").write_bytes(whole(photos)[i].read_bytes())
    words = (foreign / "plain.keras", "--check", tmp_path / "check", "--explain")
    assert run(capfd, *words)[0] == 2
    code, out, _ = run(capfd, *words, "--check_by_order")
    assert code == 0
    told = " ".join(out.split())
    assert "class_names 5 (ant, bee, cat, dog, …) (given: by the folders of --check and --check_by_order)" in told
    assert "nothing is decided: there are 5 labelled images" in told
    (tmp_path / "check" / "elk" / "one.jpg").unlink()
    (tmp_path / "check" / "elk").rmdir()
    code, _, err = run(capfd, *words, "--check_by_order")
    assert code == 2
    assert len(err.splitlines()) == 1
    code, _, err = run(capfd, foreign / "plain.keras", "--check_by_order", "--explain")
    assert (code, "give --check FOLDER as well" in err) == (2, True)
