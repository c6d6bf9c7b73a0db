"""Ctrl-C, and the TERM signal that a machine about to be shut down sends: stop cleanly, within seconds."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

from pipeline.interruption import INTERRUPTION

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def interruptible(on_first: Callable[[], None]) -> Iterator[None]:
    """Turn the first signal into a KeyboardInterrupt in the main thread; the second ends the process at once.

    Args:
        on_first: called in the signal's handler, to cut short what waits in other threads.
    """

    def stop(number: int, _: FrameType | None) -> NoReturn:
        if INTERRUPTION.signal is not None:
            os._exit(128 + number)
        INTERRUPTION.signal = number
        on_first()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers, and gets the signals
        return
    INTERRUPTION.signal = None
    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
