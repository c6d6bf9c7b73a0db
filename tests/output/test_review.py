"""The review of a result: files, decisions and figures, from given rows."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from written_output import MODEL_ID, class_row, failed_row, write_output

from pipeline import storage
from pipeline.model.input_rule import InputSpec
from pipeline.model.pixel_hash import rule_id
from pipeline.model.trained_on import FOLDER, TrainedOn
from pipeline.output.rebuild import rebuild
from pipeline.output.verify import verify
from pipeline.task import Embedding

NAMES = ("cat", "dog")


def units(wrong: int = 2) -> list[list[Any]]:
    """Return 200 images in two units: `wrong` of the first are labelled cat and surely dogs; two pairs are copies."""
    rows = [
        class_row(
            f"/archive/{i:03d}.png",
            [0.05, 0.95] if i < wrong or i % 2 else [0.9 + i % 7 / 100, 0.1 - i % 7 / 100],
            NAMES,
            "dog" if i % 2 and i >= wrong else "cat",
            pixel_hash=f"{7 if i in (0, 101) else 8 if i in (50, 52) else 1000 + i:016x}",
        )
        for i in range(199)
    ]
    return [[*rows[:100], failed_row("/archive/broken.png")], rows[100:]]


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


def lines(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_review_names_wrong_labels_and_copies(tmp_path: Path, form: str) -> None:
    write_output(tmp_path, units(), NAMES, format=form)
    review = read(tmp_path, "review.json")
    errors, copies = review["label_errors"], review["duplicates"]
    assert (errors["labelled"], errors["seen"], errors["suspects"], errors["listed"]) == (199, None, 2, 2)
    assert errors["trust"] == "training unknown"
    low, high = errors["estimate_interval_95"]
    assert low < errors["estimate"] < high
    found = lines(tmp_path, "label_errors.csv")
    assert {(one["key"], one["label_name"], one["suggested_name"]) for one in found} == {
        ("/archive/000.png", "cat", "dog"),
        ("/archive/001.png", "cat", "dog"),
    }
    assert [one["key"] for one in errors["first"]] == [one["key"] for one in found]
    assert (copies["hashed"], copies["groups"], copies["images"], copies["conflicts"]) == (199, 2, 4, 1)
    assert [(one["group"], one["labels_differ"], one["key"]) for one in lines(tmp_path, "duplicates.csv")] == [
        ("1", "true", "/archive/000.png"),
        ("1", "true", "/archive/101.png"),
        ("2", "false", "/archive/050.png"),
        ("2", "false", "/archive/052.png"),
    ]
    assert copies["first"][0]["is_conflict"]
    assert {one["label_name"] for one in copies["first"][0]["first"]} == {"cat", "dog"}


def decisions(folder: Path) -> dict[str, bool | None]:
    parts = [pq.read_table(path).to_pylist() for path in sorted((folder / "decisions").iterdir())]
    return {row["key"]: row["accepted"] for part in parts for row in part}


def test_decisions_follow_the_score_and_cost_no_new_part(tmp_path: Path) -> None:
    run = write_output(tmp_path, units(), NAMES, accept_score=0.93, max_failed_fraction=1.0)
    made = decisions(tmp_path)
    rows = {row["key"]: row for part in units() for row in part}
    assert made.keys() == rows.keys()
    assert made["/archive/broken.png"] is None
    assert all(made[key] == (row["score"] >= 0.93) for key, row in rows.items() if row["status"] == "ok")
    accepted = read(tmp_path, "run.json")["accepted"]
    assert accepted == read(tmp_path, "review.json")["accepted"]
    assert accepted["images"] == sum(one is True for one in made.values())
    assert accepted["images"] + accepted["left"] == 199
    parts = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "predictions").iterdir()}
    again = write_output(tmp_path, units(), NAMES, accept_score=0.5, run_id="20260102T000000-run")
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "predictions").iterdir()} == parts
    assert all(one is not False for one in decisions(tmp_path).values())
    assert run.part("x") == again.part("x")
    write_output(tmp_path, units(), NAMES, run_id="20260103T000000-run")
    assert not list((tmp_path / "decisions").iterdir()), "nobody wants to accept any more"
    assert read(tmp_path, "run.json")["decisions_removed"] is True
    assert "accepted" not in read(tmp_path, "run.json")


def test_run_that_dies_among_its_decisions_leaves_none_that_another_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_output(tmp_path, units(), NAMES, accept_score=0.5, max_failed_fraction=1.0)
    whole = decisions(tmp_path)
    replace, written = storage.replace, []

    def dying(location: str, data: bytes) -> None:
        if "/decisions/" in location:
            written.append(location)
            if len(written) == 2:
                raise KeyboardInterrupt
        replace(location, data)

    monkeypatch.setattr(storage, "replace", dying)
    with pytest.raises(KeyboardInterrupt):
        write_output(tmp_path, units(), NAMES, accept_score=0.94, max_failed_fraction=1.0, run_id="20260102T000000-run")
    monkeypatch.setattr(storage, "replace", replace)
    assert decisions(tmp_path) != whole
    write_output(tmp_path, units(), NAMES, accept_score=0.5, max_failed_fraction=1.0, run_id="20260103T000000-run")
    assert decisions(tmp_path) == whole


def test_verify_notices_a_review_of_other_parts_and_wrong_decisions(tmp_path: Path) -> None:
    write_output(tmp_path, units(), NAMES, accept_score=0.93, max_failed_fraction=1.0)
    assert verify(str(tmp_path)).findings == []
    first, second = sorted((tmp_path / "decisions").iterdir())
    table = pq.read_table(first)
    pq.write_table(table.set_column(1, table.schema.field(1), [[True] * len(table)]), first)
    second.unlink()
    review = read(tmp_path, "review.json")
    (tmp_path / "review.json").write_text(json.dumps({**review, "of": "1 0"}))
    assert {(one.kind, one.location) for one in verify(str(tmp_path)).findings} == {
        ("decision_wrong", str(first)),
        ("decision_missing", str(second)),
        ("review_wrong", str(tmp_path / "review.json")),
    }
    first.unlink()
    write_output(tmp_path, units(), NAMES, accept_score=0.93, max_failed_fraction=1.0, run_id="20260102T000000-run")
    assert verify(str(tmp_path)).findings == [], "the same run again mends all of it"


def test_wanted_accuracy_finds_a_score_or_fails_the_run(tmp_path: Path) -> None:
    write_output(tmp_path / "good", units(0), NAMES, accept_accuracy=0.9, max_failed_fraction=1.0)
    record = read(tmp_path / "good", "run.json")
    assert record["verdict"]["exit_code"] == 0
    assert (record["accepted"]["score"], record["accepted"]["images"]) == (0.0, 199)
    write_output(tmp_path / "bad", units(40), NAMES, accept_accuracy=0.99, max_failed_fraction=1.0)
    record = read(tmp_path / "bad", "run.json")
    assert record["verdict"]["exit_code"] == 4
    assert record["verdict"]["reasons"] == [
        "--accept_accuracy 0.99 cannot be met: 199 labelled images are too few, it takes at least 381"
    ]
    write_output(tmp_path / "bad", units(40), NAMES, accept_accuracy=0.95, max_failed_fraction=1.0, run_id="2027-run")
    assert read(tmp_path / "bad", "run.json")["verdict"]["reasons"] == [
        "--accept_accuracy 0.95 cannot be met: no score has that accuracy on the labelled images with 95 % confidence; "
        "the most is 0.7411, from score 0.96 on"
    ]
    assert set(decisions(tmp_path / "bad").values()) == {False, None}
    write_output(tmp_path / "none", [[class_row("/archive/a.png", [0.9, 0.1], NAMES)]], NAMES, accept_accuracy=0.9)
    assert read(tmp_path / "none", "run.json")["verdict"]["reasons"] == [
        "--accept_accuracy 0.9 cannot be checked: no scored image has a label of the model's classes"
    ]


def test_same_parts_keep_their_review_and_others_get_a_new_one(tmp_path: Path) -> None:
    write_output(tmp_path, units(), NAMES)
    marked = {**read(tmp_path, "review.json"), "mark": 1}
    (tmp_path / "review.json").write_text(json.dumps(marked))
    write_output(tmp_path, units(), NAMES, run_id="20260102T000000-run")
    assert read(tmp_path, "review.json") == marked
    rebuild(str(tmp_path))
    assert read(tmp_path, "review.json") == marked
    (tmp_path / "label_errors.csv").unlink()
    rebuild(str(tmp_path))
    assert "mark" not in read(tmp_path, "review.json")
    assert len(lines(tmp_path, "label_errors.csv")) == 2
    write_output(tmp_path, units()[1:], NAMES, run_id="20260103T000000-run")
    assert read(tmp_path, "review.json")["label_errors"]["suspects"] == 0
    assert not (tmp_path / "label_errors.csv").exists()
    assert not (tmp_path / "duplicates.csv").exists() or lines(tmp_path, "duplicates.csv")


def test_rows_without_hashes_or_labels_have_a_review(tmp_path: Path) -> None:
    rows = [class_row(f"/archive/{i}.png", [0.3, 0.7], NAMES) for i in range(5)]
    write_output(tmp_path, [rows], NAMES)
    review = read(tmp_path, "review.json")
    assert "label_errors" not in review
    assert "curves" not in review
    assert review["duplicates"]["hashed"] == 0
    assert review["acceptance"]["rows"][70]["images"] == 5
    assert review["acceptance"]["rows"][71]["images"] == 0


def trained_on(folder: Path, hashes: list[int]) -> str:
    """Write what a model directory keeps of the pixels that the model learned from; return the directory."""
    trained = TrainedOn.of({"train": np.array(hashes, np.uint64)}, rule_id(InputSpec(28, 28, "grayscale")), MODEL_ID)
    place = folder / "training" / FOLDER
    place.mkdir(parents=True)
    for name, data in trained.files().items():
        (place / name).write_bytes(data)
    return str(folder)


def test_images_of_the_training_are_counted_apart(tmp_path: Path) -> None:
    model = trained_on(tmp_path / "model", [1000 + i for i in range(2, 100)])
    write_output(tmp_path / "night", units(), NAMES, model=model)
    review = read(tmp_path / "night", "review.json")
    assert "training_unknown" not in review
    unseen = review["unseen"]
    assert unseen == read(tmp_path / "night", "run.json")["unseen"]
    assert (unseen["seen"], unseen["images"], unseen["labelled"], unseen["seen_labelled"]) == (96, 103, 103, 96)
    assert unseen["seen_headline"] == 1.0
    assert unseen["headline"] == pytest.approx(101 / 103)
    errors = review["label_errors"]
    assert (errors["labelled"], errors["seen"], errors["suspects"]) == (103, 96, 2)
    assert errors["trust"] == "trained on these"
    assert review["acceptance"]["seen"] == 96
    assert review["acceptance"]["rows"][0]["labelled"] == 103, "the others prove nothing"
    assert review["acceptance"]["rows"][0]["images"] == 199
    page = (tmp_path / "night" / "report.html").read_text()
    assert "those with no exact copy in training" in page
    before = (tmp_path / "night" / "review.json").read_bytes()
    shutil.rmtree(model)
    rebuild(str(tmp_path / "night"))
    assert (tmp_path / "night" / "review.json").read_bytes() == before, "a model that is gone takes nothing back"


def test_training_by_another_rule_or_of_another_model_is_not_known(tmp_path: Path) -> None:
    model = trained_on(tmp_path / "model", [1002])
    write_output(tmp_path / "other", units(), NAMES, model=model, spec={"model_id": "0" * 64})
    assert "does not tell" in read(tmp_path / "other", "review.json")["training_unknown"]
    write_output(tmp_path / "white", units(), NAMES, model=model, background="white")
    review = read(tmp_path / "white", "review.json")
    assert "decoded otherwise" in review["training_unknown"]
    assert "unseen" not in review
    assert review["label_errors"]["trust"] == "training unknown"


def test_other_tasks_have_what_applies_to_them(tmp_path: Path) -> None:
    value = {"key": "/archive/a", "label_value": 1.0, "predicted_value": 2.0, "status": "ok", "pixel_hash": "0" * 16}
    copy = {**value, "key": "/archive/b", "label_value": 3.0}
    write_output(tmp_path / "value", [[value, copy]], spec={"task": "value", "value_unit": 2.0**-10})
    review = read(tmp_path / "value", "review.json")
    assert review.keys() == {"of", "model", "duplicates", "odd", "training_unknown"}
    assert review["duplicates"]["conflicts"] == 1
    top = [{"label": 0, "name": "cat", "score": 0.9}, {"label": 1, "name": "dog", "score": 0.2}]
    row = {"key": "/archive/a", "label_names": ["cat"], "predicted_names": ["cat"], "top_k": top, "status": "ok"}
    write_output(tmp_path / "labels", [[row]], NAMES, spec={"task": "labels"})
    review = read(tmp_path / "labels", "review.json")
    assert [curve["class"] for curve in review["curves"]["classes"]] == ["cat"]


def test_images_that_look_alike_and_odd_ones_are_told(tmp_path: Path) -> None:
    def row(name: str, look: int, label: str, **more: Any) -> Any:
        facts = {"perceptual_hash": f"{look:016x}", "brightness": 0.5, "contrast": 0.2, "entropy": 6.0, **more}
        return class_row(
            f"/archive/{name}", [0.9, 0.1], NAMES, label, pixel_hash=name.encode().hex()[:16].rjust(16, "0"), **facts
        )

    rows = [row(f"{i}.png", 0x1234_5678 << i, "cat", width=100, height=100) for i in range(30)]
    rows += [
        row("a.png", 0xFF, "cat", width=100, height=100),
        row("b.png", 0xFE, "dog", width=100, height=100),
        row("blank 1.png", 0, "cat", contrast=0.0, width=100, height=100),
        row("blank 2.png", 0, "cat", contrast=0.0, width=100, height=100),
        row("long.png", 0xFFFF << 48, "cat", width=1000, height=10),
    ]
    write_output(tmp_path, [rows[:20], rows[20:]], NAMES, pixel_facts=True)
    review = read(tmp_path, "review.json")
    near = review["near_duplicates"]
    assert (near["groups"], near["images"], near["conflicts"], near["distance"], near["is_complete"]) == (
        1,
        2,
        1,
        2,
        True,
    )
    assert near["hashed"] == 33, "what is of one color looks like nothing"
    assert [one["key"] for one in lines(tmp_path, "near_duplicates.csv")] == ["/archive/a.png", "/archive/b.png"]
    odd = {one["kind"]: (one["images"], one["examples"]) for one in review["odd"]}
    assert odd["odd_aspect"] == (1, ["/archive/long.png"])
    assert odd["blank"] == (2, ["/archive/blank 1.png", "/archive/blank 2.png"])
    assert odd["dark"][0] == odd["odd_size"][0] == 0
    page = (tmp_path / "report.html").read_text()
    assert "Images that look alike" in page
    assert "Odd images" in page
    write_output(tmp_path, [rows[:20]], NAMES, pixel_facts=True, run_id="20260102T000000-run")
    assert not (tmp_path / "near_duplicates.csv").exists()


def test_embeddings_of_a_sample_tell_of_drift_and_of_images_unlike_the_others(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    spec = {"task": "embedding", "embedding": Embedding(3)}

    def unit(name: str, shift: float) -> list[Any]:
        vectors = chance.normal(shift, 1.0, (60, 3)).astype(np.float32)
        vectors[7] += 40
        rows = [
            {"key": f"/archive/{name}{i}.png", "embedding": vector.tolist(), "status": "ok"}
            for i, vector in enumerate(vectors)
        ]
        return [*rows, failed_row(f"/archive/{name}broken.png")]

    write_output(tmp_path, [unit("a", 0), unit("b", 0)], spec=spec, max_failed_fraction=1.0)
    first = read(tmp_path, "review.json")["embeddings"]
    assert first["facts"]["images"] == 120
    assert first["from_before"] is None
    assert set(first["unlike"][:2]) == {"/archive/a7.png", "/archive/b7.png"}
    write_output(tmp_path, [unit("c", 50)], spec=spec, max_failed_fraction=1.0, run_id="20260102T000000-run")
    second = read(tmp_path, "review.json")["embeddings"]
    assert second["from_before"] > 3
    page = (tmp_path / "report.html").read_text()
    assert "The embeddings lie elsewhere than in the run before" in page
    assert "Images unlike the others" in page
    rebuild(str(tmp_path))
    assert read(tmp_path, "review.json")["embeddings"] == second


def test_a_part_that_is_damaged_while_the_run_ends_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.output import review as module

    def gone(*_: object) -> None:
        from pipeline.errors import ChangedError

        raise ChangedError("rows are gone")

    monkeypatch.setattr(module, "rows_of", gone)
    write_output(tmp_path, units(), NAMES)
    record = read(tmp_path, "run.json")
    assert record["verdict"]["exit_code"] == 3
    assert "rows are gone" in record["verdict"]["reasons"][0]
    assert not (tmp_path / "report.html").exists()
