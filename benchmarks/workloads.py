"""The workloads: which files, which model, which peers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import archives
from benchmarks.alone import cores, parent, rerun, size
from benchmarks.before import BEFORE
from benchmarks.comparison import Comparison
from benchmarks.epochs import EPOCH_PEERS, compare_epochs
from benchmarks.limit import LIMIT
from benchmarks.models import make_model
from benchmarks.precision import compare_bfloat16
from benchmarks.setting import Archive, Setting
from benchmarks.slow_store.workload import compare_store
from benchmarks.throughput import compare
from model_training.data.datasets import raw_images

ALL_PEERS = ("tfdata", "run-inference", "daft", "ray")
PHOTO_PEERS = ("tfdata", "tfdata-ratio4", BEFORE, LIMIT)
ALONE = ("",)
RESIZED = 0.05
"""Margin of a tie where pixels differ: by 1 level from the resizer, by up to 12 from TensorFlow's JPEG decoder."""

CHAOTIC = 0.002
"""Share of the photographs to which MobileNetV2 with random weights may give another class for such a difference."""

CHAOTIC_CAMERA = 0.01
"""The same of photographs of 12 megapixels, of which there are few; there scores differ by up to 0.22."""

MNIST = 280_000
LONG = 1_200_000
"""MNIST files of a run that takes a minute."""

SIZES = (10_000, 100_000, 1_000_000)
CAMERA = 300
"""Photographs of 12 megapixels: 1 GB."""

Measure = Callable[[Setting, str], Iterator[Comparison]]


@dataclass(frozen=True)
class Workload:
    """Something to measure.

    Attributes:
        measure: does it, beside a peer of that name.
        peers: whom it is measured beside; the first unless told otherwise.
        images: for people: what is scored.
    """

    measure: Measure
    peers: Sequence[str]
    images: str


def mnist_pngs(setting: Setting, images: int = MNIST, small: int = 4_000) -> Archive:
    """Return MNIST as PNG files, as often as it takes."""
    wanted = small if setting.small else images
    folder = archives.once(
        setting.archives / f"mnist-png-{wanted}",
        lambda path: archives.write_pngs(raw_images("mnist", setting.data_dir), wanted, path),
    )
    return _modelled(Archive(str(folder), wanted, "png", Path()), "mnist", setting)


def mnist_records(setting: Setting) -> Archive:
    """Return the same images as TFRecords."""
    wanted = 4_000 if setting.small else MNIST
    folder = archives.once(
        setting.archives / f"mnist-tfrecord-{wanted}",
        lambda path: archives.write_records(raw_images("mnist", setting.data_dir), wanted, path),
    )
    return _modelled(Archive(str(folder), wanted, "tfrecord", Path()), "mnist", setting)


def jpegs(setting: Setting, images: int, small: int) -> Archive:
    """Return photographs, and the seed's CNN at 64 x 64, trained on others of the same kind."""
    wanted = small if setting.small else images
    photographs = str(_photographs(setting, wanted, seed=0))
    archive = Archive(photographs, wanted, "jpeg", Path(), batch=128, tolerance=RESIZED)
    return _modelled(archive, "jpeg", setting)


def jpegs_for_mobilenet(setting: Setting) -> Archive:
    """Return photographs, and MobileNetV2 at 224 x 224."""
    wanted = 64 if setting.small else 2_000
    photographs = str(_photographs(setting, wanted, seed=0))
    archive = Archive(photographs, wanted, "jpeg", Path(), batch=32, tolerance=RESIZED, chaotic=CHAOTIC)
    return _modelled(archive, "mobilenet", setting)


def camera_jpegs(setting: Setting, progressive: bool) -> Archive:
    """Return photographs of 12 megapixels, and MobileNetV2 at 224 x 224 that has seen smaller ones of the same kind."""
    wanted = 8 if setting.small else CAMERA
    form = "progressive" if progressive else "baseline"
    folder = archives.once(
        setting.archives / f"camera-{form}-{wanted}",
        lambda path: archives.write_camera_jpegs(wanted, 0, path, progressive),
    )
    seen = archives.once(
        setting.archives / "camera-seen-300", lambda path: archives.write_camera_jpegs(300, 1, path, shrink=4)
    )
    archive = Archive(str(folder), wanted, "jpeg", Path(), batch=32, tolerance=RESIZED, chaotic=CHAOTIC_CAMERA)
    return _made(archive, "camera", ("mobilenet", str(seen)), setting)


def _modelled(archive: Archive, kind: str, setting: Setting) -> Archive:
    """Return an archive with a model of a kind, which is made if it is not there; see `benchmarks.make_model`."""
    recipe = [kind]
    if kind in ("jpeg", "mobilenet"):
        recipe.append(str(_photographs(setting, 300, seed=1)))
    elif setting.data_dir is not None:
        recipe.append(str(Path(setting.data_dir).absolute()))
    return _made(archive, kind, tuple(recipe), setting)


def _made(archive: Archive, name: str, recipe: tuple[str, ...], setting: Setting) -> Archive:
    return replace(archive, model=make_model(setting.work / "models" / name, *recipe), recipe=recipe)


def _photographs(setting: Setting, images: int, seed: int) -> Path:
    return archives.once(
        setting.archives / f"jpeg-{images}-{seed}", lambda path: archives.write_jpegs(images, seed, path)
    )


