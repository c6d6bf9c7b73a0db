"""COCO datasets and tasks for Label Studio: what they say of each image, and which images are to be reviewed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from archive_outputs import FILES, write_archive_output, write_folder
from archives import tar
from decisions import decide
from task_rows import NAMES as LABELS
from task_rows import label_row, value_row
from written_output import class_row, failed_row, write_output

from pipeline.errors import UsageError
from pipeline.export import coco, label_studio, review
from pipeline.export.decided_rows import DecidedRows
from pipeline.export.links import Links, place_of
from pipeline.export.review import Review

NAMES = ("cat", 'dog "&" wolf', "eel")
ROWS = [
    class_row("/archive/a b/1.png", [0.2, 0.7, 0.1], NAMES, "cat", width=3, height=4),
    class_row("/archive/2.png", [0.5, 0.3, 0.2], NAMES, "cat"),
    failed_row("/archive/3.png", message="cut short"),
    class_row("/archive/4.png", [0.05, 0.05, 0.9], NAMES, "cat"),
    class_row("/archive/5.png", [0.8, 0.1, 0.1], NAMES),
    class_row("/archive/6.png", [0.4, 0.35, 0.25], NAMES, "horse"),
]
LABEL_ROWS = [
    {"status": "ok", **label_row("/archive/1.png", ["cat"], [0.9, 0.55, 0.1, 0.0])},
    {"status": "ok", **label_row("/archive/2.png", ["dog"], [0.1, 0.9, 0.1, 0.2])},
    {"status": "ok", **label_row("/archive/3.png", None, [0.1, 0.2, 0.4, 0.3])},
]


def night(folder: Path, labels: bool = False) -> DecidedRows:
    spec = {"task": "labels", "thresholds": (0.5,) * 4} if labels else None
    rows = LABEL_ROWS if labels else ROWS
    write_output(folder, [rows[:2], rows[2:]], LABELS if labels else NAMES, spec=spec)
    return DecidedRows.of(str(folder))


def numbers(rows: Any) -> list[str]:
    return [row["key"].rpartition("/")[2][0] for row in rows]


def test_coco_has_each_image_and_its_class(tmp_path: Path) -> None:
    rows = night(tmp_path / "night")
    written = coco.write_coco(rows, str(tmp_path / "coco.json"), Links.of_base(rows.run, "https://host/x/"))
    found = json.loads((tmp_path / "coco.json").read_text())
    assert set(found["info"]) == {"version", "description"}
    assert found["categories"] == [{"id": n, "name": name} for n, name in enumerate(NAMES, 1)]
    assert [image["file_name"] for image in found["images"]] == [row["key"] for row in ROWS]
    assert found["images"][0] == {
        "id": 1,
        "file_name": "/archive/a b/1.png",
        "width": 3,
        "height": 4,
        "coco_url": "https://host/x/a%20b/1.png",
        "label": "cat",
    }
    assert found["images"][2]["failure"] == "INVALID_ARGUMENT: cut short"
    pairs = [(one["id"], one["image_id"], one["category_id"], one["score"]) for one in found["annotations"]]
    assert pairs == [(1, 1, 2, 0.7), (2, 2, 1, 0.5), (3, 4, 3, 0.9), (4, 5, 1, 0.8), (5, 6, 1, 0.4)]
    assert not any("bbox" in one for one in found["annotations"])
    assert (written.images, written.annotations, written.categories, written.no_files) == (6, 5, 3, 0)


def test_coco_has_an_annotation_for_each_label(tmp_path: Path) -> None:
    coco.write_coco(night(tmp_path / "night", labels=True), str(tmp_path / "coco.json"), None)
    found = json.loads((tmp_path / "coco.json").read_text())
    pairs = [(one["image_id"], one["category_id"], one["score"]) for one in found["annotations"]]
    assert pairs == [(1, 1, 0.9), (1, 2, 0.55), (2, 2, 0.9)]
    assert [image.get("label") for image in found["images"]] == [["cat"], ["dog"], None]
    assert "coco_url" not in found["images"][0]


def test_model_without_classes_is_refused(tmp_path: Path) -> None:
    value = {"status": "ok", **value_row("/a", 1.0, 2.0)}
    write_output(tmp_path, [[value]], spec={"task": "value", "value_unit": 0.5})
    with pytest.raises(UsageError, match="--coco needs a model with classes"):
        coco.check(DecidedRows.of(str(tmp_path)), "--coco")


@pytest.mark.parametrize(
    ("most", "expected", "mistakes", "uncertain"),
    [(None, "41625", 2, 3), (4, "4162", 2, 2), (1, "4", 2, 0)],
)
def test_mistakes_come_first_and_then_doubts(
    tmp_path: Path, most: int | None, expected: str, mistakes: int, uncertain: int
) -> None:
    chosen = Review(night(tmp_path), most)
    assert "".join(numbers(chosen)) == expected
    assert (chosen.images, chosen.mistakes, chosen.uncertain) == (len(expected), mistakes, uncertain)
    assert chosen.not_accepted is None


def test_default_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review, "DEFAULT", 3)
    assert numbers(Review(night(tmp_path), None)) == ["4", "1", "6"]


def test_key_decides_between_equal_scores(tmp_path: Path) -> None:
    units = [[class_row(f"/archive/{n}.png", [0.6, 0.4, 0.0], NAMES)] for n in (5, 2, 9, 1, 3)]
    write_output(tmp_path, units, NAMES)
    assert numbers(Review(DecidedRows.of(str(tmp_path)), 2)) == ["1", "2"]


def test_labels_are_uncertain_near_their_thresholds(tmp_path: Path) -> None:
    assert numbers(Review(night(tmp_path, labels=True), None)) == ["1", "3", "2"]


@pytest.mark.parametrize(("most", "expected"), [(None, ["1", "6"]), (1, ["6"])])
def test_what_is_not_accepted_is_reviewed(tmp_path: Path, most: int | None, expected: list[str]) -> None:
    run = night(tmp_path).run
    decide(run, {row["key"]: None if row["status"] == "failed" else row["key"][-5] not in "16" for row in ROWS})
    chosen = Review(DecidedRows.of(str(tmp_path)), most)
    assert numbers(chosen) == expected
    assert (chosen.not_accepted, chosen.mistakes) == (2, None)


def test_tasks_are_as_label_studio_reads_them(tmp_path: Path) -> None:
    rows = night(tmp_path / "night")
    written = label_studio.write_tasks(rows, str(tmp_path / "t.json"), Links.of_local_files(rows.run), 2)
    first, second = json.loads((tmp_path / "t.json").read_text())
    assert second["data"]["image"] == "/data/local-files/?d=archive/a%20b/1.png"
    assert first["data"] == {
        "image": "/data/local-files/?d=archive/4.png",
        "key": "/archive/4.png",
        "predicted": ["eel"],
        "label": "cat",
        "score": 0.9,
    }
    (prediction,) = first["predictions"]
    (result,) = prediction["result"]
    assert prediction["score"] == 0.9
    assert prediction["model_version"].startswith("nightscore c0ffee")
    assert result["id"] != second["predictions"][0]["result"][0]["id"]
    interface = ElementTree.fromstring((tmp_path / "t.xml").read_text())
    image, choices = interface.findall("*")
    assert (image.tag, image.get("name"), image.get("value")) == ("Image", result["to_name"], "$image")
    assert (choices.tag, choices.get("name"), choices.get("toName")) == ("Choices", result["from_name"], "image")
    assert [choice.get("value") for choice in choices] == list(NAMES)
    assert (result["type"], result["value"]) == ("choices", {"choices": ["eel"]})
    assert (written.tasks, written.document_root, written.elsewhere) == (2, "/", 0)


def test_tasks_of_labels_have_several_choices(tmp_path: Path) -> None:
    rows = night(tmp_path / "night", labels=True)
    label_studio.write_tasks(rows, str(tmp_path / "t.json"), Links.of_base(rows.run, "https://host"), 1)
    (task,) = json.loads((tmp_path / "t.json").read_text())
    assert task["data"]["image"] == "https://host/1.png"
    assert task["predictions"][0]["result"][0]["value"] == {"choices": ["cat", "dog"]}
    assert task["data"]["label"] == ["cat"]
    assert 'choice="multiple"' in (tmp_path / "t.xml").read_text()


def test_images_in_archives_have_no_address(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(tar(FILES))
    write_archive_output(tmp_path / "night", tmp_path / "x.tar")
    rows = DecidedRows.of(str(tmp_path / "night"))
    with pytest.raises(UsageError, match=r"--label_studio: images in archives and tables \(tar\)"):
        label_studio.check(rows)
    assert coco.write_coco(rows, str(tmp_path / "coco.json"), Links.of_base(rows.run, "https://h")).no_files == len(
        FILES
    )
    image = json.loads((tmp_path / "coco.json").read_text())["images"][0]
    assert "coco_url" not in image
    assert image["file_name"].startswith(f"{tmp_path}/x.tar!site ")


def test_file_names_of_coco_are_those_on_disk(tmp_path: Path) -> None:
    archive = write_folder(tmp_path / "100% %41")
    write_archive_output(tmp_path / "night", archive)
    coco.write_coco(DecidedRows.of(str(tmp_path / "night")), str(tmp_path / "coco.json"), None)
    found = json.loads((tmp_path / "coco.json").read_text())
    assert {image["file_name"] for image in found["images"]} == {str(archive / name) for name in FILES}


@pytest.mark.parametrize(
    ("place", "key", "address"),
    [
        ("/a/", "/a/b/ü#1.png", "https://h/b/%C3%BC%231.png"),
        ("/a/", "/b/1.png", None),
        ("/a/", "/a/%2541.png", "https://h/%2541.png"),
        ("gs://b/p/", "gs://b/p/x/1.png", "https://h/x/1.png"),
    ],
)
def test_address_in_place_of_the_input(place: str, key: str, address: str | None) -> None:
    assert Links(place, "https://h").of(key) == address


def test_addresses_that_label_studio_opens() -> None:
    served = Links("/data/", label_studio.LOCAL_FILES)
    assert served.of_anywhere("/data/photos/1 2.png") == "/data/local-files/?d=photos/1%202.png"
    assert served.of_anywhere("gs://b/1 2.png") == "gs://b/1 2.png"
    assert served.of_anywhere("az://c/1.png") == "azure-blob://c/1.png"
    assert Links("az://c/", "https://h").of_anywhere("az://c/1.png") == "https://h/1.png"


def test_folder_of_all_inputs(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("file_name\n1.png\n")
    assert place_of([str(tmp_path / "list.csv")]) == f"{tmp_path}/"
    assert place_of(["/a/b/*.png", "/a/c"]) == "/a/"
    assert place_of(["/ab/x", "/ac/x"]) == "/"
