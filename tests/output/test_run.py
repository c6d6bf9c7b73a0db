"""A run, and what its record tells of it."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import MakeRun

from pipeline.errors import UsageError
from pipeline.model.spec import ModelSpec
from pipeline.output.run import Run


def known(run: Run) -> Run:
    """The run with its places as locations, without what its spec says to people only."""
    places = {"input": run.inputs, "model": run.model, "output": run.output}
    spec = ModelSpec(run.spec.input, run.spec.class_names, run.spec.model_id)
    return replace(run, options=replace(run.options, **places), spec=spec)


@pytest.mark.parametrize("place", ["photos", "/data/*.png", "gs://bucket/photos/", "/data/%41", "/data/\udcff ü\n"])
def test_run_is_known_by_its_record_wherever_its_files_lie(make_run: MakeRun, place: str) -> None:
    run = make_run(place, "b", place, output=place, top_k=2, limit=7)
    again = Run.from_record(json.loads(json.dumps(run.to_record(), ensure_ascii=False).encode("utf-8")))
    assert again == known(run)
    assert again.inputs == run.inputs
    assert again.part("a" * 32) == run.part("a" * 32)


def test_places_of_a_run_are_those_of_the_folder_it_was_made_in(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an engine elsewhere the working folder is another, and so is the home."""
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(here))
    run = make_run("photos", "~/more/*.png", "./photos", output="night")
    run = Run.of(run.id, replace(run.options, model="model"), run.spec)
    record, sent = run.to_record(), pickle.dumps(run)
    expected = ((f"{here}/photos", f"{here}/more/*.png"), f"{here}/model", f"{here}/night")

    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("HOME", str(elsewhere))
    received = pickle.loads(sent)
    assert received == run
    for again in (run, received, replace(received, id="run-0"), Run.from_record(record)):
        assert (again.inputs, again.model, again.output) == expected
        assert again.to_record() == {**record, "run": again.id}
    assert received.receipt("a") == f"{here}/night/receipts/a.json"
    assert received.options.output == "night"


def test_run_is_not_made_where_a_place_is_served_by_no_store(make_run: MakeRun) -> None:
    with pytest.raises(UsageError, match="'ftp://bucket/photos' is neither gs://bucket/name"):
        make_run("ftp://bucket/photos")


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
