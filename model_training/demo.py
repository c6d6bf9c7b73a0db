"""`nightscore demo`: train on an embedded data set, build an archive with broken images in it, score that, twice.

Runs the commands that a person would type, and shows them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn

from model_training.data.datasets import RawImages, raw_images
from pipeline.cli.console import complain
from pipeline.cli.quiet import stderr_silenced
from pipeline.errors import UsageError
from pipeline.flag_names import parse_arguments
from pipeline.text import shell_command, shell_path

MARKER = ".nightscore-demo"
SHARDS = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit code."""
    try:
        return _demo(parse_arguments(_parser(), sys.argv[1:] if argv is None else argv))
    except UsageError as error:
        complain(f"nightscore demo: {error}")
        return 2
    except KeyboardInterrupt:
        return 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see 'nightscore demo --help'")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="nightscore demo",
        usage=argparse.SUPPRESS,
        description="example: nightscore demo --dataset digits --output demo",
        epilog="Exit codes: 0 good, 2 bad usage, 130 interrupted; else that of the command that failed.",
        allow_abbrev=False,
    )
    parser.add_argument("--dataset", choices=("digits", "mnist"), default="digits", help="default: digits")
    parser.add_argument("--data_dir", help="for mnist: folder with its four IDX files", metavar="DIR")
    parser.add_argument("--output", default="demo", help="folder that the demo writes, default: demo", metavar="DIR")
    return parser


def _demo(arguments: argparse.Namespace) -> int:
    output: str = arguments.output
    raw = raw_images(arguments.dataset, arguments.data_dir)
    _clear(output)
    archive, model, night = (os.path.join(output, name) for name in ("archive", "model", "night"))
    where = ["--data_dir", arguments.data_dir] if arguments.data_dir else []
    _run("train", "--dataset", arguments.dataset, *where, "--output", model)
    broken = build_archive(raw, archive)
    held_out = int(raw.is_test.sum())
    print(
        f"{shell_path(archive)}: {len(raw.images):,} images as PNG files in class folders, and as TFRecords,\n"
        f"with {broken} broken ones among them. All but {held_out:,} of the {len(raw.images):,} trained the model.\n"
    )
    score = ("score", "--input", archive, "--model", model, "--output", night)
    _run(*score)
    print("Once more, as if the night had been interrupted: nothing is scored again.\n")
    _run(*score)
    return 0


def _run(*arguments: str) -> None:
    """Show a nightscore command and run it.

    Raises:
        SystemExit: it failed; with its exit code.
    """
    print(f"$ nightscore {shell_command(arguments)}", flush=True)
    code = subprocess.run([sys.executable, "-m", "nightscore", *arguments], check=False).returncode
    print(flush=True)
    if code:
        sys.exit(code)


def _clear(output: str) -> None:
    """Make the demo's folder empty; refuse one that no demo has made."""
    marker = os.path.join(output, MARKER)
    if os.path.isdir(output) and os.listdir(output) and not os.path.exists(marker):
        raise UsageError(f"--output {output!r} is a folder of yours; give one that does not exist")
    if os.path.isfile(output):
        raise UsageError(f"--output {output!r} is a file; give a folder")
    shutil.rmtree(output, ignore_errors=True)
    os.makedirs(output)
    with open(marker, "w", encoding="ascii"):
        pass


def build_archive(raw: RawImages, archive: str) -> int:
    """Write images as PNG files in class folders, the same as TFRecords, and broken ones among both.

    Returns:
        How many broken images there are.
    """
    pngs = [raw.encoded(i) for i in range(len(raw.images))]
    for i, png in enumerate(pngs):
        split = "test" if raw.is_test[i] else "train"
        _write(os.path.join(archive, "images", split, str(raw.labels[i]), f"{i:05d}.png"), png)
    broken = dict(_broken(pngs[0]))
    for name, data in broken.items():
        _write(os.path.join(archive, "images", "test", "0", name), data)
    _write_records(raw, pngs, next(iter(broken.values())), os.path.join(archive, "records"))
    return len(broken) + 1


def _broken(png: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what a night meets: (name, content)."""
    yield "cut-short.png", png[: len(png) // 2]
    yield "bit-flip.png", png[:45] + bytes([png[45] ^ 0x10]) + png[46:]
    yield "error-page.jpg", b"<html><body>503 Service Unavailable</body></html>\n"
    yield "zero-bytes.png", b""
    yield "header-only.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def _write_records(raw: RawImages, pngs: Sequence[bytes], broken: bytes, folder: str) -> None:
    """Write the images with TensorFlow's own writer, the broken one first."""
    with stderr_silenced():
        import tensorflow as tf

        tf.config.list_logical_devices()
    os.makedirs(folder)
    for shard in range(SHARDS):
        name = f"{raw.name}.tfrecord-{shard:05d}-of-{SHARDS:05d}"
        with tf.io.TFRecordWriter(os.path.join(folder, name)) as writer:
            for png, label in ([(broken, 0)] if shard == 0 else []) + list(
                zip(pngs[shard::SHARDS], raw.labels[shard::SHARDS].tolist(), strict=True)
            ):
                feature = {
                    "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[png])),
                    "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                }
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())


if __name__ == "__main__":
    sys.exit(main())
