"""Local processes are started, used again and ended, and never more work at once than may."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import MakeRun, WriteImages
from encoded_batches import batch, noise

from pipeline import storage
from pipeline.batches import PixelBatch
from pipeline.errors import TransientError
from pipeline.output.run import Run
from pipeline.scoring import process_start
from pipeline.scoring.local_process import LocalProcess
from pipeline.scoring.process_messages import Request
from pipeline.scoring.process_pool import ProcessPool, processes
from pipeline.scoring.process_start import CURSOR
from pipeline.scoring.requests import preprocess_in_process


@pytest.fixture
def run(make_run: MakeRun, write_images: WriteImages, tiny_model: str) -> Run:
    return make_run(write_images(40), image_timeout=60, model=tiny_model)


@pytest.fixture
def pool() -> Iterator[ProcessPool]:
    """A pool of its own, whose processes are closed in the end."""
    pool = ProcessPool()
    yield pool
    pool.close()
    assert not pool._all, "a process was not given back"


def alive(pool: ProcessPool | None = None) -> set[int]:
    """Return the numbers of a pool's local processes, by default of this process's pool."""
    return {process._process.pid for process in (pool or processes())._all}


def use(process: LocalProcess) -> LocalProcess:
    """Mark a process as one that has answered, so that it is kept."""
    process.is_busy = False
    return process


def test_threads_that_ask_at_once_have_a_process_each_and_processes_are_used_again(run: Run) -> None:
    processes().close()
    processes().arrange(1, 3)
    with ThreadPoolExecutor(3) as threads:
        barrier = threading.Barrier(3)

        def ask(level: int) -> PixelBatch:
            barrier.wait()
            return preprocess_in_process(batch(*[noise(level, size=(300, 300))] * 20), run)

        for _ in range(2):
            actual = list(threads.map(ask, (1, 50, 99)))
            assert all(not one.images.failures for one in actual)
            assert 1 <= len(alive()) <= 3
    before = alive()
    preprocess_in_process(batch(noise(1)), run)
    assert alive() == before


def test_process_that_does_not_start_is_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    processes().close()
    monkeypatch.setattr(process_start, "PROGRAM", "pipeline.no_such_module")
    with pytest.raises(RuntimeError, match="no_such_module does not start: it ends with 1"):
        preprocess_in_process(batch(noise(1)), run)
    assert not processes()._all


@pytest.mark.usefixtures("poisoned")
def test_thread_that_waits_for_a_process_ends_when_all_is_to_end(make_run: MakeRun) -> None:
    run = make_run("x", image_timeout=600)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(preprocess_in_process, batch(noise(1, b"SLEEP")), run)
        while not any(CURSOR.unpack(process._cursor[:])[2] == 1 for process in list(processes()._all)):
            time.sleep(0.01)
        storage.patience().end()
        processes().kill()
        with pytest.raises(TransientError, match="interrupted"):
            waiting.result(10)


def test_closing_leaves_no_process_and_no_open_file(run: Run) -> None:
    processes().close()
    before = set(os.listdir("/proc/self/fd"))
    preprocess_in_process(batch(noise(1), b"broken"), run)
    pids = alive()
    processes().close()
    assert set(os.listdir("/proc/self/fd")) <= before
    for pid in pids:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def test_process_ends_with_its_parent(tmp_path: Path) -> None:
    script = "import os; from pipeline.scoring.local_process import LocalProcess; "
    script += "print(LocalProcess()._process.pid, flush=True); os._exit(0)"
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    deadline = time.monotonic() + 20
    while _lives(int(done.stdout)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _lives(pid: int) -> bool:
    """Return whether a process is there, and not only its exit code, which nobody may come for."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_an_interrupt_for_this_process_is_not_one_for_its_local_processes(run: Run) -> None:
    preprocess_in_process(batch(noise(1)), run)
    (pid, *_) = alive()
    assert os.getpgid(pid) != os.getpgid(0)
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL  # the alarm is theirs
    assert isinstance(next(iter(processes()._all)), LocalProcess)


def test_local_process_multiplies_matrices_in_one_thread(run: Run) -> None:
    preprocess_in_process(batch(noise(1)), run)
    (pid, *_) = alive()
    assert b"OPENBLAS_NUM_THREADS=1" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


@pytest.mark.heavy
def test_processes_that_are_killed_while_they_are_idle_are_replaced(run: Run) -> None:
    """Where memory runs out, the system ends local processes first, whatever they do."""
    processes().close()
    processes().arrange(2, 2)
    with processes().borrow() as one, processes().borrow() as two:
        for process in (one, two):
            data = noise(1)
            process.ask(Request("pixels", body="encoded", sizes=[len(data)]), [data], run, "")
    processes().kill()
    for process in (one, two):
        process._process.wait(20)
    assert not preprocess_in_process(batch(noise(1)), run).images.failures
    assert one._process.pid not in alive()
    assert two._process.pid not in alive()


