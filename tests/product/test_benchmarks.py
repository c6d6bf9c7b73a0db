"""The benchmark package: its arithmetic, its files and its check that both sides do the same work. No times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from conftest import WriteImages
from PIL import Image

from benchmarks import archives, bare_processes, before, proc
from benchmarks.__main__ import README, RESULTS, main, measurements
from benchmarks.agreement import Agreement, agreement
from benchmarks.before import BEFORE
from benchmarks.commands import PEERS, ROOT, SCRIPTS
from benchmarks.comparison import Comparison, in_turn, load_results
from benchmarks.epochs import EPOCH_PEERS, compare_epochs
from benchmarks.limit import LIMIT
from benchmarks.processes import BenchmarkError, Run, run
from benchmarks.setting import Archive, Setting
from benchmarks.slow_store.workload import slow_store
from benchmarks.table import page, quoted, table
from benchmarks.throughput import check, our_command, peer_command
from benchmarks.workloads import DEFAULT, WORKLOADS
from model_training.data.datasets import RawImages
from pipeline.storage import gcs, gcs_client

MACHINE = {"cpu": "abacus", "cores": 2, "memory_bytes": 1 << 30, "versions": {"python": "3"}}


def took(wall: float, cpu: float = 1.0, peak: int = 10**9, exact: bool = True) -> Run:
    return Run(wall, cpu, 0.0, peak, 0.0, 0.25, exact)


def result(**changes: object) -> Comparison:
    given = {
        "workload": "toy",
        "against": "peer",
        "images": 600,
        "ours": [took(2.0), took(3.0), took(1.0)],
        "others": [took(4.0, 3.0), took(3.0, 2.0), took(4.0, 2.5, 2 * 10**9)],
        "facts": {"agreement": {"differing": 1}},
        "machine": MACHINE,
    }
    return Comparison(**{**given, **changes})  # type: ignore[arg-type]


def test_ratios_are_of_pairs_and_medians_of_ratios() -> None:
    found = result()
    assert found.ratios["wall"] == [2.0, 1.0, 4.0]
    assert found.medians["ratios"] == {"wall": 2.0, "cpu": 2.5, "peak_bytes": 1.0}
    assert found.medians["ours"]["wall"] == 2.0
    assert found.medians["others"]["images_per_second"] == 150.0


def test_runs_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="3 runs of ours and 1 of 'peer' are no pairs"):
        result(others=[took(1.0)])


def test_commands_run_in_turn() -> None:
    order: list[str] = []

    def named(name: str) -> Run:
        order.append(name)
        return took(len(order))

    ours, others = in_turn(lambda: named("a"), lambda: named("b"), 2)
    assert order == ["a", "b", "a", "b"]
    assert [r.wall for r in ours] == [1, 3]
    assert [r.wall for r in others] == [2, 4]


def test_json_gives_the_result_back(tmp_path: Path) -> None:
    for kept in (result(), result(workload="alone", against="", others=[])):
        path = kept.save(tmp_path)
        assert Comparison.from_json(path.read_text()) == kept
    assert [r.workload for r in load_results(tmp_path)] == ["alone", "toy"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["alone.json", "toy--peer.json"]
    old = json.loads((tmp_path / "alone.json").read_text())
    for row in old["ours"]:
        del row["parent"], row["exact"]
    assert [run.parent for run in Comparison.from_json(json.dumps(old)).ours] == [None] * 3
    content = json.loads((tmp_path / "toy--peer.json").read_text())
    assert content["medians"]["ratios"]["wall"] == 2.0
    assert [row["images_per_second"] for row in content["ours"]] == [300.0, 200.0, 600.0]


def test_table_has_a_row_for_each_result() -> None:
    head, rule, row, alone = table([result(), result(against="", others=[], facts={})]).splitlines()
    assert head.count("|") == rule.count("|") == row.count("|") == alone.count("|")
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:5] == ["toy", "600", "peer", "300", "150"]
    assert cells[5] == "**2.00** (1.00 to 4.00; 3)"
    assert cells[6] == "2.5 / 1.0 = 2.50 (2.00 to 3.00; 3)"
    assert cells[7:] == ["1,000 MB / 1,000 MB", "-", "-", "1"]
    assert "different machines" not in page([result(), result(workload="two")])
    assert "different machines" in page([result(), result(machine={**MACHINE, "cpu": "slide rule"})])


def test_table_tells_the_share_of_the_limit_the_parent_and_what_is_only_a_bound() -> None:
    def row(**changes: object) -> str:
        return table([result(**changes)]).splitlines()[2]

    assert "| 200% |" in row(against=LIMIT)
    assert "| 50% |" in row(facts={"limit": {"whole_process_images_per_second": 600.0}})
    assert "| 4.0 µs (3.00 to 9.00; 3) |" in row(facts={"parent": {"microseconds_an_image": [9.0, 3.0, 4.0]}})
    assert "| at most 1,000 MB / 1,000 MB |" in row(ours=[took(1.0), took(1.0, exact=False), took(1.0)])


def test_table_is_written_by_its_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result().save(tmp_path)
    assert main(["table", "--results", str(tmp_path), "--work", str(tmp_path)]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert "| toy | 600 |" in path.read_text()


def test_readme_and_page_show_the_results_that_are_kept() -> None:
    results = load_results(RESULTS)
    assert quoted(README.read_text(), results) == README.read_text()
    assert (RESULTS / "README.md").read_text() == page(results)
    with pytest.raises(ValueError, match="no place for the table"):
        quoted("# Toy", results)


def test_results_name_no_folder_of_a_machine() -> None:
    for path in RESULTS.iterdir():
        text = path.read_text()
        folders = ("/tmp/", "/root/", "/home/", str(Path(__file__).parents[2]))
        assert not [folder for folder in folders if folder in text], path


def rows(**changes: object) -> pa.Table:
    top = [
        [{"label": 1, "score": 0.6}, {"label": 2, "score": 0.39}],
        [{"label": 3, "score": 0.9}, {"label": 4, "score": 0.05}],
    ]
    given = {"key": ["a", "b"], "predicted": [1, 3], "score": [0.6, 0.9], "top_k": top}
    return pa.table({**given, **changes})


def test_agreement_counts_other_classes_and_how_far_they_are_behind() -> None:
    same = agreement(rows(), rows())
    assert (same.images, same.differing, same.largest_margin) == (2, 0, 0.0)
    turned = rows().take([1, 0])
    assert agreement(rows(), turned) == same
    other = agreement(rows(), rows(predicted=[2, 3]))
    assert (other.differing, round(other.largest_margin, 6)) == (1, 0.21)
    unlisted = agreement(rows(), rows(predicted=[1, 7]))
    assert round(unlisted.largest_margin, 6) == 0.85


def test_other_work_is_no_benchmark() -> None:
    two = Archive("photos", 2, "jpeg", Path("model"), tolerance=0.05)
    with pytest.raises(BenchmarkError, match="not the same images: 2 rows of ours, the first 'a', and 1 of theirs"):
        agreement(rows(), rows().slice(1))
    with pytest.raises(BenchmarkError, match="peer gives 1 of 2 images another class than we do, with margins up to"):
        Agreement(2, 1, 0.21, 0.0).require(two, "peer")
    with pytest.raises(BenchmarkError, match="2 rows of ours and of peer, but the archive has 3 images"):
        Agreement(2, 0, 0.0, 0.0).require(replace(two, images=3), "peer")
    assert Agreement(2, 1, 0.01, 0.0).require(two, "peer").differing == 1
    chaotic = replace(two, images=2000, chaotic=0.001)
    assert Agreement(2000, 2, 0.5, 0.0).require(chaotic, "peer").differing == 2
    with pytest.raises(BenchmarkError, match="3 of 2000 images another class"):
        Agreement(2000, 3, 0.5, 0.0).require(chaotic, "peer")


def test_a_run_is_measured_with_its_children(tmp_path: Path) -> None:
    child = "x = bytearray(60_000_000); x[::4096] = b'1' * len(x[::4096]); import time; time.sleep(1)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    found = run([sys.executable, "-c", parent], tmp_path / "log", tmp_path)
    assert found.wall > 1
    assert 60_000_000 < found.peak_bytes < 120_000_000
    assert found.cpu > 0
    assert found.exact


@pytest.mark.heavy
def test_pages_that_processes_share_count_once(tmp_path: Path) -> None:
    forks = (
        "import os, time; x = bytearray(100_000_000); x[::4096] = b'1' * len(x[::4096])\n"
        "for _ in range(3):\n    if os.fork() == 0:\n        time.sleep(1.5); os._exit(0)\n"
        "for _ in range(3):\n    os.wait()"
    )
    found = run([sys.executable, "-c", forks], tmp_path / "log", tmp_path)
    assert found.exact
    assert 100_000_000 < found.peak_bytes < 200_000_000


def test_memory_is_an_upper_bound_where_the_kernel_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.getpid()
    told = proc.memory({here})
    assert told.exact
    monkeypatch.setattr(proc, "proportional", lambda process: None)
    assert proc.memory({here}) == proc.Memory(proc.resident(here), exact=False)
    assert proc.resident(here) >= told.total * 0.9
    gone = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)
    assert proc.memory({gone.pid}) == proc.Memory(0, exact=True)
    gone.wait()


@pytest.mark.heavy
def test_the_parent_is_measured_without_its_children(tmp_path: Path) -> None:
    busy = "import time\nwhile time.process_time() < {}: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy.format(1.5)!r}]); {busy.format(0.5)}"
    found = run([sys.executable, "-c", parent], tmp_path / "log", tmp_path)
    assert found.parent is not None
    assert 0.45 < found.parent < 1.2
    assert found.cpu > 1.9


@pytest.mark.heavy
def test_what_a_run_leaves_behind_is_ended_and_counted(tmp_path: Path) -> None:
    spent = tmp_path / "spent"
    busy = (
        "import time; t = time.process_time()\nwhile time.process_time() - t < 0.3: pass\n"
        f"open({str(spent)!r}, 'w').close()\ntime.sleep(60)"
    )
    parent = (
        f"import os, subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', {busy!r}])\n"
        f"print(p.pid, flush=True)\nwhile not os.path.exists({str(spent)!r}): time.sleep(0.05)"
    )
    found = run([sys.executable, "-c", parent], tmp_path / "log", tmp_path)
    assert found.cpu >= 0.3
    assert not Path(f"/proc/{int((tmp_path / 'log').read_text())}").exists()


def test_a_run_that_fails_says_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"(?s)exit code 3 of .*\nwhy"):
        run([sys.executable, "-c", "print('why'); raise SystemExit(3)"], tmp_path / "log", tmp_path)


def test_archives_are_made_once_and_whole(tmp_path: Path) -> None:
    made: list[Path] = []

    def fail(folder: Path) -> None:
        made.append(folder)
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archives.once(tmp_path / "a", fail)
    folder = archives.once(tmp_path / "a", lambda path: (path / "whole").touch())
    assert [p.name for p in folder.iterdir()] == ["whole"]
    assert archives.once(folder, fail) == folder
    assert len(made) == 1


def few(digits: RawImages, n: int = 10) -> RawImages:
    return RawImages("digits", digits.images[:n], digits.labels[:n], digits.is_test[:n])


def test_pngs_are_linked_after_the_first_copy(digits: RawImages, tmp_path: Path) -> None:
    archives.write_pngs(few(digits), 25, tmp_path)
    files = sorted(tmp_path.rglob("*.png"))
    assert len(files) == 25
    assert len({path.stat().st_ino for path in files}) == 10
    first = tmp_path / "0" / "train" / "0" / "00000.png"
    assert first.samefile(tmp_path / "1" / "train" / "0" / "00000.png")
    assert np.array_equal(np.asarray(Image.open(first)), digits.images[0])


def test_photographs_are_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        archives.write_jpegs(4, seed=0, folder=tmp_path / name)
    files = sorted((tmp_path / "a").rglob("*.jpg"))
    assert [str(p.relative_to(tmp_path / "a")) for p in files] == [
        "china/00000.jpg", "china/00002.jpg", "flower/00001.jpg", "flower/00003.jpg",
    ]  # fmt: skip
    assert all(p.read_bytes() == (tmp_path / "b" / p.relative_to(tmp_path / "a")).read_bytes() for p in files)
    for path in files:
        with Image.open(path) as image:
            assert 450 <= image.width <= 550
            assert 340 <= image.height <= 410


def test_photographs_of_a_camera_have_the_same_pixels_in_both_forms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "CAMERA", (640, 480))
    found = []
    for progressive in (False, True):
        folder = tmp_path / str(progressive)
        folder.mkdir()
        archives.write_camera_jpegs(3, 0, folder, progressive)
        for path in sorted(folder.rglob("*.jpg")):
            with Image.open(path) as image:
                assert image.size == (640, 480)
                assert ("progressive" in image.info) == progressive
                found.append(np.asarray(image))
    assert len(found) == 6
    assert all(np.array_equal(found[i], found[i + 3]) for i in range(3))
    assert not np.array_equal(found[0], found[2])


def test_records_hold_what_the_files_hold(digits: RawImages, tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    archives.write_records(few(digits), 25, tmp_path / "records", shards=3)
    names = sorted(path.name for path in (tmp_path / "records").iterdir())
    assert names == [f"digits-{i:05d}-of-00003" for i in range(3)]
    stored = tf.data.TFRecordDataset([str(tmp_path / "records" / name) for name in names])
    features = [tf.train.Example.FromString(record.numpy()).features.feature for record in stored]
    assert [feature["image/encoded"].bytes_list.value[0] for feature in features] == [
        few(digits).encoded(i % 10) for i in range(25)
    ]


def test_every_workload_has_its_peers() -> None:
    assert list(measurements("mnist-png", [])) == [("mnist-png", "tfdata")]
    assert list(measurements("mnist-png", ["ray", "daft"])) == [("mnist-png", "daft"), ("mnist-png", "ray")]
    assert list(measurements("default", [])) == [(name, "tfdata") for name in DEFAULT]
    everything = list(measurements("all", []))
    assert {name for name, _ in everything} == set(WORKLOADS)
    assert len(everything) == sum(len(workload.peers) for workload in WORKLOADS.values())
    assert {peer for _, peer in everything} == {"", BEFORE, LIMIT, *SCRIPTS, *EPOCH_PEERS}
    assert all((PEERS / script).exists() for script, *_ in SCRIPTS.values())


@pytest.mark.heavy
def test_epochs_of_both_sides_have_every_image(digits: RawImages, tmp_path: Path) -> None:
    for i in range(40):
        path = tmp_path / "photos" / str(i % 2) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digits.images[i]).resize((28, 28)).save(path)
    archive = Archive(str(tmp_path / "photos"), 40, "png", Path())
    (found,) = compare_epochs("toy", archive, "tfdata-epochs", Setting(tmp_path, tmp_path, pairs=1))
    assert (found.images, len(found.ours), len(found.others)) == (40, 1, 1)


def test_the_slow_store_is_as_strict_as_the_real_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{i % 3}/{i:02d}.png" for i in range(30)]
    for name in names:
        path = tmp_path / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    with slow_store(tmp_path / "files", tmp_path) as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        gcs_client.disconnect()
        us = gcs.GcsStore()
        assert [found.location for found in us.list("gs://archive/1")] == sorted(
            f"gs://archive/{name}" for name in names if name.startswith("1/")
        )
        assert us.read("gs://archive/0/00.png") == b"0/00.png"
        assert us.read("gs://archive/0/00.png", 2, 4) == b"00"
        with pytest.raises(FileNotFoundError):
            us.read("gs://archive/nothing")
        assert us.create("gs://output/a", b"one\r\n--two")
        assert not us.create("gs://output/a", b"two")
        assert us.read("gs://output/a") == (store.mirror / "output" / "a").read_bytes() == b"one\r\n--two"
        us.delete("gs://output/a")
        assert list(us.list("gs://output/")) == []
        assert store.asked()["requests"] >= 8
        pages = gcs_client.client().list_blobs("archive", page_size=7)
        assert [blob.name for blob in pages] == sorted(names)
        assert store.asked() | {"cpu_seconds": 0} == {"requests": 5, "most_at_once": 1, "cpu_seconds": 0}
    gcs_client.disconnect()


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path / "work", tmp_path / "results", pairs=1, small=True)


def test_the_code_of_before_is_of_its_commit(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    if subprocess.run(["git", "cat-file", "-e", before.COMMIT], cwd=ROOT, check=False).returncode == 0:
        folder = before.code(setting)
        assert (folder / "nightscore.py").exists()  # a package since then
        assert not (folder / ".git").exists()
    elsewhere = replace(setting, work=setting.work / "elsewhere")
    monkeypatch.setattr(before, "ROOT", setting.work.parent)
    with pytest.raises(BenchmarkError, match="has no commit 7c95bb3 in its history"):
        before.code(elsewhere)


def test_bare_processes_find_what_the_product_finds(write_images: WriteImages) -> None:
    folder = write_images(5)
    (folder / "notes.txt").touch()
    assert bare_processes.files(str(folder), ".png") == sorted(str(path) for path in folder.rglob("*.png"))


@pytest.mark.heavy
@pytest.mark.parametrize("peer", ["tfdata", LIMIT])
def test_a_peer_does_the_same_work(peer: str, write_images: WriteImages, tiny_model: str, setting: Setting) -> None:
    """Those that need no other environment."""
    if peer == LIMIT:
        pytest.importorskip("ai_edge_litert")
    archive = Archive(str(enlarged(write_images(64))), 64, "png", Path(tiny_model), batch=16)
    us, them = (make("toy", archive, *names, setting) for make, names in ((our_command, ()), (peer_command, (peer,))))
    for command in (us, them):
        assert command.measured(setting).wall > 0
    assert check(us, them, archive)["differing"] == 0


def enlarged(folder: Path) -> Path:
    """The peer does not resize PNG files: it is for MNIST."""
    for path in folder.rglob("*.png"):
        with Image.open(path) as image:
            image.resize((28, 28)).save(path)
    return folder
