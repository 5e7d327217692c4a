"""A model whose logits DenseCRF refines. TensorFlow, because DenseCRF needs it; imported when called."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable

import numpy as np

from kseg._checks import check_logits
from kseg.inference.checks import check_images, values_checked
from kseg.inference.model_calls import check_model, num_channels, predict_logits


def refine_with_crf(model, **crf_parameters) -> Callable[[np.ndarray], np.ndarray]:
    """Wraps a model so that DenseCRF refines its logits, at the images' own size.

    Predictions of tiles or of averaged views are refined as a whole: wrap the model that predicts them. Memory then grows with
    the image.

    Args:
        model: Keras model, or a callable, from images (B, H, W, C) to logits (B, H, W, K).
        **crf_parameters: arguments of `kseg.DenseCRF`.

    Returns:
        Callable from images (B, H, W, C) in [0, 255] to logits (B, H, W, K), float32.

    Raises:
        TypeError: `model` is no model, or DenseCRF has no such argument.
        ValueError: an argument does not fit, or the model gives probabilities without `from_logits=False`.

    Example:
        >>> network = lambda images: np.concatenate([images, 255 - images], axis=-1) / 64
        >>> refined = kseg.inference.refine_with_crf(network, iterations=5, appearance_weight=4)
        >>> refined(np.full((1, 6, 8, 1), 200.0))[0].argmax(-1).max()
        np.int64(0)
    """
    import tensorflow as tf

    from kseg.postprocess.densecrf import DenseCRF

    check_model(model)
    if crf_parameters.get("from_logits", True):
        check_logits("model", model)
    layer, one_thread = DenseCRF(**crf_parameters, activation=None), threading.Lock()

    @functools.cache
    def refine(*depths):
        """The layer as one graph for all sizes, of logits and images of these depths."""
        shapes = [(None, None, None, depth) for depth in depths]
        if not layer.built:  # a trace that made its weights would be thrown away
            layer.build(shapes)
        specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
        return tf.function(lambda logits, images: layer([logits, images]), input_signature=specs, autograph=False)

    def predict(images):
        check_images(images, "images", "refine_with_crf", channels=num_channels(model))
        with values_checked():
            logits = predict_logits(model, images)
        inputs = [tf.constant(array, tf.float32) for array in (logits, images)]
        with one_thread:
            refined = refine(*(tensor.shape[-1] for tensor in inputs))
        return refined(*inputs).numpy()

    return predict
