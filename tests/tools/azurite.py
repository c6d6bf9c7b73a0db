"""Azure Blob Storage on loopback, as the fixture `az_bucket`: Microsoft's own emulator, the npm package azurite.

It runs where TESTS_AZURITE names a folder that `npm install --prefix` has filled, as `make heavy` does.
"""

from __future__ import annotations

import base64
import email.utils
import hashlib
import hmac
import http.client
import itertools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.scoring.process_pool import processes

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account and the key that every Azurite has, as its documentation tells them."""

_numbers = itertools.count()


def _port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def azurite_process() -> Iterator[int]:
    """The port of Azurite."""
    pytest.importorskip("obstore", reason="the extra nightscore[azure] is not installed")
    program = Path(os.environ.get("TESTS_AZURITE", "")) / "node_modules" / ".bin" / "azurite-blob"
    node = shutil.which("node")
    if node is None or not program.is_file():
        pytest.skip("TESTS_AZURITE names no folder with the npm package azurite")
    port = _port()
    flags = [f"--blobPort={port}", "--skipApiVersionCheck", "--inMemoryPersistence", "--disableTelemetry", "--silent"]
    with subprocess.Popen([node, str(program), *flags]) as process:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port
        process.terminate()


def _make_container(port: int, name: str) -> None:
    date = email.utils.formatdate(usegmt=True)
    headers = f"x-ms-date:{date}\nx-ms-version:2021-08-06\n"
    text = "PUT" + "\n" * 12 + headers + f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    signature = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(
        "PUT",
        f"/{ACCOUNT}/{name}?restype=container",
        headers={
            "x-ms-date": date,
            "x-ms-version": "2021-08-06",
            "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(signature).decode()}",
            "Content-Length": "0",
        },
    )
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == http.client.CREATED, body


@pytest.fixture
def az_bucket(azurite_process: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The location of an empty container."""
    from pipeline.storage import cloud_clients

    name = f"container-{next(_numbers)}"
    _make_container(azurite_process, name)
    for variable, value in {
        "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
        "AZURE_STORAGE_ACCOUNT_KEY": KEY,
        "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{azurite_process}/{ACCOUNT}",
    }.items():
        monkeypatch.setenv(variable, value)
    cloud_clients.disconnect()
    processes().close()  # what is started from now on finds the emulator
    yield f"az://{name}"
    cloud_clients.disconnect()
    processes().close()
