"""Trains a U-Net with plain Keras on a prepared data set (`python -m examples.fit FOLDER`), or on a few generated streets."""

import sys

import keras
import numpy as np
import tensorflow as tf

import kseg
from kseg import data, losses, metrics, streets
from kseg.labels import LabelMap


def generate(split, count):
    images, label_maps = zip(*[streets.draw(index, split=split) for index in range(count)], strict=True)
    return tf.data.Dataset.from_tensor_slices((np.stack(images), np.stack(label_maps)))


if len(sys.argv) > 1:
    classes = LabelMap.load(sys.argv[1])
    training = data.training_set(sys.argv[1], size=(96, 128), batch_size=8)
    validation = data.evaluation_set(sys.argv[1], size=(96, 128), batch_size=8)
else:
    classes = streets.LABELS
    training = generate("train", 96).shuffle(96, seed=0).repeat().batch(8)
    validation = generate("validation", 16).batch(8)
model = kseg.UNet(classes.num_classes, filters=(16, 32, 64, 128), batch_normalization=True)
mean_iou = metrics.ConfusionMatrix(classes.num_classes)
model.compile(keras.optimizers.Adam(2e-3), losses.CrossEntropy(), metrics=[mean_iou])
model.fit(training, steps_per_epoch=24, epochs=6, validation_data=validation)
