"""What can go wrong, as exceptions; knows nothing of images, storage or Beam.

A broken image is not an exception: it is a row (`pipeline.batches.Failure`). These are for what no row can hold.

    NightscoreError
    ├── UsageError           bad usage or configuration: one line, exit code 2, nothing touched
    │   └── NewerFormatError something stored that a newer version made: refused like that, never removed
    ├── TransientError       storage that fails for now: the unit stays unfinished, the run goes on
    ├── StoreDownError       a store that answers nobody: the run ends, exit code 3
    ├── NoSpaceError         a disk that is full: the run ends, exit code 3
    ├── ChangedError         an object is no longer the one that was planned: a failed row
    ├── JobFailedError       a job elsewhere that has ended without a verdict: exit code 3
    ├── UnfinishedError      what needs a whole run is asked of one that is not done: exit code 3
    ├── VerdictError         a run whose verdict is bad, raised where nobody waits for it: the job fails
    ├── DamagedPartError     a stored part or receipt is not what it should be: removed, scored anew
    └── GoldenMismatchError  this machine does not reproduce the model's golden images: the run stops
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.interruption import INTERRUPTION


class NightscoreError(Exception):
    """Any error that Nightscore raises on purpose."""


class UsageError(NightscoreError):
    """Bad usage or configuration; its text is the one line the user sees."""


class NewerFormatError(UsageError):
    """Something stored, whole, whose format is newer than this version knows, or that has more fields."""


class TransientError(NightscoreError):
    """Storage that fails for now; the work unit stays unfinished and a rerun finishes it."""


class StoreDownError(NightscoreError):
    """A store that answers no request at all, whatever it is asked; going on is of no use."""


class NoSpaceError(NightscoreError):
    """A disk that takes no more; nothing could be committed, and what is committed stays."""


class JobFailedError(NightscoreError):
    """A job on an engine elsewhere that failed or was cancelled; what is committed stays."""


class UnfinishedError(NightscoreError):
    """A run that is not done, where only one that is will do; scoring again finishes it."""


class VerdictError(NightscoreError):
    """A run over its error budget, under its quality gate or unfinished, whose job is to be marked as failed."""


class ChangedError(NightscoreError):
    """An object that was replaced or modified after it was planned."""


class DamagedPartError(NightscoreError):
    """A stored part or receipt that cannot be what its unit left there."""


class GoldenMismatchError(NightscoreError):
    """A machine whose pixels or scores differ from those in the model's golden folder."""


EXIT_CODES: Mapping[type[Exception], int] = {
    UsageError: 2,
    GoldenMismatchError: 2,
    PermissionError: 2,
    UnfinishedError: 3,
    VerdictError: 3,
    JobFailedError: 3,
    TransientError: 3,
    StoreDownError: 3,
    NoSpaceError: 3,
}
"""Error -> exit code of a command that it ends; any other error is a bug, whose exit code is 1."""


def exit_code_of(error: BaseException) -> int:
    """Return the exit code of a command that an error ends; of an interruption it depends on the signal.

    >>> exit_code_of(NoSpaceError("full")), exit_code_of(ValueError("bug")), exit_code_of(KeyboardInterrupt())
    (3, 1, 130)
    """
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTION.exit_code
    return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)
