"""Keeping libraries' remarks off a person's terminal. For command lines only, never for library code."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path


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
