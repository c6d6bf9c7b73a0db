"""`Spent` sums the time that each step of a run took; from it follow each step's share, and advice.

Local processes do one step after the other, so the steps share the processors. The one with the largest share decides
how long a run takes. Knows no clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.metrics.record import TimeShares

POINTS = 100
"""Number of points in the course of a run, at most."""

STEPS = ("read", "decode", "predict", "commit")
"""Names of the steps of scoring, in their order."""

_ADVICE = {
    "read": "reading is slowest: pack small images together, or run nearer to them",
    "decode": "decoding is slowest: more processors or smaller images help",
    "predict": "the model is slowest: `nightscore plan` finds the fastest engine here",
    "commit": "writing is slowest: a larger --unit_images in a new OUTPUT helps",
}
_START = "starting and planning took most of it: more images change that"

_MOST = 0.5
"""Share of a run's time that scoring must take for a step, and not the start, to decide."""


@dataclass(frozen=True)
class Spent:
    """The time that scoring units took, in sums; `merge` is associative and commutative, `Spent()` its identity.

    Attributes:
        steps: step -> microseconds of all processes and threads together; "load" is waiting for the model.
        capacity: microseconds that all steps together could have taken: the time of scoring, times the number of
            processors.
        width: seconds that one point of `course` spans, a power of 2.
        course: number of a point, in widths since 1970 -> images that were committed in its span.
    """

    steps: Mapping[str, int] = field(default_factory=dict)
    capacity: int = 0
    width: int = 1
    course: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, seconds: Mapping[str, float], ended: float, images: int) -> Spent:
        """Return the time spent on one unit.

        Args:
            seconds: seconds in each step.
            ended: time of the commit, in seconds since 1970.
            images: number of images that were scored.
        """
        steps = {step: round(1e6 * duration) for step, duration in seconds.items()}
        return cls(steps, course={int(ended): images} if images else {})

    def merge(self, other: Spent) -> Spent:
        """Return the time spent on both."""
        steps = {
            step: self.steps.get(step, 0) + other.steps.get(step, 0) for step in self.steps.keys() | other.steps.keys()
        }
        width = max(self.width, other.width)
        course: Counter[int] = Counter()
        for one in (self, other):
            course.update(_widen(one.course, width // one.width))
        while len(course) > POINTS:
            width, course = 2 * width, _widen(course, 2)
        return Spent(steps, self.capacity + other.capacity, width, course)


def _widen(course: Mapping[int, int], by: int) -> Counter[int]:
    """Return a course whose points span `by` times as long."""
    total: Counter[int] = Counter()
    for point, images in course.items():
        total[point // by] += images
    return total


def shares(spent: Spent, seconds: float, processors: int) -> TimeShares:
    """Return the time of a run by step, as run.json has it.

    Args:
        spent: the time of all units that this run scored.
        seconds: seconds that the run took, from its start.
        processors: number of processors of the machine, or of each machine.

    Returns:
        `seconds` in each step, summed over processes and threads; `shares`: these divided by what all steps together
        could have taken, or by their sum if that is more, because to store a part takes time but hardly a processor;
        and `waiting` is the rest; `decides`: the step with the largest share; `advice` on it; and
        `course`: [[seconds since 1970, images/s], ...].
    """
    capacity = spent.capacity / 1e6
    totals = {step: spent.steps.get(step, 0) / 1e6 for step in STEPS}
    whole = max(capacity, sum(totals.values()))
    busy = {step: round(totals[step] / whole, 3) if capacity else 0.0 for step in STEPS}
    busy["waiting"] = round(max(0.0, 1 - sum(busy.values())), 3)
    most = max(STEPS, key=lambda step: busy[step])
    is_start = not capacity or capacity < _MOST * seconds * processors
    return {
        "seconds": {**{step: round(totals[step], 3) for step in STEPS}, "load": spent.steps.get("load", 0) / 1e6},
        "shares": busy,
        "decides": "start" if is_start else most,
        "advice": _START if is_start else _ADVICE[most],
        "course": [[point * spent.width, round(n / spent.width, 1)] for point, n in sorted(spent.course.items())],
    }
