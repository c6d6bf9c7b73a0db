"""A Flex Template's parameters to a submitted job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from apache_beam.portability.api import beam_runner_api_pb2
from conftest import WriteImages, rows_of
from dataflow_api import Dataflow, dataflow  # noqa: F401 - a fixture

from pipeline import storage
from pipeline.beam import job
from pipeline.cli import launch
from pipeline.errors import UsageError
from pipeline.options import ScoreOptions

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "templates" / "launch.py"
NEEDED = ("--input=gs://b/photos", "--model=gs://b/model", "--output=gs://b/night")


def flags(*parameters: str) -> list[str]:
    return list(launch.as_flags(parameters, job.flags()))


def options(*parameters: str) -> ScoreOptions:
    return job.parse(flags(*NEEDED, *parameters)).options


@pytest.mark.parametrize(
    ("value", "patterns"),
    [
        ("gs://b/photos", ["gs://b/photos"]),
        ("gs://b/a,gs://b/b", ["gs://b/a", "gs://b/b"]),
        ("gs://b/a, gs://b/b gs://c", ["gs://b/a", "gs://b/b", "gs://c"]),
        ("gs://b/a\ngs://b/b\r\n\ngs://b/c\n", ["gs://b/a", "gs://b/b", "gs://b/c"]),
        ("gs://b/cats, dogs/[a,b]*.png", ["gs://b/cats, dogs/[a,b]*.png"]),
        ("gs://b/x,y,gs://b/z", ["gs://b/x,y", "gs://b/z"]),
        ("/data/cats, dogs\n/data/b", ["/data/cats, dogs", "/data/b"]),
        (" \n", []),
    ],
)
def test_one_parameter_holds_several_patterns(value: str, patterns: list[str]) -> None:
    assert launch.patterns(value) == patterns
    assert flags(f"--input={value}") == [f"--input={pattern}" for pattern in patterns]


@pytest.mark.parametrize(("value", "is_on"), [("true", True), ("True", True), ("false", False), ("", False)])
def test_boolean_is_a_word(value: str, is_on: bool) -> None:
    assert options(f"--retry_failed={value}").retry_failed is is_on


@pytest.mark.parametrize(
    ("parameter", "flag"),
    [
        ("--use_public_ips=false", ["--no_use_public_ips"]),
        ("--no_use_public_ips=true", ["--no_use_public_ips"]),
        ("--use_public_ips=", []),
        ("--enable_streaming_engine=false", []),
        ("--update", ["--update"]),
    ],
)
def test_beams_booleans_are_words_too(parameter: str, flag: list[str]) -> None:
    assert flags(parameter) == flag


def test_other_word_for_a_boolean_is_refused() -> None:
    with pytest.raises(UsageError, match="--no_canary 'yes' is neither true nor false"):
        flags("--no_canary=yes")


def test_empty_parameters_are_absent() -> None:
    empty = [f"{flag}=" for flag in job.flags() if flag.startswith("--") and flag not in ("--help", *_names(NEEDED))]
    assert options(*empty) == options()


def _names(parameters: tuple[str, ...]) -> list[str]:
    return [parameter.partition("=")[0] for parameter in parameters]


def test_values_are_passed_on_as_they_are() -> None:
    labels = '--labels={"team": "vision"}'
    assert flags("--accelerator=type:nvidia-l4;count:1", "--image_key=a=b", labels) == [
        "--accelerator=type:nvidia-l4;count:1",
        "--image_key=a=b",
        labels,
    ]


def run(*parameters: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program as the launcher does: somewhere else, with Nightscore installed."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, str(PROGRAM), *parameters],
        cwd="/",
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.heavy
def test_program_scores_a_real_archive_on_beams_own_runner(
    tiny_model: str, write_images: WriteImages, tmp_path: Path
) -> None:
    one, other = write_images(12, "one, two"), write_images(8, "more", start=12)
    done = run(
        f"--input={one}\n{other}",
        f"--model={tiny_model}",
        f"--output={tmp_path / 'night'}",
        "--runner=DirectRunner",
        "--format=jsonl",
        "--retry_failed=false",
        "--no_canary=true",
        "--limit=",
        "--min_accuracy=",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(rows_of(tmp_path / "night")) == 20


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        (["--model=gs://b/m", "--input="], "--input is missing"),
        ([*NEEDED, "--top_k=0"], "--top_k 0"),
        ([*NEEDED, "--top_k=many"], "--top_k: 'many' is no number of classes: give a number, or all"),
        ([*NEEDED, "--no_canary=1"], "--no_canary '1' is neither true nor false"),
        (
            [*NEEDED, "--runner=DataflowRunner", "--project=night-1", "--temp_location=gs://b/t"],
            "workers lack Nightscore",
        ),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    parameters: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert launch.main(parameters) == 2
    shown = capfd.readouterr()
    assert shown.out == ""
    assert said in shown.err
    assert shown.err.count("\n") == 1


@pytest.mark.heavy
def test_program_ends_with_the_exit_code_and_says_no_more() -> None:
    done = run("--model=gs://b/m", "--input=")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.fixture
def parameters(gcs_bucket: str, tiny_model: str, write_images: WriteImages) -> list[str]:
    """Those of a job over images in a bucket."""
    archive = write_images(10)
    for folder, name in ((archive, "photos"), (Path(tiny_model), "model")):
        for path in folder.rglob("*"):
            if path.is_file():
                storage.create(f"{gcs_bucket}/{name}/{path.relative_to(folder)}", path.read_bytes())
    return [
        f"--input={gcs_bucket}/photos/0,{gcs_bucket}/photos/1",
        f"--model={gcs_bucket}/model",
        f"--output={gcs_bucket}/night",
        "--top_k=3",
        "--retry_failed=true",
        "--limit=",
    ]


@pytest.mark.heavy
def test_job_spec_is_written_where_the_launcher_says(
    parameters: list[str],
    gcs_bucket: str,
    tmp_path: Path,
    tiny_model: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(launch.IMAGE, "example.com/nightscore:7")
    spec = tmp_path / "job_object"
    launcher = [  # what https://github.com/GoogleCloudPlatform/python-docs-samples/issues/4307 shows of its arguments
        "--job_name=nightly",
        "--region=us-central1",
        "--service_account_email=worker@p.iam.gserviceaccount.com",
        "--runner=DataflowRunner",
        "--project=night-1",
        f"--template_location={spec}",
        f"--temp_location={tmp_path}",
        f"--staging_location={tmp_path}",
        "--max_num_workers=20",
        "--streaming=false",
        "--new_of_the_service=1",
    ]
    nobody = ["--dataflow_endpoint=http://localhost:9", "--no_auth"]  # is asked: local folders need no Cloud Storage
    assert launch.main([*parameters, *launcher, *nobody]) == 0
    shown = capsys.readouterr()
    assert shown.err == "nightscore launch: --new_of_the_service is unknown and passed over\n"
    assert shown.out == f"template written to {spec}\n"
    written = json.loads(spec.read_text())
    options = written["environment"]["sdkPipelineOptions"]["options"]
    places = {"model": f"{gcs_bucket}/model", "output": f"{gcs_bucket}/night"}
    assert {name: options[name] for name in places} == places
    assert options["input"] == [f"{gcs_bucket}/photos/0", f"{gcs_bucket}/photos/1"]
    assert (options["top_k"], options["retry_failed"], options["no_wait"]) == (3, True, True)
    assert (written["name"], options["max_num_workers"]) == ("nightly", 20)
    assert nothing_of_this_machine(spec.read_bytes(), tiny_model)
    (pipeline,) = tmp_path.rglob("pipeline.pb")
    assert nothing_of_this_machine(pipeline.read_bytes(), tiny_model)
    components = beam_runner_api_pb2.Pipeline.FromString(pipeline.read_bytes()).components
    images = {environment.payload for environment in components.environments.values()}
    assert all(b"example.com/nightscore:7" in payload for payload in images)
    assert "Enforce/Verdict" in {transform.unique_name for transform in components.transforms.values()}


def nothing_of_this_machine(data: bytes, model: str) -> bool:
    """Whether no folder of ours is named, the three given to Beam excepted, and nothing that opens a door."""
    folders = (str(ROOT), str(Path(model).parent), str(Path.home()), sys.prefix, os.getcwd())
    secrets = ("private_key", "access_token", "fake-token", "BEGIN PRIVATE", "Bearer ")
    return not [text for text in (*folders, *secrets) if len(text) > 1 and text.encode() in data]


@pytest.mark.heavy
def test_image_that_is_named_goes_before_the_program_s_own(
    dataflow: Dataflow,  # noqa: F811
    parameters: list[str],
    gcs_bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(launch.IMAGE, "example.com/nightscore:7")
    dataflow.works = False
    assert launch.main([*parameters, *dataflow.flags(gcs_bucket)]) == 0
    (submitted,) = dataflow.jobs.values()
    assert images_of(submitted.environment) == {"example.com/nightscore"}


def images_of(environment: dict[str, Any]) -> set[str]:
    images = [image for pool in environment["workerPools"] for image in pool["sdkHarnessContainerImages"]]
    return {image["containerImage"] for image in images}


@pytest.mark.heavy
def test_program_ends_while_the_job_goes_on(
    dataflow: Dataflow,  # noqa: F811
    parameters: list[str],
    gcs_bucket: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dataflow.works = False
    assert launch.main([*parameters, *dataflow.flags(gcs_bucket)]) == 0
    ((name, submitted),) = dataflow.jobs.items()
    assert submitted.state == "JOB_STATE_PENDING"
    assert capsys.readouterr().out.startswith(f"job {name} is submitted: ")
