"""How a label map is shown to a discriminator: what tells true maps from predicted ones should be where classes lie, not that
true ones are exactly 0 or 1. `keras.ops` only.

Each encoding takes the truth as one-hot vectors and the prediction as probabilities, (B, H, W, K) float32, both all zero at void
pixels, and the image (B, H, W, C) in [0, 255]; it returns what stands for the true and for the predicted map.

Source: Luc et al. 2016 (arXiv:1611.08408), section 3.
"""

from __future__ import annotations

from keras import ops

TAU = 0.9


def basic(truth, prediction, image):
    """Both as they are, (B, H, W, K)."""
    return truth, prediction


def product(truth, prediction, image):
    """Each class's map times each channel of the image in [0, 1]: (B, H, W, C K), the classes of the first channel first."""
    image = image / 255.0

    def times(maps):
        return ops.concatenate([maps * image[..., i : i + 1] for i in range(image.shape[-1])], axis=-1)

    return times(truth), times(prediction)


def scaling(truth, prediction, image, tau: float = TAU):
    """The prediction as it is; the truth as the nearest thing to it that gives the true class at least `tau`: (B, H, W, K).

    With s the prediction and l the true class, y_l = max(tau, s_l) and y_c = s_c (1 - y_l) / (1 - s_l) for the others. Where s_l
    reaches tau already the truth is the prediction, also where s_l is 1 and the quotient would be 0 / 0.
    """
    of_truth = ops.sum(truth * prediction, axis=-1, keepdims=True)
    short = of_truth < tau
    rest = ops.where(short, (1.0 - tau) / ops.where(short, 1.0 - of_truth, 1.0), 1.0)
    encoded = truth * ops.maximum(of_truth, tau) + (1.0 - truth) * prediction * rest
    labelled = ops.sum(truth, axis=-1, keepdims=True)  # 0 at void pixels
    return encoded * labelled, prediction


ENCODINGS = {"basic": basic, "product": product, "scaling": scaling}
"""What `kseg.SegmentationGame(encoding=...)` takes."""
