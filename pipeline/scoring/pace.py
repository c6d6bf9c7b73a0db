"""This module keeps how long an image takes in a local process. Must not know what is done with it."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping


class Pace:
    """The time that an image takes, of all that were scored so far. Safe in many threads.

    >>> pace = Pace()
    >>> pace.seconds(100)
    inf
    >>> pace.note(10, {"read": 0.5, "predict": 1.5, "load": 60.0})
    >>> pace.seconds(100)
    20.0
    """

    def __init__(self) -> None:
        """Start without images."""
        self._lock = threading.Lock()
        self._images, self._seconds = 0, 0.0

    def note(self, images: int, seconds: Mapping[str, float]) -> None:
        """Take a number of images, and the seconds that they took, by step; to load the model does not count."""
        with self._lock:
            self._images += images
            self._seconds += sum(duration for step, duration in seconds.items() if step != "load")

    def seconds(self, images: int) -> float:
        """Return the seconds that so many images take; infinite, if none was scored yet."""
        with self._lock:
            return images * self._seconds / self._images if self._images else math.inf
