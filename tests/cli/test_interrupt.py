"""Signals: the first stops cleanly, the second at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from pipeline.cli.interrupt import SIGNALS, interruptible
from pipeline.errors import exit_code_of


@pytest.mark.parametrize("number", SIGNALS)
def test_first_signal_interrupts_the_main_thread_and_cuts_waiting_short(number: signal.Signals) -> None:
    before = [signal.getsignal(one) for one in SIGNALS]
    told: list[str] = []
    with pytest.raises(KeyboardInterrupt), interruptible(lambda: told.append("stop")):
        signal.raise_signal(number)
    assert told == ["stop"]
    assert exit_code_of(KeyboardInterrupt()) == 128 + number
    with interruptible(lambda: None):
        assert exit_code_of(KeyboardInterrupt()) == 130, "the one before is forgotten"
    assert [signal.getsignal(one) for one in SIGNALS] == before


def test_second_signal_ends_the_process() -> None:
    program = """
import signal
from pipeline.cli.interrupt import interruptible
with interruptible(lambda: None):
    try:
        signal.raise_signal(signal.SIGTERM)
    except KeyboardInterrupt:
        signal.raise_signal(signal.SIGTERM)
        print("not reached")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "")


def test_other_threads_leave_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def run() -> None:
        with interruptible(lambda: None):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before]
