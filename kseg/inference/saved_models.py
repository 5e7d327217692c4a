"""An exported SavedModel as a model of this package. TensorFlow, because that is what loads it; imported when called."""

from __future__ import annotations

import pathlib
import re

import numpy as np

from kseg.inference.averaging import TINY
from kseg.inference.checks import check_images


class TooManyPixels(ValueError):
    """An image is larger than an export takes, whose limits `kseg.export` sets; the message is the export's."""


class SavedModel:
    """An export of `kseg.export`, as a callable from images (B, H, W, C) to logits (B, H, W, K).

    The logits are the logarithms of the export's probabilities. It fits every image into the size that it was trained at; to
    predict at another scale, cut tiles of that size from a scaled image. Images become its dtype: whole numbers are rounded.
    Calls raise `TooManyPixels` where an image exceeds the limits of the export; those of logits are smaller than those of
    label maps.

    Attributes:
        channels: C.
        dtype: of the images that the export takes, uint8, uint16 or float32.
        levels: whether these lie in [0, 255], as those of uint8 do.

    Args:
        path: folder of the SavedModel.

    Raises:
        FileNotFoundError: there is no SavedModel.
        ValueError: it has no signature "probabilities".

    Example:
        >>> import tempfile
        >>> labels = kseg.LabelMap(("ground", "car"), ((90, 90, 90), (220, 60, 50)), (0, 1))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kseg.export(kseg.UNet(2, filters=(4, 8)), folder, labels=labels, image_size=(48, 64))
        ...     model = kseg.inference.SavedModel(folder)
        >>> model.label_map(np.full((96, 128, 3), 200, np.uint8)).shape
        (96, 128)
    """

    def __init__(self, path):
        _check_path(path)
        import tensorflow as tf

        self._loaded = tf.saved_model.load(str(path))
        if "probabilities" not in self._loaded.signatures:
            raise ValueError(
                f"A SavedModel must have the signature probabilities. Received: {sorted(self._loaded.signatures)} [{path}]. "
                "Export it with kseg.export."
            )
        inputs = self._loaded.signatures["probabilities"].structured_input_signature[1]
        self.channels = inputs["image"].shape[-1]
        self.dtype = np.dtype(inputs["image"].dtype.as_numpy_dtype)
        self.levels = self.dtype == np.uint8

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Logits (B, H, W, K), float32, of images (B, H, W, C), in [0, 255] where they are levels."""
        check_images(images, "images", "SavedModel", channels=self.channels, levels=self.levels)
        return np.log(np.maximum(self._run("probabilities", images)["probabilities"], TINY))

    def label_map(self, image: np.ndarray) -> np.ndarray:
        """Class ids (H, W), uint8, of one image (H, W, C): `argmax` of the logits, taken inside the export."""
        check_images(image, "image", "SavedModel.label_map", rank=3, channels=self.channels, levels=self.levels)
        return self._run("serving_default", image[np.newaxis])["label_map"][0]

    def _run(self, signature: str, images: np.ndarray) -> dict:
        """The outputs of a signature, as arrays."""
        import tensorflow as tf

        if images.dtype != self.dtype:
            if self.dtype.kind == "u":
                images = np.clip(np.floor(images + 0.5), 0, np.iinfo(self.dtype).max)
            images = np.asarray(images, self.dtype)
        try:
            outputs = self._loaded.signatures[signature](image=tf.constant(images))
        except tf.errors.InvalidArgumentError as error:
            refused = re.search(r"assertion failed: \[(.*?pixels?.*?)\] \[Received", error.message, re.DOTALL)
            if not refused:
                raise
            raise TooManyPixels(f"{refused[1]} Received: image of shape {images.shape} [{signature}].") from error
        return {name: value.numpy() for name, value in outputs.items()}


def _check_path(path):
    """Refuses a path without a SavedModel; for the folder of a pushed model it names the newest version."""
    if "://" in str(path):  # remote: TensorFlow looks it up
        return
    path = pathlib.Path(path)
    if not (path / "saved_model.pb").is_file():
        versions = [found.parent for found in path.glob("*/saved_model.pb") if found.parent.name.isdecimal()]
        newest = max(versions, key=lambda version: int(version.name), default=None)
        cure = f" Name a version, such as {newest}." if newest else ""
        raise FileNotFoundError(
            f"`path` must be the folder of a SavedModel, with saved_model.pb. Received: path={str(path)!r}.{cure}"
        )
