"""Builds what labels a picture: one pass of the SavedModel, or the refinements that `pipeline.predict` is given.

    picture -> views (flips, rotations, scales) -> tiles -> models -> mean over models -> blended tiles -> mean over views
            -> DenseCRF -> argmax -> majority vote of superpixels

Scales come before tiles, since a SavedModel resizes every image to one size. TensorFlow is imported when a model is loaded.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import numpy as np

from kseg import inference
from kseg.inference.checks import values_checked
from kseg.inference.model_calls import takes_levels
from kseg.pictures import picture_of
from kseg.postprocess import superpixels


def build_labeller(models: list[pathlib.Path], options) -> Callable[[np.ndarray], np.ndarray]:
    """Loads models; returns a function from an image (H, W, C) to its label map (H, W), uint8.

    Args:
        models: folders of SavedModels of the same classes.
        options: `PredictionOptions`.
    """
    label = _build_average(models, options)

    def label_picture(image):
        with values_checked():  # a nearly black picture is not one in [0, 1]
            label_map = label(image)
        if not options.superpixels:
            return label_map
        regions = superpixels.slic(picture_of(image), num_superpixels=options.superpixels)
        return superpixels.majority_vote(label_map, regions)

    return label_picture


def _build_average(paths, options):
    """The labeller without superpixels: the mean over models and views, refined by DenseCRF."""
    models = [inference.SavedModel(path) for path in paths]
    model = models[0] if len(models) == 1 else inference.ensemble(models, average=options.average)
    views = {"flips": options.flips, "rotations": options.rotations, "scales": options.scales}
    several_views = views != {"flips": (), "rotations": (0,), "scales": (1.0,)}
    if options.tile and not several_views and not options.crf:
        return lambda image: _predict_tiles(model, image, options, "label_map")
    refined = _by_tiles(model, options) if options.tile else model
    if several_views:
        refined = inference.average_views(refined, average=options.average, **views)
    if options.crf:
        refined = inference.refine_with_crf(refined, **options.crf)
    if refined is models[0]:
        return refined.label_map
    return lambda image: refined(image[np.newaxis])[0].argmax(-1).astype(np.uint8)


def _by_tiles(model, options):
    """`model` as a callable on images (B, H, W, C) of any size, which it predicts tile by tile."""

    def predict(images):
        return np.stack([_predict_tiles(model, image, options, "logits") for image in images])

    predict.levels = takes_levels(model)
    return predict


def _predict_tiles(model, image, options, output_mode):
    return inference.predict_tiles(
        model, image, tile=options.tile, overlap=options.overlap, stride=1, margin=0, output_mode=output_mode
    )
