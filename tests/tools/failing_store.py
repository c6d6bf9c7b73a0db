"""A store on loopback that can be told to fail: what the emulators of Google Cloud Storage and of S3 have in common."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from random import Random
from socketserver import TCPServer
from typing import Any


@dataclass
class Fault:
    """What happens to the next `times` requests whose line, as "GET /path?query", contains `to`.

    Attributes:
        status: what is answered; 0 hangs up instead.
        carried_out: whether the request takes effect before that.
        cut: answer truthfully, but hang up after this many bytes of the body.
        seconds: wait so long before anything else.
        message: what the answer says; else the name of the status.
    """

    to: str
    status: int = 503
    times: int = 1
    carried_out: bool = False
    cut: int | None = None
    message: str = ""
    seconds: float = 0.0


SLOW = Fault("", status=HTTPStatus.OK, seconds=0.3)
TROUBLES = (
    *(Fault("", status=status, carried_out=done) for status in (429, 500, 503, 0) for done in (False, True)),
    Fault("", cut=10),
    SLOW,
)
"""What goes wrong in a bad night; 0 is a connection that is reset."""


class FailingStore:
    """What a store was asked, and what it shall do wrong."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        self.page_size = 1000
        self.latency = 0.0
        self.requests: list[str] = []
        self.faults: list[Fault] = []
        self.trouble: tuple[float, Random] | None = None

    def count(self, of: str) -> int:
        """Return how many requests had this in their line, as "GET /path?query", unquoted."""
        return sum(of in line for line in self.requests)

    def fail(self, to: str, **how: Any) -> None:
        self.faults.append(Fault(to, **how))

    def asked(self, line: str) -> Fault | None:
        """Log a request and return what shall go wrong with it."""
        with self.lock:
            self.requests.append(line)
            for fault in self.faults:
                if fault.times and fault.to in line:
                    fault.times -= 1
                    return fault
            if self.trouble is not None and self.trouble[1].random() < self.trouble[0]:
                return self.trouble[1].choice(TROUBLES)
        return None


class Server(ThreadingHTTPServer):
    """A server of many threads."""

    request_queue_size = 128

    def server_bind(self) -> None:
        """Bind, without asking who has that address by name: there may be nobody to ask."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is none of ours."""
