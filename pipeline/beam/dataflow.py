"""A job on Google Cloud Dataflow: what it needs beyond Beam's own checks, and what a person reads about it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    WorkerOptions,
)

from pipeline.errors import UsageError
from pipeline.options import ScoreOptions
from pipeline.storage import GCS
from pipeline.text import redacted

RUNNERS = ("DataflowRunner", "TestDataflowRunner")
"""Names of the runners that send a job to Dataflow."""

PROCESSES = "use_multiple_sdk_containers"
"""Name of the experiment; with "no_" before it, a worker has one Python process for all its processors."""

THREADS = 2
"""Groups of units that a worker's process scores at once: one is scored while the other begins or ends."""


def require_visible(options: ScoreOptions, beam_options: PipelineOptions) -> None:
    """Check that workers elsewhere will find the images, the model, OUTPUT and Nightscore itself.

    Raises:
        UsageError: they will not find one of them.
    """
    cloud = beam_options.view_as(GoogleCloudOptions)
    needed = {"project": cloud.project, "temp_location": cloud.temp_location or cloud.staging_location}
    missing = [f"--{name}" for name, value in needed.items() if not value]
    if missing:
        raise UsageError(f"--runner DataflowRunner needs {' and '.join(missing)}; see docs/dataflow.md")
    places = {"input": options.input, "model": (options.model,), "output": (options.output,)}
    for name, locations in places.items():
        for location in locations:
            if not location.startswith(GCS):
                raise UsageError(
                    f"--{name} {location!r} is on this machine, where Dataflow's workers cannot see it: copy it to gs://"
                )
    setup = beam_options.view_as(SetupOptions)
    packages = (setup.setup_file, setup.extra_packages, setup.requirements_file)
    if not (any(packages) or beam_options.view_as(WorkerOptions).sdk_container_image):
        raise UsageError(
            "Dataflow's workers lack Nightscore: give --sdk_container_image an image that has it (templates/Dockerfile "
            "makes one), or --setup_file the setup.py of a checkout"
        )


def tune(beam_options: PipelineOptions) -> None:
    """Give each worker one process that uses all its processors, unless the options say otherwise.

    By default Dataflow starts a process for each processor, each with the model and with threads for all processors.
    """
    debug = beam_options.view_as(DebugOptions)
    experiments = debug.experiments or []
    if PROCESSES not in experiments and f"no_{PROCESSES}" not in experiments:
        debug.add_experiment(f"no_{PROCESSES}")
    if debug.number_of_worker_harness_threads is None:
        debug.number_of_worker_harness_threads = THREADS


def describe_cancel(result: Any, beam_options: PipelineOptions) -> str:
    """Return one line for a person who stops waiting: the job goes on, and this command ends it."""
    cloud = beam_options.view_as(GoogleCloudOptions)
    place = f"--project {cloud.project} --region {cloud.region}"
    return f"the job goes on; to end it: gcloud dataflow jobs cancel {result.job_id()} {place}"


@contextlib.contextmanager
def explain_refusal() -> Iterator[None]:
    """Turn an error of Beam or of Google's API, raised while a job is submitted, into one line.

    Raises:
        UsageError: an option or the credentials are missing or malformed, or the service does not take the job.
    """
    from apache_beam.runners.dataflow.internal.apiclient import DataflowJobAlreadyExistsError  # Google's client
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except (GoogleAPICallError, GoogleAuthError, DataflowJobAlreadyExistsError) as error:
        text = redacted(" ".join(str(getattr(error, "message", "") or error).split()))
        raise UsageError(f"Dataflow does not take the job: {text}") from error
    except ValueError as error:
        if "validations errors" not in str(error):
            raise
        text = " ".join(str(error).split("\n", 1)[1].split())
        raise UsageError(f"Dataflow does not take the job: {text}") from error


def describe_job(result: Any, beam_options: PipelineOptions) -> str:
    """Return one line about a submitted job: its id, and the address of its page in the console."""
    cloud = beam_options.view_as(GoogleCloudOptions)
    if not result.has_job:
        return f"template written to {cloud.template_location}"
    page = f"https://console.cloud.google.com/dataflow/jobs/{cloud.region}/{result.job_id()}?project={cloud.project}"
    return f"job {result.job_id()} is submitted: {page}"
