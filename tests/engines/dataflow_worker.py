"""Runs a pipeline that was staged for Dataflow: `dataflow_worker.py gs://bucket/tmp/pipeline.pb`.

By Beam's own runner, with the SDK of this process in the place of the container's.
"""

from __future__ import annotations

import sys

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipeline import storage


def main() -> None:
    proto = beam_runner_api_pb2.Pipeline.FromString(storage.read(sys.argv[1]))
    for name, environment in proto.components.environments.items():
        assert environment.urn == common_urns.environments.DOCKER.urn, name
        environment.Clear()
        environment.urn = python_urns.EMBEDDED_PYTHON
    FnApiRunner().run_via_runner_api(proto, PipelineOptions([])).wait_until_finish()


if __name__ == "__main__":
    main()
