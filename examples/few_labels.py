"""Trains on 12 generated streets with label maps and 84 without: an averaged copy of the network labels those."""

import keras
import numpy as np
import tensorflow as tf

import kseg
from kseg import losses, metrics, streets


def draw(split, count):
    images, label_maps = zip(*[streets.draw(index, split=split) for index in range(count)], strict=True)
    return np.stack(images), np.stack(label_maps)


classes = streets.LABELS.num_classes
images, label_maps = draw("train", 96)
labelled = tf.data.Dataset.from_tensor_slices((images[:12], label_maps[:12])).shuffle(12, seed=0).repeat()
void = np.full_like(label_maps[12:], kseg.VOID)  # an image that is void everywhere has no label map
unlabelled = tf.data.Dataset.from_tensor_slices((images[12:], void)).shuffle(84, seed=1).repeat()
both = tf.data.Dataset.sample_from_datasets([labelled, unlabelled], seed=2).batch(8)

segmentor = kseg.UNet(classes, filters=(16, 32, 64, 128), batch_normalization=True)
model = kseg.SelfTraining(segmentor, kseg.Teacher(threshold=0.9, start=24))
model.compile(keras.optimizers.Adam(2e-3), loss=losses.CrossEntropy(), metrics=[metrics.ConfusionMatrix(classes)])
scores = tf.data.Dataset.from_tensor_slices(draw("validation", 16)).batch(8)
model.fit(both, steps_per_epoch=24, epochs=4, validation_data=scores)
model.segmentor.save("segmentor.keras")
