"""Packages and dependencies of kseg; Beam ships this file's result to remote workers (`-- --setup_file=./setup.py`).

The ranges here are loose; `requirements.lock` holds the exact versions that were tested, made from them by `make lock`.
"""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).resolve().parent
VERSION = re.search(r'__version__ = "([^"]+)"', (ROOT / "kseg" / "__init__.py").read_text()).group(1)

setup(
    name="kseg",
    version=VERSION,
    description="Per-pixel labelling of images with Keras: the papers' networks, the segmentor-versus-discriminator "
    "game, and a pipeline from a folder of pairs to a served model.",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["kseg", "kseg.*", "pipeline", "pipeline.*"]),
    package_data={"pipeline.report": ["*.j2"]},
    install_requires=[
        "tensorflow>=2.21,<2.22",
        "keras>=3.15,<3.16",
        "keras-cv>=0.9,<0.10",
        "tensorflow-datasets>=4.9.10,<4.10",
        "apache-beam>=2.77,<2.78",
        "google-crc32c>=1.5",
        "tensorboard>=2.20",
        "h5py>=3.11",
        "numpy>=2",
        "pillow>=11",
        "simplejpeg>=1.8",
        "scipy>=1.14",
        "scikit-image>=0.25",
        "matplotlib>=3.9",
        "jinja2>=3.1",
        "rich>=13",
    ],
    extras_require={"test": ["pytest>=8", "pytest-timeout>=2.3", "hypothesis>=6", "ruff>=0.12", "setuptools"]},
)
