"""Which engine scores a run, and what is refused in one line."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from conftest import WriteImages
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli import score as cli
from pipeline.errors import UsageError
from pipeline.model.directory import SPEC, TFLITE
from pipeline.model.engines import choice as module
from pipeline.model.engines import litert, tensorflow
from pipeline.model.engines.choice import add_engines, choose, sees_gpu
from pipeline.model.input_rule import InputSpec
from pipeline.model.spec import Conversion, ModelSpec
from pipeline.options import Engine, EngineChoice, Precision, ScoreOptions
from pipeline.task import Embedding

NO_BFLOAT16 = [
    ModelSpec(InputSpec(2, 2, "rgb"), (), "id", task="value", value_unit=1.0),
    ModelSpec(InputSpec(2, 2, "rgb"), (), "id", task="embedding", embedding=Embedding(2)),
    ModelSpec(InputSpec(2, 2, "rgb"), ["a", "b"], "id", embedding=Embedding(2)),
]
OLD = ModelSpec(InputSpec(2, 2, "rgb"), ["a", "b"], "id")
LITE = replace(OLD, litert=Conversion("ab" * 32, 100))
FAILED = replace(OLD, litert=Conversion(missing="operation LSTM cannot be converted"))
SPECS = {"old": OLD, "lite": LITE, "failed": FAILED}


def options(engine: EngineChoice = "auto", precision: Precision = "float32", **more: Any) -> ScoreOptions:
    return ScoreOptions(input=("a",), model="m", output="o", engine=engine, precision=precision, **more)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "sees_gpu", lambda: True)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "sees_gpu", lambda: False)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("asked", "spec", "begun_with", "engine", "why"),
    [
        (options(), LITE, None, "litert", "the model has model.tflite"),
        (options(), OLD, None, "tensorflow", "the model was made without model.tflite"),
        (options(), FAILED, None, "tensorflow", "the model has no model.tflite (operation LSTM cannot be converted)"),
        (options(precision="bfloat16"), LITE, None, "tensorflow", "it alone computes in bfloat16"),
        (options(accelerator="type:l4"), LITE, None, "tensorflow", "it uses the GPU of --accelerator"),
        (options(), LITE, "tensorflow", "tensorflow", "the first run into OUTPUT used it"),
        (options(), LITE, "litert", "litert", "the first run into OUTPUT used it"),
        (options("tensorflow"), LITE, None, "tensorflow", "as asked for"),
        (options("litert"), LITE, "litert", "litert", "as asked for"),
    ],
)
def test_engine_is_the_one_that_was_asked_for_or_began_or_is_best(
    asked: ScoreOptions, spec: ModelSpec, begun_with: Engine | None, engine: Engine, why: str
) -> None:
    choice = choose(asked, spec, begun_with)
    assert (choice.engine, choice.why) == (engine, why)


@pytest.mark.usefixtures("gpu")
def test_gpu_of_this_machine_is_used_unless_litert_is_asked_for_or_began() -> None:
    assert (choose(options(), LITE, None).engine, choose(options(), LITE, None).why) == (
        "tensorflow",
        "it uses the GPU of this machine",
    )
    assert choose(options("litert"), LITE, None).engine == "litert"
    assert choose(options(), LITE, "litert").engine == "litert"


@pytest.mark.parametrize(
    ("asked", "spec", "begun_with", "text"),
    [
        (
            options("litert"),
            LITE,
            "tensorflow",
            "--output 'o' holds scores of --engine tensorflow, and those of another engine differ in their last "
            "digits: leave out --engine litert, or choose another --output",
        ),
        (options("tensorflow"), LITE, "litert", "--output 'o' holds scores of --engine litert, and those"),
        (
            options("litert"),
            OLD,
            None,
            "--engine litert cannot run --model 'm': the model was made without model.tflite; make it with "
            "'nightscore train --add_engines m --output NEW'",
        ),
        (
            options("litert"),
            FAILED,
            None,
            "--engine litert cannot run --model 'm': the model has no model.tflite (operation LSTM cannot be "
            "converted); score with --engine tensorflow",
        ),
        (options("litert", "bfloat16"), LITE, None, "--precision bfloat16 needs --engine tensorflow, and this run's"),
        (options(precision="bfloat16"), LITE, "litert", "--precision bfloat16 needs --engine tensorflow"),
    ],
)
def test_engine_that_cannot_be_is_refused_in_one_line(
    asked: ScoreOptions, spec: ModelSpec, begun_with: Engine | None, text: str
) -> None:
    with pytest.raises(UsageError) as caught:
        choose(asked, spec, begun_with)
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("no_gpu")
def test_package_that_is_missing_is_passed_over_or_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litert, "is_installed", lambda: False)
    assert choose(options(), LITE, None).engine == "tensorflow"
    assert choose(options(), LITE, None).why == "LiteRT (ai-edge-litert) is not installed here"
    for asked, begun_with in ((options("litert"), None), (options(), "litert")):
        with pytest.raises(UsageError, match="--engine litert needs the package ai-edge-litert, which is not inst"):
            choose(asked, LITE, begun_with)
    monkeypatch.setattr(tensorflow, "is_installed", lambda: False)
    for asked, spec in ((options(), OLD), (options("tensorflow"), LITE), (options(precision="bfloat16"), LITE)):
        with pytest.raises(UsageError, match=r"this run's engine is tensorflow \(.*\), and the package tensorflow is"):
            choose(asked, spec, None)


@given(
    st.sampled_from(get_args(EngineChoice)),
    st.sampled_from(get_args(Precision)),
    st.sampled_from(sorted(SPECS)),
    st.sampled_from([None, *get_args(Engine)]),
    st.sampled_from([None, "type:nvidia-l4"]),
)
def test_whatever_is_asked_for_an_output_keeps_its_engine_and_bfloat16_has_tensorflow(
    engine: EngineChoice, precision: Precision, spec: str, begun_with: Engine | None, accelerator: str | None
) -> None:
    try:
        choice = choose(options(engine, precision, accelerator=accelerator), SPECS[spec], begun_with)
    except UsageError:
        return
    assert choice.engine == (begun_with or choice.engine)
    assert engine in ("auto", choice.engine)
    assert precision == "float32" or choice.engine == "tensorflow"
    assert choice.engine == "tensorflow" or SPECS[spec].has_litert


def test_command_that_adds_engines_is_for_models_of_an_earlier_version_only() -> None:
    assert add_engines(options(), OLD) == "nightscore train --add_engines m --output NEW"
    assert add_engines(options(), LITE) == add_engines(options(), FAILED) == ""


@pytest.mark.parametrize(("devices", "code"), [(False, 0), (True, 0), (True, 7)])
def test_gpu_is_looked_for_by_tensorflow_only_where_there_is_a_device(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, devices: bool, code: int
) -> None:
    (tmp_path / "nvidia0").touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(module, "GPU_DEVICES", (str(tmp_path / ("nvidia[0-9]*" if devices else "none*")),))
    monkeypatch.setattr(module, "_PROBE", f"open({str(tmp_path / 'asked')!r}, 'w'); raise SystemExit({code})")
    assert sees_gpu() == (devices and code == 0)
    assert (tmp_path / "asked").exists() == devices
    (tmp_path / "asked").unlink(missing_ok=True)
    for nothing in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", nothing)
        assert not sees_gpu()
    assert not (tmp_path / "asked").exists()


def test_probe_that_hangs_sees_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "nvidia0").touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(module, "GPU_DEVICES", (str(tmp_path / "nvidia*"),))
    monkeypatch.setattr(module, "_PROBE", "import time; time.sleep(1e6)")
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.5)
    assert not sees_gpu()


def refused(archive: Path, model: Path | str, output: Path, capfd: pytest.CaptureFixture[str], *flags: str) -> str:
    """Score, which is to be refused in one line; return the line."""
    capfd.readouterr()
    arguments = ["--input", str(archive), "--model", str(model), "--output", str(output), *flags]
    assert cli.main(arguments) == 2
    (line,) = capfd.readouterr().err.splitlines()
    return line


@pytest.mark.heavy
def test_damaged_model_tflite_is_one_line_before_a_first_and_before_a_later_run(
    write_images: WriteImages, tiny_model: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    archive, model = write_images(10), Path(shutil.copytree(tiny_model, tmp_path / "model"))
    night = tmp_path / "night"
    whole = (model / TFLITE).read_bytes()
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 1
    for begun in (False, True):
        (model / TFLITE).write_bytes(damaged)
        line = refused(archive, model, night, capfd, *(["--top_k", "3"] if begun else []))
        assert f"model '{model}' is damaged: model.tflite has the SHA-256 " in line
        (model / TFLITE).unlink()
        line = refused(archive, model, night, capfd, *(["--top_k", "3"] if begun else []))
        assert f"model '{model}' is damaged: model.tflite is missing; train or copy it again" in line
        if not begun:
            (model / TFLITE).write_bytes(whole)
            flags = ["--input", str(archive), "--model", str(model), "--output", str(night)]
            assert cli.main(flags) == 0
            assert json.loads((night / "run.json").read_text())["options"]["engine"] == "litert"
            assert cli.main([*flags, "--engine", "tensorflow"]) == 2


def test_engine_without_its_network_or_its_package_is_one_line(
    write_images: WriteImages,
    tiny_model: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive, model = write_images(10), Path(shutil.copytree(tiny_model, tmp_path / "model"))
    content = json.loads((model / SPEC).read_text())
    del content["litert"]
    (model / SPEC).write_text(json.dumps(content))
    (model / TFLITE).unlink()
    line = refused(archive, model, tmp_path / "night", capfd, "--engine", "litert")
    assert "the model was made without model.tflite; make it with 'nightscore train --add_engines " in line
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    line = refused(archive, tiny_model, tmp_path / "night", capfd, "--engine", "litert")
    assert "needs the package ai-edge-litert, which is not installed here" in line
    assert not (tmp_path / "night").exists()


@pytest.mark.parametrize("spec", NO_BFLOAT16)
def test_value_and_embedding_are_refused_in_bfloat16_in_one_line(spec: ModelSpec) -> None:
    with pytest.raises(
        UsageError, match=r"^--precision bfloat16 cannot score --model 'm': its output is an? \w+, of"
    ) as caught:
        choose(options(precision="bfloat16"), spec, None)
    assert "\n" not in str(caught.value)
    assert choose(options("tensorflow"), spec, None).engine == "tensorflow"
