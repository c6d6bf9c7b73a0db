"""The identity of a work unit, and its compact coding."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.options import ScoreOptions
from pipeline.units import FIRST_OPTIONS, ROW_OPTIONS, WorkUnit, row_options, unit_id

OPTIONS = ScoreOptions(input=("in",), model="model", output="out", engine="tensorflow")
UNIT = WorkUnit("", "tfrecord", ("/a/x", "/a/y"), (5, 6), (70, 80), images=9, first=3, span=(10, 200))

OTHER: dict[str, Any] = {
    "source": "images",
    "locations": ("/a/x", "/a/z"),
    "sizes": (5, 7),
    "versions": (70, 81),
    "images": None,
    "first": 4,
    "span": (10, 201),
    "index": {"label": ["cat"]},
}

OTHER_OPTIONS: dict[str, Any] = {
    "input": ("elsewhere",),
    "model": "elsewhere",
    "output": "elsewhere",
    "label_source": "none",
    "format": "jsonl",
    "top_k": 4,
    "precision": "bfloat16",
    "engine": "litert",
    "max_failed_fraction": 0.5,
    "min_accuracy": 0.9,
    "accept_score": 0.9,
    "on_end": "true",
    "accept_accuracy": 0.9,
    "unit_images": 7,
    "limit": 100,
    "max_pixels": 1_000,
    "image_timeout": 5.0,
    "memory_mb": 300,
    "retry_deadline": 5.0,
    "retry_failed": True,
    "no_canary": True,
    "no_wait": True,
    "accelerator": "type:nvidia-l4;count:1",
    "image_key": "jpg",
    "label_key": "cls",
    "label_offset": 1,
    "labels_file": "labels-idx1-ubyte",
    "zip_encoding": "cp932",
    "file_column": "picture",
    "label_column": "kind",
    "labels_are": "names",
    "columns": "site",
    "slice": "site",
    "exif": True,
    "pixel_facts": True,
    "bands": "4,3,2",
    "background": "white",
    "no_pictures": True,
    "link_base": "https://host/a",
}

names = st.text(st.characters(exclude_characters="/\0")).map(lambda text: text.encode("utf-8", "replace"))
bytes_names = st.one_of(names, st.binary(max_size=12)).map(lambda name: name.decode("utf-8", "surrogateescape"))
units = st.builds(
    lambda objects, **rest: WorkUnit(
        locations=tuple(o[0] for o in objects),
        sizes=tuple(o[1] for o in objects),
        versions=tuple(o[2] for o in objects),
        **rest,
    ),
    st.lists(st.tuples(bytes_names, st.integers(0, 2**40), st.integers(-1, 2**63)), max_size=5),
    id=st.text("0123456789abcdef", max_size=32),
    source=st.sampled_from(["images", "tfrecord"]),
    images=st.none() | st.integers(0, 10**9),
    first=st.integers(0, 10**9),
    span=st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)),
    index=st.dictionaries(st.text(), st.lists(st.none() | st.integers() | st.text(), max_size=3), max_size=2),
    input=st.integers(0, 9),
)


def identity(unit: WorkUnit = UNIT, model_id: str = "f00", **options: Any) -> str:
    return unit_id(unit, model_id, replace(OPTIONS, **options))


class TestIdentity:
    def test_is_32_hex_digits_and_the_same_in_every_process(self) -> None:
        program = (
            "from pipeline.units import WorkUnit, unit_id; from pipeline.options import ScoreOptions;"
            f"print(unit_id({UNIT!r}, 'f00', {OPTIONS!r}))"
        )
        elsewhere = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert elsewhere.stdout.strip() == identity()
        assert len(bytes.fromhex(identity())) == 16

    def test_changes_with_every_field_of_the_unit(self) -> None:
        assert set(OTHER) == {field.name for field in fields(WorkUnit)} - {"id", "input"}
        ids = {identity(replace(UNIT, **{name: value})) for name, value in OTHER.items()}
        assert len(ids - {identity()}) == len(OTHER)

    def test_covers_neither_itself_nor_the_input_that_the_unit_comes_from(self) -> None:
        assert identity(replace(UNIT, id=identity())) == identity()
        assert identity(replace(UNIT, input=2)) == identity()

    def test_changes_with_the_model(self) -> None:
        assert identity(model_id="f01") != identity()

    def test_changes_with_options_that_change_a_row_and_with_no_other(self) -> None:
        assert set(OTHER_OPTIONS) == {field.name for field in fields(ScoreOptions)}, "decide where a new option belongs"
        changing = {name for name, value in OTHER_OPTIONS.items() if identity(**{name: value}) != identity()}
        assert changing == set(ROW_OPTIONS)
        assert {"precision", "engine"} <= changing

    def test_changes_with_the_rules_and_with_what_passes_through(self) -> None:
        assert unit_id(UNIT, "f00", OPTIONS, rules=1) != identity()
        one, other = ({"more": {"site": column}} for column in (["a", "b"], ["a", None]))
        ids = [identity(replace(UNIT, index=index)) for index in ({}, one, other)]
        assert len(set(ids)) == 3
        assert identity(WorkUnit.from_json(replace(UNIT, index=one).to_json())) == ids[1]

    def test_is_with_tensorflow_that_of_a_version_without_engines(self) -> None:
        assert unit_id(UNIT, "f00", OPTIONS, rules=1) == "010a00911145b443fbaf9cf559c1be3d"
        assert identity(engine="litert") != identity()

    def test_there_is_none_before_the_engine_is_chosen(self) -> None:
        with pytest.raises(ValueError, match="units have no identity before the engine is chosen"):
            identity(engine="auto")

    def test_tells_apart_what_joined_text_would_not(self) -> None:
        apart = replace(UNIT, locations=("/a/x,/a", "y"))
        assert identity(apart) != identity(replace(UNIT, locations=("/a/x", "/a,y")))

    def test_names_that_are_not_utf_8_have_an_identity_of_their_own(self) -> None:
        ids = {identity(replace(UNIT, locations=(name, "y"))) for name in ("/\udcff", "/\udcfe", "/\ufffd", "/\\udcff")}
        assert len(ids) == 4

    def test_row_options_are_shown_by_name(self) -> None:
        assert row_options(replace(OPTIONS, top_k=2))["top_k"] == 2
        assert tuple(row_options(OPTIONS)) == FIRST_OPTIONS, "a later option is not at its default"
        assert row_options(replace(OPTIONS, engine="litert"))["engine"] == "litert"


class TestCoding:
    @given(units)
    def test_unit_comes_back_equal_whatever_its_names(self, unit: WorkUnit) -> None:
        assert WorkUnit.from_json(unit.to_json()) == unit


def test_bytes_are_those_of_the_span_or_of_the_files() -> None:
    assert UNIT.bytes == 190
    assert replace(UNIT, span=(0, 200)).bytes == 200
    assert replace(UNIT, span=(0, 0)).bytes == 11


@pytest.mark.parametrize("column", ["locations", "sizes", "versions"])
def test_a_column_of_another_length_is_refused(column: str) -> None:
    with pytest.raises(ValueError, match="columns of different lengths"):
        replace(UNIT, **{column: getattr(UNIT, column)[:1]})
