"""What a job does last where nobody waits for its record: it tells a person, and fails if the verdict is bad."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import apache_beam as beam

from pipeline.errors import VerdictError
from pipeline.metrics.record import EndedRecord
from pipeline.output.on_end import End, tell
from pipeline.output.run import Run


@dataclass
class Enforce(beam.PTransform):
    """Fail the job with one line if the verdict of a run's record is bad."""

    def expand(self, record: beam.PCollection[EndedRecord]) -> beam.PCollection[None]:
        """Stay behind a shuffle: if this step is tried again, `Finish` is not."""
        return record | "Finished" >> beam.Reshuffle() | "Verdict" >> beam.Map(_enforce)


def _enforce(record: EndedRecord) -> None:
    if record["verdict"]["exit_code"]:
        raise VerdictError("; ".join(record["verdict"]["reasons"]))


@dataclass
class Tell(beam.PTransform):
    """Run the command of --on_end where nobody waits for the run's record: on a worker, as the job's last step.

    Attributes:
        run: the run that is over.
    """

    run: Run

    def expand(self, record: beam.PCollection[EndedRecord]) -> beam.PCollection[None]:
        """Stay behind a shuffle: if this step is tried again, and tells twice, `Finish` is not done again."""
        return record | "Over" >> beam.Reshuffle() | "OnEnd" >> beam.Map(_tell, self.run)


def _tell(record: EndedRecord, run: Run) -> None:
    wrong = tell(run.options.on_end or "", End.of(record, run.output))
    if wrong:
        logging.getLogger(__name__).error(wrong)
