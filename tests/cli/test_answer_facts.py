"""What a model says of one image: as the original network says it, in lines of 80 columns."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from task_networks import LABELS, SHAPE, VECTOR, function_of

from model_training.data.datasets import RawImages
from pipeline.batches import EncodedBatch, Failure, PredictionBatch
from pipeline.cli import look
from pipeline.cli.answer_facts import MOST_LABELS, answer_facts, answer_json
from pipeline.formatting import percent
from pipeline.model.directory import read_spec
from pipeline.model.input_rule import InputSpec
from pipeline.model.spec import ModelSpec

RULE = InputSpec(8, 8, "rgb")


def lines_of(out: str) -> list[str]:
    """Return the lines of what the model says, without their first column."""
    lines = out.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("model says"))
    rest = [line for line in lines[first + 1 :] if line.startswith(" ")]
    return [line[13:] for line in [lines[first], *rest]]


@pytest.mark.parametrize("task", ["classes", "labels", "value", "embedding"])
def test_each_task_says_what_its_network_says(
    task: str, task_models: Path, digits: RawImages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = task_models / task
    for i in range(4):
        (tmp_path / "a.png").write_bytes(digits.encoded(i))
        assert look.main([str(tmp_path / "a.png"), "--model", str(model)]) == 0
        text = lines_of(capsys.readouterr().out)
        assert look.main([str(tmp_path / "a.png"), "--model", str(model), "--json"]) == 0
        says = json.loads(capsys.readouterr().out)["says"]
        found = function_of(model)(digits.images[i : i + 1].reshape(1, *SHAPE))
        if task == "classes":
            scores = found["scores"][0]
            best = np.argsort(-scores)[:3]
            assert [line.split() for line in text[:3]] == [
                [str(number), *percent(float(scores[number]), 1).split()] for number in best
            ]
            assert text[3:] == [f"beside it, an embedding of {VECTOR} numbers"]
            assert [entry["label"] for entry in says["classes"]] == best.tolist()
        elif task == "labels":
            limits = read_spec(str(model)).label_thresholds
            right = [
                name
                for name, score, limit in zip(LABELS, found["probabilities"][0], limits, strict=True)
                if score >= limit
            ]
            assert {entry["name"] for entry in says["labels"]} == set(right)
            assert {line.split()[0] for line in text} == set(right) or text[0].startswith("no label")
        elif task == "value":
            assert float(text[0]) == pytest.approx(float(found["value"][0, 0]), rel=1e-4)
            assert says["value"] == pytest.approx(float(found["value"][0, 0]), rel=1e-4)
        else:
            assert text == [f"an embedding of {VECTOR} numbers"]
            assert says == {"embedding": VECTOR}


def batch_of(scores: list[float], chosen: list[bool] | None = None) -> PredictionBatch:
    images = EncodedBatch.of([b""]).images
    row = np.array([scores], np.float32)
    top = np.argsort(-row, kind="stable").astype(np.int32)
    best = np.take_along_axis(row, top, axis=1)
    return PredictionBatch(
        images, top, best, np.full(1, np.nan, np.float32), chosen=None if chosen is None else np.array([chosen])
    )


def test_lines_have_80_columns_however_long_the_names_are() -> None:
    spec = ModelSpec(RULE, ("a" * 200, "b\x1b[2J", "c"), "")
    facts = list(answer_facts(batch_of([0.25, 0.75, 0.0]), spec))
    assert [name for name, _ in facts] == ["model says", "", ""]
    assert all(len(text) <= 67 for _, text in facts)
    assert "\x1b" not in facts[0][1]
    assert [text.split()[-2] for _, text in facts] == ["75.0", "25.0", "0.0"]


def test_labels_say_how_many_there_are_and_what_is_nearest_where_there_is_none() -> None:
    names = tuple(f"tag {i}" for i in range(20))
    spec = ModelSpec(RULE, names, "", task="labels")
    scores = [i / 20 for i in range(20)]
    none = [text for _, text in answer_facts(batch_of(scores, [False] * 20), spec)]
    assert none[0].startswith("no label: none reaches its threshold")
    assert none[1].startswith("tag 19")
    assert len(none) == 2
    many = [text for _, text in answer_facts(batch_of(scores, [True] * 20), spec)]
    assert len(many) == MOST_LABELS + 1
    assert many[-1] == f"and {20 - MOST_LABELS} more labels"


def test_image_on_which_the_model_fails_is_told() -> None:
    batch = batch_of([0.5, 0.5])
    failed = batch.images.failed({0: Failure("predict", "INTERNAL", "the model raised\nOverflow")})
    spec = ModelSpec(RULE, ("a", "b"), "")
    assert list(answer_facts(replace(batch, images=failed), spec)) == [
        ("model says", "nothing: the model raised Overflow")
    ]
    assert answer_json(replace(batch, images=failed), spec) == {"error": "the model raised Overflow"}
