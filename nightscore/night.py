"""`nightscore.Night`: an OUTPUT as an object. Reads what lies there, on disk or in a bucket, and changes nothing."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nightscore.quiet import be_impatient
from pipeline import storage
from pipeline.errors import UnfinishedError, UsageError
from pipeline.metrics.record import Record
from pipeline.metrics.review import Review
from pipeline.metrics.task_figures import AnyFigures
from pipeline.output import records
from pipeline.output.last_run import last_run
from pipeline.output.run import Run
from pipeline.output.stored_rows import StoredRows
from pipeline.text import plain

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from pipeline.output.status import Status
    from pipeline.output.verify import Verification


@dataclass(frozen=True)
class Verdict:
    """What a run came to.

    Attributes:
        exit_code: 0 all good; 3 too many images failed, or units are unfinished; 4 the accuracy is too low.
        reasons: why it is not 0, one line each.
    """

    exit_code: int
    reasons: Sequence[str] = ()

    @property
    def is_good(self) -> bool:
        """Whether the exit code is 0."""
        return self.exit_code == 0


@dataclass(frozen=True, eq=False)
class Night:
    """The results of the last run into an OUTPUT, as they were when it was opened.

    `score` and `open_night` make it. Its `record` is that moment's; rows and summary are read when they are asked for.

    Attributes:
        output: location of OUTPUT, absolute or gs://.
        record: the content of run.json; of a run that has not ended, what is known of it so far.
    """

    output: str
    record: Record
    _run: Run = field(repr=False)

    @property
    def verdict(self) -> Verdict | None:
        """What the run came to; None if it has not ended."""
        verdict = self.record.get("verdict")
        return Verdict(verdict["exit_code"], tuple(verdict["reasons"])) if verdict else None

    @property
    def exit_code(self) -> int | None:
        """The exit code of the verdict, as of the command `nightscore score`; None if the run has not ended."""
        return self.verdict.exit_code if self.verdict else None

    @property
    def is_complete(self) -> bool:
        """Whether every planned image has its row: then there are a summary and a report."""
        return bool(self.record.get("complete"))

    @functools.cached_property
    def summary(self) -> AnyFigures:
        """The content of summary.json.

        Raises:
            UnfinishedError: images have no row yet.
        """
        with expected_errors():
            figures: AnyFigures = json.loads(storage.read(self._result("summary.json")))
        return figures

    @functools.cached_property
    def review(self) -> Review:
        """The content of review.json: what to accept, labels that look wrong, copies.

        Raises:
            UnfinishedError: images have no row yet.
            UsageError: an earlier version made the result, and no review of it.
        """
        location = self._result("review.json")
        with expected_errors():
            try:
                review: Review = json.loads(storage.read(location))
            except FileNotFoundError as error:
                raise UsageError(f"{location!r} is not there: 'nightscore report {self.output}' makes it") from error
        return review

    @property
    def report(self) -> str:
        """Location of report.html.

        Raises:
            UnfinishedError: images have no row yet.
        """
        return self._result("report.html")

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows in record batches, a few parts at a time, so that no OUTPUT is too large.

        Of a run that is not complete, these are the rows that are there so far.

        Args:
            columns: names of those to yield; default: all.

        Raises:
            ChangedError: another run has replaced the rows meanwhile.
            UsageError: the plan cannot be read, or there is no such column.
        """
        names = self._columns(columns)
        with expected_errors():
            for part in self._stored.by_unit():
                yield from part.rows.select(names).to_batches()

    def rows(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return all rows as one Arrow table; `batches` takes the same and needs less memory.

        Args:
            columns: names of those to return; default: all.
        """
        import pyarrow as pa

        whole = self._schema()
        schema = pa.schema([whole.field(name) for name in self._columns(columns)])
        return pa.Table.from_batches(self.batches(columns), schema)

    def to_pandas(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return all rows as a pandas DataFrame.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            import pandas as pd  # noqa: F401 - Arrow needs it, Nightscore does not
        except ImportError as error:
            raise UsageError("pandas is not installed: install it, or take rows(), which needs none") from error
        return self.rows(columns).to_pandas()

    def status(self) -> Status:
        """Return how the newest run into OUTPUT stands at this moment, as `nightscore status` tells it."""
        from pipeline.output.status import status

        with expected_errors():
            return status(self.output, time.time())

    def verify(self) -> Verification:
        """Check every part and receipt, as `nightscore verify` does; what is wrong is in `findings`."""
        from pipeline.output.verify import verify

        with expected_errors():
            return verify(self.output)

    def _result(self, name: str) -> str:
        if not self.is_complete:
            raise UnfinishedError(
                f"run {self._run.id} in {self.output!r} is not complete, so there is no {name} of it: score again to "
                "finish it, or ask status() how far it is"
            )
        return self._run.result(name)

    @property
    def _stored(self) -> StoredRows:
        return StoredRows(self._run, self.record)

    def _units(self) -> list[str]:
        """Return the ids of the planned units that are done, in the plan's order."""
        return self._stored.units()

    def _schema(self) -> pa.Schema:
        return self._run.schema

    def _columns(self, names: Sequence[str] | None) -> Sequence[str]:
        known = self._schema().names
        for name in names or ():
            if name not in known:
                raise UsageError(f"there is no column {name!r}: choose from {', '.join(known)}")
        return known if names is None else names

    def __repr__(self) -> str:
        """Return one line: where it is and how it stands."""
        images = f"{self.record['images']:,} images, " if records.has_ended(self.record) else ""
        how = "not ended" if self.exit_code is None else f"exit code {self.exit_code}"
        return f"<Night {plain(self.output)!r}: {images}{how}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: verdict, figures, the worst classes with pictures, and a link to the report."""
        from nightscore.notebook import page

        with expected_errors():
            return page(self._run, self.record, self.summary if self.is_complete else None, self._units())


def open_night(output: str | os.PathLike[str]) -> Night:
    """Return the results of the last run into an OUTPUT, on disk or gs://.

    Raises:
        UsageError: it is no OUTPUT, or cannot be read.
        TransientError: storage fails for now.
    """
    be_impatient()
    with expected_errors():
        location = storage.absolute(os.fspath(output))
        record = last_run(location).record
        return night_of(Run.from_record(record).at(location), record)


def night_of(run: Run, record: Record | None) -> Night:
    """Return a run's night; a record that is None is read."""
    if record is None:
        with expected_errors():
            record = records.read(run.record)
    return Night(run.output, record, run)


@contextlib.contextmanager
def expected_errors() -> Iterator[None]:
    """Turn a refusal of a disk or a bucket into an error of our tree."""
    try:
        yield
    except PermissionError as error:
        raise UsageError(str(error)) from error
