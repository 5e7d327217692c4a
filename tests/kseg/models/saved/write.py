"""Wrote the `.keras` files next to it with the code of 266f8d1, before modules moved and arguments were renamed.

They are not written again: they hold what that code saved. In a checkout of 266f8d1: `PYTHONPATH=. python write.py FOLDER`.
"""

import pathlib
import sys
import zipfile

import keras
import numpy as np

import kseg
from kseg.models.dilated import IdentityByClass

CLASSES = 3


def image(channels: int = 3) -> np.ndarray:
    """(2, 12, 14, channels), every pixel different."""
    return (np.arange(2 * 12 * 14 * channels) * 37 % 256).reshape(2, 12, 14, channels).astype(np.float32)


def truth() -> np.ndarray:
    label_map = np.arange(2 * 12 * 14).reshape(2, 12, 14) // 5 % CLASSES
    label_map[:, 0] = 255
    return label_map.astype(np.uint8)


def network() -> keras.Model:
    """U-Net with a kseg initializer in its decoder, compiled with a weighted sum of losses, a metric and an optimizer."""
    model = kseg.UNet(CLASSES, filters=(2, 3), upsampling="transposed_bilinear", batch_normalization=True)
    loss = kseg.losses.CrossEntropy(ignore_class=255, class_weights=[1.0, 2.0, 1.0]) + 0.5 * kseg.losses.Dice(
        ignore_class=255
    )
    optimizer = kseg.optimizers.SGD(0.01, momentum=0.9, rates={"down": 0.1})
    model.compile(optimizer, loss=loss, metrics=[kseg.metrics.ConfusionMatrix(CLASSES, ignore_class=255)])
    model.fit(image(), truth(), verbose=0)
    return model


def every_layer() -> keras.Model:
    """Each layer and initializer of kseg once, DenseCRF last."""
    layers = kseg.layers
    inputs = keras.Input((12, 14, 3), name="image")
    x = layers.ReflectionPadding2D(1)(layers.MinimumSize(4)(inputs))
    x = layers.DilatedMaxPooling2D((2, 2), (2, 2))(
        layers.LocalResponseNormalization()(layers.ImageNetNormalization()(x))
    )
    pooled, indices = layers.MaxPoolingWithIndices2D(2)(x)
    branches = [
        layers.MaxUnpooling2D(2)([pooled, indices]),
        layers.BedOfNails2D(2)(pooled),
        layers.Interpolation2D(2, "bicubic")(pooled),
        layers.Upsampling("transposed_bilinear", 2, filters=3)(pooled),
        layers.ResizeToMatch()([layers.ImagePooling2D(2)(pooled), x]),
    ]
    x = keras.layers.Add()(branches)
    identity = IdentityByClass(CLASSES)
    x = keras.layers.Conv2D(CLASSES, 3, padding="same", kernel_initializer=identity)(x)
    x = layers.CropToMatch()([keras.layers.ZeroPadding2D(1)(x), inputs])
    x = kseg.DenseCRF(iterations=1)([keras.layers.Rescaling(0.01)(x), inputs])
    return keras.Model(inputs, x, name="every_layer")


def game() -> keras.Model:
    """A segmentor and a discriminator after two steps, with a schedule."""
    segmentor = kseg.UNet(CLASSES, filters=(2, 3))
    discriminator = kseg.discriminators.TwoBranch(CLASSES, branch_filters=4)
    game = kseg.SegmentationGame(
        segmentor, discriminator, weight=0.1, encoding="scaling", schedule=kseg.Schedule(ramp=2)
    )
    game.compile(
        keras.optimizers.Adam(1e-3), keras.optimizers.SGD(1e-2), loss=kseg.losses.Focal(ignore_class=255),
        metrics=[kseg.metrics.ConfusionMatrix(CLASSES, ignore_class=255)],
    )  # fmt: skip
    game.fit(image(), truth(), batch_size=1, verbose=0)
    return game


def compress(path: pathlib.Path) -> None:
    """Keras stores the parts of its archive as they are, most of which is empty space in HDF5."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)


def main(folder: pathlib.Path) -> None:
    outputs = {"image": image(), "truth": truth()}
    for name, make in {"network": network, "every_layer": every_layer, "game": game}.items():
        keras.utils.set_random_seed(1)
        model = make()
        model.save(folder / f"{name}.keras")
        compress(folder / f"{name}.keras")
        outputs[name] = np.asarray(model.predict(image(), verbose=0))
        if name != "every_layer":
            model.fit(image(), truth(), batch_size=2, shuffle=False, verbose=0)
            outputs[f"{name}_trained"] = np.asarray(model.predict(image(), verbose=0))
    np.savez_compressed(folder / "outputs.npz", **outputs)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
