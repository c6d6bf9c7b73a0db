"""A Pillow whose PNG decoder dies of some images, sleeps in others, and counts: for processes that tests start.

Put this folder on PYTHONPATH. It waits for Pillow's import and then wraps its PNG decoder: an image that holds
b"ABORT" ends the process as a C library's bug does, one that holds b"SLEEP" never ends. Where the environment names
a file in DECODED, every decoder that is opened adds a byte to it; DECODE_SECONDS makes each take so long.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import os
import sys
import time
from typing import Any

NAME = "PIL.PngImagePlugin"


class _Poison(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != NAME:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            _poison(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _poison(module: Any) -> None:
    opened = module.PngImageFile.__init__

    def open_poisoned(self: Any, fp: Any = None, filename: Any = None) -> None:
        if "DECODED" in os.environ:
            with open(os.environ["DECODED"], "ab", buffering=0) as count:
                count.write(b".")
        time.sleep(float(os.environ.get("DECODE_SECONDS", "0")))
        data = fp.getvalue()
        if b"ABORT" in data:
            os.abort()
        if b"SLEEP" in data:
            time.sleep(1e6)
        opened(self, fp, filename)

    module.PngImageFile.__init__ = open_poisoned


sys.meta_path.insert(0, _Poison())
