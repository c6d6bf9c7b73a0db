"""What comes to a person's terminal unasked: banners, logs, crashes. For command lines only, never for library code."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import io
import logging
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from pipeline.text import lines


class LogFormatter(logging.Formatter):
    """Keeps a log free of control characters and of secrets, whoever writes to it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a message, and below it the traceback if there is one."""
        return lines(super().format(record))


def tame_streams(layout: str) -> None:
    """Let nothing foreign through to the terminal as it is: logged at WARNING or above, or what a crash says.

    Args:
        layout: of a line of the log, as `logging.Formatter` takes it.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter(layout))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    sys.excepthook = _print_crash
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # where a locale lacks a name's letters


def _print_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    print(lines("".join(traceback.format_exception(kind, error, trace)).rstrip("\n")), file=sys.stderr)


@contextlib.contextmanager
def stderr_silenced() -> Iterator[None]:
    """Keep back what is written to file descriptor 2; show it after all if the body raises.

    TensorFlow's C++ side writes its oneDNN and CPU banners there while it is imported and initialized, where no
    log level reaches. A crash message is not lost: `faulthandler`, if enabled on another descriptor, still speaks.
    """
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            kept.seek(0)
            os.write(shown, kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(shown, 2)
            os.close(shown)


def silence_pillow() -> None:
    """Keep back what Pillow and libtiff say of bad images, each of which is a row.

    libtiff writes its errors to file descriptor 2 itself, where Pillow does not turn that off; it is told not to in
    the copy that Pillow's wheels carry.
    """
    warnings.filterwarnings("ignore", module="PIL")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    found = importlib.util.find_spec("PIL")
    package = Path(found.origin or "").parent if found else Path()
    for library in (*package.glob("../pillow.libs/libtiff*"), *package.glob(".dylibs/libtiff*")):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(str(library)).TIFFSetErrorHandler(None)
