"""Nightscore for Python programs: train a CNN, score an archive of images, and look at what came out.

    >>> import nightscore
    >>> night = nightscore.score(input="photos", model="model", output="night")  # doctest: +SKIP
    >>> night.exit_code, night.summary["accuracy"]  # doctest: +SKIP
    (0, 0.9777)

Each name is imported at its first use: `import nightscore` alone imports neither NumPy, Arrow, TensorFlow nor Beam.
No function ends the process, handles signals or prints, unless `progress=True` asks for it. What can go wrong is an
exception of one tree, see `NightscoreError`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nightscore.comparing import compare
    from nightscore.night import Night, Verdict, open_night
    from nightscore.scoring import score
    from nightscore.training import train
    from pipeline.beam.transforms import Finish, PlanUnits, ScoreUnits, Summarize
    from pipeline.errors import (
        ChangedError,
        DamagedPartError,
        GoldenMismatchError,
        JobFailedError,
        NewerFormatError,
        NightscoreError,
        NoSpaceError,
        StoreDownError,
        TransientError,
        UnfinishedError,
        UsageError,
        VerdictError,
    )
    from pipeline.options import ScoreOptions
    from pipeline.output.receipts import Receipt, Unfinished
    from pipeline.scoring.prepare import prepare

__all__ = [
    "ChangedError",
    "DamagedPartError",
    "Finish",
    "GoldenMismatchError",
    "JobFailedError",
    "NewerFormatError",
    "Night",
    "NightscoreError",
    "NoSpaceError",
    "PlanUnits",
    "Receipt",
    "ScoreOptions",
    "ScoreUnits",
    "StoreDownError",
    "Summarize",
    "TransientError",
    "Unfinished",
    "UnfinishedError",
    "UsageError",
    "Verdict",
    "VerdictError",
    "compare",
    "open_night",
    "prepare",
    "score",
    "train",
]

_MODULES = {
    "Finish": "pipeline.beam.transforms",
    "Night": "nightscore.night",
    "PlanUnits": "pipeline.beam.transforms",
    "Receipt": "pipeline.output.receipts",
    "ScoreOptions": "pipeline.options",
    "ScoreUnits": "pipeline.beam.transforms",
    "Summarize": "pipeline.beam.transforms",
    "Unfinished": "pipeline.output.receipts",
    "Verdict": "nightscore.night",
    "compare": "nightscore.comparing",
    "open_night": "nightscore.night",
    "prepare": "pipeline.scoring.prepare",
    "score": "nightscore.scoring",
    "train": "nightscore.training",
}
"""Name -> the module that defines it; all others are errors."""


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES.get(name, "pipeline.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, imported or not."""
    return sorted({*globals(), *__all__})
