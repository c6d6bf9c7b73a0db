"""A store in memory on which many threads act, one at a time, in an order that a seed decides.

Every call of a verb is a point at which any other actor may go on. An actor may be ended before any of its calls, as
a machine that crashes, or be left standing there and go on much later, as a zombie.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar

from pipeline.errors import ChangedError, TransientError
from pipeline.storage import StoredObject

LOOKING = "finish"
"""The role of actors for which it is noted what their last listing was about."""


class AbandonedError(BaseException):
    """Ends the thread of an actor that crashed; nothing of ours catches it."""


class _Voice(threading.Thread):
    """A thread that plays one actor after another: to start one takes longer than what most of them do."""

    idle: ClassVar[list[_Voice]] = []

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.go = threading.Lock()
        self.go.acquire()
        self.act: Callable[[], None] = lambda: None
        self.start()

    def run(self) -> None:
        while True:
            self.go.acquire()
            self.act()


class Actor:
    """A thread that goes from one call of a verb to the next whenever `step` says so.

    Attributes:
        role: "start", "attempt", "finish".
        pending: the verb and the location of the call that it will make next.
        seen: what the disk held when its last listing ended.
    """

    def __init__(self, theater: Theater, role: str, work: Callable[[], Any]) -> None:
        self.role = role
        self.pending = ("", "")
        self.seen: dict[str, bytes] = {}
        self.done = False
        self.frozen = False
        self.result: Any = None
        self.error: BaseException | None = None
        self._theater = theater
        self._work = work
        self._killed = False
        self._voice: _Voice | None = None

    def step(self) -> None:
        """Make the pending call and go on to the next one, or to the end."""
        if self._voice is None:
            self._voice = _Voice.idle.pop() if _Voice.idle else _Voice()
            self._voice.act = self._act
        self._theater.on_stage = self
        self._voice.go.release()
        self._theater.back.acquire()
        self._theater.on_stage = None

    def crash(self) -> None:
        """End before the pending call."""
        if self._voice is None:
            self.error, self.done = AbandonedError(), True
        while not self.done:
            self._killed = True
            self.step()

    def pause(self, verb: str, location: str) -> None:
        """Stand still until the next step; called in the actor's thread."""
        if not self._killed and self._voice is not None:
            self.pending = (verb, location)
            self._theater.back.release()
            self._voice.go.acquire()
        if self._killed:
            raise AbandonedError

    def _act(self) -> None:
        try:
            self.result = self._work()
        except BaseException as error:  # noqa: BLE001 - what it is, is judged by who reads it
            self.error = error
        self.done = True
        if self._voice is not None:
            _Voice.idle.append(self._voice)
        self._theater.back.release()


class Theater:
    """The actors of one simulation; one of them, or nobody, is on stage."""

    def __init__(self) -> None:
        self.actors: list[Actor] = []
        self.on_stage: Actor | None = None
        self.back = threading.Lock()
        self.back.acquire()

    def enter(self, role: str, work: Callable[[], Any]) -> Actor:
        """Add an actor, which does nothing before its first step."""
        actor = Actor(self, role, work)
        self.actors.append(actor)
        return actor

    def close(self) -> None:
        """End all threads."""
        for actor in self.actors:
            actor.crash()


@dataclass
class SimulatedDisk:
    """The five verbs over a dictionary. Create and delete are atomic, also where they name a version.

    Attributes:
        random: decides which calls fail.
        theater: whose actor pauses at each call; with nobody on stage, calls are made at once.
        failing: share of the calls that fail for now, half of them after they took effect.
        haste: share of the calls before which nobody else acts, so that some actors get far ahead of others.
        page: how many objects a listing tells at once; other actors may act between two pages.
        on_change: told of (verb, location) before an object is made, replaced or removed.
    """

    random: Random
    theater: Theater
    failing: float = 0.0
    haste: float = 0.0
    page: int = 1000
    on_change: Callable[[str, str, bytes | None], None] | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    parallel_reads: int = 1
    _last_version: int = 0

    def list(self, pattern: str) -> Iterator[StoredObject]:
        after, pattern = "", pattern.rstrip("/")
        while True:
            self._pause("list", pattern)
            found = sorted(f for f in self.files if f > after and (f == pattern or f.startswith(pattern + "/")))
            told = [StoredObject(f, len(self.files[f]), self.versions[f]) for f in found[: self.page]]
            if len(found) <= self.page and self.theater.on_stage and self.theater.on_stage.role == LOOKING:
                self.theater.on_stage.seen = dict(self.files)
            yield from told
            if len(found) <= self.page:
                return
            after = told[-1].location

    def read(self, location: str, start: int = 0, stop: int | None = None, version: int | None = None) -> bytes:
        self._pause("read", location)
        if location not in self.files:
            raise FileNotFoundError(location)
        if version not in (None, self.versions[location]):
            raise ChangedError(location)
        return self.files[location][start:stop]

    def create(self, location: str, data: bytes) -> bool:
        late = self._pause("create", location)
        is_first = location not in self.files
        if is_first:
            self.put("create", location, data)
        self._fail_if(late, location)
        return is_first

    def replace(self, location: str, data: bytes) -> None:
        late = self._pause("replace", location)
        self.put("replace", location, data)
        self._fail_if(late, location)

    def delete(self, location: str, version: int | None = None) -> None:
        late = self._pause("delete", location)
        if location in self.files and version in (None, self.versions[location]):
            self.put("delete", location, None)
        self._fail_if(late, location)

    def put(self, verb: str, location: str, data: bytes | None) -> None:
        """Change what is there, at once."""
        if self.on_change is not None:
            self.on_change(verb, location, data)
        self._last_version += 1
        if data is None:
            del self.files[location], self.versions[location]
        else:
            self.files[location] = data
            self.versions[location] = self._last_version

    def _pause(self, verb: str, location: str) -> bool:
        """Let others act; fail for now, or return whether to fail after the call took effect."""
        if self.theater.on_stage is None:
            return False
        if self.random.random() >= self.haste:
            self.theater.on_stage.pause(verb, location)
        if self.random.random() >= self.failing:
            return False
        is_late = verb in ("create", "replace", "delete") and self.random.random() < 0.5
        self._fail_if(not is_late, location)
        return True

    def _fail_if(self, fails: bool, location: str) -> None:
        if fails:
            raise TransientError(f"HTTP 503 at {location!r}")
