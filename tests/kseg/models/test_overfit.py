"""Each network can learn: narrow variants label six generated streets, each with all eight classes, almost perfectly."""

import keras
import numpy as np
import pytest

import kseg
from kseg import streets

INDICES = (34, 24, 19, 18, 55, 59)  # the train streets whose rarest class is the most frequent
NARROW = {"width": 0.25, "batch_normalization": True}
NETWORKS = {  # name: network, picture height and width, steps
    "unet": (lambda: kseg.UNet(8, filters=(16, 32, 64), batch_normalization=True), (64, 96), 400),
    "fcn8s": (lambda: kseg.FCN8s(8, upsampling_trainable=True, dropout=0.0, **NARROW), (64, 96), 300),
    "fcn16s": (lambda: kseg.FCN16s(8, upsampling_trainable=True, dropout=0.0, **NARROW), (64, 96), 300),
    "fcn32s": (lambda: kseg.FCN32s(8, upsampling_trainable=True, dropout=0.0, **NARROW), (64, 96), 300),
    "dilated": (
        lambda: kseg.DilatedFrontEnd(8, context="basic", upsampling_trainable=True, dropout=0.0, **NARROW),
        (64, 96),
        300,
    ),
    "segnet": (lambda: kseg.SegNet(8, width=0.25), (64, 96), 300),
    "segnet_basic": (lambda: kseg.SegNetBasic(8, width=0.5), (64, 96), 300),
    "deeplabv3": (lambda: kseg.DeepLabV3(8, depth=50, width=0.125, output_stride=8, dropout=0.0), (288, 384), 600),
    "deeplabv3plus": (lambda: kseg.DeepLabV3Plus(8, depth=50, width=0.25, dropout=0.0), (128, 192), 500),
    "pspnet": (lambda: kseg.PSPNet(8, depth=50, width=0.125, dropout=0.0), (288, 384), 600),
    "patch_classifier": (
        lambda: kseg.convolutionalize(
            kseg.PatchClassifier(
                8, window=32, filters=(32, 32, 64), kernel_sizes=(3, 3, 3), dense_units=(128,), batch_normalization=True
            )
        ),
        (64, 96),
        300,
    ),
    "full_resolution_fcn": (lambda: kseg.FullResolutionFCN(8, width=0.375, batch_normalization=True), (64, 96), 400),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_overfits_six_streets(name):
    constructor, size, steps = NETWORKS[name]
    pairs = [streets.draw(index, split="train", size=size) for index in INDICES]
    images, label_maps = (np.stack(part) for part in zip(*pairs, strict=True))
    assert {*range(8)} <= {*np.unique(label_maps)}
    keras.utils.set_random_seed(0)
    model = constructor()
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps)),
        loss=kseg.losses.CrossEntropy(ignore_class=255),
    )
    model.fit(images.astype("float32"), label_maps, batch_size=6, epochs=steps, verbose=0)
    predicted = model.predict(images.astype("float32"), verbose=0).argmax(-1)
    scores = kseg.metrics.scores(kseg.metrics.confusion_matrix(label_maps, predicted, 8))
    assert scores["mean_iou"] > 0.95, scores["iou"]
