"""A Python worker that a TaskManager starts and ends itself, as the pool's `worker_pool_main` would start it.

A pool knows its workers by id alone, and every TaskManager counts them from 1-1: of two that share a pool, one ends the
other's worker. See `ProcessEnvironmentFactory` in Beam's Java harness for the arguments.
"""

from __future__ import annotations

import argparse

import grpc
from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc
from apache_beam.runners.worker.sdk_worker import SdkHarness
from apache_beam.runners.worker.worker_id_interceptor import WorkerIdInterceptor


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--id", required=True)
    parser.add_argument("--provision_endpoint", required=True)
    given, _ = parser.parse_known_args()
    channel = grpc.intercept_channel(grpc.insecure_channel(given.provision_endpoint), WorkerIdInterceptor(given.id))
    service = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
    info = service.GetProvisionInfo(beam_provision_api_pb2.GetProvisionInfoRequest()).info
    SdkHarness(info.control_endpoint.url, worker_id=given.id, state_cache_size=0, data_buffer_time_limit_ms=-1).run()


if __name__ == "__main__":
    main()
