"""A decoder that dies of some images, sleeps in others, fails now and then, and counts: for processes of tests.

Put this folder on PYTHONPATH. It waits for the import of `pipeline.preprocess` and then wraps its `decode`: an image
that holds b"ABORT" ends the process as a C library's bug does, one that holds b"SLEEP" never ends, one that holds
b"KILLED" is killed as for want of memory. Where the environment names a file in DECODED, every image that is decoded
adds a byte to it; DECODE_SECONDS makes each take so long, and of DECODE_FAILS each so manieth fails.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import itertools
import os
import signal
import sys
import time
from typing import Any

NAME = "pipeline.preprocess"


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
    decode, numbers = module.decode, itertools.count()

    def decode_poisoned(data: bytes, *rest: Any) -> Any:
        if "DECODED" in os.environ:
            with open(os.environ["DECODED"], "ab", buffering=0) as count:
                count.write(b".")
        time.sleep(float(os.environ.get("DECODE_SECONDS", "0")))
        if b"ABORT" in data:
            os.abort()
        if b"KILLED" in data:
            os.kill(os.getpid(), signal.SIGKILL)
        if b"SLEEP" in data:
            time.sleep(1e6)
        if "DECODE_FAILS" in os.environ and next(numbers) % int(os.environ["DECODE_FAILS"]) == 0:
            raise MemoryError
        return decode(data, *rest)

    module.decode = decode_poisoned


sys.meta_path.insert(0, _Poison())
