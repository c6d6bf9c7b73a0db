"""A finished model directory to where it belongs, so that a scorer never sees half of one.

On disk it is built in a hidden folder beside its place and renamed into it. On gs:// it is built here and uploaded,
the spec deleted first and written last: what has no spec is no model. Must not know what is in the files.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType

from pipeline import storage
from pipeline.errors import NightscoreError, UsageError
from pipeline.model import directory

OWNED = frozenset(
    {
        directory.SPEC,
        directory.SAVED_MODEL,
        directory.TFLITE,
        directory.KERAS_MODEL,
        directory.GOLDEN,
        directory.TRAINING,
        directory.IMPORT,
    }
)
"""Names in a model directory; nothing else is ever removed."""


def check_output(output: str) -> str:
    """Return the location that a user's --output means, if a model can be published there.

    Nothing is written.

    Raises:
        UsageError: it is taken by something that is no model directory, or cannot be written to.
    """
    location = storage.absolute(output)
    if storage.is_remote(location):
        _check_gcs(location)
        return location
    location = os.path.realpath(location)
    if os.path.isdir(location):
        _check_folder(location)
    elif os.path.lexists(location):
        raise UsageError(f"--output {location!r} is a file: give a folder for the model")
    _check_parent(location)
    return location


def check_apart(flag: str, source: str, output: str, is_pattern: bool = False) -> None:
    """Check that the new model and what it is made of do not lie in one another.

    Args:
        flag: that names the source.
        source: file or folder, as the user gave it.
        output: location of the new model, as `check_output` returns it.
        is_pattern: whether the source may be a glob.

    Raises:
        UsageError: they do: a model that is replaced would take the source with it, or become part of it.

    >>> check_apart("--base", "gs://b", "gs://b2/m")
    >>> check_apart("--base", "gs://b", "gs://b/m")
    Traceback (most recent call last):
    pipeline.errors.UsageError: --output 'gs://b/m' and --base 'gs://b' lie in one another: give two separate folders
    """
    location = storage.absolute(source)
    fixed = storage.fixed_prefix(location) if is_pattern else location
    is_glob = fixed != location  # one that leads to images around the model may lead past it
    if not storage.is_remote(location) and not is_glob:
        fixed = os.path.realpath(location)
    if f"{fixed}/".startswith(f"{output}/") or (not is_glob and f"{output}/".startswith(f"{fixed}/")):
        raise UsageError(f"--output {output!r} and {flag} {location!r} lie in one another: give two separate folders")


@contextlib.contextmanager
def staged(location: str) -> Iterator[str]:
    """Yield a folder to write a model directory into; publish it at the end, or leave no trace if the body raises.

    Args:
        location: from `check_output`; a model directory that is there is replaced.

    Raises:
        NightscoreError: an upload failed; the text says where the finished model was kept.
    """
    remote = storage.is_remote(location)
    made = [] if remote else _missing(os.path.dirname(location))
    folder = tempfile.mkdtemp(prefix="nightscore-model-") if remote else _sibling(location)
    keep = False
    try:
        os.makedirs(folder, exist_ok=remote)
        yield folder
        if not remote:
            _rename(folder, location)
            return
        try:
            _upload(folder, location)
        except (NightscoreError, OSError) as error:
            keep = True
            raise NightscoreError(f"{location!r} cannot be written: {error}; the model is in {folder!r}") from error
    finally:
        if not keep:
            with undisturbed():
                shutil.rmtree(folder, ignore_errors=True)
                for parent in made:
                    with contextlib.suppress(OSError):  # the model is in it, or something of somebody else's
                        os.rmdir(parent)


def write_files(folder: str, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, which is made if it is missing."""
    os.makedirs(folder, exist_ok=True)
    for name, data in files.items():
        Path(folder, name).write_bytes(data)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Put off Ctrl-C until the body is done; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        caught.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
        if caught:
            signal.raise_signal(signal.SIGINT)


def _sibling(location: str) -> str:
    parent, name = os.path.split(location)
    return os.path.join(parent, f".{name[:50]}.{secrets.token_hex(4)}.tmp")  # no longer than a name may be


def _missing(folder: str) -> list[str]:
    """Return which of a folder and its parents are not there yet, deepest first."""
    missing = []
    while not os.path.lexists(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    return missing


def _check_parent(location: str) -> None:
    try:
        location.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"--output {location!r} is not UTF-8, as TensorFlow needs it: give another name") from error
    missing = _missing(os.path.dirname(location))
    parent = os.path.dirname(missing[-1] if missing else location)
    if not os.path.isdir(parent):
        raise UsageError(f"--output {location!r} cannot be made: {parent!r} is a file")
    if not os.access(parent, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise UsageError(f"--output {location!r} cannot be made: no permission to write to {parent!r}")
    longest = os.pathconf(parent, "PC_NAME_MAX")
    if any(len(os.fsencode(name)) > longest for name in location.split("/")):
        raise UsageError(f"--output {location!r} cannot be made: a name may have at most {longest} bytes")


def _check_folder(location: str) -> None:
    try:
        names = sorted(os.listdir(location))
    except PermissionError as error:
        raise UsageError(f"--output {location!r} cannot be read: {error.strerror}") from error
    if names and directory.SPEC not in names:
        raise UsageError(f"--output {location!r} is a folder with other things in it: give a new or empty one")
    _check_names(location, names)
    if os.path.ismount(location):
        raise UsageError(f"--output {location!r} is a mount point and cannot be replaced: give a folder inside it")
    if os.path.commonpath([location, os.getcwd()]) == location:
        raise UsageError(f"--output {location!r} is the folder you are in and cannot be replaced: give another one")


def _check_gcs(location: str) -> None:
    try:
        stored = [found.location for found in storage.list_objects(location)]
    except PermissionError as error:
        raise UsageError(f"--output {location!r} cannot be listed: {error}") from error
    if location in stored:
        raise UsageError(f"--output {location!r} is an object: give a folder for the model")
    _check_names(location, sorted({name[len(location) + 1 :].split("/")[0] for name in stored}))


def _check_names(location: str, names: list[str]) -> None:
    foreign = [name for name in names if name not in OWNED]
    if foreign:
        raise UsageError(
            f"--output {location!r} holds what is no part of a model, {foreign[0]!r}: "
            "replacing the model would delete it; move it away or give another folder"
        )


def _rename(folder: str, location: str) -> None:
    """Put a folder in its place; what was there is set aside, then deleted.

    Raises:
        UsageError: something that is no part of a model was put there meanwhile.
    """
    aside = f"{folder}.old"
    with undisturbed():
        replaces = os.path.isdir(location) and bool(os.listdir(location))
        if replaces:
            _check_names(location, sorted(os.listdir(location)))
        if replaces:
            os.rename(location, aside)
        try:
            os.rename(folder, location)
        except OSError:
            if replaces:
                os.rename(aside, location)
            raise
        if replaces:
            shutil.rmtree(aside, ignore_errors=True)


def _upload(folder: str, location: str) -> None:
    names = {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file()}
    before = {found.location for found in storage.list_objects(location)}
    storage.delete(storage.join(location, directory.SPEC))
    for name in sorted(names - {directory.SPEC}):
        storage.replace(storage.join(location, name), Path(folder, name).read_bytes())
    for stale in sorted(before - {storage.join(location, name) for name in names}):
        storage.delete(stale)
    storage.replace(storage.join(location, directory.SPEC), Path(folder, directory.SPEC).read_bytes())
