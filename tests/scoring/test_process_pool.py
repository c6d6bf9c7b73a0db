"""Local processes give the same pixels, and an image that kills or holds up its decoder is a failed row."""

from __future__ import annotations

import io
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import MakeRun, WriteImages
from PIL import Image

from pipeline import sources, storage
from pipeline.batches import EncodedBatch, Failure, ImageColumns, PixelBatch
from pipeline.errors import TransientError
from pipeline.model.preprocess import preprocess
from pipeline.output.run import Run
from pipeline.scoring import process_pool as module
from pipeline.scoring.planning import read_rule, units_of
from pipeline.scoring.process_pool import LocalProcess, preprocess_in_process, processes
from pipeline.units import WorkUnit


def png(level: int, note: bytes = b"", size: tuple[int, int] = (8, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise(size, level).save(buffer, "PNG")
    return buffer.getvalue() + note


def batch(*encoded: bytes) -> EncodedBatch:
    return EncodedBatch(ImageColumns.of([f"{i}.png" for i in range(len(encoded))]), encoded)


@pytest.fixture
def run(make_run: MakeRun, write_images: WriteImages) -> Run:
    return make_run(write_images(40), image_timeout=60)


def alive() -> set[int]:
    """Return the numbers of this process's local processes."""
    return {process._process.pid for process in processes()._all}


def test_what_is_read_here_has_the_pixels_and_failures_that_preprocess_gives(run: Run) -> None:
    images = batch(png(10), b"broken", png(30, size=(700, 900)), b"", png(50, size=(5, 4)))
    images = EncodedBatch(images.images.failed({4: Failure("read", "NOT_FOUND", "gone")}), images.encoded)
    expected, actual = preprocess(images, run.spec.input), preprocess_in_process(images, run)
    assert np.array_equal(actual.pixels, expected.pixels)
    assert actual.images.failures == expected.images.failures
    assert sorted(actual.images.failures) == [1, 3, 4]


def test_what_is_read_there_is_what_reading_here_gives(run: Run) -> None:
    (unit,) = units_of(run, Counter())
    Path(unit.locations[3]).unlink()
    Path(unit.locations[5]).write_bytes(b"broken")
    os.utime(unit.locations[5], ns=(unit.versions[5],) * 2)
    (here,) = sources.read(unit, read_rule(run))
    expected, actual = preprocess(here, run.spec.input), preprocess_in_process(unit, run)
    assert np.array_equal(actual.pixels, expected.pixels)
    assert actual.images.keys == expected.images.keys
    assert actual.images.label_names == expected.images.label_names
    assert np.array_equal(actual.images.labels, expected.images.labels)
    assert np.array_equal(actual.images.labelled, expected.images.labelled)
    assert {i: f.code for i, f in actual.images.failures.items()} == {3: "NOT_FOUND", 5: "INVALID_ARGUMENT"}
    assert actual.images.failures == expected.images.failures


def test_seconds_are_noted_by_step(run: Run) -> None:
    seconds = preprocess_in_process(batch(png(1, size=(2000, 2000))), run).seconds
    assert set(seconds) == {"read", "decode"}
    assert 0 <= seconds["read"] < seconds["decode"]


def test_options_of_another_run_hold_for_it_alone(run: Run, make_run: MakeRun) -> None:
    strict = make_run("x", max_pixels=100)
    for chosen, codes in ((run, {}), (strict, {0: "RESOURCE_EXHAUSTED"}), (run, {})):
        actual = preprocess_in_process(batch(png(10, size=(20, 20)), png(10)), chosen)
        assert {i: f.code for i, f in actual.images.failures.items()} == codes


@pytest.mark.usefixtures("poisoned")
def test_images_that_kill_or_hold_up_a_process_are_failed_rows_and_the_others_are_decoded(make_run: MakeRun) -> None:
    images = batch(png(1), png(2, b"ABORT"), png(3), png(4, b"SLEEP"), png(5, b"KILLED"), png(6))
    actual = preprocess_in_process(images, make_run("x", image_timeout=1.5))
    assert {i: (f.code, f.message) for i, f in actual.images.failures.items()} == {
        1: ("INTERNAL", "the decoder died of this image (SIGABRT)"),
        3: ("DEADLINE_EXCEEDED", "not decoded within --image_timeout 1.5 seconds"),
        4: ("RESOURCE_EXHAUSTED", "the decoder was killed, as for want of memory (SIGKILL)"),
    }
    assert [bool(pixels.any()) for pixels in actual.pixels] == [True, False, True, False, False, True]


def test_process_that_is_killed_once_costs_no_image(run: Run) -> None:
    """The kernel may kill it for the memory that others took."""
    preprocess_in_process(batch(png(1)), run)
    for process in processes()._idle:
        process.kill()
        process._process.wait()
    assert not preprocess_in_process(batch(png(2), png(3)), run).images.failures


def test_threads_that_ask_at_once_have_a_process_each_and_processes_are_used_again(run: Run) -> None:
    processes().close()
    with ThreadPoolExecutor(3) as pool:
        barrier = threading.Barrier(3)

        def ask(level: int) -> PixelBatch:
            barrier.wait()
            return preprocess_in_process(batch(*[png(level, size=(300, 300))] * 20), run)

        for _ in range(2):
            actual = list(pool.map(ask, (1, 50, 99)))
            assert all(not one.images.failures for one in actual)
            assert 1 <= len(alive()) <= 3
    before = alive()
    preprocess_in_process(batch(png(1)), run)
    assert alive() == before


def test_error_of_storage_there_is_raised_here_and_the_process_goes_on(
    make_run: MakeRun, write_images: WriteImages
) -> None:
    run = make_run(write_images(40), retry_deadline=0.1)
    processes().close()
    (unit,) = units_of(run, Counter())
    assert not preprocess_in_process(unit, run).images.failures
    (pid,) = alive()
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))  # it has more open than that
    with pytest.raises(TransientError, match="Too many open files"):
        preprocess_in_process(unit, run)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    assert not preprocess_in_process(unit, run).images.failures
    assert alive() == {pid}


