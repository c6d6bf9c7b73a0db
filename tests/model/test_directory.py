"""The model directory's names, JSON and identity."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gcs_emulator import upload

from pipeline import storage
from pipeline.errors import UsageError
from pipeline.model.directory import (
    GOLDEN,
    SPEC,
    TFLITE,
    check_model,
    check_tflite,
    local_copy,
    read_golden,
    read_spec,
)
from pipeline.model.input_rule import InputSpec
from pipeline.model.spec import GOLDEN_TOLERANCE, Conversion, ModelSpec, model_id

FILES = [("saved_model.pb", b"graph"), ("variables/variables.index", b"index")]


@pytest.fixture
def model(tiny_model: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def test_spec_survives_its_file() -> None:
    spec = ModelSpec(InputSpec(20, 30, "rgb", "lanczos"), ["cat", "dög"], "ab", {"python": "3"}, {"images": 5})
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert spec.input.shape == (20, 30, 3)
    assert "litert" not in json.loads(spec.to_json())
    for litert, has in ((Conversion("ab", 9, 1e-5, 266, "tf 2"), True), (Conversion(missing="no LSTM"), False)):
        engines = replace(spec, litert=litert, golden_tolerance=5e-3)
        assert ModelSpec.from_json(engines.to_json()) == engines
        assert engines.has_litert == has


def test_spec_of_an_earlier_version_has_no_litert_and_the_usual_tolerance() -> None:
    content = json.loads(ModelSpec(InputSpec(2, 2, "rgb"), ["a"], "ab").to_json())
    assert content["format_version"] == 1
    assert not {"litert", "golden_tolerance"} & content.keys()
    spec = ModelSpec.from_json(json.dumps(content))
    assert (spec.litert, spec.has_litert, spec.golden_tolerance) == (None, False, GOLDEN_TOLERANCE)


def test_spec_of_a_model_with_a_base_says_who_scales_and_has_a_number_of_its_own() -> None:
    spec = ModelSpec(InputSpec(2, 2, "rgb"), ["a"], "ab", golden_tolerance=2e-3)
    of_base = replace(spec, training={"base": {"name": "old"}})
    numbers = [json.loads(one.to_json())["format_version"] for one in (spec, of_base)]
    assert numbers == [2, 3]
    assert json.loads(of_base.to_json())["scaling"] == "as the base, inside the graph"
    assert ModelSpec.from_json(of_base.to_json()) == of_base


def test_id_covers_files_rule_and_classes_and_not_their_order() -> None:
    rule = InputSpec(28, 28, "grayscale")
    first = model_id(rule, ["a", "b"], FILES)
    assert model_id(rule, ["a", "b"], reversed(FILES)) == first
    others = [
        model_id(replace(rule, height=29), ["a", "b"], FILES),
        model_id(replace(rule, resize="bicubic"), ["a", "b"], FILES),
        model_id(replace(rule, decode="reduced"), ["a", "b"], FILES),
        model_id(rule, ["b", "a"], FILES),
        model_id(rule, ["a", "b"], FILES[:1]),
        model_id(rule, ["a", "b"], [("saved_model.pb", b"graph!"), FILES[1]]),
        model_id(rule, ["a", "b"], [("saved_model2.pb", b"graph"), FILES[1]]),
    ]
    assert len({first, *others}) == 8
    assert model_id(replace(rule, decode="full"), ["a", "b"], FILES) == first


def test_rule_says_how_it_decodes_only_where_that_is_not_in_full() -> None:
    """The id of a model covers the rule as it is written: it is that of format 1 for a rule of format 1."""
    rule = InputSpec(28, 28, "grayscale")
    assert "decode" not in rule.to_json()
    assert replace(rule, decode="reduced").to_json() == {**rule.to_json(), "decode": "reduced"}
    assert InputSpec.from_json({**rule.to_json(), "decode": "reduced"}) == replace(rule, decode="reduced")


def test_trained_model_is_what_its_id_says(tiny_model: str) -> None:
    check_model(tiny_model, read_spec(tiny_model))


@pytest.mark.parametrize("damage", ["change", "remove", "add", "rename class"])
def test_damaged_model_is_refused(model: Path, damage: str) -> None:
    index = model / "saved_model" / "variables" / "variables.index"
    if damage == "change":
        index.write_bytes(index.read_bytes()[:-1] + b"x")
    elif damage == "remove":
        index.unlink()
    elif damage == "add":
        (model / "saved_model" / "extra").write_bytes(b"")
    else:
        (model / SPEC).write_text((model / SPEC).read_text().replace('"9"', '"nine"'))
    with pytest.raises(UsageError, match=r"is damaged.*train or copy it again"):
        check_model(str(model), read_spec(str(model)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "no json",
        '{"format_version": 0}',
        '{"format_version": "1"}',
        '{"format_version": 1, "scaling": "none"}',
        '{"format_version": 1, "scaling": "divided by 255 inside the graph", "input": {}}',
    ],
)
def test_spec_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / SPEC).write_text(text)
    with pytest.raises(UsageError, match=f"is damaged: {SPEC}"):
        read_spec(str(tmp_path))


def test_spec_with_a_class_twice_is_refused(model: Path) -> None:
    content = json.loads((model / SPEC).read_text())
    content["class_names"][1] = content["class_names"][0]
    (model / SPEC).write_text(json.dumps(content))
    with pytest.raises(UsageError, match="distinct"):
        read_spec(str(model))


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"decode": "half"}, "input has decode 'half', unknown here"),
        ({"decode": None}, "input has decode None, unknown here"),
        ({"decode": ["full"]}, "unknown here"),
        ({"decode": "reduced", "resize": "nearest"}, "input has decode 'reduced' with resize 'nearest': only"),
        ({"decode": "reduced", "resize": "tf.area"}, "input has decode 'reduced' with resize 'tf.area': only"),
        ({"decode": "reduced", "jpeg_dct": "fast"}, "input has decode 'reduced' with jpeg_dct 'fast'"),
        ({"decode": "reduced", "gray_from": "jpeg_luma"}, "or gray_from 'jpeg_luma': give decode 'full'"),
        ({"decode": "reduced", "fit": "keras_hub_pad"}, "input has decode 'reduced' with fit 'keras_hub_pad'"),
        ({"resize": "pillow.bilinear"}, "resize 'pillow.bilinear', unknown here"),
        ({"resize": "cv2.area", "antialias": True}, "input has antialias with resize 'cv2.area': only tf.bilinear,"),
        ({"antialias": "yes"}, "input has antialias 'yes', expected true or false"),
        ({"fit": "teachable_machine", "resize": "tf.area"}, "only Pillow resizes parts of a pixel"),
        ({"jpeg_dct": "slow"}, "input has jpeg_dct 'slow', unknown here: expected 'accurate' or 'fast'"),
        ({"gray_from": "red"}, "input has gray_from 'red', unknown here: expected 'rgb' or 'jpeg_luma'"),
        ({"deep": 16}, "input has deep 16, unknown here: expected 'round', 'high_byte', 'clip' or 'clip_last'"),
        ({"deep": "clip_last", "resize": "tf.area"}, "input has deep 'clip_last', which is for grayscale"),
    ],
)
def test_spec_that_decodes_as_nothing_here_does_is_refused_in_one_line(
    model: Path, rule: dict[str, Any], reason: str
) -> None:
    content = json.loads((model / SPEC).read_text())
    content["input"] |= rule
    (model / SPEC).write_text(json.dumps(content))
    with pytest.raises(UsageError, match=r"is damaged: model_spec\.json: ") as caught:
        read_spec(str(model))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folder_that_is_no_model_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"not a model directory.*nightscore train"):
        read_spec(str(tmp_path))


def test_golden_images_survive_their_files(model: Path) -> None:
    golden = read_golden(str(model))
    assert set(golden.scores) == {"litert", "tensorflow"}
    assert len(golden.encoded) == len(golden.pixels) >= 4
    for name, data in golden.files().items():
        if name.endswith(".png"):
            assert (model / GOLDEN / name).read_bytes() == data
    for scores in golden.scores.values():
        assert len(scores) == len(golden.pixels)
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    files = golden.files()
    (model / GOLDEN / "expected.npz").write_bytes(files["expected.npz"])
    again = read_golden(str(model))
    assert all(np.array_equal(again.scores[engine], scores) for engine, scores in golden.scores.items())


def test_golden_scores_of_an_earlier_version_are_those_of_tensorflow(model: Path) -> None:
    golden = read_golden(str(model))
    np.savez(model / GOLDEN / "expected.npz", pixels=golden.pixels, scores=golden.scores["tensorflow"])
    assert list(read_golden(str(model)).scores) == ["tensorflow"]


def test_model_tflite_is_the_one_that_the_spec_tells_of(model: Path) -> None:
    spec = read_spec(str(model))
    check_tflite(str(model), spec)
    data = (model / TFLITE).read_bytes()
    assert (spec.has_litert, spec.litert and spec.litert.bytes) == (True, len(data))
    (model / TFLITE).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(UsageError, match=r"model 'mine' is damaged: model.tflite has the SHA-256 .*train or copy it"):
        check_tflite(str(model), spec, "mine")
    (model / TFLITE).unlink()
    with pytest.raises(UsageError, match=r"is damaged: model\.tflite is missing; train or copy it again"):
        check_tflite(str(model), spec)


def test_engine_is_no_part_of_the_models_id(model: Path) -> None:
    (model / TFLITE).unlink()
    check_model(str(model), replace(read_spec(str(model)), litert=None))


@pytest.mark.parametrize("name", ["expected.npz", "000.png"])
def test_missing_golden_file_is_refused(model: Path, name: str) -> None:
    (model / GOLDEN / name).unlink()
    with pytest.raises(UsageError, match=r"golden/.*train or copy it again"):
        read_golden(str(model))


def test_model_on_gcs_is_copied_once(model: Path, gcs_bucket: str) -> None:
    location = f"{gcs_bucket}/models/digits"
    upload(model, location)
    spec = read_spec(location)
    check_model(location, spec)
    folder = local_copy(location)
    assert local_copy(location) == folder
    check_model(folder, spec)
    check_tflite(folder, spec)
    assert not (Path(folder) / "model.keras").exists()
    np.testing.assert_array_equal(read_golden(folder).pixels, read_golden(str(model)).pixels)


@pytest.mark.parametrize(
    "name", ["saved_model/../../../evil", "saved_model/..", "golden//tmp/evil", "saved_model/./x", "golden/a\0b"]
)
def test_object_whose_name_leads_out_of_the_copy_is_refused(
    gcs_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a" / "b"))
    (tmp_path / "a" / "b").mkdir(parents=True)
    storage.create(f"{gcs_bucket}/model/{SPEC}", b"{}")
    storage.create(f"{gcs_bucket}/model/{name}", b"evil")
    with pytest.raises(UsageError, match=r"is no name of a file; copy it again"):
        local_copy(f"{gcs_bucket}/model")
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} <= {SPEC}


def test_objects_that_consoles_leave_as_folders_are_not_copied(model: Path, gcs_bucket: str) -> None:
    upload(model, f"{gcs_bucket}/m")
    for name in ("saved_model/", "saved_model/variables/", "golden/"):
        storage.create(f"{gcs_bucket}/m/{name}", b"")
    check_model(local_copy(f"{gcs_bucket}/m"), read_spec(f"{gcs_bucket}/m"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("class_names", ["a", 1]),
        ("class_names", "0123456789"),
        ("class_names", ["a", "\ud800"]),
        ("model_id", None),
        ("golden_tolerance", 0.02),
        ("golden_tolerance", 0.0),
        ("golden_tolerance", float("nan")),
        ("golden_tolerance", "1e-3"),
        ("litert", {}),
        ("litert", {"sha256": "ab", "missing": "no LSTM"}),
        ("litert", {"sha256": 5}),
        ("litert", "ab"),
        ("litert", []),
        ("input", {"height": -1, "width": 28, "color_mode": "grayscale"}),
        ("input", {"height": 10**9, "width": 28, "color_mode": "grayscale"}),
        ("input", {"height": 28, "width": "28", "color_mode": "grayscale"}),
        ("input", {"height": 28, "width": 28, "color_mode": "__class__"}),
        ("input", {"height": 28, "width": 28, "color_mode": "rgb", "resize": "eval"}),
    ],
)
def test_spec_with_values_of_another_kind_is_refused(model: Path, field: str, value: object) -> None:
    content = json.loads((model / SPEC).read_text())
    (model / SPEC).write_text(json.dumps({**content, field: value}))
    with pytest.raises(UsageError, match=f"is damaged: {SPEC}"):
        read_spec(str(model))


def test_spec_nested_too_deep_is_refused(model: Path) -> None:
    (model / SPEC).write_text("[" * 200_000)
    with pytest.raises(UsageError, match=f"is damaged: {SPEC}"):
        read_spec(str(model))


@pytest.mark.parametrize("content", [b"", b"PK\3\4 and no archive", b"\x80\x04K*.", b"\x93NUMPY\1\0"])
def test_golden_scores_that_are_no_arrays_are_refused(model: Path, content: bytes) -> None:
    (model / GOLDEN / "expected.npz").write_bytes(content)
    with pytest.raises(UsageError, match=r"golden/.*train or copy it again"):
        read_golden(str(model))
