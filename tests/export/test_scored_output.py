"""A real night, scored and exported: what lies in folders and tables is what a naive loop over the rows says."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from conftest import WriteImages, rows_of

from pipeline.cli import export, score


@pytest.mark.heavy
def test_images_and_tables_of_a_scored_archive(tiny_model: str, write_images: WriteImages, tmp_path: Path) -> None:
    archive = write_images(150, "photos")
    (archive / "3" / "brökén file.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    night, least = str(tmp_path / "night"), 0.9
    flags = ["--input", str(archive), "--model", tiny_model, "--output", night, "--max_failed_fraction", "0.5"]
    assert score.main([*flags, "--unit_images", "20", "--accept_score", str(least), "--quiet"]) == 0
    words = ["--csv", str(tmp_path / "rows.csv"), "--sort_into", str(tmp_path / "sorted"), "--by", "accepted"]
    assert export.main([night, *words]) == 0
    expected = {}
    for row in rows_of(night):
        path = Path(row["key"])
        name = f"{path.parent.name}__{path.name}"
        verdict = "accepted" if row["status"] == "ok" and row["score"] >= least else "review"
        folder = f"{verdict}/{row['predicted_name']}" if row["status"] == "ok" else "failed"
        expected[f"{folder}/{name}"] = path.read_bytes()
    found = {p.relative_to(tmp_path / "sorted"): p for p in (tmp_path / "sorted").rglob("*") if p.is_file()}
    assert {str(name): p.read_bytes() for name, p in found.items() if name.parts[0] != ".nightscore"} == expected
    assert {name.split("/")[0] for name in expected} == {"accepted", "review", "failed"}
    table = pd.read_csv(tmp_path / "rows.csv")
    assert table.accepted.sum() == sum(name.startswith("accepted/") for name in expected)
    assert table.key.tolist() == [row["key"] for row in rows_of(night)]
    assert export.main([night, "--sort_into", str(tmp_path / "sorted"), "--by", "accepted"]) == 0
