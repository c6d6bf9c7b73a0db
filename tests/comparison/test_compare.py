"""Two OUTPUTs beside each other: as a loop over dictionaries compares them, by their laws, and what is refused."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written_output import Row, class_row, failed_row, write_output

from pipeline.comparison.compare import compare
from pipeline.comparison.verdict import Limits
from pipeline.errors import UnfinishedError, UsageError
from pipeline.metrics.comparison_figures import Comparison
from pipeline.metrics.paired import holm, mcnemar

NAMES = ("cat", "dog", "eel")


def random_rows(seed: int, n: int, accuracy: float, names: Sequence[str] = NAMES) -> list[Row]:
    """Return rows of images 0 to n: some fail, some are not labelled, some have a label that is no class."""
    chance = random.Random(seed)
    rows: list[Row] = []
    for i in range(n):
        key, right = f"/archive/{i % 4}/{i}.png", names[i % len(names)]
        label = None if i % 11 == 0 else "cow" if i % 13 == 0 else right
        said = right if chance.random() < accuracy else chance.choice(names)
        best = chance.uniform(0.5, 0.99)
        scores = [best if name == said else (1 - best) / (len(names) - 1) for name in names]
        site = chance.choice(["north", "süd", None])
        failed = chance.random() < 0.05
        rows.append(
            {**failed_row(key), "label_name": label, "site": site}
            if failed
            else class_row(key, scores, names, label, site=site)
        )
    return rows


def in_units(rows: Sequence[Row], size: int = 25) -> list[Sequence[Row]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def write(folder: Path, rows: Sequence[Row], names: Sequence[str] = NAMES, **more: Any) -> str:
    site = {"columns": "site", "slice": "site"} if any("site" in row for row in rows) else {}
    write_output(folder, in_units(rows), names, **{**site, **more})
    return str(folder)


def naive(a: Sequence[Row], b: Sequence[Row]) -> dict[str, Any]:
    """Return what a loop over two dictionaries finds."""
    others = {row["key"]: row for row in b}
    found: dict[str, Any] = dict.fromkeys(
        ("shared", "scored", "changed", "labelled", "right_a", "right_b", "gained", "lost", "differ", "in_one"), 0
    )
    classes: dict[str, list[int]] = {}
    losses = [0.0, 0.0]
    for one in a:
        other = others.get(one["key"])
        if other is None:
            continue
        found["shared"] += 1
        own, theirs = one.get("label_name"), other.get("label_name")
        found["differ"] += own is not None and theirs is not None and own != theirs
        if one["status"] == "failed" or other["status"] == "failed":
            continue
        found["scored"] += 1
        found["changed"] += one["predicted_name"] != other["predicted_name"]
        found["in_one"] += (own is None) != (theirs is None)
        if own is None or own != theirs or one["label"] is None or other["label"] is None:
            continue
        found["labelled"] += 1
        right = [row["predicted_name"] == own for row in (one, other)]
        for place, row in enumerate((one, other)):
            losses[place] -= math.log(row["label_score"])
        found["right_a"] += right[0]
        found["right_b"] += right[1]
        found["gained"] += right[1] > right[0]
        found["lost"] += right[0] > right[1]
        sums = classes.setdefault(own, [0] * 5)
        for place, more in enumerate((True, right[0], right[1], right[1] > right[0], right[0] > right[1])):
            sums[place] += more
    return {**found, "classes": classes, "losses": losses}


def check(figures: Comparison, expected: Mapping[str, Any]) -> None:
    difference, n = figures["difference"], expected["labelled"]
    assert difference is not None
    assert figures["quality_a"] is not None
    assert figures["quality_b"] is not None
    assert {name: figures[name] for name in ("shared", "scored", "changed", "labelled")} == {  # type: ignore[literal-required]
        name: expected[name] for name in ("shared", "scored", "changed", "labelled")
    }
    assert (figures["labels_differ"], figures["labelled_in_one"]) == (expected["differ"], expected["in_one"])
    assert figures["quality_a"]["value"] == expected["right_a"] / n
    assert figures["quality_b"]["value"] == expected["right_b"] / n
    for quality, loss in zip((figures["quality_a"], figures["quality_b"]), expected["losses"], strict=True):
        assert quality["log_loss"] == pytest.approx(loss / n, abs=1e-6)
    assert (difference["gained"], difference["lost"]) == (expected["gained"], expected["lost"])
    assert difference["value"] == (expected["gained"] - expected["lost"]) / n
    assert difference["p"] == mcnemar(expected["lost"], expected["gained"])
    columns = ("images", "right_a", "right_b", "gained", "lost")
    found = {c["class"]: [c[name] for name in columns] for c in figures["classes"]}  # type: ignore[literal-required]
    assert found == expected["classes"]
    moved = [c for c in figures["classes"] if c["gained"] + c["lost"]]
    assert [c["p"] for c in moved] == holm([mcnemar(c["lost"], c["gained"]) for c in moved])


@pytest.mark.parametrize(("form", "seed"), [("parquet", 1), ("jsonl", 3)])
def test_figures_are_those_of_a_loop(tmp_path: Path, form: str, seed: int) -> None:
    a, b = random_rows(seed, 300, 0.7), random_rows(seed + 10, 280, 0.9)
    b[5] = class_row(b[5]["key"], [0.2, 0.7, 0.1], NAMES, "cat", site=None)  # its label is eel in A
    random.Random(seed).shuffle(b)
    figures = compare(write(tmp_path / "a", a, format=form), write(tmp_path / "b", b)).figures
    check(figures, naive(a, b))
    assert figures["labels_differ"] == 1
    assert figures["labels_differ_examples"] == [{"key": b_key(a, 5), "label_a": "eel", "label_b": "cat"}]
    assert figures["a"]["not_shared"] == 20
    assert figures["a"]["shared"] == 280 / 300
    assert set(figures["a"]["not_shared_examples"]) <= {row["key"] for row in a[280:]}
    for kind, own, values in (
        ("folders", {row["key"]: row["key"].rpartition("/")[0] for row in a}, figures["folders"]),
        ("site", site_of(a, b), figures["columns"][0]["values"]),
    ):
        shared = own.keys() & {row["key"] for row in b}
        assert {part["name"] for part in values} == {own[key] for key in shared}, kind
        for part in values:
            some = [row for row in a if own[row["key"]] == part["name"]]
            expected = naive(some, b)
            assert (part["images"], part["changed"]) == (expected["shared"], expected["changed"])
            assert part["a"] == expected["right_a"] / expected["labelled"]
            assert part["b"] == expected["right_b"] / expected["labelled"]


def b_key(rows: Sequence[Row], number: int) -> str:
    return str(rows[number]["key"])


def site_of(a: Sequence[Row], b: Sequence[Row]) -> dict[str, str | None]:
    """The value of A, or of B where A has none."""
    others = {row["key"]: row["site"] for row in b}
    return {row["key"]: row["site"] if row["site"] is not None else others.get(row["key"]) for row in a}


def mirrored(figures: Comparison) -> Comparison:
    """Return the figures of B and A, as they follow from those of A and B."""
    text = json.dumps(figures)
    swapped: Any = json.loads(text)
    for one, other in (
        ("a", "b"), ("quality_a", "quality_b"), ("failed_in_a", "failed_in_b"),
        ("failed_in_a_examples", "failed_in_b_examples"), ("right_to_wrong", "wrong_to_right"),
    ):  # fmt: skip
        swapped[one], swapped[other] = swapped[other], swapped[one]
    return swapped  # type: ignore[no-any-return]


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 60), st.integers(0, 60))
def test_laws(tmp_path_factory: pytest.TempPathFactory, seed: int, n: int, m: int) -> None:
    folder = tmp_path_factory.mktemp("laws")
    rows, others = random_rows(seed, n + 1, 0.6), random_rows(seed + 1, m + 1, 0.8)
    a, b = write(folder / "a", rows), write(folder / "b", others)
    same = compare(a, a, limits=Limits(max_flips=0.0) if any(r["status"] == "ok" for r in rows) else Limits()).figures
    assert same["exit_code"] == 0
    assert (same["changed"], same["agreement"] or 1.0, same["outcome"] in ("no_difference", "not_measured")) == (
        0,
        1.0,
        True,
    )
    assert same["right_to_wrong"] == same["wrong_to_right"] == same["other_changes"] == []
    there, back = compare(a, b).figures, compare(b, a).figures
    turned = mirrored(there)
    for name in ("a", "b", "quality_a", "quality_b", "failed_in_a", "failed_in_b", "shared", "changed", "labelled"):
        assert back[name] == turned[name], name  # type: ignore[literal-required]
    opposite = {"better": "worse", "worse": "better"}
    assert back["outcome"] == opposite.get(there["outcome"], there["outcome"])
    if there["difference"] is not None and back["difference"] is not None:
        assert back["difference"]["value"] == -there["difference"]["value"]
        assert back["difference"]["p"] == there["difference"]["p"]
        assert (back["difference"]["gained"], back["difference"]["lost"]) == (
            there["difference"]["lost"], there["difference"]["gained"],
        )  # fmt: skip
    lists = ("right_to_wrong", "wrong_to_right")
    for one, other in (lists, lists[::-1]):
        assert {image["key"] for image in back[one]} == {image["key"] for image in there[other]}  # type: ignore[literal-required]


def test_archive_that_has_moved_is_joined_by_name_or_by_pixels(tmp_path: Path) -> None:
    rows = [class_row(f"/old/archive/{i}.png", [0.8, 0.1, 0.1], NAMES, "cat", pixel_hash=f"{i:016x}") for i in range(9)]
    moved = [{**row, "key": row["key"].replace("/old/", "/new/place/")} for row in rows]
    renamed = [{**row, "key": f"/pool/{i}/x.png"} for i, row in enumerate(rows[:6])]
    copies = [{**row, "key": row["key"] + ".copy"} for row in moved[:3]]
    a = write(tmp_path / "a", rows, input_name="/old/archive")
    b = write(tmp_path / "b", [*moved, *copies], input_name="/new/place/archive")
    c = write(tmp_path / "c", renamed, input_name="/pool/*/x.png")
    with pytest.raises(UsageError, match=r"share no image by key: 9 images in A, 12 images in B; but 9 have .*name"):
        compare(a, b)
    with pytest.raises(UsageError, match="but 6 have the same pixels: give --join pixel_hash"):
        compare(a, c)
    by_name, by_pixels = compare(a, b, "name").figures, compare(a, b, "pixel_hash").figures
    assert (by_name["shared"], by_name["b"]["not_shared"]) == (9, 3)
    assert (by_pixels["shared"], by_pixels["b"]["not_shared"], by_pixels["b"]["doubled"]) == (9, 0, 3)
    assert by_pixels["remarks"][0] == "3 images of B that are copies of another one are left out: the first one counts"
    assert compare(a, c, "pixel_hash").figures["a"]["shared"] == 6 / 9


def test_names_that_are_shared_beside_keys_are_told(tmp_path: Path) -> None:
    rows = [class_row(f"/archive/{i}.png", [0.8, 0.1, 0.1], NAMES) for i in range(4)]
    a = write(tmp_path / "a", rows)
    b = write(
        tmp_path / "b", [*rows[:2], *({**row, "key": "/x" + row["key"]} for row in rows[2:])], input_name="/x/archive"
    )
    (remark,) = (one for one in compare(a, b).figures["remarks"] if "name" in one)
    assert remark.startswith("2 more have the same name in their input, as /archive/2.png and /x/archive/2.png")


def test_models_with_other_classes_are_compared_by_name(tmp_path: Path) -> None:
    a = [class_row(f"/archive/{i}.png", [0.8, 0.1, 0.1], NAMES, "cat") for i in range(6)]
    a += [class_row(f"/archive/{i}.png", [0.8, 0.1, 0.1], NAMES, "fox") for i in range(6, 8)]
    names = ("fox", "eel", "cat")
    b = [class_row(f"/archive/{i}.png", [0.1, 0.1, 0.8], names, "cat") for i in range(6)]
    b += [class_row(f"/archive/{i}.png", [0.8, 0.1, 0.1], names, "fox") for i in range(6, 8)]
    figures = compare(write(tmp_path / "a", a), write(tmp_path / "b", b, names)).figures
    assert (figures["a"]["classes_of_its_own"], figures["b"]["classes_of_its_own"]) == (["dog"], ["fox"])
    assert (figures["changed"], figures["labelled"], figures["label_known_to_one"]) == (2, 6, 2)
    assert figures["quality_a"] is not None
    assert figures["quality_a"]["value"] == 1.0


def test_pictures_come_from_the_receipts_of_both(tmp_path: Path) -> None:
    right, wrong = [0.9, 0.05, 0.05], [0.1, 0.8, 0.1]
    keys = [f"/archive/{i}.png" for i in range(60)]
    a = [class_row(key, [0.5, 0.3, 0.2] if key in keys[57:] else right, NAMES, "cat") for key in keys]
    b = [class_row(key, wrong, NAMES, "cat") for key in keys]
    write_output(tmp_path / "a", in_units(a), NAMES, thumbnails={keys[59]: b"of a", keys[58]: b"of a"})
    write_output(tmp_path / "b", in_units(b), NAMES, thumbnails={keys[58]: b"of b"})
    found = compare(str(tmp_path / "a"), str(tmp_path / "b"))
    assert found.pictures == {keys[58]: b"of b", keys[59]: b"of a"}
    assert {image["key"] for image in found.figures["right_to_wrong"][:2]} == {keys[58], keys[59]}
    assert len(found.figures["right_to_wrong"]) == 24


@pytest.mark.parametrize("other", ["jsonl", "parquet"])
def test_results_of_the_first_version_are_compared(other: str) -> None:
    old = Path(__file__).parents[1] / "fixtures" / "7c95bb3"
    a, b = str(old / "parquet"), str(old / other)
    figures = compare(a, b).figures
    summary = json.loads((old / "parquet" / "summary.json").read_text())
    assert figures["quality_a"] is not None
    assert (figures["shared"], figures["labelled"]) == (summary["images"], summary["labelled"])
    assert figures["quality_a"]["value"] == summary["accuracy"]
    assert figures["quality_a"]["log_loss"] == summary["log_loss"]
    assert figures["quality_a"]["calibration"] == summary["calibration"]
    with pytest.raises(UsageError, match="was made by a version that kept no pixel_hash"):
        compare(a, b, "pixel_hash")


def test_parts_of_the_archive_by_input(tmp_path: Path) -> None:
    places = ("/a/", "/t.tar!", "/a/b/")
    rows = [class_row(f"{place}{i}.png", [0.8, 0.1, 0.1], NAMES, "cat") for place in places for i in "123"]
    outputs = [write(tmp_path / name, rows) for name in "ab"]
    for output in outputs:
        for path in (Path(output, "run.json"), *Path(output, "runs").iterdir()):
            record = json.loads(path.read_text())
            record["options"]["input"] = ["/a", "/t.tar", "/none"]
            path.write_text(json.dumps(record))
    inputs = compare(outputs[0], outputs[1]).figures["inputs"]
    found = [(part["name"], part["images"], part["a"]) for part in inputs]
    assert found == [("/a", 6, 1.0), ("/t.tar", 3, 1.0), ("/none", 0, None)]


def test_damaged_part_is_one_line(tmp_path: Path) -> None:
    a = write(tmp_path / "a", random_rows(1, 10, 0.9))
    (part,) = (tmp_path / "a" / "predictions").iterdir()
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(UsageError, match=r"^a part of '.*' is damaged \(.*\): nightscore verify .* says more$"):
        compare(a, a)


def test_output_that_is_not_complete_is_compared_but_not_decided_by(tmp_path: Path) -> None:
    rows = random_rows(1, 100, 0.9)
    a, b = write(tmp_path / "a", rows), write(tmp_path / "b", rows)
    for name in ("run.json", *(path.relative_to(tmp_path / "b") for path in (tmp_path / "b" / "runs").iterdir())):
        path = tmp_path / "b" / name
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "complete": False}))
    next((tmp_path / "b" / "receipts").iterdir()).unlink()
    figures = compare(a, b).figures
    assert (figures["shared"], figures["b"]["complete"]) == (75, False)
    assert "B is not complete: it is compared as far as it has come, 75 images" in figures["remarks"]
    with pytest.raises(UnfinishedError, match=r"B .* is not complete, so --fail_if_worse and --max_flips cannot be"):
        compare(a, b, limits=Limits(fail_if_worse=True))


def test_what_cannot_be_compared_is_refused_in_one_line(tmp_path: Path) -> None:
    a = write(tmp_path / "a", random_rows(1, 10, 0.9))
    b = write(tmp_path / "b", [class_row(f"/else/{i}.jpg", [1.0, 0.0, 0.0], NAMES) for i in range(3)])
    empty = write(tmp_path / "empty", [])
    for one, other, text in (
        (
            a,
            b,
            r"^A and B share no image by key: 10 images in A, 3 images in B, as '/archive/0/0.png' and '/else/0.jpg'$",
        ),
        (a, empty, r"^B \('.*empty'\) has no rows( yet)?: nothing to compare$"),
        (empty, empty, r"^A \('.*empty'\) has no rows"),
        (a, str(tmp_path / "none"), "is not the OUTPUT of a run"),
    ):
        with pytest.raises(UsageError, match=text) as refused:
            compare(one, other)
        assert "\n" not in str(refused.value)
