"""Trains a U-Net in the game against a discriminator that tells its label maps from true ones, on a few generated streets."""

import keras
import numpy as np
import tensorflow as tf

import kseg
from kseg import labels, losses, metrics, streets


def drawn(split, count):
    images, label_maps = zip(*[streets.draw(index, split=split) for index in range(count)], strict=True)
    return tf.data.Dataset.from_tensor_slices((np.stack(images), np.stack(label_maps)))


classes = streets.LABELS.num_classes
segmentor = kseg.UNet(classes, filters=(16, 32, 64, 128), batch_normalization=True)
discriminator = kseg.discriminators.TwoBranch(classes, width=1 / 8)
game = kseg.SegmentationGame(segmentor, discriminator, weight=0.1, encoding="scaling", label_stride=2)
game.compile(
    keras.optimizers.Adam(2e-3),
    keras.optimizers.Adam(2e-4, beta_1=0.5),
    loss=losses.CrossEntropy(ignore_class=labels.VOID),
    metrics=[metrics.ConfusionMatrix(classes, ignore_class=labels.VOID)],
)
training = drawn("train", 96).shuffle(96, seed=0).repeat().batch(8)
game.fit(training, steps_per_epoch=24, epochs=4, validation_data=drawn("validation", 16).batch(8))
