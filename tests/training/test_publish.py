"""Publication: readers meanwhile, places that cannot be, and what is left when it fails."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from permissions import nobody

from model_training.data import datasets
from model_training.data.options import DataOptions
from model_training.publishing.publish import check_apart, check_output, staged
from pipeline import storage
from pipeline.errors import NightscoreError, UsageError

SPEC = "model_spec.json"
FILES = (SPEC, "golden/000.png", "model.keras", "saved_model/saved_model.pb", "training/report.html")


def fill(folder: str, text: str) -> None:
    for name in FILES:
        path = Path(folder, name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def publish(location: str, text: str = "1") -> None:
    with staged(check_output(location)) as folder:
        fill(folder, text)


def files_of(folder: Path | str) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file())


@contextmanager
def polled(look: Callable[[], None]) -> Iterator[None]:
    """Look again and again in another thread; raise here what that raised, or if it never came to look."""
    done = threading.Event()
    errors: list[BaseException] = []
    looks = 0

    def poll() -> None:
        nonlocal looks
        try:
            while not done.is_set():
                look()
                looks += 1
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    if errors:
        raise errors[0]
    assert looks > 1


# --- readers


@pytest.mark.heavy
def test_reader_sees_a_new_model_whole_or_not_at_all(tmp_path: Path) -> None:
    found = []

    def look() -> None:
        found.extend(files_of(model) == sorted(FILES) for model in tmp_path.glob("model-*"))

    with polled(look):
        for n in range(100):
            publish(str(tmp_path / f"model-{n}"))
    assert found
    assert all(found)


@pytest.mark.heavy
def test_reader_of_a_file_sees_the_old_model_or_the_new(tmp_path: Path) -> None:
    model = tmp_path / "model"
    publish(str(model), "0" * 10_000)

    def look() -> None:
        try:
            text = (model / SPEC).read_text()
        except FileNotFoundError:  # between the two renames
            return
        assert text == text[:1] * 10_000

    with polled(look):
        for n in range(100):
            publish(str(model), str(n % 10) * 10_000)
    assert os.listdir(tmp_path) == ["model"]


def test_reader_on_gcs_sees_a_spec_only_with_its_whole_model(gcs_bucket: str) -> None:
    location = f"{gcs_bucket}/model"
    publish(location)

    def look() -> None:
        stored = {o.location.removeprefix(f"{location}/"): o.version for o in storage.list_objects(location)}
        if SPEC in stored:
            assert sorted(stored) == sorted(FILES)
            assert stored[SPEC] == max(stored.values())

    with polled(look):
        for n in range(5):
            publish(location, str(n))
    assert [storage.read(f"{location}/{name}") for name in FILES] == [b"4"] * len(FILES)


# --- what is left


def test_broken_off_it_removes_the_folders_it_made(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()

    def broken_off() -> None:
        with staged(check_output(str(tmp_path / "there" / "deep" / "er" / "model"))) as folder:
            fill(folder, "1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")] == ["there"]


def test_broken_off_it_leaves_a_folder_that_somebody_else_uses(tmp_path: Path) -> None:
    def broken_off() -> None:
        with staged(check_output(str(tmp_path / "deep" / "er" / "model"))):
            (tmp_path / "deep" / "notes.txt").write_text("mine")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert files_of(tmp_path) == ["deep/notes.txt"]
    assert os.listdir(tmp_path / "deep") == ["notes.txt"]


def test_file_that_came_meanwhile_is_not_deleted(tmp_path: Path) -> None:
    location = check_output(str(tmp_path / "model"))
    publish(location, "old")

    def came() -> None:
        with staged(location) as folder:
            fill(folder, "new")
            Path(location, "photo.png").write_text("mine")

    with pytest.raises(UsageError, match=r"holds what is no part of a model, 'photo.png'"):
        came()
    assert files_of(location) == sorted([*FILES, "photo.png"])
    assert Path(location, SPEC).read_text() == "old"
    assert os.listdir(tmp_path) == ["model"]


def test_failed_upload_leaves_no_spec(gcs_bucket: str, emulator: object) -> None:
    location = f"{gcs_bucket}/model"
    publish(location)
    emulator.fail("POST", status=403)  # type: ignore[attr-defined]
    with pytest.raises(NightscoreError, match=r"cannot be written: .*; the model is in '.*'") as raised:
        publish(location, "2")
    kept = str(raised.value).rsplit("'", 2)[1]
    assert files_of(kept) == sorted(FILES)
    assert f"{location}/{SPEC}" not in {o.location for o in storage.list_objects(location)}
    publish(location, Path(kept, SPEC).read_text())
    assert storage.read(f"{location}/{SPEC}") == b"2"


# --- places that cannot be


def test_place_without_permission_is_refused(open_folder: Path) -> None:
    (open_folder / "mine").mkdir(mode=0o700)
    (open_folder / "model").mkdir(mode=0o700)
    with nobody():
        with pytest.raises(UsageError, match=f"no permission to write to '{open_folder}'"):
            check_output(str(open_folder / "new" / "model"))
        with pytest.raises(UsageError, match="model' cannot be read: Permission denied"):
            check_output(str(open_folder / "model"))
    assert sorted(os.listdir(open_folder)) == ["mine", "model"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("x" * 256, "at most 255 bytes"), ("é" * 128, "at most 255 bytes"), ("\udcff", "is not UTF-8")],
)
@pytest.mark.parametrize("inside", [(), ("model",)])
def test_name_that_cannot_be_is_refused(tmp_path: Path, name: str, reason: str, inside: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=reason):
        check_output(str(tmp_path.joinpath(name, *inside)))


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "日本 модель $1", "new\nline", "-", ".hidden"])
def test_name_that_can_be_is_used(tmp_path: Path, name: str) -> None:
    for text in "12":
        publish(str(tmp_path / name), text)
    assert os.listdir(tmp_path) == [name]
    assert Path(tmp_path, name, SPEC).read_text() == "2"


@pytest.mark.parametrize(
    ("source", "output", "is_pattern", "is_refused"),
    [
        ("model", "model", False, True),
        ("link", "model/new", False, True),
        ("model/old.keras", "model", False, True),
        ("mode", "model", False, False),
        ("model/*.png", "model", True, True),
        ("*/cat", "model", True, False),
        ("[m]", "[m]/new", False, True),
    ],
)
def test_model_and_its_source_do_not_lie_in_one_another(
    source: str, output: str, is_pattern: bool, is_refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("model", "mode", "[m]"):
        Path(folder).mkdir()
    Path("link").symlink_to("model")
    place = str(tmp_path / output)
    if not is_refused:
        check_apart("--base", source, place, is_pattern)
        return
    with pytest.raises(UsageError) as error:
        check_apart("--base", source, place, is_pattern)
    text = f"--output {place!r} and --base {str(tmp_path / source)!r} lie in one another: give two separate folders"
    assert str(error.value) == text


def test_the_flag_is_named_whose_images_lie_around_the_model() -> None:
    options = DataOptions(("gs://b/all",), (), ("gs://b/test",))
    with pytest.raises(UsageError, match="--output 'gs://b/test/model' and --test 'gs://b/test' lie in one another"):
        datasets.check_apart(options, "gs://b/test/model")
