"""A slow object store on loopback, in a process of its own: each request waits, as many as come wait side by side.

    python -m benchmarks.slow_store.server --folder FOLDER --mirror FOLDER --credentials FILE --latency 0.03

Serves the folder's files as gs://archive. Prints its port once it listens. GET /stats says what it was asked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from pathlib import Path

from benchmarks.slow_store.store import Answer, Request, Store

BUCKET = "archive"
BACKLOG = 1024
_FREE = ("/stats", "/token")
"""No requests of the store's: answered at once and not counted."""


class Server:
    """The store, its latency, and what it was asked.

    Attributes:
        store: of all objects.
        latency: seconds that a request waits.
    """

    def __init__(self, store: Store, latency: float) -> None:
        """Start counting."""
        self.store = store
        self.latency = latency
        self._requests = self._waiting = self._most = 0

    def come(self) -> None:
        """Count a request that begins to wait."""
        self._requests += 1
        self._waiting += 1
        self._most = max(self._most, self._waiting)

    def go(self) -> None:
        """Count one that has waited."""
        self._waiting -= 1

    def free(self, request: Request) -> Answer:
        """Answer what is no request of the store's."""
        if request.path == "/token":
            return Answer.json({"access_token": "none", "expires_in": 3600, "token_type": "Bearer"})
        found = {"requests": self._requests, "most_at_once": self._most, "cpu_seconds": time.process_time()}
        self._requests = self._most = 0
        return Answer.json(found)


class Connection(asyncio.Protocol):
    """One client's connection: a request at a time."""

    def __init__(self, server: Server) -> None:
        """Wait for a request."""
        self._server = server
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to answer."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        self._received += data
        while True:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            first, *lines = self._received[:end].decode("latin-1").split("\r\n")
            pairs = (line.partition(":") for line in lines)
            headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
            stop = end + 4 + int(headers.get("content-length", 0))
            if len(self._received) < stop:
                return
            body = bytes(self._received[end + 4 : stop])
            del self._received[:stop]
            method, target, _ = first.split(" ")
            self._take(Request.of(method, target, headers, body))

    def _take(self, request: Request) -> None:
        if request.path in _FREE:
            self._send(self._server.free(request))
            return
        self._server.come()
        asyncio.get_running_loop().call_later(self._server.latency, self._answer, request)

    def _answer(self, request: Request) -> None:
        self._server.go()
        self._send(self._server.store.answer(request))

    def _send(self, answer: Answer) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        lines = [f"HTTP/1.1 {answer.status} X", *(f"{name}: {value}" for name, value in answer.headers.items())]
        head = "\r\n".join([*lines, f"Content-Length: {len(answer.body)}", "", ""])
        self._transport.write(head.encode("latin-1") + answer.body)


def write_credentials(path: Path, port: int) -> None:
    """Write a throw-away account whose tokens come from here: without one, Google's libraries look around for 20 s."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    account = {
        "type": "service_account",
        "project_id": "benchmark",
        "private_key_id": "none",
        "private_key": pem.decode(),
        "client_email": "benchmark@benchmark.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"http://127.0.0.1:{port}/token",
    }
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(account, file)


async def serve(folder: Path, mirror: Path, credentials: Path, latency: float) -> None:
    """Serve a folder until the process ends."""
    store = Store(mirror)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        store.put(BUCKET, path.relative_to(folder).as_posix(), path.read_bytes())
    server = Server(store, latency)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0, backlog=BACKLOG)
    port = listening.sockets[0].getsockname()[1]
    write_credentials(credentials, port)
    print(port, flush=True)
    await listening.serve_forever()


def main() -> None:
    """Serve until the process ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--credentials", type=Path, required=True)
    parser.add_argument("--latency", type=float, default=0.03)
    asked = parser.parse_args()
    asyncio.run(serve(asked.folder, asked.mirror, asked.credentials, asked.latency))


if __name__ == "__main__":
    main()
