"""Python without TensorFlow, for processes that have this folder on PYTHONPATH, and for those that these start.

Where the environment names a file as STARTED, each process adds its command line to it. TENSORFLOW says how it is
missing: "absent", the default, is as if nobody had installed it; with "forbidden" it seems to be installed, but to
import it fails, and adds "imported" to that file.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
from typing import Any

NAMES = ("tensorflow", "keras")


def _note(text: str) -> None:
    if "STARTED" in os.environ:
        with open(os.environ["STARTED"], "a", encoding="utf-8") as file:
            file.write(text + "\n")


class _Forbidden(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        return importlib.machinery.ModuleSpec(name, self) if name in NAMES else None

    def exec_module(self, module: Any) -> None:
        _note(f"imported {module.__name__}")
        raise ImportError(f"{module.__name__} is not to be imported")


_note(" ".join(sys.orig_argv))
if os.environ.get("TENSORFLOW", "absent") == "absent":
    modules: dict[str, Any] = sys.modules  # None in there means that there is no such module
    modules.update(dict.fromkeys(NAMES))
else:
    sys.meta_path.insert(0, _Forbidden())
