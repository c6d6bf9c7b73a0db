"""Packaging. Kept in setup.py because Beam's --setup_file builds the workers' package from it."""

from setuptools import find_packages, setup

setup(
    name="nightscore",
    version="0.1.0",
    description="Score large image archives overnight: a CNN, an Apache Beam pipeline, one row for every image",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["nightscore", "pipeline", "pipeline.*", "model_training"]),
    package_data={
        "nightscore": ["py.typed"],
        "pipeline": ["py.typed"],
        "pipeline.report": ["pages/*.j2"],
        "model_training": ["pages/*.j2", "py.typed"],
    },
    entry_points={"console_scripts": ["nightscore = nightscore.__main__:run"]},
    install_requires=[
        "apache-beam[gcp]>=2.76",
        "google-cloud-storage>=3.0",
        "google-crc32c>=1.5",
        "jinja2>=3.1",
        "matplotlib>=3.8",
        "numpy>=2.0",
        "pillow>=11.3",
        "protobuf>=5.26",
        "pyarrow>=18",
        "simplejpeg>=1.8",
        "rich>=13.7",
        "tensorflow>=2.20",
    ],
    extras_require={
        "demo": ["scikit-learn>=1.4"],
        "dev": [
            "build>=1.2",
            "cryptography>=42",
            "duckdb>=1.4",
            "gcp-storage-emulator>=2026.7",
            "hypothesis>=6.100",
            "mypy>=1.15",
            "pandas>=2.3",
            "pytest>=8.3",
            "pytest-timeout>=2.4",
            "pytest-xdist>=3.6",
            "requests>=2.32",
            "ruff>=0.12",
            "scikit-learn>=1.4",
            "selenium>=4.30",
            "types-protobuf>=5.29",
            "webdataset>=0.2.100",
        ],
    },
)
