"""Apache Beam in a notebook: the pipeline of a run is assembled there as in a program.

Within IPython Beam puts the number of the cell before the label of each transform. To find out which pipelines are the
user's it imports its data frames, which fails with pandas 3 (seen with Beam 2.77). A run's pipeline is none of the
user's, and its labels are the names of its steps on every engine.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import apache_beam.pipeline as beam_pipeline

_LOCK = threading.Lock()


@contextlib.contextmanager
def as_in_a_program() -> Iterator[None]:
    """Let Beam leave labels as they are, while the body applies transforms to a pipeline; also within IPython."""
    with _LOCK:
        original = beam_pipeline.alter_label_if_ipython
        beam_pipeline.alter_label_if_ipython = _keep_label
        try:
            yield
        finally:
            beam_pipeline.alter_label_if_ipython = original


def _keep_label(transform: Any, pvalueish: Any) -> None:
    """Do nothing, in place of Beam's `alter_label_if_ipython`."""
