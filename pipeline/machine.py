"""What this process runs on and with, in one line for a log. Imports none of it."""

from __future__ import annotations

import platform
from importlib import metadata

from pipeline import cpu
from pipeline.concurrency import cores
from pipeline.text import line

LIBRARIES = ("nightscore", "apache-beam", "tensorflow", "numpy", "pillow", "simplejpeg", "pyarrow")


def told() -> str:
    """Return one line: what this process runs on and with.

    What scores depend on in their last bits, and speed in all of them.
    """
    found = [f"Python {platform.python_version()}"]
    for name in LIBRARIES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue  # a worker may run our code without its package's metadata
    flags = " ".join(cpu.told_flags()) or "none that matter"
    return line(f"{', '.join(found)}; {platform.node()}, {platform.machine()}, {cores()} threads, CPU flags: {flags}")
