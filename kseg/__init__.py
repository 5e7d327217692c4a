"""kseg: per-pixel labelling of images with Keras.

Shapes are written with these letters: B images in a batch, H rows, W columns, C channels, K classes. Importing kseg imports
no framework; each name below is resolved when it is first used.
"""

import importlib

from kseg._registration import register_with_keras

__version__ = "0.1.0"

_MODULES = {  # name -> module that is, or that holds, it
    "VOID": "kseg.labels",
    "LabelMap": "kseg.labels",
    "UNet": "kseg.models.unet",
    "FCN32s": "kseg.models.fcn",
    "FCN16s": "kseg.models.fcn",
    "FCN8s": "kseg.models.fcn",
    "SegNet": "kseg.models.segnet",
    "SegNetBasic": "kseg.models.segnet",
    "FullResolutionFCN": "kseg.models.full_resolution",
    "DeepLabV3": "kseg.models.deeplab_v3",
    "DeepLabV3Plus": "kseg.models.deeplab_v3",
    "PSPNet": "kseg.models.pspnet",
    "FPN": "kseg.models.fpn",
    "LightFPN": "kseg.models.fpn",
    "DeepEnsemble": "kseg.models.deep_ensemble",
    "DilatedFrontEnd": "kseg.models.dilated",
    "PatchClassifier": "kseg.models.patch_classifier",
    "convolutionalize": "kseg.models.patch_classifier",
    "AdversarialGame": "kseg.games",
    "SegmentationGame": "kseg.games",
    "GAN": "kseg.games",
    "SemiSupervisedGame": "kseg.games",
    "DomainGame": "kseg.games",
    "SelfTraining": "kseg.games",
    "Teacher": "kseg.games",
    "DenseCRF": "kseg.postprocess.densecrf",
    "Schedule": "kseg.games",
    "predict_overlap_tile": "kseg.inference",
    "predict_tiles": "kseg.inference",
    "predict_windows": "kseg.inference",
    "receptive_field": "kseg.receptive_fields",
    "multiply_adds": "kseg.complexity",
    "export": "kseg.serving.exporting",
    "strategy": "kseg.training.distribution",
    "discriminators": "kseg.models.discriminators",
    "generators": "kseg.models.generators",
    "callbacks": "kseg.training.callbacks",
    "optimizers": "kseg.training.optimizers",
    "densecrf": "kseg.postprocess.densecrf",
    "outlines": "kseg.postprocess.outlines",
    "regions": "kseg.postprocess.regions",
    "superpixels": "kseg.postprocess.superpixels",
    "keras_cv": "kseg.encoders.keras_cv",
    **{
        name: f"kseg.{name}"
        for name in (
            "blocks", "complexity", "data", "encoders", "games", "inference", "labels", "layers", "losses", "metrics", "models",
            "pairs", "plots", "postprocess", "receptive_fields", "serving", "streets", "training",
        )
    },
}  # fmt: skip

__all__ = sorted(_MODULES)

register_with_keras()


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"kseg has no attribute {name!r}. It has: {', '.join(__all__)}.")
    module = importlib.import_module(_MODULES[name])
    return module if _MODULES[name].rpartition(".")[2] == name else vars(module)[name]


def __dir__():
    return [*globals(), *__all__]
