"""One scoring run: its name, its options, its model, and where in OUTPUT each result lies.

The one object that travels with the pipeline. Must not do anything with what it names.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, cast

import pyarrow as pa

from pipeline import storage
from pipeline.errors import NewerFormatError, UsageError
from pipeline.metrics.recorded_run import (
    Numbered,
    RecordedEngine,
    RecordedInputRule,
    RecordedOptions,
    RecordedOutputs,
    RecordedRules,
    RecordedRun,
)
from pipeline.metrics.task_metrics import TaskMetrics
from pipeline.metrics.tasks import metrics_of
from pipeline.model.input_rule import InputSpec
from pipeline.model.outputs import OUTPUT_FIELDS, check_outputs, read_outputs
from pipeline.model.pixel_hash import rule_id
from pipeline.model.spec import ModelSpec
from pipeline.options import Engine, ScoreOptions, from_arguments
from pipeline.output.row_columns import row_names
from pipeline.output.rows import row_schema
from pipeline.storage.formats import check_format, check_names, numbered
from pipeline.task import WITH_CLASSES
from pipeline.units import LATER_OPTIONS, RULES


@dataclass(frozen=True)
class Run:
    """One run of the scoring job. `Run.of` makes one.

    Attributes:
        id: its name; sorts by time of its start.
        options: as a person typed them; messages show them.
        spec: what the model's model_spec.json says.
        inputs: locations or globs of the inputs, each once.
        model: location of the model directory.
        output: location of OUTPUT.
        why_engine: why the engine of the options was chosen, as a phrase; "": that is not known.
        rules: number of the rules by which its rows are made, see `pipeline.units.RULES`.
        note: what becomes of the rows that OUTPUT holds, as lines for a person; empty: nothing that has to be said.

    The three locations are absolute. They are found once, where the command is typed: a worker elsewhere has another
    working folder and another home.
    """

    id: str
    options: ScoreOptions
    spec: ModelSpec
    inputs: tuple[str, ...]
    model: str
    output: str
    why_engine: str = ""
    rules: int = RULES
    note: tuple[str, ...] = ()

    @property
    def rule(self) -> InputSpec:
        """The model's input rule with what the options say of bands and background."""
        rule, options = self.spec.input, self.options
        return replace(rule, bands=options.bands or rule.bands, background=options.background or rule.background)

    @classmethod
    def of(cls, id: str, options: ScoreOptions, spec: ModelSpec, why_engine: str = "") -> Run:  # noqa: A002 - the field's name
        """Return the run that options describe; relative paths in them begin in the working folder.

        Raises:
            UsageError: a location is an address of a store that is not served here.
        """
        inputs = tuple(dict.fromkeys(map(storage.absolute, options.input)))
        model, output = storage.absolute(options.model), storage.absolute(options.output)
        return cls(id, options, spec, inputs, model, output, why_engine)

    @property
    def engine(self) -> Engine:
        """Name of the engine that scores; it is chosen before a run begins, see `pipeline.scoring.prepare`."""
        engine = self.options.engine
        if engine == "auto":
            raise ValueError(f"the engine of run {self.id} is not chosen: it is still 'auto'")
        return engine

    @property
    def top_k(self) -> int:
        """How many classes a row lists: never more than the model has."""
        classes = len(self.spec.class_names)
        return classes if self.options.top_k == "all" else min(self.options.top_k, classes)

    @functools.cached_property
    def metrics(self) -> TaskMetrics[Any]:
        """What is measured of the run's rows: it follows from the model's task."""
        spec = self.spec
        return metrics_of(spec.task, spec.class_names, self.top_k, spec.thresholds, spec.value_unit)

    @functools.cached_property
    def schema(self) -> pa.Schema:
        """The columns of its rows; a part is checked against them."""
        return row_schema(self.spec.task, self.options, self.spec.embedding, self.rules)

    @functools.cached_property
    def slices(self) -> Mapping[str, str]:
        """Name of a column in --slice -> its name in the rows."""
        names = row_names(self.options.passed)
        return {name: names.get(name, name) for name in self.options.slices}

    @property
    def plan(self) -> str:
        """Location of the pinned plan."""
        return self.result("plan", f"{self.id}.jsonl.gz")

    @property
    def record(self) -> str:
        """Location of what is known about this run."""
        return self.result("runs", f"{self.id}.json")

    def result(self, *names: str) -> str:
        """Return a location in OUTPUT."""
        return storage.join(self.output, *names)

    def folder(self, name: str = "") -> str:
        """Return a folder in OUTPUT, or OUTPUT itself, as the pattern that lists it with the fewest requests."""
        return self.result(name, "") if name else self.result("")

    def part(self, unit_id: str) -> str:
        """Return where a unit's rows lie."""
        return self.result("predictions", f"part-{unit_id}.{self.options.format}")

    def receipt(self, unit_id: str) -> str:
        """Return where a unit's receipt lies."""
        return self.result("receipts", f"{unit_id}.json")

    def decision(self, unit_id: str) -> str:
        """Return where it lies which of a unit's predictions are accepted."""
        return self.result("decisions", f"part-{unit_id}.parquet")

    def at(self, output: str) -> Run:
        """Return the same run with its OUTPUT elsewhere: moved, copied, or seen from another machine."""
        return replace(self, options=replace(self.options, output=output), output=storage.absolute(output))

    def to_record(self) -> RecordedRun:
        """Return what tells the run without its inputs and its model at hand.

        The command of --on_end is left out: it may hold a secret. Locations are absolute, and written as
        `storage.key_of` does, so that any of them is UTF-8.
        """
        places = {
            "input": [storage.key_of(pattern) for pattern in self.inputs],
            "model": storage.key_of(self.model),
            "output": storage.key_of(self.output),
            "on_end": None,
        }
        options = cast(RecordedOptions, {**asdict(self.options), **places})
        rule = cast(RecordedInputRule, self.spec.input.to_json())
        outputs = cast(RecordedOutputs, self.spec.outputs())
        return {
            **cast(Numbered, numbered("record")),
            "run": self.id,
            "model": self.spec.model_id,
            "options": options,
            "model_spec": {"input": rule, "class_names": list(self.spec.class_names), **outputs},
            **cast(RecordedEngine, {"why_engine": self.why_engine} if self.why_engine else {}),
            **cast(RecordedRules, self._recorded_rules()),
        }

    def _recorded_rules(self) -> dict[str, Any]:
        """Return what a record tells since there are rules 2; nothing of a run by older ones."""
        if self.rules == 1:
            return {}
        return {"rules": self.rules, "pixel_rule": rule_id(self.spec.input).hex()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any] | RecordedRun, location: str = "") -> Run:
        """Return the run whose `to_record` is in a record; the spec lacks what is for people only.

        Options that an older record lacks have the value that older runs had; fields of the input rule, their default.

        Raises:
            NewerFormatError: the record's format or its rules are newer, or it has an unknown option or field of the
                model's spec.
            ValueError: it is not there.
        """
        check_format(record, "record", location)
        try:
            rule = record["model_spec"]
            check_names(rule, ("input", "class_names", *OUTPUT_FIELDS), "record", location)
            input_rule = InputSpec.from_json(rule["input"], "record", location)
            outputs = read_outputs(rule, "record", location)
            spec = ModelSpec(input_rule, rule["class_names"], record["model"], **outputs)
            if outputs and (spec.class_names or spec.task not in WITH_CLASSES):  # who only decodes knows no classes yet
                check_outputs(spec.task, spec.class_names, spec.thresholds, spec.value_unit, spec.embedding)
            check_names(record["options"], (option.name for option in fields(ScoreOptions)), "record", location)
            options = from_arguments({**LATER_OPTIONS, **record["options"]})
            places: dict[str, Any] = {name: storage.location_of(getattr(options, name)) for name in ("model", "output")}
            places["input"] = tuple(map(storage.location_of, options.input))
            run = cls.of(record["run"], replace(options, **places), spec, record.get("why_engine", ""))
            return replace(run, rules=_read_rules(record, location))
        except NewerFormatError:
            raise
        except (KeyError, TypeError, AttributeError, UsageError) as error:
            raise ValueError(f"it does not tell which run it is of: {error!r}") from error


def _read_rules(record: Mapping[str, Any] | RecordedRun, location: str) -> int:
    """Return the number of the rules by which a run makes its rows; 1 where its record has none.

    Raises:
        NewerFormatError: this version does not know them.
        TypeError: it is no number.
    """
    rules = record.get("rules", 1)
    if type(rules) is not int or rules < 1:
        raise TypeError(f"rules {rules!r}")
    if rules > RULES:
        raise NewerFormatError(f"record {location!r} has rules {rules}: made by a newer Nightscore: update it")
    return rules
