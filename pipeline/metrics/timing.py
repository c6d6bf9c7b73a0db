"""Where the time of a run went: a mergeable state, the shares computed from it, and what they advise.

Processes that read and decode, threads that predict: each may be busy for as long as the run takes, on each of its
processors. Who is busy nearly all that time is what the others wait for. Knows no clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

POINTS = 100
"""Of the course of a run, at most."""

STEPS = ("read", "decode", "predict", "commit")
_ADVICE = {
    "read": "storage decides: pack small images into TFRecords or tars, or run nearer to them",
    "decode": "decoding decides: more processors help, and images that are stored smaller",
    "predict": "the model decides: `nightscore plan` tells whether --precision=bfloat16 is faster here",
    "commit": "writing the results decides: a larger --unit_images writes fewer files",
}
_START = "starting and planning decide: with more images they count for less"
_MOST = 0.5


@dataclass(frozen=True)
class Spent:
    """Sums over units that were scored; `merge` is associative and commutative, `Spent()` its identity.

    Attributes:
        steps: step -> microseconds in it, of all processes and threads; "load" is waiting for the model.
        capacity: microseconds that one step could have taken: the time of scoring, times processors.
        width: seconds, a power of 2, of one point of `course`.
        course: number of a point -> images committed then; they count from 1970, in widths.
    """

    steps: Mapping[str, int] = field(default_factory=dict)
    capacity: int = 0
    width: int = 1
    course: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, seconds: Mapping[str, float], ended: float, images: int) -> Spent:
        """Return what was spent, by step, on images that were committed at a time, in seconds since 1970."""
        steps = {step: round(1e6 * taken) for step, taken in seconds.items()}
        return cls(steps, course={int(ended): images} if images else {})

    def merge(self, other: Spent) -> Spent:
        """Return what was spent on both."""
        steps = {
            step: self.steps.get(step, 0) + other.steps.get(step, 0) for step in self.steps.keys() | other.steps.keys()
        }
        width = max(self.width, other.width)
        course: Counter[int] = Counter()
        for one in (self, other):
            course.update(_wider(one.course, width // one.width))
        while len(course) > POINTS:
            width, course = 2 * width, _wider(course, 2)
        return Spent(steps, self.capacity + other.capacity, width, course)


def _wider(course: Mapping[int, int], by: int) -> Counter[int]:
    """Return a course with points that are so many times wider."""
    total: Counter[int] = Counter()
    for point, images in course.items():
        total[point // by] += images
    return total


def shares(spent: Spent, seconds: float, processors: int) -> dict[str, Any]:
    """Return where the time went, as run.json has it.

    Args:
        spent: by all units that this run scored.
        seconds: that the run took, from its start.
        processors: of the machine that ran it, or one of them.

    Returns:
        `seconds` in each step, summed over processes and threads; `shares` of what each could have taken; what
        decides and what to do about it; and the course: [[seconds since 1970, images/s], ...].
    """
    capacity = spent.capacity / 1e6
    taken = {step: spent.steps.get(step, 0) / 1e6 for step in STEPS}
    found = {step: round(taken[step] / capacity, 3) if capacity else 0.0 for step in STEPS}
    found["commit"] = round(found["commit"] * processors, 3)  # one thread does it
    found["waiting"] = round(max(0.0, 1 - found["predict"]), 3)
    most = max(STEPS, key=lambda step: found[step])
    is_start = not capacity or capacity < _MOST * seconds * processors
    return {
        "seconds": {**{step: round(taken[step], 3) for step in STEPS}, "load": spent.steps.get("load", 0) / 1e6},
        "shares": found,
        "decides": "start" if is_start else most,
        "advice": _START if is_start else _ADVICE[most],
        "course": [[point * spent.width, round(n / spent.width, 1)] for point, n in sorted(spent.course.items())],
    }
