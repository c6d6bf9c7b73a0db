"""An OUTPUT as an object: its figures, its rows, and what a notebook shows of it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from conftest import SCHEMA, MakeRun, WriteImages, rows_of
from parsed_page import ParsedPage

import nightscore
from model_training.data.datasets import RawImages
from nightscore import Night, UnfinishedError, UsageError, Verdict
from pipeline import storage
from pipeline.output.stored_rows import StoredRows
from pipeline.scoring.prepare import prepare

HOSTILE = 'a"<script>&'


@pytest.fixture(scope="module")
def night(tiny_model: str, digits: RawImages, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """What `score` returned for 150 digits and a broken image, in folders whose names are HTML."""
    folder = tmp_path_factory.mktemp("night")
    for i in range(150):
        path = folder / HOSTILE / str(digits.labels[i]) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(digits.encoded((i + 1) if i % 10 == 0 else i))  # some lie in another class's folder
    (folder / HOSTILE / "0" / "broken.png").write_bytes(b"no image")
    output = folder / "<b>night%41<b>"
    return nightscore.score([folder / HOSTILE], tiny_model, output, unit_images=32, max_failed_fraction=0.5)


def test_figures_are_those_of_the_files(night: Night) -> None:
    output = Path(night.output)
    assert night.verdict == Verdict(0)
    assert night.exit_code == 0
    assert night.is_complete
    assert night.record == json.loads((output / "run.json").read_text())
    assert night.summary == json.loads((output / "summary.json").read_text())
    assert night.report == str(output / "report.html")
    assert repr(night) == f"<Night '{output}': 151 images, exit code 0>"
    opened = nightscore.open_night(output)
    assert opened.record == night.record
    assert (opened.status().state, opened.verify().findings) == ("finished", [])


def test_rows_are_those_of_the_table(night: Night) -> None:
    rows = night.rows()
    assert rows.schema == SCHEMA
    assert rows.to_pylist() == rows_of(night.output)
    batches = list(night.batches(["key", "score"]))
    assert len(batches) > 1
    assert pa.Table.from_batches(batches).equals(rows.select(["key", "score"]))
    frame = night.to_pandas(["key", "status"])
    assert isinstance(frame, pd.DataFrame)
    assert (frame["status"] == "failed").sum() == 1


def test_column_that_is_none_is_refused(night: Night) -> None:
    with pytest.raises(UsageError, match="there is no column 'keys': choose from key, label, "):
        night.rows(["keys"])


def test_rows_that_another_run_removed_are_told(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(location: str) -> bytes:
        raise FileNotFoundError(location)

    units = night._units()
    monkeypatch.setattr(StoredRows, "units", lambda self: units)
    monkeypatch.setattr(storage, "read", gone)
    with pytest.raises(nightscore.ChangedError, match="read it again"):
        next(iter(night.batches()))


def test_notebook_shows_verdict_figures_classes_and_report(night: Night) -> None:
    text = night._repr_html_()
    assert "<script" not in text
    assert "<b>night" not in text
    page = ParsedPage(text)
    assert "All good" in page.text
    assert f"{night.output}/report.html" in page.text
    assert "151 in " in page.text
    assert f"{night.summary['accuracy']:.4f} (95 % interval" in page.text
    assert "Worst classes" in page.text
    assert text.count('<img src="data:image/') >= 3
    assert "taken for" in text
    assert 'href="file:///' in text


def test_night_that_the_canary_stopped_has_its_verdict(tiny_model: str, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for i in range(20):
        (tmp_path / "photos" / f"{i}.png").write_bytes(b"no image")
    night = nightscore.score(tmp_path / "photos", tiny_model, tmp_path / "night")
    assert night.exit_code == 3
    assert night.verdict is not None
    assert night.verdict.reasons[0].startswith("20 of the 20 images that were tried first failed")
    assert not night.verdict.is_good
    for ask in (lambda: night.summary, lambda: night.report):
        with pytest.raises(UnfinishedError, match="is not complete"):
            ask()
    assert night.rows().schema == SCHEMA
    assert len(night.rows()) == 0
    assert "Exit code 3: 20 of the 20" in night._repr_html_()


def test_night_that_is_under_way_is_shown(make_run: MakeRun, write_images: WriteImages) -> None:
    run = prepare(make_run(write_images(20)).options)
    night = nightscore.open_night(run.output)
    assert (night.verdict, night.exit_code, len(night.rows())) == (None, None, 0)
    assert "The run has not ended" in night._repr_html_()
    assert repr(night) == f"<Night '{run.output}': not ended>"


def test_what_is_no_output_is_refused_in_one_line(tmp_path: Path, tiny_model: str, write_images: WriteImages) -> None:
    for location in (tmp_path, tmp_path / "none", "ftp://bucket/night"):
        with pytest.raises(UsageError) as caught:
            nightscore.open_night(location)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="unknown argument '--nonsense'"):
        nightscore.score(write_images(3), tiny_model, tmp_path / "night", beam_args=["--nonsense"])
    with pytest.raises(UsageError, match="is a string: give a list of flags"):
        nightscore.score(write_images(3), tiny_model, tmp_path / "night", beam_args="--nonsense")
    with pytest.raises(UsageError, match="--top_k 0 is too small"):
        nightscore.score(write_images(3), tiny_model, tmp_path / "night", top_k=0)
    assert not (tmp_path / "night").exists()


@pytest.mark.heavy
def test_output_in_a_bucket_is_the_same(
    night: Night, tiny_model: str, write_images: WriteImages, gcs_bucket: str
) -> None:
    there = nightscore.score(write_images(12), tiny_model, f"{gcs_bucket}/night", unit_images=4)
    opened = nightscore.open_night(f"{gcs_bucket}/night/")
    assert opened.output == f"{gcs_bucket}/night"
    assert opened.summary["images"] == len(opened.rows()) == 12
    assert opened.report == f"{gcs_bucket}/night/report.html"
    text = opened._repr_html_()
    assert "<a " not in text
    assert opened.report in text
    assert there.record == opened.record


def test_progress_is_shown_if_it_is_asked_for(
    night: Night, tiny_model: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from pipeline.cli import terminal

    monkeypatch.setattr(terminal, "PLAIN_SECONDS", 0.001)
    inputs = [storage.location_of(one) for one in night.record["options"]["input"]]
    for progress in (False, True):
        nightscore.score(inputs, tiny_model, night.output, unit_images=32, max_failed_fraction=0.5, progress=progress)
        out, err = capfd.readouterr()
        assert out == ""
        assert bool(err) == progress


def test_review_is_what_lies_there_or_one_line(night: Night) -> None:
    assert night.review["acceptance"]["rows"][0]["images"] == night.summary["scored"]
    location = Path(night.output) / "review.json"
    moved = location.rename(location.with_suffix(".moved"))
    try:
        with pytest.raises(nightscore.UsageError, match=r"'nightscore report .*' makes it"):
            nightscore.open_night(night.output).review  # noqa: B018
    finally:
        moved.rename(location)
