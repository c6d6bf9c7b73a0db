"""What a program that calls Nightscore shall not notice: libraries that print, log and change settings.

Whatever is changed here for the time of a call is put back at its end.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator

from pipeline import storage
from pipeline.cli.command import SWITCH_SECONDS, WAIT_SECONDS

LEVELS = {"apache_beam": logging.CRITICAL, "pipeline.beam.log": logging.ERROR}
"""Logger -> level for the time of a run: what a step raises reaches the caller, and so do numbers of failed images."""

_BANNER = re.compile(
    rb"WARNING: All log messages before absl"
    rb"|[IWE]\d{4} [\d:.]+ +\d+ [\w./]+:\d+\]"
    rb"|\d{4}-\d\d-\d\d [\d:.]+: [IWE] [\w./]+:\d+\]"
    rb"|To enable the following instructions: "
)
"""A line that TensorFlow's C++ side writes while it starts."""

one_run = threading.Lock()
"""Held by the run that is under way in this process: each uses all of its processors anyway."""

_stderr = threading.RLock()

_logging = threading.Lock()
_calls: set[object] = set()
"""Calls under way for which the root logger has the last resort as its handler."""


def be_impatient() -> None:
    """Let storage that fails be asked for less long, as somebody looks on; not while a run is under way."""
    if not one_run.locked():
        storage.patience().start(WAIT_SECONDS)


@contextlib.contextmanager
def banners_dropped() -> Iterator[None]:
    """Keep TensorFlow's banners off file descriptor 2, where no log level reaches; all other lines come at the end."""
    with _stderr, tempfile.TemporaryFile() as kept:
        _flush()
        shown = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            _flush()
            os.dup2(shown, 2)
            kept.seek(0)
            for line in kept:
                if not _BANNER.match(line):
                    os.write(shown, line)
            os.close(shown)


def _flush() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()


@contextlib.contextmanager
def tensorflow_starts_quietly() -> Iterator[None]:
    """Let TensorFlow start without banners, and keep its warnings back if it starts now for the first time."""
    name = "TF_CPP_MIN_LOG_LEVEL"
    is_ours = "tensorflow" not in sys.modules and name not in os.environ
    if is_ours:
        os.environ[name] = "3"
    try:
        with banners_dropped():
            yield
    finally:
        if is_ours:
            os.environ.pop(name, None)


@contextlib.contextmanager
def root_logger_kept() -> Iterator[None]:
    """Keep libraries from configuring logging.

    Some call `logging.warning`, which gives the root logger a handler for good if it has none. So the root logger has
    Python's own last resort meanwhile, which would be asked anyway: what is logged looks as without us.
    """
    last_resort, call = logging.lastResort, object()
    if last_resort is None:
        yield
        return
    with _logging:
        if _calls or not logging.root.handlers:
            logging.root.addHandler(last_resort)  # a second time it changes nothing
            _calls.add(call)
    try:
        yield
    finally:
        with _logging:
            _calls.discard(call)
            if not _calls:
                logging.root.removeHandler(last_resort)


@contextlib.contextmanager
def settings_kept() -> Iterator[None]:
    """Set what a run needs in this process, and put it back: log levels, TensorFlow's start, the switch interval."""
    from pipeline.model.engines import tensorflow

    context, interval = tensorflow.import_context, sys.getswitchinterval()
    changed = [logger for logger in map(logging.getLogger, LEVELS) if logger.level == logging.NOTSET]
    try:
        for logger in changed:
            logger.setLevel(LEVELS[logger.name])
        tensorflow.import_context = tensorflow_starts_quietly
        sys.setswitchinterval(SWITCH_SECONDS)
        with root_logger_kept():
            yield
    finally:
        sys.setswitchinterval(interval)
        tensorflow.import_context = context
        for logger in changed:
            logger.setLevel(logging.NOTSET)
