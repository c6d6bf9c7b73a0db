"""Ctrl-C, and the TERM signal that a machine about to be shut down sends: stop cleanly, within seconds."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Which signal asked to stop.

    Attributes:
        signal: its number; None while none has.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.signal: int | None = None

    @property
    def exit_code(self) -> int:
        """What a shell expects: 128 + the signal."""
        return 128 + (self.signal or signal.SIGINT)


@contextlib.contextmanager
def interruptible(on_first: Callable[[], None], interruption: Interruption) -> Iterator[None]:
    """Turn the first signal into a KeyboardInterrupt in the main thread; the second ends the process at once.

    Args:
        on_first: called in the signal's handler, to cut short what waits in other threads.
        interruption: gets the first signal's number.
    """

    def stop(number: int, _: FrameType | None) -> NoReturn:
        if interruption.signal is not None:
            os._exit(128 + number)
        interruption.signal = number
        on_first()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers, and gets the signals
        return
    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
