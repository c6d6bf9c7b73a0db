"""The workloads: which files, which model, which peers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import archives
from benchmarks.alone import cores, rerun, size
from benchmarks.comparison import Comparison
from benchmarks.models import make_model
from benchmarks.precision import compare_bfloat16
from benchmarks.setting import Archive, Setting
from benchmarks.slow_store.workload import compare_store
from benchmarks.throughput import compare
from model_training.datasets import raw_images

ALL_PEERS = ("tfdata", "run-inference", "daft", "ray")
ALONE = ("",)
RESIZED = 0.05
"""Margin of a tie where pixels differ: by 1 level from the resizer, by up to 12 from TensorFlow's JPEG decoder."""

MNIST = 280_000
SIZES = (10_000, 70_000, 280_000, 1_120_000)

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
    return Archive(str(folder), wanted, "png", mnist_model(setting))


def mnist_records(setting: Setting) -> Archive:
    """Return the same images as TFRecords."""
    wanted = 4_000 if setting.small else MNIST
    folder = archives.once(
        setting.archives / f"mnist-tfrecord-{wanted}",
        lambda path: archives.write_records(raw_images("mnist", setting.data_dir), wanted, path),
    )
    return Archive(str(folder), wanted, "tfrecord", mnist_model(setting))


def mnist_model(setting: Setting) -> Path:
    """Return the seed's CNN."""
    source = () if setting.data_dir is None else (str(Path(setting.data_dir).absolute()),)
    return make_model("mnist", setting.work / "models" / "mnist", *source)


def jpegs(setting: Setting, images: int, small: int) -> Archive:
    """Return photographs, and the seed's CNN at 64 x 64, trained on others of the same kind."""
    training = _photographs(setting, 300, seed=1)
    wanted = small if setting.small else images
    model = make_model("jpeg", setting.work / "models" / "jpeg", str(training))
    return Archive(str(_photographs(setting, wanted, seed=0)), wanted, "jpeg", model, batch=128, tolerance=RESIZED)


def jpegs_for_mobilenet(setting: Setting) -> Archive:
    """Return photographs, and MobileNetV2 at 224 x 224."""
    archive = jpegs(setting, 2_000, small=64)
    training = _photographs(setting, 300, seed=1)
    model = make_model("mobilenet", setting.work / "models" / "mobilenet", str(training))
    return replace(archive, model=model, batch=32, chaotic=0.002)


def _photographs(setting: Setting, images: int, seed: int) -> Path:
    return archives.once(
        setting.archives / f"jpeg-{images}-{seed}", lambda path: archives.write_jpegs(images, seed, path)
    )


def _beside(name: str, make: Callable[[Setting], Archive], bound: bool = True) -> Measure:
    def measure(setting: Setting, peer: str) -> Iterator[Comparison]:
        yield compare(name, make(setting), peer, setting, bound=bound)

    return measure


def _bfloat16(setting: Setting, peer: str) -> Iterator[Comparison]:
    yield compare_bfloat16("mnist-png-bf16", mnist_pngs(setting), peer, setting)


def _slow_store(setting: Setting, peer: str) -> Iterator[Comparison]:
    yield compare_store("slow-store", mnist_pngs(setting, 20_000, small=500), peer, setting)


def _rerun(setting: Setting, peer: str) -> Iterator[Comparison]:
    yield rerun("rerun", mnist_pngs(setting), setting)


def _cores(setting: Setting, peer: str) -> Iterator[Comparison]:
    yield cores("cores-mnist-png", mnist_pngs(setting, 70_000), setting)
    yield cores("cores-jpeg-cnn", jpegs(setting, 3_000, small=200), setting)


def _size(setting: Setting, peer: str) -> Iterator[Comparison]:
    for images in SIZES:
        yield size(f"size-{images}", mnist_pngs(setting, images, small=images // 100), setting)


WORKLOADS: Mapping[str, Workload] = {
    "mnist-png": Workload(_beside("mnist-png", mnist_pngs), ALL_PEERS, "280,000 PNG files of 28 x 28"),
    "mnist-png-bf16": Workload(_bfloat16, ("tfdata",), "the same, ours in bfloat16, the peer in float32"),
    "mnist-tfrecord": Workload(_beside("mnist-tfrecord", mnist_records), ("tfdata",), "the same in 28 TFRecord files"),
    "jpeg-cnn": Workload(
        _beside("jpeg-cnn", lambda setting: jpegs(setting, 12_000, small=200)),
        ALL_PEERS,
        "12,000 JPEG files of about 500 x 375, a small CNN: decoding decides",
    ),
    "jpeg-mobilenet": Workload(
        _beside("jpeg-mobilenet", jpegs_for_mobilenet),
        ALL_PEERS,
        "2,000 such files, MobileNetV2 at 224: the model decides",
    ),
    "slow-store": Workload(
        _slow_store, ("run-inference",), "20,000 PNG objects, 30 ms a request: a pair takes half an hour"
    ),
    "ten-images": Workload(
        _beside("ten-images", lambda setting: mnist_pngs(setting, 10, small=10), bound=False),
        ("bare",),
        "ten PNG files: start-up alone",
    ),
    "rerun": Workload(_rerun, ALONE, "280,000 PNG files that are scored already"),
    "cores": Workload(_cores, ALONE, "two cores beside one"),
    "size": Workload(_size, ALONE, "10,000 to 1,120,000 PNG files"),
}
DEFAULT = ("mnist-png", "mnist-png-bf16", "mnist-tfrecord", "jpeg-cnn", "jpeg-mobilenet")
"""What `make bench` measures, beside the tf.data loop."""
