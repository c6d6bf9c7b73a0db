"""What goes wrong in other processes of a test, as the environment says.

With this folder on PYTHONPATH modules are changed as they are imported. A decoder then dies of some images: one that
holds b"ABORT" ends the process as a C library's bug does, one that holds b"KILLED" is killed as for want of memory, one
that holds b"SLEEP" never ends. And where they are set:

    DECODED         a file to which every image that is decoded adds a byte
    DECODE_SECONDS  how long each takes
    DECODE_FAILS    of so many files one fails, as their CRC-32 says
    READ_FAILS      of so many reads from disk one fails for now
    IMPATIENT       nothing waits long before it is tried again
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import itertools
import os
import signal
import sys
import time
import zlib
from collections.abc import Callable
from typing import Any


class _Changed(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        change = CHANGES.pop(name, None)
        if change is None:
            return None
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            change(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _poison(module: Any) -> None:
    decode = module.decode

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
        if "DECODE_FAILS" in os.environ and zlib.crc32(data) % int(os.environ["DECODE_FAILS"]) == 0:
            raise MemoryError
        return decode(data, *rest)

    module.decode = decode_poisoned
    if {"DECODED", "DECODE_SECONDS", "DECODE_FAILS"} & set(os.environ):
        module.SMALL_PIXELS = 0  # none of them together, which is another way


def _fail(module: Any) -> None:
    read, numbers = module.LocalStore.read, itertools.count(1)

    def read_now_and_then(*arguments: Any, **keywords: Any) -> Any:
        if "READ_FAILS" in os.environ and next(numbers) % int(os.environ["READ_FAILS"]) == 0:
            raise module.TransientError("Input/output error")
        return read(*arguments, **keywords)

    module.LocalStore.read = read_now_and_then


def _hurry(module: Any) -> None:
    if "IMPATIENT" in os.environ:
        module.FIRST_WAIT = 0.01


def _hurry_requests(module: Any) -> None:
    _hurry(module)
    if "IMPATIENT" in os.environ:
        module.GcsStore.__init__.__defaults__ = (float(os.environ["IMPATIENT"]),)


CHANGES: dict[str, Callable[[Any], None]] = {
    "pipeline.model.preprocess": _poison,
    "pipeline.storage.local": _fail,
    "pipeline.storage.retry": _hurry,
    "pipeline.storage.gcs": _hurry_requests,
}
sys.meta_path.insert(0, _Changed())
