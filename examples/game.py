"""Trains a U-Net against a discriminator that tells its label maps from true ones, on a few generated streets."""

import keras
import numpy as np
import tensorflow as tf

import kseg
from kseg import losses, metrics, streets


def make_dataset(split, count):
    images, label_maps = zip(*[streets.draw(index, split=split) for index in range(count)], strict=True)
    return tf.data.Dataset.from_tensor_slices((np.stack(images), np.stack(label_maps)))


classes = streets.LABELS.num_classes
segmentor = kseg.UNet(classes, filters=(16, 32, 64, 128), batch_normalization=True)
discriminator = kseg.discriminators.TwoBranch(classes, width=1 / 8)
game = kseg.SegmentationGame(segmentor, discriminator, weight=0.1, encoding="scaling", label_stride=2)
game.compile(
    keras.optimizers.Adam(2e-3),
    keras.optimizers.Adam(2e-4, beta_1=0.5),
    loss=losses.CrossEntropy(),
    metrics=[metrics.ConfusionMatrix(classes)],
)
training = make_dataset("train", 96).shuffle(96, seed=0).repeat().batch(8)
game.fit(training, steps_per_epoch=24, epochs=4, validation_data=make_dataset("validation", 16).batch(8))