def _beside(name: str, make: Callable[[Setting], Archive], own: bool = False) -> Measure:
    def measure(setting: Setting, peer: str) -> Iterator[Comparison]:
        yield compare(name, make(setting), peer, setting, own=own)

    return measure


def _bfloat16(setting: Setting, peer: str) -> Iterator[Comparison]:
    yield compare_bfloat16("mnist-png-bf16", mnist_pngs(setting), peer, setting)


def _slow_store(setting: Setting, peer: str) -> Iterator[Comparison]:
    yield compare_store("slow-store", mnist_pngs(setting, 20_000, small=500), peer, setting)


def _rerun(setting: Setting, peer: str) -> Iterator[Comparison]:
    yield rerun("rerun", mnist_pngs(setting), peer, setting)


def _epochs_of_pngs(setting: Setting, peer: str) -> Iterator[Comparison]:
    wanted = 4_000 if setting.small else 70_000
    folder = archives.once(
        setting.archives / f"mnist-png-{wanted}",
        lambda path: archives.write_pngs(raw_images("mnist", setting.data_dir), wanted, path),
    )
    yield from compare_epochs("epoch-png", Archive(str(folder), wanted, "png", Path()), peer, setting)


def _epochs_of_jpegs(setting: Setting, peer: str) -> Iterator[Comparison]:
    wanted = 200 if setting.small else 2_000
    photographs = str(_photographs(setting, wanted, seed=0))
    yield from compare_epochs("epoch-jpeg", Archive(photographs, wanted, "jpeg", Path()), peer, setting)


def _parent(setting: Setting, peer: str) -> Iterator[Comparison]:
    many, few = mnist_pngs(setting), mnist_pngs(setting, 10, small=10)
    yield parent("parent-10-classes", many, few, setting)
    many, few = (_modelled(archive, "wide", setting) for archive in (many, few))
    yield parent("parent-1000-classes", many, few, setting)


def _cores(setting: Setting, peer: str) -> Iterator[Comparison]:
    yield cores("cores-mnist-png", mnist_pngs(setting, 70_000), setting)
    yield cores("cores-jpeg-cnn", jpegs(setting, 3_000, small=200), setting)


def _size(setting: Setting, peer: str) -> Iterator[Comparison]:
    for images in SIZES:
        yield size(f"size-{images}", mnist_pngs(setting, images, small=images // 100), setting)


WORKLOADS: Mapping[str, Workload] = {
    "mnist-png": Workload(
        _beside("mnist-png", mnist_pngs), (*ALL_PEERS, BEFORE, LIMIT), "280,000 PNG files of 28 x 28"
    ),
    "mnist-png-long": Workload(
        _beside("mnist-png-long", lambda setting: mnist_pngs(setting, LONG, small=8_000)),
        (LIMIT,),
        "1,200,000 of them",
    ),
    "mnist-png-bf16": Workload(_bfloat16, ("tfdata",), "the same, ours in bfloat16, the peer in float32"),
    "mnist-tfrecord": Workload(_beside("mnist-tfrecord", mnist_records), ("tfdata",), "the same in 28 TFRecord files"),
    "jpeg-cnn": Workload(
        _beside("jpeg-cnn", lambda setting: jpegs(setting, 12_000, small=200)),
        (*ALL_PEERS, LIMIT),
        "12,000 JPEG files of about 500 x 375, a small CNN: decoding decides",
    ),
    "jpeg-mobilenet": Workload(
        _beside("jpeg-mobilenet", jpegs_for_mobilenet),
        (*ALL_PEERS, BEFORE, LIMIT),
        "2,000 such files, MobileNetV2 at 224: the model decides",
    ),
    "photo-mobilenet": Workload(
        _beside("photo-mobilenet", lambda setting: camera_jpegs(setting, progressive=False), own=True),
        PHOTO_PEERS,
        "300 JPEG files of 4032 x 3024, MobileNetV2 at 224: decoding decides",
    ),
    "photo-progressive": Workload(
        _beside("photo-progressive", lambda setting: camera_jpegs(setting, progressive=True), own=True),
        PHOTO_PEERS,
        "the same photographs as progressive JPEG files",
    ),
    "slow-store": Workload(
        _slow_store, ("run-inference",), "20,000 PNG objects, 30 ms a request: a pair takes half an hour"
    ),
    "ten-images": Workload(
        _beside("ten-images", lambda setting: mnist_pngs(setting, 10, small=10)),
        ("bare", BEFORE),
        "ten PNG files: start-up alone",
    ),
    "rerun": Workload(_rerun, (BEFORE,), "280,000 PNG files that are scored already"),
    "cores": Workload(_cores, ALONE, "two cores beside one"),
    "size": Workload(_size, ALONE, "10,000 to 1,000,000 PNG files: memory"),
    "epoch-png": Workload(
        _epochs_of_pngs, tuple(EPOCH_PEERS)[:1], "batches of an epoch of training, of 70,000 PNG files of 28 x 28"
    ),
    "epoch-jpeg": Workload(
        _epochs_of_jpegs, tuple(EPOCH_PEERS), "the same of 2,000 JPEG files of about 500 x 375, resized to 224"
    ),
    "parent": Workload(_parent, ALONE, "the CPU time of our parent process, with 10 and with 1,000 classes"),
}
DEFAULT = ("mnist-png", "mnist-png-bf16", "mnist-tfrecord", "jpeg-cnn", "jpeg-mobilenet", "photo-mobilenet")
"""What `make bench` measures, beside the tf.data loop."""
