"""Prediction beyond one forward pass: tiles, sliding windows, several views of an image, several models, DenseCRF.

A *model* here is whatever turns images (B, H, W, C) into logits (B, H, W, K): a Keras model, called through `predict_on_batch`,
or any other callable. So what one function of this package returns can be given to the next. Images are checked where they
enter: rank, dtype, channels, NaN, and a range of [0, 255]. numpy only, except for `SavedModel` and `refine_with_crf`.
"""

from kseg.inference.averaging import average_views, ensemble
from kseg.inference.crf import refine_with_crf
from kseg.inference.overlap_tile import overlap_tiles, predict_overlap_tile
from kseg.inference.saved_models import SavedModel, TooManyPixels
from kseg.inference.sliding_window import predict_windows, windows
from kseg.inference.tiles import predict_tiles

__all__ = [
    "SavedModel",
    "TooManyPixels",
    "average_views",
    "ensemble",
    "overlap_tiles",
    "predict_overlap_tile",
    "predict_tiles",
    "predict_windows",
    "refine_with_crf",
    "windows",
]
