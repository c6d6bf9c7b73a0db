"""Asking again: how often, how long, and what one place's failure means for another."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.errors import TransientError
from pipeline.storage import StoredObject, retry
from pipeline.storage.local import LocalStore
from pipeline.storage.retry import LEAST_TRIES, Patience, PatientStore

DEADLINE = 900.0


class Clock:
    """Stands still but for what is waited, in whole ticks of 1/1024 second: sums and differences of them are exact."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def waiting(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Patience:
    """A patience whose waiting moves the clock and takes no time."""
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.5)
    made = Patience(DEADLINE, clock)

    def wait(timeout: float) -> bool:
        clock.now += math.ceil(timeout * 1024) / 1024
        return False

    monkeypatch.setattr(made._ended, "wait", wait)
    return made


class Down:
    """A verb that fails until some moment of the clock."""

    def __init__(self, clock: Clock, until: float = float("inf")) -> None:
        self.clock, self.until, self.calls = clock, until, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.clock.now < self.until:
            raise TransientError(f"HTTP 503, call {self.calls}")
        return "here"


def test_what_fails_for_a_while_is_given_in_the_end(waiting: Patience, clock: Clock) -> None:
    verb = Down(clock, until=600)
    assert waiting.attempt("gs://b/x", verb) == "here"
    assert 600 <= clock.now <= 630
    assert 15 < verb.calls < 200


def test_what_fails_for_longer_than_the_deadline_raises_the_last_failure(waiting: Patience, clock: Clock) -> None:
    verb = Down(clock)
    with pytest.raises(TransientError) as raised:
        waiting.attempt("gs://b/x", verb)
    assert str(raised.value) == f"HTTP 503, call {verb.calls}"
    assert DEADLINE <= clock.now <= DEADLINE + 1


def test_neighbors_of_what_is_down_do_not_wait_again(waiting: Patience, clock: Clock) -> None:
    with pytest.raises(TransientError):
        waiting.attempt("gs://b/down/1/x", Down(clock))
    before = clock.now
    for location in ("gs://b/down/1/y", "gs://b/down/2/x"):
        verb = Down(clock)
        with pytest.raises(TransientError):
            waiting.attempt(location, verb)
        assert verb.calls == LEAST_TRIES
    assert clock.now - before < 4 * LEAST_TRIES * retry.FIRST_WAIT


@pytest.mark.parametrize("answer", ["here", FileNotFoundError()])
def test_an_answer_shows_that_a_place_and_all_above_it_are_up(
    waiting: Patience, clock: Clock, answer: str | Exception
) -> None:
    with pytest.raises(TransientError):
        waiting.attempt("gs://b/down/1/x", Down(clock))

    def answered() -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    if isinstance(answer, Exception):
        with pytest.raises(FileNotFoundError):
            waiting.attempt("gs://b/down/2/x", answered)
    else:
        waiting.attempt("gs://b/down/2/x", answered)
    before = clock.now
    with pytest.raises(TransientError):
        waiting.attempt("gs://b/down/3/x", Down(clock))
    assert clock.now - before >= DEADLINE, "its own folder was not down, and the one above answered"
    before = clock.now
    with pytest.raises(TransientError):
        waiting.attempt("gs://b/down/1/y", Down(clock))
    assert clock.now - before < 5, "its folder has not answered since"


def test_a_bug_is_not_tried_again(waiting: Patience, clock: Clock) -> None:
    calls = []

    def verb() -> None:
        calls.append(1)
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        waiting.attempt("/x", verb)
    assert len(calls) == 1


def test_a_listing_that_breaks_off_goes_on_where_it_was(waiting: Patience) -> None:
    found = [StoredObject(f"/archive/{name}", 1, 1) for name in ("a", "a.b", "a/c", "b")]
    listings = []

    def listing() -> Iterator[StoredObject]:
        listings.append(1)
        for i, one in enumerate(found):
            if len(listings) == i + 1 < len(found):
                raise TransientError("HTTP 503")
            yield one

    assert list(waiting.iterate("/archive", listing)) == found
    assert len(listings) == 4


def test_whoever_wants_to_stop_ends_all_waiting_at_once() -> None:
    waiting = Patience(DEADLINE)
    failed = threading.Event()

    def down() -> None:
        failed.set()
        raise TransientError("HTTP 503")

    def ask() -> None:
        with pytest.raises(TransientError):
            waiting.attempt("gs://b/x", down)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    assert failed.wait(10)
    waiting.end()
    for thread in threads:
        thread.join(60)
    assert time.monotonic() - started < 30
    waiting.start(DEADLINE)
    assert waiting.attempt("gs://b/x", lambda: "here") == "here"


class Answering(LocalStore):
    """A store that fails for the first requests."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def list(self, pattern: str) -> Iterator[StoredObject]:
        self.failures -= 1
        if self.failures >= 0:
            raise TransientError("HTTP 503")
        return super().list(pattern)


@pytest.mark.parametrize(("failures", "answers"), [(0, True), (LEAST_TRIES - 1, True), (LEAST_TRIES, False)])
def test_store_that_answers_one_of_a_few_requests_is_there(failures: int, answers: bool) -> None:
    assert PatientStore(Answering(failures)).answers("/archive/x.png") is answers
