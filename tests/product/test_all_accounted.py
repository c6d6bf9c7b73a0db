"""Listed = scored + failed + left out, also inside compressed archives: the command, a second time, and by Beam."""

from __future__ import annotations

import gzip
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from archives import tar
from conftest import rows_of

from model_training.data.datasets import RawImages
from pipeline.beam import job
from pipeline.cli import score, status
from pipeline.metrics.left_out import left_out
from pipeline.output.rebuild import rebuild
from pipeline.output.verify import verify
from pipeline.scoring.prepare import prepare
from pipeline.sources.skipped import JUNK, LABELS, OTHER, pictures_beside

MASKS = pictures_beside("seg.png")


def samples(digits: RawImages, first: int) -> dict[str, bytes]:
    """Files of ten samples, one of them broken, and of what a desktop leaves."""
    files: dict[str, bytes] = {}
    for i in range(first, first + 10):
        files[f"{i:04d}.png"] = digits.encoded(i) if i != first + 3 else b"no image"
        files[f"{i:04d}.seg.png"] = digits.encoded(i)
        files[f"{i:04d}.cls"] = str(digits.labels[i]).encode()
    return files | {"._junk": b"j", "notes.txt": b"n"}


@pytest.fixture
def archive(digits: RawImages, tmp_path: Path) -> tuple[Path, int]:
    """A folder of archives, plain, compressed and one in another, and the number of files in them and beside."""
    folder = tmp_path / "archive"
    folder.mkdir()
    parts = [samples(digits, first) for first in (0, 10, 20, 30)]
    (folder / "a.tar").write_bytes(tar(parts[0]))
    (folder / "b.tar.gz").write_bytes(gzip.compress(tar(parts[1])))
    (folder / "c.tgz").write_bytes(gzip.compress(tar(parts[2])))
    with zipfile.ZipFile(folder / "d.zip", "w", zipfile.ZIP_DEFLATED) as outer:
        outer.writestr("in.tar", tar(parts[3]))
    (folder / "Thumbs.db").write_bytes(b"t")
    return folder, sum(map(len, parts)) + 1


COUNTS = {JUNK: 5, LABELS: 40, OTHER: 4, MASKS: 40}


def record_of(night: Path) -> Any:
    return json.loads((night / "run.json").read_text())


def check(night: Path, listed: int) -> None:
    """Check that each listed file is scored, failed or left out, by the record, the report and `verify`."""
    record = record_of(night)
    found = left_out(record)
    assert found.counts == COUNTS
    assert record["images"] + found.total == listed
    assert record["plan"]["skipped"] == {JUNK: 2, LABELS: 10, OTHER: 1, MASKS: 10}
    assert record["skipped_inside"] == {JUNK: 3, LABELS: 30, OTHER: 3, MASKS: 30}
    assert record["skipped_inside_examples"][OTHER].endswith("archive/b.tar.gz!notes.txt")
    assert len(rows_of(night)) == record["images"] == 40
    assert record["failed"] == 4
    assert f"skipped: {OTHER}" in (night / "report.html").read_text()
    assert "4 files of the inputs" in (night / "report.html").read_text()
    assert verify(str(night)).findings == []


def check_shown(text: str) -> None:
    """Check that each reason is told with how many files it left out, and with one of them."""
    for reason, n in COUNTS.items():
        assert re.search(rf"{re.escape(reason.partition(':')[0])}: {n} \(.+\)", text), reason


@pytest.mark.heavy
@pytest.mark.parametrize("more", [(), ("--runner", "DirectRunner")])
def test_a_run_and_the_one_that_finds_all_done_name_what_was_left_out(
    archive: tuple[Path, int],
    tiny_model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
) -> None:
    (folder, listed), night = archive, tmp_path / "night"
    flags = ["--input", str(folder), "--model", tiny_model, "--output", str(night), "--max_failed_fraction", "0.5"]
    for kept in (0, 40):
        assert score.main([*flags, *more]) == 0
        assert record_of(night)["kept"] == kept
        check(night, listed)
        check_shown(capsys.readouterr().out)
    assert status.main([str(night)]) == 0
    check_shown(capsys.readouterr().out)
    assert status.main([str(night), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == COUNTS
    rebuild(str(night))
    check(night, listed)


@pytest.mark.heavy
def test_a_run_that_lost_units_counts_those_that_it_keeps_and_those_that_it_scores_again(
    archive: tuple[Path, int], tiny_model: str, tmp_path: Path
) -> None:
    (folder, listed), night = archive, tmp_path / "night"
    flags = ["--input", str(folder), "--model", tiny_model, "--output", str(night), "--max_failed_fraction", "0.5"]
    assert score.main(flags) == 0
    receipt = next(path for path in sorted((night / "receipts").iterdir()) if "skipped" in path.read_text())
    (night / "predictions" / f"part-{receipt.stem}.parquet").unlink()
    assert score.main(flags) == 0
    assert 0 < record_of(night)["kept"] < 40
    check(night, listed)


@pytest.mark.heavy
def test_a_receipt_that_is_made_anew_from_its_part_has_none(
    archive: tuple[Path, int], tiny_model: str, tmp_path: Path
) -> None:
    (folder, _), night = archive, tmp_path / "night"
    flags = ["--input", str(folder), "--model", tiny_model, "--output", str(night), "--max_failed_fraction", "0.5"]
    assert score.main(flags) == 0
    for receipt in (night / "receipts").iterdir():
        receipt.unlink()
    assert score.main(flags) == 0
    record = record_of(night)
    assert (record["kept"], record["skipped_inside"], record["skipped_inside_examples"]) == (40, {}, {})
    assert verify(str(night)).findings == []


@pytest.mark.heavy
def test_counters_of_a_job_count_what_was_left_out_once(
    archive: tuple[Path, int], tiny_model: str, tmp_path: Path
) -> None:
    flags = ["--input", str(archive[0]), "--model", tiny_model, "--output", str(tmp_path / "night")]
    asked = job.parse([*flags, "--max_failed_fraction", "0.5"])
    found = job.start(asked, prepare(asked.options)).metrics().query()
    counts = [one.committed for one in found["counters"] if one.key.metric.name == "skipped_objects"]
    assert sum(counts) == sum(COUNTS.values())
