"""Which signal has asked this process to stop: Ctrl-C, or the TERM signal. Handles no signal itself."""

from __future__ import annotations

import signal


class Interruption:
    """The first signal that asked this process to stop.

    Attributes:
        signal: its number; None while none has.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.signal: int | None = None

    @property
    def exit_code(self) -> int:
        """What a shell expects: 128 + the signal.

        >>> Interruption().exit_code
        130
        """
        return 128 + (self.signal or signal.SIGINT)


INTERRUPTION = Interruption()
"""That of this process; `pipeline.cli.interrupt` notes the signal. An exception could not carry it through Beam."""
