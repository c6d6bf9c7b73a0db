"""Several workers of an engine on one machine share its cores: at most one local process a core holds a slot.

A slot is a file in the folder for temporary files. Who holds a slot has locked its file (flock(2)), and the system
releases the lock when the last process that has the file open ends. Must not know what the processes do.
"""

from __future__ import annotations

import fcntl
import os
import tempfile

_FOLDER = "nightscore-cores-{user}"


class CoreSlots:
    """The slots of this machine, one for each of its cores, as this worker sees them."""

    def __init__(self, cores: int, folder: str | None = None) -> None:
        """Open the slots.

        Args:
            cores: number of slots.
            folder: that holds their files; None: one for this user, in the folder for temporary files.
        """
        self._cores = cores
        self._folder = folder or os.path.join(tempfile.gettempdir(), _FOLDER.format(user=os.getuid()))
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        self._waiting = self._open("waiting")

    def take(self) -> int | None:
        """Return the descriptor of a file that holds a slot; None if all are taken.

        Whoever has a copy of the descriptor open holds the slot.
        """
        for number in range(self._cores):
            slot = self._open(f"core-{number}")
            if self._lock(slot, fcntl.LOCK_EX):
                self._lock(self._waiting, fcntl.LOCK_UN)
                return slot
            os.close(slot)
        self._lock(self._waiting, fcntl.LOCK_SH)
        return None

    def others_wait(self) -> bool:
        """Return whether another worker has found all slots taken since it last took one."""
        self._lock(self._waiting, fcntl.LOCK_UN)
        file = self._open("waiting")
        try:
            return not self._lock(file, fcntl.LOCK_EX)
        finally:
            os.close(file)

    def _open(self, name: str) -> int:
        return os.open(os.path.join(self._folder, name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @staticmethod
    def _lock(file: int, kind: int) -> bool:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