def test_process_that_has_not_answered_is_not_used_again(pool: ProcessPool) -> None:
    with pool.borrow() as process:
        pass
    assert not process.is_alive
    assert not pool._all


def test_scorer_is_used_again_for_the_model_and_another_process_to_decode(pool: ProcessPool) -> None:
    pool.arrange(1, 1)
    with pool.borrow(scores=True) as scorer, pool.borrow() as decoder:
        assert use(scorer) is not use(decoder)
    for _ in range(2):
        with pool.borrow(scores=True) as process:
            assert process is scorer
        with pool.borrow() as process:
            assert process is decoder


def test_without_decoders_every_process_does_all_the_work(pool: ProcessPool) -> None:
    pool.arrange(0, 1)
    with pool.borrow() as planner:
        assert not use(planner).is_scorer
    pool.arrange(1, 0)
    with pool.borrow(scores=True) as process:
        assert use(process) is planner
        assert process.is_scorer
    with pool.borrow() as process:
        assert process is planner


def test_fewer_scorers_end_those_that_are_idle_and_later_those_that_work(pool: ProcessPool) -> None:
    pool.arrange(3, 0)
    with pool.borrow(scores=True) as one:
        use(one)
        with pool.borrow(scores=True) as two, pool.borrow(scores=True) as three:
            use(two), use(three)
        assert len(alive(pool)) == 3
        pool.arrange(1, 2)
        assert alive(pool) == {one._process.pid}
    with pool.borrow(scores=True) as process:
        assert process is one
        pool.arrange(0, 3)
    assert not alive(pool)


@pytest.mark.parametrize(("scorers", "decoders"), [(1, 0), (1, 2), (2, 0), (2, 1), (0, 2)])
def test_never_more_processes_work_than_may_and_whoever_is_alone_is_alone(
    pool: ProcessPool, scorers: int, decoders: int
) -> None:
    pool.arrange(scorers, decoders)
    at_work: set[LocalProcess] = set()
    lock, worked = threading.Lock(), threading.Semaphore(0)

    def work(seed: int) -> None:
        choose = random.Random(seed)
        for _ in range(8):
            scores, alone = bool(scorers) and choose.random() < 0.5, choose.random() < 0.2
            with pool.borrow(scores, alone, first=not scores and choose.random() < 0.5) as process:
                with lock:
                    at_work.add(process)
                    assert len(at_work) <= (1 if alone else scorers + decoders)
                    assert sum(other.is_scorer for other in pool._all) <= scorers
                    assert len(pool._all) <= scorers + decoders
                    assert process.was_alone == alone
                if choose.random() < 0.8:
                    use(process)
                time.sleep(choose.random() / 200)
                with lock:
                    assert not process.was_alone or at_work == {process}
                    at_work.remove(process)
                worked.release()

    with ThreadPoolExecutor(6) as threads:
        for waiting in [threads.submit(work, seed) for seed in range(6)]:
            waiting.result(120)
    assert not at_work
    assert all(worked.acquire(blocking=False) for _ in range(48))


def test_who_waits_to_be_alone_and_who_comes_first_do_not_wait_for_each_other(pool: ProcessPool) -> None:
    pool.arrange(1, 1)
    order: list[str] = []

    def work(name: str, alone: bool, first: bool) -> None:
        with pool.borrow(alone=alone, first=first) as process:
            order.append(name)
            use(process)

    with ThreadPoolExecutor(3) as threads:
        with pool.borrow() as process:
            use(process)
            waiting = [threads.submit(work, "alone", True, False)]
            while not pool._wait_alone:
                time.sleep(0.01)
            waiting.append(threads.submit(work, "first", False, True))
            while not pool._wait_first:
                time.sleep(0.01)
            waiting.append(threads.submit(work, "other", False, False))
        for thread in waiting:
            thread.result(60)
    assert order == ["alone", "first", "other"]


@pytest.mark.parametrize(
    ("scorers", "decoders", "then"),
    [
        (1, 3, [(1, 2), (1, 1), (1, 0), (1, 0)]),
        (3, 0, [(2, 0), (1, 0), (1, 0)]),
        (2, 1, [(2, 0), (1, 0)]),
        (0, 2, [(0, 1), (0, 1)]),
    ],
)
def test_each_time_that_memory_runs_out_one_process_fewer_works_down_to_one(
    pool: ProcessPool, scorers: int, decoders: int, then: list[tuple[int, int]]
) -> None:
    pool.arrange(scorers, decoders)
    for expected in then:
        pool.lower()
        assert (pool.scorers, pool.decoders) == expected


def test_who_waits_for_a_process_ends_when_all_is_to_end(pool: ProcessPool) -> None:
    pool.arrange(1, 0)
    with ThreadPoolExecutor(1) as threads, pool.borrow(scores=True):
        waiting = threads.submit(lambda: pool.borrow(scores=True).__enter__())
        storage.patience().end()
        with pytest.raises(TransientError, match="interrupted"):
            waiting.result(20)
