"""The job on Dataflow: what is submitted, what the command says meanwhile, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import venv
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import DebugOptions
from apache_beam.portability.api import beam_runner_api_pb2
from conftest import WriteImages
from dataflow_api import Dataflow, dataflow  # noqa: F401 - a fixture
from gcs_emulator import upload

from pipeline import storage
from pipeline.beam import job
from pipeline.cli import score
from pipeline.errors import UsageError
from pipeline.output import remote_progress

ROOT = Path(__file__).parents[2]
ELSEWHERE = ("--input=gs://b/photos", "--model=gs://b/model", "--output=gs://b/night", "--runner=DataflowRunner")
NEEDED = (*ELSEWHERE, "--project=p", "--region=r", "--temp_location=gs://b/tmp")
IMAGE = "--sdk_container_image=example.com/nightscore"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (ELSEWHERE, "needs --project and --temp_location"),
        ((*NEEDED, IMAGE, "--input=photos"), "--input 'photos' is on this machine"),
        ((*NEEDED, IMAGE, "--model=/models/m"), "--model '/models/m' is on this machine"),
        ((*NEEDED, IMAGE, "--output=night"), "--output 'night' is on this machine"),
        (NEEDED, "workers lack Nightscore: give --sdk_container_image"),
    ],
)
def test_what_workers_could_not_find_is_refused(flags: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        job.parse(flags)


def test_a_worker_has_one_process_unless_something_else_is_said() -> None:
    asked = job.parse([*NEEDED, IMAGE, "--experiments=x"])
    assert asked.beam.view_as(DebugOptions).experiments == ["x", "no_use_multiple_sdk_containers"]
    assert asked.beam.view_as(DebugOptions).number_of_worker_harness_threads == 2
    said = ["--experiments=use_multiple_sdk_containers", "--number_of_worker_harness_threads=7"]
    asked = job.parse([*NEEDED, IMAGE, *said])
    assert asked.beam.view_as(DebugOptions).experiments == ["use_multiple_sdk_containers"]
    assert asked.beam.view_as(DebugOptions).number_of_worker_harness_threads == 7


@pytest.fixture
def flags(dataflow: Dataflow, gcs_bucket: str, tiny_model: str, write_images: WriteImages) -> list[str]:  # noqa: F811
    """Those of a job over 40 images, with everything in a bucket."""
    archive = write_images(40)
    upload(archive, f"{gcs_bucket}/photos")
    upload(Path(tiny_model), f"{gcs_bucket}/model")
    places = {name: f"{gcs_bucket}/{folder}" for name, folder in (("input", "photos"), ("model", "model"))}
    ours = [f"--{name}={place}" for name, place in places.items()]
    return [*ours, f"--output={gcs_bucket}/night", "--unit_images=8", *dataflow.flags(gcs_bucket)]


def wait_for_a_job(dataflow: Dataflow) -> None:  # noqa: F811
    while not dataflow.jobs:
        time.sleep(0.05)


def record(bucket: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(storage.read(f"{bucket}/night/run.json"))
    return found


@pytest.mark.heavy
def test_job_is_submitted_watched_and_ends_with_its_verdict(
    dataflow: Dataflow,  # noqa: F811
    flags: list[str],
    gcs_bucket: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote_progress, "LOOK_SECONDS", 0.05)
    looks = []
    look = remote_progress.Follower.look
    monkeypatch.setattr(remote_progress.Follower, "look", lambda follower: looks.append(look(follower)) or looks[-1])
    assert score.main(flags) == 0
    assert looks[0].total is None
    assert [count.done for count in looks] == sorted(count.done for count in looks)
    assert (looks[-1].total, looks[-1].scored, looks[-1].kept) == (40, 40, 0)
    shown = capsys.readouterr()
    (name,) = dataflow.jobs
    first = shown.out.splitlines()[0]
    assert first == (
        f"job {name} is submitted: https://console.cloud.google.com/dataflow/jobs/us-central1/{name}?project=night"
    )
    assert "images       40 in " in shown.out
    assert shown.err == ""
    assert (record(gcs_bucket)["images"], record(gcs_bucket)["complete"]) == (40, True)


@pytest.mark.heavy
def test_program_that_submits_a_job_is_told_which(
    dataflow: Dataflow,  # noqa: F811
    flags: list[str],
    gcs_bucket: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dataflow.works = False
    assert score.main([*flags, "--no_wait", "--json"]) == 0
    shown = capsys.readouterr()
    (name,) = dataflow.jobs
    said = json.loads(shown.out)
    assert (shown.out.count("\n"), shown.err, said["exit_code"]) == (1, "", 0)
    assert said["job"].startswith(f"job {name} is submitted: https://")
    assert said["output"] == f"{gcs_bucket}/night"
    assert storage.stat(f"{gcs_bucket}/night/runs/{said['run']}.json")


@pytest.mark.heavy
def test_what_is_submitted_holds_all_options_and_nothing_of_this_machine(
    dataflow: Dataflow,  # noqa: F811
    flags: list[str],
    gcs_bucket: str,
    tiny_model: str,
) -> None:
    dataflow.works = False
    assert score.main([*flags, "--no_wait", "--top_k=3", "--job_name=nightly"]) == 0
    (submitted,) = dataflow.jobs.values()
    assert submitted.request["name"] == "nightly"
    options = submitted.environment["sdkPipelineOptions"]["options"]
    assert (options["input"], options["top_k"], options["no_wait"]) == ([f"{gcs_bucket}/photos"], 3, True)
    assert "no_use_multiple_sdk_containers" in options["experiments"]
    (staged,) = [o.location for o in storage.list_objects(f"{gcs_bucket}/tmp/") if o.location.endswith("pipeline.pb")]
    data = storage.read(staged)
    for place in (Path(__file__).parents[2], Path(tiny_model).parent, Path.home(), Path.cwd()):
        assert str(place).encode() not in data
    proto = beam_runner_api_pb2.Pipeline.FromString(data)
    images = {environment.payload for environment in proto.components.environments.values()}
    assert all(b"example.com/nightscore" in payload for payload in images)
    steps = {transform.unique_name for transform in proto.components.transforms.values()}
    assert {"PlanUnits/Pin", "ScoreUnits/Score", "Finish/Write", "Enforce/Verdict"} <= steps


@pytest.mark.heavy
def test_package_that_is_staged_installs_and_runs_in_a_clean_environment(
    dataflow: Dataflow,  # noqa: F811
    flags: list[str],
    gcs_bucket: str,
    tmp_path: Path,
) -> None:
    dataflow.works = False
    own = [flag for flag in flags if not flag.startswith("--sdk_container_image")]
    assert score.main([*own, "--no_wait", f"--setup_file={ROOT / 'setup.py'}"]) == 0
    (submitted,) = dataflow.jobs.values()
    assert "nightscore" not in json.dumps(submitted.environment["workerPools"][0]["sdkHarnessContainerImages"])
    staged = [o.location for o in storage.list_objects(f"{gcs_bucket}/tmp/") if o.location.endswith(".tar.gz")]
    package = tmp_path / "workflow.tar.gz"
    package.write_bytes(storage.read(staged[0]))
    venv.create(tmp_path / "clean", with_pip=True)
    python = str(tmp_path / "clean" / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", str(package)]
    libraries = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))}
    subprocess.run(install, check=True, cwd=tmp_path, env={**os.environ, **libraries})
    program = (
        "import nightscore, model_training.cli, pipeline.beam.transforms, pipeline.report.page, pipeline; "
        "from pipeline.report.page import report; print(pipeline.__file__)"
    )
    done = subprocess.run(
        [python, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, **libraries},
    )
    package_folder = Path(done.stdout.strip()).parent
    assert package_folder.is_relative_to(tmp_path / "clean")
    for kind in ("*.py", "*.j2"):
        here = {str(path.relative_to(ROOT / "pipeline")) for path in (ROOT / "pipeline").rglob(kind)}
        assert {str(path.relative_to(package_folder)) for path in package_folder.rglob(kind)} == here


@pytest.mark.heavy
def test_gpu_is_for_the_workers_that_score(dataflow: Dataflow, flags: list[str], gcs_bucket: str) -> None:  # noqa: F811
    dataflow.works = False
    hint = "type:nvidia-l4;count:1;install-nvidia-driver"
    assert score.main([*flags, "--no_wait", f"--accelerator={hint}"]) == 0
    (staged,) = [o.location for o in storage.list_objects(f"{gcs_bucket}/tmp/") if o.location.endswith("pipeline.pb")]
    components = beam_runner_api_pb2.Pipeline.FromString(storage.read(staged)).components
    hinted = {name for name, e in components.environments.items() if hint.encode() in e.resource_hints.values()}
    assert len(hinted) == 1
    steps = {t.unique_name for t in components.transforms.values() if t.environment_id in hinted}
    assert "ScoreUnits/Score" in steps
    assert not any(name.startswith(("PlanUnits", "Summarize", "Finish")) for name in steps)


@pytest.mark.heavy
def test_bad_verdict_is_the_exit_code_of_who_waits_and_fails_the_job_of_who_does_not(
    dataflow: Dataflow,  # noqa: F811
    flags: list[str],
    gcs_bucket: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for found in list(storage.list_objects(f"{gcs_bucket}/photos/")):  # each image once more, with a wrong label
        *_, label, name = found.location.split("/")
        storage.create(f"{gcs_bucket}/photos/{(int(label) + 1) % 10}/{name}", storage.read(found.location))
    storage.create(f"{gcs_bucket}/photos/3/broken.png", b"broken")
    for flag, code in (("--max_failed_fraction=0", 3), ("--min_accuracy=1", 4)):
        assert score.main([*flags, "--max_failed_fraction=1", flag]) == code
        *_, waited_for = dataflow.jobs.values()
        assert waited_for.state == "JOB_STATE_DONE"
        said = capsys.readouterr().err
        assert score.main([*flags, "--max_failed_fraction=1", flag, "--no_wait"]) == 0
        *_, last = dataflow.jobs.values()
        while last.state not in ("JOB_STATE_FAILED", "JOB_STATE_DONE"):
            time.sleep(0.1)
        assert last.state == "JOB_STATE_FAILED"
        reason = said.strip().removeprefix("nightscore score: ")
        assert f"pipeline.errors.VerdictError: {reason}" in last.log
        assert record(gcs_bucket)["verdict"]["exit_code"] == code


@pytest.mark.heavy
def test_job_that_is_cancelled_elsewhere_ends_the_command(
    dataflow: Dataflow,  # noqa: F811
    flags: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    dataflow.works = False

    def cancel() -> None:
        wait_for_a_job(dataflow)
        dataflow.ask(next(iter(dataflow.jobs)), "JOB_STATE_CANCELLED")

    threading.Thread(target=cancel).start()
    assert score.main(flags) == 3
    said = capsys.readouterr().err
    assert said.startswith("nightscore score: the job has ended as CANCELLED")
    assert "run the same command to go on" in said


@pytest.mark.heavy
def test_job_that_fails_says_why_in_one_line(
    dataflow: Dataflow,  # noqa: F811
    flags: list[str],
    gcs_bucket: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dataflow.works = False

    def fail() -> None:
        wait_for_a_job(dataflow)
        (submitted,) = dataflow.jobs.values()
        submitted.log = "Workflow failed. Causes: the zone has no machines\n"
        submitted.state = "JOB_STATE_FAILED"

    threading.Thread(target=fail).start()
    assert score.main(flags) == 3
    said = capsys.readouterr().err
    assert said.startswith(
        "nightscore score: the job has ended as FAILED: Workflow failed. Causes: the zone has no machines; what is"
    )
    assert said.count("\n") == 1


@pytest.mark.heavy
def test_usage_error_of_a_worker_is_the_command_s(
    dataflow: Dataflow,  # noqa: F811
    flags: list[str],
    gcs_bucket: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = job.parse(flags)
    from pipeline.scoring.prepare import prepare

    run = prepare(asked.options)
    for name in ("saved_model/saved_model.pb", "model.tflite"):
        storage.replace(f"{gcs_bucket}/model/{name}", b"broken")
    with pytest.raises(UsageError, match="model"):
        job.run_job(asked, run)


@pytest.fixture
def workers_without_tensorflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let workers be those of an image without TensorFlow; the file in which each of their processes is noted."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "tools" / "no_tensorflow"))
    monkeypatch.setenv("STARTED", str(tmp_path / "started"))
    return tmp_path / "started"


@pytest.mark.heavy
def test_workers_score_without_tensorflow(
    dataflow: Dataflow,  # noqa: F811
    flags: list[str],
    gcs_bucket: str,
    tiny_model: str,
    workers_without_tensorflow: Path,
) -> None:
    upload(Path(tiny_model), f"{gcs_bucket}/lite")
    assert score.main([*flags, f"--model={gcs_bucket}/lite"]) == 0
    assert record(gcs_bucket)["options"]["engine"] == "litert"
    assert record(gcs_bucket)["images"] == 40
    noted = workers_without_tensorflow.read_text()
    assert "dataflow_worker.py" in noted
    assert "pipeline.scoring.process_main" in noted


@pytest.mark.heavy
def test_worker_that_lacks_tensorflow_and_needs_it_is_the_command_s_error(
    dataflow: Dataflow,  # noqa: F811
    flags: list[str],
    workers_without_tensorflow: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert score.main([*flags, "--engine=tensorflow"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("nightscore score: --engine tensorflow needs the package tensorflow, which is not installed")
    assert "workers' image: templates/README.md" in said
    assert said.count("\n") == 1


@pytest.mark.heavy
def test_what_the_service_refuses_is_one_line(
    dataflow: Dataflow,  # noqa: F811
    flags: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    dataflow.refuses = (403, "Current user cannot act as service account")
    assert score.main(flags) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Dataflow does not take the job: " in said
    assert "cannot act as service account" in said


@pytest.mark.heavy
def test_who_stops_waiting_is_told_that_the_job_goes_on(
    dataflow: Dataflow,  # noqa: F811
    flags: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    dataflow.works = False

    def interrupt() -> None:
        wait_for_a_job(dataflow)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    assert score.main(flags) == 130
    (name,) = dataflow.jobs
    assert capsys.readouterr().err == (
        "nightscore score: interrupted; the job goes on; to end it: "
        f"gcloud dataflow jobs cancel {name} --project night --region us-central1\n"
    )
    assert dataflow.jobs[name].state == "JOB_STATE_PENDING"
