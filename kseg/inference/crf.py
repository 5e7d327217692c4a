"""A model whose answers DenseCRF refines. TensorFlow, because DenseCRF needs it; imported when needed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kseg.inference.model_calls import predict_logits


def refine_with_crf(model, **settings) -> Callable[[np.ndarray], np.ndarray]:
    """A model whose logits are those that DenseCRF makes of another's, at the images' own size.

    What answers tiles or averages views is refine_with_crf as a whole: give it as `model`; memory then grows with the image.

    Args:
        model: Keras model, or a callable, from images (B, H, W, C) to logits (B, H, W, K).
        **settings: of `kseg.DenseCRF`; none: its defaults.

    Returns: callable from images (B, H, W, C) in [0, 255] to logits (B, H, W, K), float32.

    Raises:
        ValueError: a setting does not fit.
        TypeError: DenseCRF has no such setting.

    Example:
        >>> served = kseg.inference.SavedModel("savedmodels/streets/1")
        >>> refine_with_crf = kseg.inference.refine_with_crf(served, iterations=5, appearance_weight=4)
        >>> label_map = refine_with_crf(image[np.newaxis])[0].argmax(-1)
    """
    import tensorflow as tf

    from kseg.postprocess.densecrf import DenseCRF

    # Sizes that differ are traced once for all.
    refine = tf.function(DenseCRF(**settings, activation=None), reduce_retracing=True)

    def answer(images):
        inputs = [tf.constant(array, tf.float32) for array in (predict_logits(model, images), images)]
        return refine(inputs).numpy()

    return answer
