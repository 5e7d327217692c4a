"""How `pipeline.predict` gets from a picture to its label map: one pass of the SavedModel, or what its arguments ask for.

    picture -> views (flips, rotations, scales) -> tiles -> models -> mean of the models -> tiles blended -> mean of the views
            -> DenseCRF -> likeliest class -> vote of superpixels

Scales lie outside of the tiles, since a SavedModel fits what it is shown into one size. No TensorFlow until a model is loaded.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import numpy as np

from kseg import inference
from kseg.postprocess import superpixels


def build_labeller(places: list[pathlib.Path], settings) -> Callable[[np.ndarray], np.ndarray]:
    """Loads models, and returns a callable from an image (H, W, C), uint8, to its label map (H, W), uint8.

    Args:
        places: folders of SavedModels of the same classes.
        settings: of `pipeline.predict`.
    """
    label = _averaged(places, settings)
    if not settings.superpixels:
        return label
    return lambda image: superpixels.majority_vote(
        label(image), superpixels.slic(image, num_superpixels=settings.superpixels)
    )


def _averaged(places, settings):
    """The label map of the models and views that are averaged."""
    models = [inference.SavedModel(place) for place in places]
    model = models[0] if len(models) == 1 else inference.ensemble(models, average=settings.average)
    views = {"flips": settings.flips, "rotations": settings.rotations, "scales": settings.scales}
    several = views != {"flips": (), "rotations": (0,), "scales": (1.0,)}
    if settings.tile and not several and not settings.crf:
        return lambda image: _tiled(model, image, settings, "label_map")
    if settings.tile:
        one = model
        model = lambda images: np.stack([_tiled(one, image, settings, "logits") for image in images])  # noqa: E731
    if several:
        model = inference.average_views(model, average=settings.average, **views)
    if settings.crf:
        model = inference.refine_with_crf(model, **settings.crf)
    if model is models[0]:
        return model.label_map
    return lambda image: model(image[np.newaxis])[0].argmax(-1).astype(np.uint8)


def _tiled(model, image, settings, output_mode):
    return inference.predict_tiles(
        model, image, tile=settings.tile, overlap=settings.overlap, stride=1, margin=0, output_mode=output_mode
    )
