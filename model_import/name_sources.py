"""Where a model's class names come from: the user, a file that is packed into it, or one beside it.

Where two of these differ, the first counts and a line says so; where two packed files differ, nobody may guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from model_import.check_folder import class_folders
from model_import.class_names import checked_names, parse_names, read_class_names
from model_import.declared import Declared
from model_import.fact import Fact
from model_import.opening import Opened
from model_import.pick import Scores
from model_import.request import Request
from model_import.tflite_file import TfliteModel
from pipeline.errors import UsageError
from pipeline.formatting import counted
from pipeline.text import brief, line

Names = tuple[str, ...]


def class_names(
    request: Request, opened: Opened, said: Declared, scores: Scores
) -> tuple[Fact[Sequence[str]], Sequence[str]]:
    """Return the names of a model's classes, and a line for each place that has others.

    Raises:
        UsageError: names that were given are not as many as classes, or files that are packed into the model differ.
    """
    if scores.classes == 0:
        if request.labels:
            raise UsageError(f"--labels {request.labels!r}: the task {scores.task!r} has no classes")
        return Fact((), "declared", f"the task {scores.task!r} has no classes"), ()
    fact = _first(request, opened, said, scores.classes)
    return fact, () if fact.how == "guessed" else list(_others(fact, opened, said, scores.classes))


def _first(request: Request, opened: Opened, said: Declared, classes: int) -> Fact[Sequence[str]]:
    if request.labels:
        return Fact(tuple(read_class_names(request.labels, classes)), "given", "by --labels")
    if request.check_by_order:
        names = checked_names(class_folders(Path(request.check)), classes, f"--check {request.check!r}")
        return Fact(tuple(names), "given", "by the folders of --check and --check_by_order")
    if opened.labels:
        return Fact(tuple(read_class_names(opened.labels, classes)), "declared", f"by {opened.labels}")
    packed = _packed(opened)
    if packed:
        return _of_packed(packed, opened.path, classes)
    if said.class_names is not None and len(said.class_names.value) == classes:
        place = f"the file {said.class_names.source}"
        names = checked_names(said.class_names.value, classes, place, is_renamed=True)
        return Fact(tuple(names), "declared", said.class_names.source)
    return Fact(tuple(str(i) for i in range(classes)), "guessed", "numbers, as no --labels are given")


def _packed(opened: Opened) -> Sequence[tuple[str, Names]]:
    """Return the lists of names that are packed into a .tflite file: name of the file within it, names."""
    files = opened.model.packed_files if isinstance(opened.model, TfliteModel) else ()
    return [(file.name, tuple(parse_names(file.text, f"{file.name} in {opened.path}"))) for file in files]


def _of_packed(packed: Sequence[tuple[str, Names]], path: str, classes: int) -> Fact[Sequence[str]]:
    """Return the names that are packed into a file, if there is one list of the right length.

    Raises:
        UsageError: there is none, or there are several that differ.
    """
    listed = ", ".join(f"{brief(line(name), 40)!r} ({counted(len(names), 'name')})" for name, names in packed[:4])
    fitting = [(name, names) for name, names in packed if len(names) == classes]
    if not fitting:
        raise UsageError(
            f"{path!r} has {classes:,} classes, and other numbers of names are packed into it: {listed}; give the "
            "names with --labels"
        )
    differing = [names for _, names in fitting if list(map(_plain, names)) != list(map(_plain, fitting[0][1]))]
    if differing:
        raise UsageError(
            f"names of classes are packed into {path!r} more than once, and they differ: {listed}, "
            f"{_difference(fitting[0][1], differing[0])}; take the right file out with 'unzip', and give it with "
            "--labels"
        )
    names = checked_names(fitting[0][1], classes, f"the file of names in {path!r}", is_renamed=True)
    files = " and ".join(brief(line(name), 40) for name, _ in fitting[:3])
    why = f"by {files}, packed into it" + (", which agree" if len(fitting) > 1 else "")
    left = [name for name, names in packed if len(names) != classes]
    if left:
        why += f"; {brief(line(left[0]), 40)} has another number of names"
    return Fact(tuple(names), "declared", why)


def _others(fact: Fact[Sequence[str]], opened: Opened, said: Declared, classes: int) -> Iterator[str]:
    """Yield a line for each place whose names are not those that were taken."""
    for place, names in _known(opened, said):
        if len(names) != classes:
            if fact.how == "given":
                yield f"{place} has {counted(len(names), 'name')} for {counted(classes, 'class', 'classes')}: not used"
            continue
        found = checked_names(names, classes, place, is_renamed=True) if all(names) else names
        if list(map(_plain, found)) != list(map(_plain, fact.value)):
            differing = sum(_plain(a) != _plain(b) for a, b in zip(found, fact.value, strict=True))
            yield (
                f"{place} names {differing:,} of {counted(classes, 'class', 'classes')} otherwise: "
                f"{_difference(fact.value, found)}. The names {fact.why} are taken: make sure that they are right"
            )


def _known(opened: Opened, said: Declared) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield each list of names that a model has, with where it is."""
    try:
        packed = _packed(opened)
    except UsageError:  # not to be understood, and not needed
        packed = ()
    for name, names in dict(packed).items():
        yield f"the file {brief(line(name), 40)!r}, packed into the model,", names
    if said.class_names is not None:
        yield f"the file {said.class_names.source}", said.class_names.value


def _difference(one: Sequence[str], other: Sequence[str]) -> str:
    """Return where two lists of names differ first, as a phrase."""
    number = next((i for i in range(len(one)) if _plain(one[i]) != _plain(other[i])), 0)
    first, second = (brief(line(names[number]), 40) for names in (one, other))
    return f"class {number} is {first!r} in one and {second!r} in the other"


def _plain(name: str) -> str:
    """Return a name as far as it matters: "Tiger_Cat" and "tiger cat" are the same."""
    return " ".join(name.casefold().replace("_", " ").split())
