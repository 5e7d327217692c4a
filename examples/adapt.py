"""Trains on generated streets with labels and on brighter, noisier ones without, as if those came from another camera."""

import keras
import numpy as np
import tensorflow as tf

import kseg
from kseg import data, losses, metrics, streets


def draw(split, first, count):
    images, label_maps = zip(*[streets.draw(first + i, split=split) for i in range(count)], strict=True)
    return np.stack(images), np.stack(label_maps)


def by_another_camera(images):
    noise = np.random.default_rng(0).normal(0, 20, images.shape)
    return np.clip(0.7 * images + 70 + noise, 0, 255).astype(np.uint8)


classes = streets.LABELS.num_classes
images, label_maps = draw("train", 0, 96)
target, _ = draw("train", 96, 96)
scored, truth = draw("validation", 0, 16)
source = tf.data.Dataset.from_tensor_slices((images, label_maps)).shuffle(96, seed=0).repeat().batch(4)
void = np.full(target.shape[:3], kseg.VOID, np.uint8)  # an image that is void everywhere has no label map
unlabelled = tf.data.Dataset.from_tensor_slices((by_another_camera(target), void)).shuffle(96, seed=1).repeat().batch(4)
both = data.side_by_side(source, unlabelled)

segmentor = kseg.UNet(classes, filters=(16, 32, 64, 128), batch_normalization=True)
discriminator = kseg.discriminators.PatchGAN(classes, input_shape=None, layers_between=2, base_filters=16)
game = kseg.DomainGame(segmentor, discriminator, weight=0.01, maps="entropy", teacher=kseg.Teacher(start=24))
optimizers = keras.optimizers.Adam(2e-3), keras.optimizers.Adam(2e-4, beta_1=0.5)
game.compile(*optimizers, loss=losses.CrossEntropy(), metrics=[metrics.ConfusionMatrix(classes)])
scores = tf.data.Dataset.from_tensor_slices((by_another_camera(scored), truth)).batch(8)
game.fit(both, steps_per_epoch=24, epochs=4, validation_data=scores)
