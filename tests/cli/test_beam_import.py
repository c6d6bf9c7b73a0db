"""What Beam imports for a command, and that a program which calls Nightscore gets all of it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from pipeline.cli.beam_import import FOR_CLOUDS, UNUSED

STATEMENTS = {
    "a job in this process": "from pipeline.cli.beam_import import *\nwith for_local_job(): import pipeline.beam.job",
    "any job": "from pipeline.cli.beam_import import *\nwith for_any_job(): import pipeline.beam.job",
    "a program": "import pipeline.beam.job",
}
"""Whom Beam is imported for -> how."""

CLIENTS = ("google.cloud.bigquery", "google.cloud.storage", "google.cloud.pubsub", "google.auth", "pymongo", "requests")
"""Libraries that only stores and services elsewhere need; a job in this process goes without."""


def imported(statement: str, then: str = "") -> set[str]:
    """Names of the modules that a program has imported."""
    program = f"{statement}\n{then}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", [*UNUSED, *FOR_CLOUDS, *CLIENTS])
def test_what_is_done_without_is_installed(name: str) -> None:
    """Otherwise the tests below would hold for any code."""
    assert importlib.util.find_spec(name) is not None


@pytest.mark.heavy
def test_job_in_this_process_does_without_clouds() -> None:
    found = imported(STATEMENTS["a job in this process"])
    assert "apache_beam" in found
    assert not found & {*UNUSED, *FOR_CLOUDS, *CLIENTS}


@pytest.mark.heavy
def test_job_elsewhere_has_what_google_cloud_needs() -> None:
    found = imported(STATEMENTS["any job"])
    assert {"apache_beam.io.gcp.gcsfilesystem", "google.cloud.dataflow", "google.cloud.storage"} <= found
    assert not found & set(UNUSED)


@pytest.mark.heavy
def test_program_gets_all_of_beam() -> None:
    assert {*UNUSED, *FOR_CLOUDS} - {"apache_beam.io.azure.blobstoragefilesystem"} <= imported(STATEMENTS["a program"])


@pytest.mark.heavy
def test_what_was_hidden_can_be_imported_later() -> None:
    then = "from apache_beam.io.gcp import bigquery, gcsio; import google.cloud.dataflow, google.cloud.storage, bson"
    assert set(FOR_CLOUDS) - {
        "apache_beam.io.aws.s3filesystem",
        "apache_beam.io.azure.blobstoragefilesystem",
        "apache_beam.io.gcp.gcsfilesystem",
    } <= imported(STATEMENTS["a job in this process"], then)
