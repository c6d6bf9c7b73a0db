"""Packaging. Kept in setup.py because Beam's --setup_file builds the workers' package from it."""

from pathlib import Path

from setuptools import find_packages, setup

README = Path(__file__).with_name("README.md")

setup(
    name="nightscore",
    version="0.2.0",
    description="Score large image archives overnight: a CNN, an Apache Beam pipeline, one row for every image",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",  # a worker's image has none
    long_description_content_type="text/markdown",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Operating System :: MacOS",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    packages=find_packages(
        include=["nightscore", "pipeline", "pipeline.*", "model_training", "model_training.*", "model_import"]
    ),
    package_data={
        "nightscore": ["py.typed"],
        "pipeline": ["py.typed"],
        "pipeline.report": ["pages/*.j2"],
        "model_training": ["pages/*.j2", "py.typed"],
        "model_import": ["imagenet.csv", "pages/*.j2", "py.typed"],
    },
    entry_points={"console_scripts": ["nightscore = nightscore.__main__:run"]},
    install_requires=[
        "ai-edge-litert>=2.1; sys_platform != 'darwin' or platform_machine != 'x86_64'",
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
        "scikit-learn>=1.4",
        "tensorflow>=2.20",
        "zstandard>=0.22",
    ],
    extras_require={
        "s3": ["obstore>=0.9"],
        "azure": ["obstore>=0.9"],
        "tensorboard": ["tensorboard>=2.19"],
        "heic": ["pillow-heif>=1.0"],
        "docs": ["mkdocs>=1.6", "mkdocs-material>=9.6", "mkdocstrings[python]>=0.29"],
        "dev": [
            "build>=1.2",
            "cryptography>=42",
            "duckdb>=1.4",
            "gcp-storage-emulator>=2026.7",
            "hypothesis>=6.100",
            "imagecodecs>=2025.3",
            "ipykernel>=6.29",
            "moto[server]>=5.1.10",
            "mypy>=1.15",
            "nbclient>=0.10",
            "obstore>=0.9",
            "opencv-python-headless>=4.10",
            "pandas>=2.3",
            "pillow-heif>=1.0",
            "pytest>=8.3",
            "pytest-timeout>=2.4",
            "pytest-xdist>=3.6",
            "requests>=2.32",
            "ruff>=0.12",
            "selenium>=4.30",
            "tensorboard>=2.19",
            "tifffile>=2025.5",
            "types-protobuf>=5.29",
            "uv>=0.9",
            "webdataset>=0.2.100",
        ],
    },
)
