"""Arguments to a prepared run, and the run itself."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from conftest import WriteImages, forget_processes

from pipeline.beam import job
from pipeline.cli import score
from pipeline.errors import GoldenMismatchError, UsageError
from pipeline.model.directory import EXPECTED, GOLDEN, read_golden
from pipeline.scoring.prepare import prepare

BEAMS = {"runner", "labels", "project", "region", "job_name", "temp_location", "setup_file", "streaming"}
NEEDED = ("--input", "a", "--model", "m", "--output", "o")


def test_our_flags_and_beams_are_told_apart() -> None:
    asked = job.parse([*NEEDED, "--input=b", "--top_k", "3", "--project=p", "--temp_location", "gs://b/tmp"])
    assert (asked.options.input, asked.options.top_k) == (("a", "b"), 3)
    cloud = asked.beam.view_as(GoogleCloudOptions)
    assert (cloud.project, cloud.temp_location) == ("p", "gs://b/tmp")
    assert asked.beam.view_as(job.ScoringOptions).top_k == 3


@pytest.mark.parametrize("flags", [["--labels", "none"], ["--labels=none"], ["--label_source", "none"]])
def test_labels_is_another_name_for_label_source(flags: list[str]) -> None:
    assert job.parse([*NEEDED, *flags]).options.label_source == "none"


def test_labels_of_a_dataflow_job_stay_beams() -> None:
    asked = job.parse([*NEEDED, "--labels", "team=vision", "--labels", "from_directory", "--label=env=test"])
    assert asked.options.label_source == "from_directory"
    assert asked.beam.view_as(GoogleCloudOptions).labels == ["team=vision", "env=test"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--bogus", "3"], "unknown argument '--bogus'"),
        (["extra"], "unknown argument 'extra'"),
        (["--top_k", "many"], "--top_k: 'many' is no number of classes: give a number, or all"),
        (["--top_k", "0"], "--top_k 0"),
        (["--min_accuracy", "2"], "--min_accuracy 2"),
        (["--max_failed_fraction", "nan"], "--max_failed_fraction nan"),
        (["--limit", "-1"], "--limit -1"),
        (["--unit_images", "0"], "--unit_images 0"),
        (["--labels", "maybe"], "--labels 'maybe'"),
        (["--format", "csv"], "--format: invalid choice: 'csv'"),
        (["--label"], "--label"),
    ],
)
def test_bad_arguments_are_one_clear_line(flags: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        job.parse([*NEEDED, *flags])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["--input", "--model", "--output"])
def test_what_is_needed_is_named(missing: str) -> None:
    i = NEEDED.index(missing)
    with pytest.raises(UsageError, match=f"{missing} is missing"):
        job.parse([*NEEDED[:i], *NEEDED[i + 2 :]])


@pytest.mark.parametrize(
    ("runner", "local"), [(None, True), ("DirectRunner", True), ("FnApiRunner", True), ("FlinkRunner", False)]
)
def test_direct_runner_means_this_process(runner: str | None, local: bool) -> None:
    assert job.parse([*NEEDED, *([f"--runner={runner}"] if runner else [])]).is_local is local


def test_no_flag_of_ours_is_one_of_beams() -> None:
    parsers: list[object] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)  # argparse refuses a flag that is there twice
    assert parsers
    assert not [name for name in job.ScoringOptions([]).get_all_options(current_only=True) if name in BEAMS]


@pytest.fixture
def archive(write_images: WriteImages) -> Path:
    return write_images(20)


def parsed(archive: Path, model: str, output: Path, *more: str) -> job.Job:
    return job.parse(["--input", str(archive), "--model", model, "--output", str(output), *more])


def test_prepared_run_has_a_record_without_verdict(archive: Path, tiny_model: str, tmp_path: Path) -> None:
    run = prepare(parsed(archive, tiny_model, tmp_path / "night").options)
    record = json.loads(Path(run.record).read_text())
    assert (record["run"], record["verdict"], record["model"]) == (run.id, None, run.spec.model_id)
    assert {"python", "apache-beam", "tensorflow", "pillow"} <= set(record["versions"])
    assert [p.name for p in (tmp_path / "night").rglob("*") if p.is_file()] == [f"{run.id}.json"]


def test_output_of_another_model_is_refused_with_both_ids(archive: Path, tiny_model: str, tmp_path: Path) -> None:
    first = prepare(parsed(archive, tiny_model, tmp_path / "night").options)
    record = json.loads(Path(first.record).read_text())
    Path(first.record).write_text(json.dumps({**record, "model": "feed" * 16}))
    with pytest.raises(UsageError, match=f"model feedfeedfeed.*{first.spec.model_id[:12]}.*another --output"):
        prepare(parsed(archive, tiny_model, tmp_path / "night").options)


def test_output_that_cannot_be_one_is_refused_and_nothing_is_written(
    archive: Path, tiny_model: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file; give a folder"):
        prepare(parsed(archive, tiny_model, tmp_path / "file").options)
    with pytest.raises(UsageError, match="should be a folder"):
        prepare(parsed(archive, tiny_model, tmp_path / "file" / "below").options)
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.parametrize("what", ["input", "model", "damaged"])
def test_missing_input_or_model_writes_nothing(archive: Path, tiny_model: str, tmp_path: Path, what: str) -> None:
    model = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    if what == "damaged":
        (model / "saved_model" / "saved_model.pb").write_bytes(b"x")
    source = tmp_path / "none" if what == "input" else archive
    asked = parsed(source, str(tmp_path / "none" if what == "model" else model), tmp_path / "night")
    with pytest.raises(UsageError):
        prepare(asked.options)
    assert not (tmp_path / "night").exists()


@pytest.fixture
def scored(archive: Path, tiny_model: str, tmp_path: Path) -> tuple[Path, Path]:
    """A model, and an OUTPUT that it has scored into."""
    model = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    asked = parsed(archive, str(model), tmp_path / "night")
    job.run_job(asked, prepare(asked.options))
    forget_processes()
    return model, tmp_path / "night"


def test_run_with_nothing_to_do_does_not_read_the_model(archive: Path, scored: tuple[Path, Path]) -> None:
    model, night = scored
    shutil.rmtree(model / "saved_model")
    assert score.main(["--input", str(archive), "--model", str(model), "--output", str(night)]) == 0
    record = json.loads((night / "run.json").read_text())
    assert (record["verdict"]["exit_code"], record["kept"], record["scored"]) == (0, 20, 0)


@pytest.mark.parametrize("flags", [(), pytest.param(("--no_canary",), marks=pytest.mark.heavy)])
def test_damaged_model_is_refused_before_a_later_run_scores(
    archive: Path, scored: tuple[Path, Path], capsys: pytest.CaptureFixture[str], flags: tuple[str, ...]
) -> None:
    model, night = scored
    (model / "saved_model" / "saved_model.pb").write_bytes(b"x")
    (archive / "5" / "more.png").write_bytes((archive / "0" / "00000.png").read_bytes())
    before = {path: path.read_bytes() for path in night.rglob("*") if path.is_file()}
    arguments = ["--input", str(archive), "--model", str(model), "--output", str(night), *flags]
    assert score.main(arguments) == 2
    err = capsys.readouterr().err
    assert "is damaged: saved_model/ and its input rule have the id" in err
    assert err.count("\n") == 1
    after = {path: path.read_bytes() for path in night.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before
    assert sorted(path.parent.name for path in after.keys() - before.keys()) == ["plan", "runs"]


@pytest.mark.heavy
def test_golden_mismatch_in_a_worker_reaches_the_caller_as_itself(
    archive: Path, tiny_model: str, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    golden = read_golden(str(model))
    wrong = {engine: scores * 0.5 for engine, scores in golden.scores.items()}
    (model / GOLDEN / EXPECTED).write_bytes(replace(golden, scores=wrong).files()[EXPECTED])
    forget_processes()
    asked = parsed(archive, str(model), tmp_path / "night")
    with pytest.raises(GoldenMismatchError, match=r"golden images .* stored with the model: by") as caught:
        job.run_job(asked, prepare(asked.options))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--runner=PortableRunner", "--job_endpoint=localhost:1"], "--job_endpoint 'localhost:1' does not answer"),
        (["--runner=FlinkRunner", "--flink_job_server_jar=/no/such.jar"], "the --runner does not start the job: "),
    ],
)
def test_engine_that_does_not_take_the_job_is_one_line(
    archive: Path, tiny_model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    places = ["--input", str(archive), "--model", tiny_model, "--output", str(tmp_path / "night")]
    assert score.main([*places, *flags]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"nightscore score: {said}")
    assert error.count("\n") == 1
