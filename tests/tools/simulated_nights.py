"""Nights on a simulated disk: runs, one after another and at once, over the real commit, plan and finish code.

Each unit is scored by one to three attempts at once, whose scores differ in the last digits; attempts and last steps
crash, or stand still and go on when their night is long over; calls fail before or after they took effect; parts and
receipts are damaged between nights. `World.problems` and `World.violations` say what may never be.

One thing is assumed: what a last step does on its last look at the records is done before a run that starts meanwhile
has planned. That is one call, or one group of removals. (Without conditional deletes across objects no protocol can do
without.)

One thing is allowed, for the same reason: a receipt that was left of a part that is gone may be removed although an
attempt has put the same part beside it again in that moment. The part stays, and whoever comes next adopts it.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pyarrow as pa
from conftest import SCHEMA
from simulated_disk import AbandonedError, Actor, SimulatedDisk, Theater

from pipeline.errors import DamagedPartError, TransientError
from pipeline.model.input_rule import InputSpec
from pipeline.model.spec import ModelSpec
from pipeline.options import ScoreOptions
from pipeline.output import commit, finish
from pipeline.output.receipts import Extras, Receipt, Unfinished
from pipeline.output.records import start
from pipeline.output.rows import PartWriter
from pipeline.output.run import Run
from pipeline.output.summary import Summary
from pipeline.scoring.planning import pin
from pipeline.units import WorkUnit

SPEC = ModelSpec(InputSpec(8, 8, "grayscale"), ("cat", "dog"), "feed" * 16)
OPTIONS = ScoreOptions(
    input=("/archive",), model="/model", output="/night", engine="tensorflow", format="jsonl", top_k=1
)
UNITS = [WorkUnit(f"{i + 1:032x}", "images", (f"/archive/{i}.png",), (9,), (1,), 1) for i in range(6)]
PLANS = (UNITS[:2], UNITS[1:3], UNITS[:3], UNITS[2:4])
VARIANTS = 3
"""In how many ways a unit may be scored."""

RETRIES = 4
"""How often a step of a night is tried."""

MOST_STEPS = 50_000

_OWNED = re.compile(r"/night/(?:predictions/part-|receipts/)([0-9a-f]{32})\.(jsonl?)")


def scored(unit: WorkUnit, variant: int) -> bytes:
    """The part of a unit, in one of several ways that differ in low digits only."""
    return _scored(unit.locations[0], variant)


@functools.cache
def _scored(key: str, variant: int) -> bytes:
    score = 0.75 + 2**-20 * variant
    top = [{"label": 0, "name": "cat", "score": score}]
    row = {"key": key, "label": 1, "label_name": "dog", "label_score": 1 - score, "predicted": 0}
    row |= {"predicted_name": "cat", "score": score, "top_k": top, "status": "ok"}
    writer = PartWriter("jsonl", SCHEMA)
    writer.add(pa.Table.from_pylist([row], SCHEMA))
    return writer.close()


def is_true(unit: WorkUnit, part: bytes) -> bool:
    return any(part == scored(unit, variant) for variant in range(VARIANTS))


@dataclass(frozen=True)
class Weather:
    """How bad a night is: shares of the steps at which something happens."""

    crash: float = 0.0
    freeze: float = 0.0
    thaw: float = 0.05
    failing: float = 0.0
    night_dies: float = 0.0

    @classmethod
    def of(cls, random: Random) -> Weather:
        return cls(
            crash=random.choice((0.0, 0.02)),
            freeze=random.choice((0.0, 0.04)),
            thaw=random.choice((0.0, 0.02, 0.1)),
            failing=random.choice((0.0, 0.0, 0.03)),
            night_dies=random.choice((0.0, 0.003)),
        )


CALM = Weather(thaw=0.2)


@dataclass
class Protocol:
    """What an attempt does to a unit; the real one by default."""

    recall: Callable[[WorkUnit, Run], Receipt | None] = commit.recall
    commit: Callable[[WorkUnit, bytes, Receipt, Run], Receipt] = commit.commit


@dataclass
class Night:
    """One run as a runner drives it: start and plan, attempts until each unit has an outcome, the last step."""

    world: World
    run: Run
    units: Sequence[WorkUnit]
    record: dict[str, Any] | None = None
    is_over: bool = False
    tries: int = 0
    current: list[Actor] = field(default_factory=list)
    attempts: dict[str, list[Actor]] = field(default_factory=dict)
    outcomes: dict[str, Receipt | Unfinished] = field(default_factory=dict)
    last_steps: list[Actor] = field(default_factory=list)

    @property
    def code(self) -> int | None:
        """Its exit code; None if it crashed."""
        return None if self.record is None else int(self.record["verdict"]["exit_code"])

    def advance(self) -> None:
        """Notice what actors have done, and send new ones."""
        if self.is_over:
            return
        if not self.attempts:
            self._begin()
        elif len(self.outcomes) < len(self.units):
            self._score()
        else:
            self._finish()

    def started_after(self, other: Night) -> bool:
        """Whether it started when the other had ended, by the record that is there.

        Two last steps of one run may both end well, at different times: what one returned is not what others see.
        """
        assert self.record is not None
        assert other.record is not None
        stored = json.loads(self.world.disk.files[other.run.record])
        return bool(self.record["started"] >= stored.get("ended", other.record["ended"]))

    def end(self) -> None:
        self.is_over = True

    def _begin(self) -> None:
        if any(actor.done and actor.error is None for actor in self.current):
            self.world.answer_calls_under_way(self)
            self.attempts = {unit.id: [] for unit in self.units}
            self._score()
        elif all(actor.done or actor.frozen for actor in self.current):
            self._send_again(lambda: self.current.append(self.world.enter("start", self, self._plan)))

    def _plan(self) -> None:
        if self.run.record not in self.world.disk.files:
            start(self.run)
        finish.go_to_work(self.run)
        pin(self.run)

    def _score(self) -> None:
        for unit in self.units:
            attempts = self.attempts[unit.id]
            ended = [actor for actor in attempts if actor.done and actor.error is None]
            if unit.id in self.outcomes:
                continue
            if ended:
                self.outcomes[unit.id] = ended[0].result
            elif all(actor.done or actor.frozen for actor in attempts):
                if len(attempts) >= 3 * RETRIES:
                    self.end()
                    return
                for _ in range(1 if self.world.weather is CALM else self.world.random.randint(1, 3)):
                    attempts.append(self.world.enter("attempt", self, functools.partial(self._attempt, unit)))
        if len(self.outcomes) == len(self.units):
            self._finish()

    def _attempt(self, unit: WorkUnit) -> Receipt | Unfinished:
        try:
            receipt = self.world.protocol.recall(unit, self.run)
            if receipt is None:
                part = scored(unit, self.world.random.randrange(VARIANTS))
                scored_receipt = commit.receipt_of(unit, part, self.run, Extras())
                receipt = self.world.protocol.commit(unit, part, scored_receipt, self.run)
        except TransientError as error:
            return Unfinished(unit.id, unit.images, str(error))
        self.world.note_report(unit)
        return receipt

    def _finish(self) -> None:
        ended = [actor for actor in self.last_steps if actor.done and actor.error is None]
        if ended:
            self.record = ended[0].result
            self.end()
            if self.code == 0:
                self.world.judge(self)
        elif all(actor.done or actor.frozen for actor in self.last_steps):
            for _ in range(self.world.random.choice((1, 1, 1, 2))):
                self._send_again(lambda: self.last_steps.append(self.world.enter("finish", self, self._last_step)))

    def _last_step(self) -> dict[str, Any]:
        summary = functools.reduce(Summary.merge, map(Summary.of, self.outcomes.values()), Summary())
        return finish.finish(summary, self.run)

    def _send_again(self, send: Callable[[], None]) -> None:
        self.tries += 1
        if self.tries > 2 * RETRIES:
            self.end()
        else:
            send()


class World:
    """An OUTPUT on a simulated disk, the nights over it, and everything that must hold."""

    def __init__(self, seed: int, protocol: Protocol | None = None) -> None:
        self.random = Random(seed)
        self.theater = Theater()
        self.disk = SimulatedDisk(self.random, self.theater, page=self.random.choice((3, 1000, 1000)))
        self.disk.haste = self.random.choice((0.0, 0.5, 0.8))
        self.disk.on_change = self._watch
        self.protocol = protocol or Protocol()
        self.weather = CALM
        self.nights: list[Night] = []
        self.violations: list[str] = []
        self._night_of: dict[Actor, Night] = {}
        self._reported: dict[str, int] = {}
        self._last_look: dict[str, Mapping[str, bytes]] = {}

    def planned(self, run: Run) -> Sequence[WorkUnit]:
        return next(night.units for night in self.nights if night.run == run)

    def enter(self, role: str, night: Night, work: Callable[[], Any]) -> Actor:
        actor = self.theater.enter(role, work)
        self._night_of[actor] = night
        return actor

    def play(self, *plans: Sequence[WorkUnit], weather: Weather = CALM) -> list[Night]:
        """Run nights at once, each over its plan, until all have ended; zombies of earlier ones may wake up."""
        self.weather, self.disk.failing = weather, weather.failing
        waiting = []
        for units in plans:
            waiting.append(Night(self, Run.of(f"night-{len(self.nights) + 1:03d}", OPTIONS, SPEC), units))
            self.nights.append(waiting[-1])
        self.random.shuffle(waiting)
        nights: list[Night] = []
        for _ in range(MOST_STEPS):
            if not waiting and all(night.is_over for night in nights):
                break
            if waiting and (not nights or self.random.random() < 0.02 or all(night.is_over for night in nights)):
                nights.append(waiting.pop())
                nights[-1].advance()
            self._step(nights)
        else:
            self.violations.append("these nights never end")
        self.disk.failing = 0.0
        if all(night.code == 0 for night in nights):
            last = max(nights, key=lambda night: night.run.id)
            last = next((night for night in nights if night.started_after(last)), last)
            self.violations += [f"{last.run.id} and all others ended well, but {p}" for p in self.problems(last)]
        return nights

    def _step(self, nights: Sequence[Night]) -> None:
        able = [actor for actor in self.theater.actors if not actor.done]
        frozen = [actor for actor in able if actor.frozen]
        if frozen and self.random.random() < self.weather.thaw:
            self.random.choice(frozen).frozen = False
        awake = [actor for actor in able if not actor.frozen]
        if awake:
            actor = self.random.choice(awake)
            self._meet_fate(actor)
            if not actor.done and not actor.frozen:
                self.advance(actor)
        for night in nights:
            if self.random.random() < self.weather.night_dies and not night.is_over:
                night.end()
            night.advance()

    def _meet_fate(self, actor: Actor) -> None:
        fate = self.random.random()
        if fate < self.weather.crash:
            actor.crash()
        elif fate < self.weather.crash + self.weather.freeze:
            actor.frozen = actor.role != "finish" or actor.pending[0] == "list"

    def advance(self, actor: Actor) -> None:
        actor.step()
        night = self._night_of[actor]
        expected = (TransientError, AbandonedError, *((FileNotFoundError,) if night.is_over else ()))
        if actor.error is not None and not isinstance(actor.error, expected):
            self.violations.append(f"{actor.role} of {night.run.id} raised {actor.error!r}")

    def answer_calls_under_way(self, starting: Night) -> None:
        """Make the calls that other nights' last steps still make on a look from before this one started."""
        for actor, night in self._night_of.items():
            if actor.role == "finish" and night is not starting and actor.pending[0]:
                while not actor.done and actor.pending[0] != "list":
                    self.advance(actor)

    def drain(self) -> None:
        """Let every zombie go on to its end."""
        self.weather = CALM
        for actor in self.theater.actors:
            actor.frozen = False
        for _ in range(MOST_STEPS):
            if all(actor.done for actor in self.theater.actors):
                return
            self._step([])
        self.violations.append("a zombie never ends")

    def figures(self, summary: Summary) -> dict[str, int]:
        """What stands in for summary.json: it differs with the last digits of a score."""
        return {"units": summary.units, "log_loss": summary.metrics.log_loss}

    def damage(self) -> None:
        """Do to one stored unit what disks and people do."""
        whole = [unit for unit in UNITS if self._is_committed(self.disk.files, unit)]
        if not whole:
            return  # who damages a part, and then takes its receipt as well, is not found out
        unit = self.random.choice(whole)
        part, receipt = _part_of(unit), receipt_of(unit)
        data = self.disk.files[part]
        what = self.random.choice(("part gone", "part cut", "digit", "receipt cut", "receipt gone"))
        self._reported.pop(unit.id, None)
        if what.endswith("gone"):
            self.disk.put("damage", part if what == "part gone" else receipt, None)
        elif what == "receipt cut":
            self.disk.put("damage", receipt, self.disk.files[receipt][:-9])
        else:
            self.disk.put("damage", part, data[:-9] if what == "part cut" else data.replace(b"0.75", b"0.85"))

    def note_report(self, unit: WorkUnit) -> None:
        """An attempt says that this unit is committed."""
        if self._is_committed(self.disk.files, unit):
            self._reported[unit.id] = self.disk.versions[_part_of(unit)]

    def judge(self, night: Night) -> None:
        """A night ended well: so must be what it saw when it looked for the last time before it said so."""
        seen = self._last_look[night.run.record]
        missing = [unit.id for unit in night.units if not self._is_committed(seen, unit)]
        if missing:
            self.violations.append(f"{night.run.id} ended well without {missing}")

    def problems(self, night: Night, spotless: bool = False) -> list[str]:
        """What is wrong with OUTPUT as the result of a night; `spotless`: also what is there and not its own."""
        files = self.disk.files
        found = [f"unit {u.id} is not committed" for u in night.units if not self._is_committed(files, u)]
        table = "".join(f"{night.run.part(unit.id)}\n" for unit in night.units).encode()
        if files.get("/night/table.txt") != table:
            found.append("table.txt is not its plan")
        receipts = [Receipt.from_json(files[receipt_of(u)]) for u in night.units if receipt_of(u) in files]
        summary = functools.reduce(Summary.merge, map(Summary.of, receipts), Summary())
        if spotless and json.loads(files["/night/summary.json"]) != self.figures(summary):
            found.append("summary.json is not that of its receipts")
        told = json.loads(files["/night/run.json"])
        if spotless and (told["run"], told["complete"]) != (night.run.id, True):
            found.append(f"run.json tells of {told['run']}")
        own = {unit.id for unit in night.units}
        foreign = [f for f in files if _OWNED.fullmatch(f) and _unit_of(f) not in own]
        return found + ([f"{foreign} are foreign"] if spotless and foreign else [])

    def _is_committed(self, files: Mapping[str, bytes], unit: WorkUnit) -> bool:
        part, receipt = files.get(_part_of(unit)), files.get(receipt_of(unit))
        if part is None or receipt is None or not is_true(unit, part):
            return False
        try:
            return Receipt.from_json(receipt) == commit.receipt_of(unit, part, self.nights[0].run, Extras())
        except DamagedPartError:
            return False

    def _watch(self, verb: str, location: str, data: bytes | None) -> None:
        actor = self.theater.on_stage
        if actor is not None and actor.role == "finish":
            self._last_look[location] = actor.seen
        match = _OWNED.fullmatch(location)
        if verb == "replace" and match:
            self.violations.append(f"{location} is overwritten")
        if verb == "replace" and location == "/night/table.txt" and data not in list(map(_table_of, PLANS)):
            self.violations.append(f"table.txt is no plan: {data!r}")
        if verb == "delete" and match and actor is not None and actor.role == "attempt":
            unit = next(unit for unit in UNITS if unit.id == match[1])
            version = self.disk.versions.get(_part_of(unit))
            is_witness = location == receipt_of(unit) and self.disk.versions[location] < (version or 0)
            if self._is_committed(self.disk.files, unit) and self._reported.get(unit.id) == version and not is_witness:
                self.violations.append(f"an attempt removes {location}, which is committed")


def _unit_of(location: str) -> str:
    match = _OWNED.fullmatch(location)
    assert match is not None
    return match[1]


def _part_of(unit: WorkUnit) -> str:
    return f"/night/predictions/part-{unit.id}.jsonl"


def receipt_of(unit: WorkUnit) -> str:
    return f"/night/receipts/{unit.id}.json"


def _table_of(units: Sequence[WorkUnit]) -> bytes | None:
    return "".join(f"{_part_of(unit)}\n" for unit in units).encode()
