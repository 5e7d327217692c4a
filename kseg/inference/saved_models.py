"""An exported SavedModel as a model of this package. TensorFlow, because that is what loads it; imported when needed."""

from __future__ import annotations

import numpy as np

from kseg.inference.averaging import TINY


class SavedModel:
    """An export of `kseg.export`, as a callable from images (B, H, W, C) to logits (B, H, W, K).

    The logits are the logarithms of its probabilities. It fits every image into the size that it was trained at, so to show it
    another scale, cut tiles of that size from a scaled image. Images that are not uint8 are rounded to it.

    Attributes:
        channels: C, 1 or 3.

    Args:
        path: folder of the SavedModel.

    Raises:
        OSError: there is no SavedModel.
        ValueError: it has no signature "probabilities".

    Example:
        >>> model = kseg.inference.SavedModel("savedmodels/streets/1")
        >>> label_map = model(image[np.newaxis])[0].argmax(-1)
    """

    def __init__(self, path):
        import tensorflow as tf

        self._loaded = tf.saved_model.load(str(path))
        if "probabilities" not in self._loaded.signatures:
            raise ValueError(
                f"A SavedModel must have the signature probabilities. Received: {sorted(self._loaded.signatures)} [{path}]. "
                "Export it with kseg.export."
            )
        inputs = self._loaded.signatures["probabilities"].structured_input_signature[1]
        self.channels = inputs["image"].shape[-1]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Logits (B, H, W, K), float32, of images (B, H, W, C) in [0, 255]."""
        answer = self._asked("probabilities", images)["probabilities"]
        return np.log(np.maximum(answer, TINY))

    def label_map(self, image: np.ndarray) -> np.ndarray:
        """Class ids (H, W), uint8, of one image (H, W, C): `argmax` of the logits, made where they are made."""
        return self._asked("serving_default", image[np.newaxis])["label_map"][0]

    def _asked(self, signature, images) -> dict:
        import tensorflow as tf

        if images.dtype != np.uint8:
            images = np.clip(np.floor(images + 0.5), 0, 255).astype(np.uint8)
        answer = self._loaded.signatures[signature](image=tf.constant(images))
        return {name: value.numpy() for name, value in answer.items()}
