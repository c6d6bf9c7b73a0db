"""How a command imports Apache Beam: without what Beam imports unasked, and does without where it is not installed.

For command lines only: a program that calls Nightscore may want all of Beam.
"""

from __future__ import annotations

import contextlib

from pipeline.machine import without

UNUSED = ("pandas",)
"""Modules that no job of ours uses: Beam knows types of data frames where pandas is installed."""

FOR_CLOUDS = (
    "apache_beam.io.aws.s3filesystem",
    "apache_beam.io.azure.blobstoragefilesystem",
    "apache_beam.io.gcp.bigquery",
    "apache_beam.io.gcp.gcsfilesystem",
    "apitools",
    "bson",
    "google.cloud.dataflow",
)
"""Modules that a job in this process does not use, either: Beam's ways to stores and services, with their clients.

gs:// is read and written by `pipeline.storage`, which has nothing to do with these. "bson" is of MongoDB's client.
"""


def for_any_job() -> contextlib.AbstractContextManager[None]:
    """Return the context in which Beam is imported for a job that may run elsewhere."""
    return without(*UNUSED)


def for_local_job() -> contextlib.AbstractContextManager[None]:
    """Return the context in which Beam is imported for a job in this process: half the time, half the memory."""
    return without(*UNUSED, *FOR_CLOUDS)