def test_a_bug_there_is_raised_here_with_its_trace(run: Run) -> None:
    unit = WorkUnit("", "no such source", ("/x",), (1,), (1,), 1)
    with pytest.raises(RuntimeError, match=r"a local process failed:\nTraceback(.|\n)*KeyError: 'no such source'"):
        preprocess_in_process(unit, run)


def test_process_that_does_not_start_is_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    processes().close()
    monkeypatch.setattr(module, "_MODULE", "pipeline.no_such_module")
    with pytest.raises(RuntimeError, match="no_such_module does not start: it ends with 1"):
        preprocess_in_process(batch(png(1)), run)
    assert not processes()._all


@pytest.mark.usefixtures("poisoned")
def test_thread_that_waits_for_a_process_ends_when_all_is_to_end(make_run: MakeRun) -> None:
    run = make_run("x", image_timeout=600)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(preprocess_in_process, batch(png(1, b"SLEEP")), run)
        while not alive() or not any(process._cursor[0] == 0 for process in processes()._all):
            time.sleep(0.01)
        storage.patience().end()
        processes().kill()
        with pytest.raises(TransientError, match="interrupted"):
            waiting.result(10)


def test_closing_leaves_no_process_and_no_open_file(run: Run) -> None:
    processes().close()
    before = set(os.listdir("/proc/self/fd"))
    preprocess_in_process(batch(png(1), b"broken"), run)
    pids = alive()
    processes().close()
    assert set(os.listdir("/proc/self/fd")) <= before
    for pid in pids:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def test_process_ends_with_its_parent(tmp_path: Path) -> None:
    script = "import os; from pipeline.scoring.process_pool import LocalProcess; "
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
    preprocess_in_process(batch(png(1)), run)
    (pid, *_) = alive()
    assert os.getpgid(pid) != os.getpgid(0)
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL  # the alarm is theirs
    assert isinstance(next(iter(processes()._all)), LocalProcess)


def test_processes_that_are_killed_while_they_are_idle_are_replaced(run: Run) -> None:
    """Where memory runs out, the system ends local processes first, whatever they do."""
    with processes().borrow() as one, processes().borrow() as two:
        for process in (one, two):
            process.preprocess(batch(png(1)), run, {})
    processes().kill()
    for process in (one, two):
        process._process.wait(20)
    assert not preprocess_in_process(batch(png(1)), run).images.failures
    assert one._process.pid not in alive()
    assert two._process.pid not in alive()
