"""One of the two OUTPUTs, as compact rows: numbers instead of names, and nothing that is not compared.

Of each part only the columns are read that are needed. Must not know the other OUTPUT.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.comparison.names import relative_names
from pipeline.errors import ChangedError, DamagedPartError, UnfinishedError, UsageError
from pipeline.metrics.comparison_figures import JoinBy
from pipeline.metrics.labels import compare_names
from pipeline.metrics.value import is_number
from pipeline.output.review_files import known_pixels
from pipeline.output.review_look import Known, known_rows
from pipeline.output.stored_rows import StoredRows, UnitRows
from pipeline.task import Task
from pipeline.text import shell_path

BETWEEN = "\x1f"
"""Stands between the labels of an image that has several, where they are one text."""

_COLUMNS: Mapping[Task, Sequence[str]] = {
    "classes": ("label", "label_name", "label_score", "predicted", "predicted_name", "score"),
    "labels": ("label_names", "predicted_names"),
    "value": ("label_value", "predicted_value"),
    "embedding": (),
}
"""Task -> columns that are compared."""

_ALWAYS = ("key", "status", "error_stage", "error_code")


@dataclass(frozen=True)
class Vocabulary:
    """Texts by number, the same numbers for both OUTPUTs; each text is kept once.

    >>> words = Vocabulary()
    >>> words.encode(pa.chunked_array([["cat", None, "dog", "cat"]])).tolist(), words.texts
    ([0, -1, 1, 0], ['cat', 'dog'])
    """

    texts: list[str] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    def encode(self, column: pa.ChunkedArray) -> npt.NDArray[np.int32]:
        """Return the number of each text; -1 where there is none."""
        coded = column.combine_chunks().dictionary_encode()
        numbers = np.array([self.number(text) for text in coded.dictionary.to_pylist()] + [-1], np.int32)
        return numbers[np.asarray(pc.fill_null(coded.indices, -1), np.int64)]

    def number(self, text: str) -> int:
        """Return the number of a text."""
        found = self._numbers.setdefault(text, len(self.texts))
        if found == len(self.texts):
            self.texts.append(text)
        return found


@dataclass(frozen=True)
class Side:
    """One of the two OUTPUTs.

    Attributes:
        stored: its rows.
        words: names of classes; of a model of labels, of sets of them.
        reasons: stage and code of failures.
        values: of the columns by which images are compared, by the name that --slice gives them.
        units: ids of the units whose rows were read, by the numbers that the rows have.
        known: tells which pixels its model's training had; None: nobody knows.
        training_unknown: why nobody knows, as one line; "": it is known, or nobody asks.
    """

    stored: StoredRows
    words: Vocabulary
    reasons: Vocabulary
    values: Mapping[str, Vocabulary]
    units: list[str] = field(default_factory=list)
    known: Known | None = None
    training_unknown: str = ""

    @classmethod
    def of(cls, stored: StoredRows, words: Vocabulary, reasons: Vocabulary, values: Mapping[str, Vocabulary]) -> Side:
        """Return an OUTPUT, with what is known of its model's training if the task has labels."""
        known, why = known_pixels(stored.run) if stored.run.spec.task != "embedding" else (None, "")
        return cls(stored, words, reasons, values, known=known, training_unknown=why)

    @property
    def output(self) -> str:
        """Location of the OUTPUT."""
        return self.stored.run.output

    @property
    def task(self) -> Task:
        """What its model says of an image."""
        return self.stored.run.spec.task

    def compact(self, join: JoinBy) -> Iterator[pa.Table]:
        """Yield the compact rows of each unit, in the plan's order.

        They have the columns `key` (large_string), `on` (large_string or null: by what the image is found in the other
        OUTPUT), `unit` and `row` (int32: place of the row), `ok` (bool), `reason` (int32: number of why it failed, -1:
        it did not), `seen` (bool: its model's training had an exact copy; only if the training is known), those of its
        task, and `slice.<name>` (int32) for each column of --slice. Of classes and labels: `label` and `predicted`
        (int32, -1: none), `labelled` and `right` (bool), and of classes `score` and `label_score` (float32). Of values:
        `label` and `predicted` (float64, NaN: none) and `labelled`.

        Raises:
            UnfinishedError: another run has replaced the rows meanwhile.
            UsageError: a part is damaged, or the plan cannot be read.
        """
        slices = self.stored.run.slices
        more = [slices[name] for name in self.values if name in slices]
        hashed = ["pixel_hash"] if join == "pixel_hash" or self.known is not None else []
        columns = list(dict.fromkeys([*_ALWAYS, *_COLUMNS[self.task], *hashed, *more]))
        for number, unit in enumerate(self.read(columns)):
            self.units.append(unit.unit)
            yield self._compact(number, unit, join)

    def read(self, columns: Sequence[str]) -> Iterator[UnitRows]:
        """Yield some columns of the rows of each unit, in the plan's order; raise as `compact` does."""
        try:
            yield from self.stored.by_unit(columns)
        except ChangedError as error:
            raise UnfinishedError(f"{error}: run the same command again") from error
        except DamagedPartError as error:
            advice = f"nightscore verify {shell_path(self.output)} says more"
            raise UsageError(f"a part of {self.output!r} is damaged ({error}): {advice}") from error

    def _compact(self, number: int, unit: UnitRows, join: JoinBy) -> pa.Table:
        rows = unit.rows
        n = len(rows)
        columns: dict[str, pa.Array | pa.ChunkedArray | npt.NDArray[np.generic]] = {
            "key": rows["key"].cast(pa.large_string()),
            "unit": np.full(n, number, np.int32),
            "row": np.arange(n, dtype=np.int32),
            "ok": np.asarray(pc.equal(rows["status"], "ok"), np.bool_),
            "reason": self.reasons.encode(pc.binary_join_element_wise(rows["error_stage"], rows["error_code"], " ")),
        }
        if self.known is not None:
            columns["seen"] = known_rows(rows, self.known)
        columns["on"] = self._on(rows, join)
        columns |= self._of_task(rows)
        slices = self.stored.run.slices
        for name, vocabulary in self.values.items():
            none = np.full(n, -1, np.int32)
            columns[f"slice.{name}"] = vocabulary.encode(rows[slices[name]]) if name in slices else none
        return pa.table(columns)

    def _on(self, rows: pa.Table, join: JoinBy) -> pa.ChunkedArray:
        if join == "pixel_hash":
            return rows["pixel_hash"].cast(pa.large_string())
        keys = rows["key"].cast(pa.large_string())
        return relative_names(keys, self.stored.run.inputs) if join == "name" else keys

    def _of_task(self, rows: pa.Table) -> dict[str, npt.NDArray[np.generic]]:
        if self.task == "classes":
            return self._classes(rows)
        if self.task == "labels":
            return self._labels(rows)
        if self.task == "value":
            label, predicted = (_floats(rows[name]) for name in ("label_value", "predicted_value"))
            ok = np.asarray(pc.equal(rows["status"], "ok"), np.bool_)
            return {"label": label, "predicted": predicted, "labelled": ok & is_number(label)}
        return {}

    def _classes(self, rows: pa.Table) -> dict[str, npt.NDArray[np.generic]]:
        labelled = np.asarray(pc.is_valid(rows["label_score"]), np.bool_)
        right = np.asarray(pc.fill_null(pc.equal(rows["label"], rows["predicted"]), False), np.bool_)
        names = pc.coalesce(rows["label_name"], pc.cast(rows["label"], pa.string()))
        return {
            "label": self.words.encode(names),
            "predicted": self.words.encode(rows["predicted_name"]),
            "labelled": labelled,
            "right": labelled & right,
            "score": _floats(rows["score"]).astype(np.float32),
            "label_score": _floats(rows["label_score"]).astype(np.float32),
        }

    def _labels(self, rows: pa.Table) -> dict[str, npt.NDArray[np.generic]]:
        named = compare_names(rows, self.stored.run.spec.class_names)
        return {
            "label": self.words.encode(as_text(rows["label_names"])),
            "predicted": self.words.encode(as_text(rows["predicted_names"])),
            "labelled": named.labelled,
            "right": named.correct,
        }


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    r"""Return each list of names as one text: sorted, each name once, `BETWEEN` between them.

    >>> as_text(pa.chunked_array([[["b", "a", "b"], [], None]])).to_pylist()
    ['a\x1fb', '', None]
    """
    lists = column.combine_chunks()
    table = pa.table({"row": pc.list_parent_indices(lists), "name": pc.list_flatten(lists)})
    each = table.group_by(["row", "name"]).aggregate([]).sort_by([("row", "ascending"), ("name", "ascending")])
    counts = np.bincount(np.asarray(each["row"], np.int64), minlength=len(lists))
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    sets = pa.ListArray.from_arrays(offsets, each["name"].combine_chunks())
    texts = pc.if_else(pc.is_valid(lists), pc.binary_join(sets, BETWEEN), pa.scalar(None, pa.string()))
    return pa.chunked_array([texts])


def _floats(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    return np.asarray(pc.fill_null(column, float("nan")), np.float64)
