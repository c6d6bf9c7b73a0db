"""What a model's spec says of its output, and what of it enters the model's id."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pipeline.errors import NewerFormatError
from pipeline.model.input_rule import InputSpec
from pipeline.model.outputs import why_no_bfloat16
from pipeline.model.spec import ModelSpec, model_id
from pipeline.options import ScoreOptions
from pipeline.output.run import Run
from pipeline.task import Embedding

RULE = InputSpec(2, 2, "rgb")
CLASSES = ModelSpec(RULE, ["a", "b"], "f00")
SPECS = {
    "classes": CLASSES,
    "classes and embedding": replace(CLASSES, embedding=Embedding(3)),
    "labels": replace(CLASSES, task="labels"),
    "thresholds": replace(CLASSES, task="labels", thresholds=(0.25, 1.0)),
    "value": ModelSpec(RULE, [], "f00", task="value", value_unit=0.125),
    "embedding": ModelSpec(RULE, [], "f00", task="embedding", embedding=Embedding(1280, "float16")),
}
KINDS = pytest.mark.parametrize("name", SPECS)


@KINDS
def test_spec_and_record_come_back(name: str) -> None:
    spec = SPECS[name]
    assert ModelSpec.from_json(spec.to_json()) == spec
    run = Run.of("run", ScoreOptions(("in",), "model", "out", engine="litert"), spec)
    found = Run.from_record(json.loads(json.dumps(run.to_record()))).spec
    assert (found.outputs(), found.class_names) == (spec.outputs(), spec.class_names)
    assert found.embedding == spec.embedding


def test_fields_at_their_default_are_not_written_and_others_change_the_id() -> None:
    told = {name: spec.outputs() for name, spec in SPECS.items()}
    assert told["classes"] == {}
    assert told["thresholds"] == {"task": "labels", "thresholds": [0.25, 1.0]}
    assert told["embedding"] == {"task": "embedding", "embedding": {"size": 1280, "dtype": "float16"}}
    assert not {"task", "thresholds", "value_unit", "embedding"} & json.loads(CLASSES.to_json()).keys()
    ids = {name: model_id(RULE, spec.class_names, [("x", b"y")], spec.outputs()) for name, spec in SPECS.items()}
    assert len(set(ids.values())) == len(ids)
    assert ids["classes"] == model_id(RULE, ["a", "b"], [("x", b"y")])


def test_thresholds_are_a_half_unless_the_model_says_otherwise() -> None:
    assert list(SPECS["labels"].label_thresholds) == [0.5, 0.5]
    assert list(SPECS["thresholds"].label_thresholds) == [0.25, 1.0]


@pytest.mark.parametrize(
    ("name", "fields", "text"),
    [
        ("classes", {"task": "boxes"}, "task is 'boxes', unknown here"),
        ("labels", {"class_names": []}, "class_names are not distinct names"),
        ("labels", {"class_names": ["a", "a"]}, "class_names are not distinct names"),
        ("value", {"class_names": ["a"]}, "there are 1 class_names, but the task 'value' has no classes"),
        ("classes", {"thresholds": [0.5, 0.5]}, "there are thresholds, but the task is 'classes'"),
        ("labels", {"thresholds": [0.5]}, "there are 1 thresholds for 2 classes"),
        ("labels", {"thresholds": [0.5, 0.0]}, "expected probabilities above 0 and at most 1"),
        ("labels", {"thresholds": [0.5, 1.5]}, "expected probabilities above 0 and at most 1"),
        ("labels", {"thresholds": [0.5, "x"]}, "expected probabilities above 0 and at most 1"),
        ("labels", {"value_unit": 0.5}, "only 'value' has one"),
        ("value", {"value_unit": 0.0}, "expected a power of two"),
        ("value", {"value_unit": 0.3}, "expected a power of two"),
        ("value", {"value_unit": -0.5}, "expected a power of two"),
        ("value", {"value_unit": "1"}, "expected a power of two"),
        ("embedding", {"embedding": None}, "nothing says of what size it is"),
        ("embedding", {"embedding": {}}, "expected its size and dtype"),
        ("embedding", {"embedding": {"size": 0}}, "embedding has the size 0"),
        ("embedding", {"embedding": {"size": 3, "dtype": "int8"}}, "expected float32 or float16"),
    ],
)
def test_spec_that_contradicts_itself_is_refused_in_one_line(name: str, fields: dict[str, Any], text: str) -> None:
    content = {**json.loads(SPECS[name].to_json()), **fields}
    with pytest.raises(ValueError, match=text) as caught:
        ModelSpec.from_json(json.dumps(content))
    assert "\n" not in str(caught.value)


def test_embedding_with_a_field_more_is_newer() -> None:
    content = json.loads(SPECS["embedding"].to_json())
    content["embedding"]["norm"] = "l2"
    with pytest.raises(NewerFormatError, match="unknown field 'norm'"):
        ModelSpec.from_json(json.dumps(content))


@KINDS
def test_bfloat16_is_for_what_can_be_scored_again(name: str) -> None:
    spec = SPECS[name]
    assert bool(why_no_bfloat16(spec.task, spec.embedding)) == (name not in ("classes", "labels", "thresholds"))
