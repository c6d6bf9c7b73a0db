"""Make a folder with a Python for 64-bit ARM, which qemu runs on another CPU: `python fetch_arm.py FOLDER`.

It needs Debian's packages qemu-user-static and debootstrap, and root's rights. The packages that decode images and run
`model.tflite` are put beside it, in the versions that are installed here.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from package_index import SLOW_INDEX

RELEASE, PYTHON = "bookworm", "3.11"
"""Debian's release, and the Python that it has."""

MIRROR = "http://deb.debian.org/debian"

PACKAGES = ("ai-edge-litert", "numpy", "pillow", "simplejpeg")

PLATFORMS = [f"manylinux{name}_aarch64" for name in ("2014", "_2_17", "_2_27", "_2_28", "_2_35")]

CPU_INFO = """processor\t: {}
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""
"""A Cortex-A72, as Linux tells of it in /proc/cpuinfo: LiteRT reads there what it runs on, and qemu shows its host."""


def make_root(root: Path) -> None:
    """Make a folder with Debian's basic packages and its Python, not configured: it is enough to start programs."""
    words = ["debootstrap", "--arch=arm64", "--foreign", "--variant=minbase", "--include=python3", RELEASE]
    subprocess.run([*words, str(root), MIRROR], check=True, stdout=subprocess.DEVNULL, timeout=SLOW_INDEX)
    for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as unpack:
            words = ["tar", "--extract", "--keep-directory-symlink", "--directory", str(root)]
            subprocess.run(words, check=True, stdin=unpack.stdout)
    (root / "proc").unlink()
    (root / "proc").mkdir()
    (root / "proc/cpuinfo").write_text("".join(CPU_INFO.format(i) for i in range(2)))


def fetch_packages(folder: Path) -> None:
    """Unpack the wheels for ARM into a folder that Python can import from."""
    wheels = folder.with_name("wheels")
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    words += ["--only-binary=:all:", f"--python-version={PYTHON}", f"--dest={wheels}"]
    words += [f"--platform={platform}" for platform in PLATFORMS]
    words += [f"{name}=={importlib.metadata.version(name)}" for name in PACKAGES]
    subprocess.run(words, check=True, timeout=SLOW_INDEX)
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    shutil.rmtree(wheels)


def main(folder: Path) -> None:
    """Make the folder, or leave nothing."""
    try:
        if "{}.{}".format(*sys.version_info) != PYTHON:
            raise SystemExit(f"the packages here are not those of Python {PYTHON}, which {RELEASE} has")
        folder.mkdir(parents=True)
        make_root(folder / "root")
        fetch_packages(folder / "site")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


if __name__ == "__main__":
    main(Path(sys.argv[1]))
