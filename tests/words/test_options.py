"""The options: one definition, flags made from it, and every bad value refused by the name of its flag."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.option_values import as_names, names_in
from pipeline.options import ScoreOptions, add_arguments, from_arguments, to_flags

GIVEN: dict[str, Any] = {"input": ("photos",), "model": "model", "output": "night"}
COMMAND = ["--input", "photos", "--model", "model", "--output", "night"]


def parse(*arguments: str) -> ScoreOptions:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return from_arguments(vars(parser.parse_args(arguments)))


def test_a_command_line_with_what_must_be_given_has_the_defaults_of_the_definition() -> None:
    assert parse(*COMMAND) == ScoreOptions(**GIVEN)


OTHERS: dict[str, Any] = {
    "input": ("a", "--b=c d"), "label_source": "none", "format": "jsonl", "top_k": 3, "precision": "bfloat16",
    "max_failed_fraction": 1e-9, "min_accuracy": 0, "accept_score": 0.5, "accept_accuracy": None,
    "unit_images": 7, "limit": 9, "max_pixels": 10,
    "image_timeout": 1.5, "engine": "litert", "memory_mb": 300,
    "retry_deadline": 2.5, "retry_failed": True, "no_canary": True, "no_wait": True, "on_end": "mail me",
    "accelerator": "type:a;count:1",
    "image_key": "an image", "label_key": "", "label_offset": -1, "labels_are": "names",
    "labels_file": "a b", "zip_encoding": "cp932", "file_column": "picture", "label_column": "a.b", "columns": "a,b",
    "slice": "a", "exif": True, "pixel_facts": True, "bands": "4,3,2", "background": "#0080ff", "no_pictures": True,
    "link_base": "https://host/a",
    "model": "-m", "output": "gs://b/night",
}  # fmt: skip
"""Every option, otherwise than by default."""


def test_options_come_back_from_their_flags() -> None:
    assert OTHERS.keys() == {field.name for field in fields(ScoreOptions)}
    for options in (ScoreOptions(**GIVEN), ScoreOptions(**OTHERS)):
        assert parse(*to_flags(options)) == options


def test_every_option_is_a_flag_of_its_name_with_a_help_text() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    assert [action.option_strings for action in parser._actions] == [[f"--{f.name}"] for f in fields(ScoreOptions)]
    for action in parser._actions:
        assert action.help
        assert action.help % {"default": ""}, "a percent sign would break --help"
    assert parser.format_help()


@pytest.mark.parametrize(
    ("flag", "text", "value"),
    [
        ("label_source", "from_directory", "from_directory"),
        ("format", "jsonl", "jsonl"),
        ("top_k", "3", 3),
        ("top_k", "all", "all"),
        ("precision", "bfloat16", "bfloat16"),
        ("max_failed_fraction", "0.5", 0.5),
        ("min_accuracy", "1", 1.0),
        ("accept_score", "0.93", 0.93),
        ("accept_accuracy", "0.99", 0.99),
        ("unit_images", "7", 7),
        ("limit", "1", 1),
        ("image_key", "jpg", "jpg"),
        ("label_key", "cls", "cls"),
        ("label_offset", "-1", -1),
        ("labels_are", "indices", "indices"),
        ("zip_encoding", "cp932", "cp932"),
        ("bands", "13", "13"),
        ("background", "drop", "drop"),
    ],
)
def test_a_flag_sets_its_option_and_no_other(flag: str, text: str, value: Any) -> None:
    assert parse(*COMMAND, f"--{flag}", text) == ScoreOptions(**GIVEN, **{flag: value})


def test_inputs_are_collected_in_their_order_and_parsing_twice_keeps_them_apart() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    for names in (["b", "a"], ["c"]):
        given = [word for name in names for word in ("--input", name)]
        arguments = parser.parse_args([*given, "--model", "m", "--output", "o"])
        assert from_arguments(vars(arguments)).input == tuple(names)


def test_a_switch_is_off_until_it_is_given() -> None:
    assert not parse(*COMMAND).no_canary
    assert parse(*COMMAND, "--no_canary").no_canary


def test_arguments_that_are_not_options_are_passed_over() -> None:
    assert from_arguments({**GIVEN, "input": ["photos"], "runner": "DirectRunner"}) == ScoreOptions(**GIVEN)


@pytest.mark.parametrize(
    "bad",
    [
        {"input": ()},
        {"input": ("",)},
        {"input": ("photos", "")},
        {"model": ""},
        {"output": ""},
        {"label_source": "folder"},
        {"format": "csv"},
        {"top_k": 0},
        {"top_k": "many"},
        {"top_k": 2.5},
        {"precision": "float16"},
        {"unit_images": 0},
        {"unit_images": -5},
        {"limit": 0},
        {"max_pixels": 0},
        {"image_timeout": 0.0},
        {"image_timeout": float("nan")},
        {"retry_deadline": -1.0},
        {"retry_deadline": float("inf")},
        {"max_failed_fraction": -0.1},
        {"max_failed_fraction": 1.5},
        {"max_failed_fraction": float("nan")},
        {"min_accuracy": 99.0},
        {"accept_score": 1.01},
        {"accept_accuracy": -0.1},
        {"min_accuracy": float("inf")},
    ],
    ids=str,
)
def test_a_bad_value_is_refused_in_one_line_that_names_the_flag(bad: dict[str, Any]) -> None:
    (name,) = bad
    with pytest.raises(UsageError, match=f"^--{name} [^\n]+$"):
        ScoreOptions(**{**GIVEN, **bad})


def test_a_score_to_accept_from_is_given_or_found() -> None:
    with pytest.raises(UsageError, match=r"^--accept_score gives the score and --accept_accuracy finds it: leave one"):
        ScoreOptions(**GIVEN, accept_score=0.9, accept_accuracy=0.9)


@pytest.mark.parametrize("name", ["input", "model", "output"])
def test_what_must_be_given_is_asked_for_by_name(name: str) -> None:
    with pytest.raises(UsageError, match=f"^--{name} is missing$"):
        from_arguments({key: value for key, value in GIVEN.items() if key != name})


def test_no_flag_is_one_of_beams_and_labels_is_not_free() -> None:
    theirs: set[str] = set()
    for group in PipelineOptions.__subclasses__():
        if group.__module__.startswith("apache_beam"):
            parser = argparse.ArgumentParser(add_help=False)
            group._add_argparse_args(parser)  # what a group of options overrides to declare them
            theirs.update(parser._option_string_actions)
    assert "--labels" in theirs
    assert {f"--{flag.name}" for flag in fields(ScoreOptions)}.isdisjoint(theirs)


@given(st.lists(st.text(min_size=1), unique=True))
def test_names_come_back_from_their_text(names: list[str]) -> None:
    names = [name for name in names if name.strip()]
    text = as_names(names)
    assert names_in(text) == tuple(names) or text == "none"
    assert (text == "none") is (not names)
    assert text != "all"
