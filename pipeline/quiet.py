"""Keeping TensorFlow's banners off a person's terminal. For command lines only, never for library code."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


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
