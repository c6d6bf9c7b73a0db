"""docs/schema.md lists the fields of model_spec.json as they are written."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

from model_training.report import images_file
from model_training.report.runs import HEADER
from pipeline.model.feed import Feed
from pipeline.model.spec import Conversion

PAGE = Path(__file__).parents[2] / "docs" / "schema.md"


def fields_of(title: str) -> list[str]:
    (section,) = re.findall(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return re.findall(r"^\| `(\w+)`", section, re.MULTILINE)


def test_fields_of_the_spec_are_those_of_the_page(tiny_model: str) -> None:
    assert fields_of("model_spec.json") == list(json.loads(Path(tiny_model, "model_spec.json").read_text()))


def test_fields_of_a_feed_are_those_of_the_page() -> None:
    assert fields_of("Feed") == [field.name for field in fields(Feed)]


def test_fields_of_a_conversion_are_those_of_the_page() -> None:
    assert fields_of("Conversion") == [field.name for field in fields(Conversion)]


def test_fields_of_what_it_was_trained_on_are_those_of_the_page(tiny_model: str) -> None:
    facts = json.loads(Path(tiny_model, "training", "pixel_hashes", "facts.json").read_text())
    assert fields_of("Pixels that it was trained on") == list(facts)


def test_columns_of_the_table_of_runs_are_those_of_the_page() -> None:
    assert fields_of("Tables of a training") == list(HEADER)


def test_columns_of_the_list_of_images_are_those_of_the_page() -> None:
    assert fields_of("Images of a training") == list(images_file.HEADER)
