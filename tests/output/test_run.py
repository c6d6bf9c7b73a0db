"""A run, and what its record tells of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from conftest import MakeRun

from pipeline.model.spec import ModelSpec
from pipeline.output.run import Run


def known(run: Run) -> Run:
    """The run with its places as locations, without what its spec says to people only."""
    places = {"input": tuple(run.inputs), "model": run.model, "output": run.output}
    spec = ModelSpec(run.spec.input, run.spec.class_names, run.spec.model_id)
    return replace(run, options=replace(run.options, **places), spec=spec)


@pytest.mark.parametrize("place", ["photos", "/data/*.png", "gs://bucket/photos/", "/data/%41", "/data/\udcff ü\n"])
def test_run_is_known_by_its_record_wherever_its_files_lie(make_run: MakeRun, place: str) -> None:
    run = make_run(place, "b", place, output=place, top_k=2, limit=7)
    again = Run.from_record(json.loads(json.dumps(run.to_record(), ensure_ascii=False).encode("utf-8")))
    assert again == known(run)
    assert again.inputs == run.inputs
    assert again.part("a" * 32) == run.part("a" * 32)


def test_options_that_an_older_record_lacks_are_at_their_defaults(make_run: MakeRun) -> None:
    record = make_run("a").to_record()
    del record["options"]["retry_failed"], record["model_spec"]["input"]["exif_orientation"]
    assert Run.from_record(record) == known(make_run("a"))


def test_run_moves_with_its_output(make_run: MakeRun) -> None:
    run = make_run("a", output="/old")
    assert run.at("gs://b/new").record == f"gs://b/new/runs/{run.id}.json"
    assert run.at("/old") == run


@pytest.mark.parametrize("record", [None, [], {}, {"run": "1"}, {"model_spec": 1}, "x"])
def test_what_is_no_record_is_refused(record: object) -> None:
    with pytest.raises(ValueError, match="does not tell which run it is of"):
        Run.from_record(record)  # type: ignore[arg-type]


def test_record_with_an_option_out_of_range_is_refused(make_run: MakeRun) -> None:
    record = make_run("a").to_record()
    for options in ({**record["options"], "top_k": 0}, {**record["options"], "top_k": "many"}, 7):
        with pytest.raises(ValueError, match="does not tell which run it is of"):
            Run.from_record({**record, "options": options})
