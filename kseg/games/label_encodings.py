"""Encodings of label maps for a discriminator, which should tell true maps from predicted ones by where classes lie, not by
hard zeros and ones. `keras.ops` only.

Each encoding takes the truth as one-hot vectors and the prediction as probabilities, (B, H, W, K) float32, both all zero at
void pixels, and the image (B, H, W, C) in [0, 255]; it returns the encoded truth and the encoded prediction.

Source: Luc et al. 2016 (arXiv:1611.08408), section 3.
"""

from __future__ import annotations

from keras import ops

TAU = 0.9


def basic(truth, prediction, image):
    """Both unchanged, (B, H, W, K)."""
    return truth, prediction


def product(truth, prediction, image):
    """Each class's map times each channel of the image in [0, 1]: (B, H, W, C K), the classes of the first channel first."""
    image = image / 255.0

    def multiply(maps):
        return ops.concatenate([maps * image[..., i : i + 1] for i in range(image.shape[-1])], axis=-1)

    return multiply(truth), multiply(prediction)


def scaling(truth, prediction, image, tau: float = TAU):
    """The prediction unchanged; the truth as the closest distribution to it with at least `tau` for the true class: (B, H, W, K).

    With s the prediction and l the true class, y_l = max(tau, s_l) and y_c = s_c (1 - y_l) / (1 - s_l) for the others. Where
    s_l is at least tau the encoded truth equals the prediction, even where s_l is 1 and the quotient would be 0 / 0.
    """
    of_truth = ops.sum(truth * prediction, axis=-1, keepdims=True)
    short = of_truth < tau
    rest = ops.where(short, (1.0 - tau) / ops.where(short, 1.0 - of_truth, 1.0), 1.0)
    encoded = truth * ops.maximum(of_truth, tau) + (1.0 - truth) * prediction * rest
    labelled = ops.sum(truth, axis=-1, keepdims=True)  # 0 at void pixels
    return encoded * labelled, prediction


ENCODINGS = {"basic": basic, "product": product, "scaling": scaling}
"""Values of `encoding` in `kseg.SegmentationGame`."""
