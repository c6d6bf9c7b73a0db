"""What goes wrong in other processes of a test, as the environment says.

With this folder on PYTHONPATH modules are changed as they are imported. A decoder then dies of some images: one that
holds b"ABORT" ends the process as a C library's bug does, one that holds b"KILLED" is killed as for want of memory, one
that holds b"SLEEP" never ends. And where they are set:

    DECODED         a file to which every image that is decoded adds a byte
    DECODE_SECONDS  how long each takes
    DECODE_FAILS    of so many files one fails, as their CRC-32 says
    READ_FAILS      of so many reads from disk one fails for now
    IMPATIENT       nothing waits long before it is tried again
    CPUINFO         a file that is taken for /proc/cpuinfo
    ALARM_FACTOR    by how much all alarms are sooner
    MODEL_DIES      a model does the same of images whose first pixel is 251, 252 or 253, and raises an error for 250;
                    one that takes encoded files, of those that hold the words above
    LOAD            how an engine ends the process that loads a network: "ABORT", or "KILLED"
    KILLED_ONCE     a file that is not there yet: who makes it as it decodes an image that holds b"ONCE" is killed
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
        if _REPLAYS:
            return decode(data, *rest)
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
        if b"ONCE" in data and _is_first(os.environ["KILLED_ONCE"]):
            os.kill(os.getpid(), signal.SIGKILL)
        if "DECODE_FAILS" in os.environ and zlib.crc32(data) % int(os.environ["DECODE_FAILS"]) == 0:
            raise MemoryError
        return decode(data, *rest)

    module.decode = decode_poisoned
    if {"DECODED", "DECODE_SECONDS", "DECODE_FAILS"} & set(os.environ):
        module.SMALL_PIXELS = 0  # none of them together, which is another way


_REPLAYS: list[bool] = []
"""Not empty while golden images are replayed: nothing is wrong with these."""


def _spare_golden(module: Any) -> None:
    replay = module.Model._replay

    def replay_spared(*arguments: Any) -> None:
        _REPLAYS.append(True)
        try:
            replay(*arguments)
        finally:
            _REPLAYS.pop()

    module.Model._replay = replay_spared


def _is_first(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def _die_of(pixels: Any) -> None:
    if pixels.dtype == object:  # encoded files
        deaths = {b"ABORT": 251, b"KILLED": 252, b"SLEEP": 253}
        first = {number for data in pixels.tolist() for word, number in deaths.items() if word in data}
    else:
        first = set(pixels[:, 0, 0, 0].tolist())
    if 251 in first:
        os.abort()
    if 252 in first:
        os.kill(os.getpid(), signal.SIGKILL)
    if 253 in first:
        time.sleep(1e6)
    if 250 in first:
        raise RuntimeError("there is a 250")


def _poison_engine(network: Any) -> None:
    call, load = network.__call__, network.__init__

    def call_poisoned(self: Any, pixels: Any) -> Any:
        if "MODEL_DIES" in os.environ:
            _die_of(pixels)
        return call(self, pixels)

    def load_poisoned(self: Any, *arguments: Any) -> None:
        if os.environ.get("LOAD") == "ABORT":
            os.abort()
        if os.environ.get("LOAD") == "KILLED":
            os.kill(os.getpid(), signal.SIGKILL)
        load(self, *arguments)

    network.__call__, network.__init__ = call_poisoned, load_poisoned


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


def _rename_cpuinfo(module: Any) -> None:
    module.CPUINFO = os.environ.get("CPUINFO", module.CPUINFO)


def _hurry_alarms() -> None:
    if "ALARM_FACTOR" in os.environ:
        set_timer, factor = signal.setitimer, float(os.environ["ALARM_FACTOR"])
        signal.setitimer = lambda which, seconds: set_timer(which, seconds / factor)  # type: ignore[assignment, misc]


CHANGES: dict[str, Callable[[Any], None]] = {
    "pipeline.model.loaded": _spare_golden,
    "pipeline.model.preprocess": _poison,
    "pipeline.model.engines.litert": lambda module: _poison_engine(module.LiteRTNetwork),
    "pipeline.model.engines.tensorflow": lambda module: _poison_engine(module.TensorFlowNetwork),
    "pipeline.machine": _rename_cpuinfo,
    "pipeline.storage.local": _fail,
    "pipeline.storage.retry": _hurry,
    "pipeline.storage.gcs": _hurry_requests,
}
sys.meta_path.insert(0, _Changed())
_hurry_alarms()
