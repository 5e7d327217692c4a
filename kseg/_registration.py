"""Names that stand in saved models, registered with Keras as soon as Keras is imported. Standard library only.

`keras.models.load_model` finds a class outside Keras only by its registered name, and kseg imports the modules that register
names on first use. So each name is first registered as a `Deferred`, which imports its module when a model that contains it is
loaded; the class takes its place when its module is imported for any reason. That costs no import, neither of Keras nor of
kseg's modules, and what a module needs (TensorFlow, say) is missed only by the models that contain its classes.
"""

from __future__ import annotations

import importlib
import sys

CLASSES = {
    "kseg.games.domain": ("DomainGame",),
    "kseg.games.gan": ("GAN",),
    "kseg.games.schedules": ("Schedule",),
    "kseg.games.segmentation": ("SegmentationGame",),
    "kseg.games.self_training": ("SelfTraining",),
    "kseg.games.semi_supervised": ("SemiSupervisedGame",),
    "kseg.games.teacher": ("Teacher",),
    "kseg.layers.normalization": ("BatchNormalization", "ImageNetNormalization", "LocalResponseNormalization"),
    "kseg.layers.pooling": ("ImagePooling2D",),
    "kseg.layers.sizes": ("CropToMatch", "MinimumSize", "ResizeToMatch"),
    "kseg.layers.unpooling": ("BedOfNails2D", "MaxPoolingWithIndices2D", "MaxUnpooling2D"),
    "kseg.layers.upsampling": ("Bilinear", "Interpolation2D"),
    "kseg.layers.windows": ("DilatedMaxPooling2D", "ReflectionPadding2D"),
    "kseg.losses.boundary": ("BoundaryCrossEntropy",),
    "kseg.losses.lovasz": ("Lovasz",),
    "kseg.losses.overlap": ("Dice", "Jaccard", "Tversky"),
    "kseg.losses.pixelwise": ("CrossEntropy", "Focal"),
    "kseg.losses.segmentation_loss": ("WeightedSum",),
    "kseg.metrics.confusion": ("ConfusionMatrix",),
    "kseg.models.dilated": ("IdentityByClass",),
    "kseg.postprocess.densecrf.layer": ("DenseCRF",),
    "kseg.training.optimizers": ("SGD", "Adam", "AdamW"),
}
"""Classes registered with `package="kseg"`, by module."""


class Deferred:
    """Stands for a registered class until its module is imported; `from_config` is all that Keras asks of one."""

    def __init__(self, module: str, name: str):
        self.module, self.name = module, name

    def __repr__(self):
        return f"<class {self.module}.{self.name}, not yet imported>"

    def resolve(self) -> type:
        return getattr(importlib.import_module(self.module), self.name)

    def from_config(self, config, **kwargs):
        return self.resolve().from_config(config, **kwargs)

    def __call__(self, *args, **kwargs):
        return self.resolve()(*args, **kwargs)


def register_with_keras() -> None:
    """Registers the names now if Keras is imported, else right after it will have been."""
    if "keras" in sys.modules:
        _register(importlib.import_module("keras"))
    else:
        sys.meta_path.insert(0, _KerasFinder())


def _register(keras) -> None:
    registered = keras.saving.get_custom_objects()
    for module, names in CLASSES.items():
        for name in names:
            registered.setdefault(f"kseg>{name}", Deferred(module, name))


class _KerasFinder:
    """Lets the other finders find Keras, and registers the names once it is loaded."""

    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        specs = (finder.find_spec(name, path, target) for finder in _other_finders())
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _KerasLoader(spec.loader)
        return spec


class _KerasLoader:
    """Keras's own loader, and the registration after it."""

    def __init__(self, loader):
        self.loader = loader

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        sys.meta_path[:] = _other_finders()
        _register(module)


def _other_finders() -> list:
    """Finders but this module's, by name: importing kseg a second time brings another class of that name."""
    return [finder for finder in sys.meta_path if type(finder).__name__ != _KerasFinder.__name__]
