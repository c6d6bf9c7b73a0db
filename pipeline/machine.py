"""What this process runs on and with, in one line for a log. Imports none of it."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Sequence
from importlib import metadata

from pipeline import cpu
from pipeline.concurrency import cores
from pipeline.text import line

LIBRARIES = ("nightscore", "apache-beam", "tensorflow", "numpy", "pillow", "simplejpeg", "pyarrow")


def versions(libraries: Sequence[str] = LIBRARIES) -> dict[str, str]:
    """Return what a result may depend on, name -> version, without importing it."""
    found = {"python": platform.python_version()}
    for name in libraries:
        with contextlib.suppress(metadata.PackageNotFoundError):  # a worker may run our code without its metadata
            found[name] = metadata.version(name)
    return found


def told() -> str:
    """Return one line: what this process runs on and with.

    What scores depend on in their last bits, and speed in all of them.
    """
    found = [f"{name} {version}" for name, version in versions().items()]
    flags = " ".join(cpu.told_flags()) or "none that matter"
    return line(f"{', '.join(found)}; {platform.node()}, {platform.machine()}, {cores()} threads, CPU flags: {flags}")
