"""CheckBatches: the first batch is checked before the first step."""

import warnings

import numpy as np
import pytest
import tensorflow as tf

from kseg.games import SegmentationGame, SelfTraining
from kseg.losses import CrossEntropy
from kseg.training.callbacks import CheckBatches
from tests.kseg.games.replicas_case import discriminator, pairs, segmentor

IMAGES, IDS = pairs()


def dataset(images, ids):
    return tf.data.Dataset.from_tensor_slices((images, ids)).batch(4)


def fit(images=IMAGES, ids=IDS, make=dataset, around=None, **arguments):
    """One epoch, after the check of what `make` returns."""
    model, settings = segmentor(), {}
    if around == "game":
        model, settings = SegmentationGame(model, discriminator()), {"discriminator_optimizer": "sgd"}
    if around == "self-training":
        model = SelfTraining(model)
    model.compile("sgd", loss=CrossEntropy(), **settings)
    check = CheckBatches(make(images, ids), **arguments)
    return model.fit(images, ids, batch_size=4, verbose=0, callbacks=[check])


@pytest.mark.parametrize("make", [dataset, lambda *arrays: arrays], ids=["data set", "arrays"])
def test_images_scaled_to_1_are_warned_of_once(make):
    with pytest.warns(UserWarning, match=r"\[first batch of fit\]. Multiply by 255") as found:
        fit(images=IMAGES / 255, make=make)
    assert len([one for one in found if "[0, 255]" in str(one.message)]) == 1


@pytest.mark.parametrize("around", [None, "game", "self-training"])
def test_ids_outside_the_classes_are_refused_before_the_first_step(around):
    ids = IDS.copy()
    ids[1, :2, 0] = 7
    with pytest.raises(ValueError, match=r"`label_maps` must hold class ids in 0..2.*\[7\] at 2 pixels \[first batch"):
        fit(ids=ids, around=around)


def test_void_is_what_ignore_class_says():
    with pytest.raises(ValueError, match=r"class ids in 0..2. Received: ids \[255\] at \d+ pixels"):
        fit(ignore_class=None)


def test_images_that_are_not_finite_are_refused():
    images = IMAGES.copy()
    images[3, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="Images must be finite"):
        fit(images=images)


def test_good_batches_pass_in_silence():
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=r".*\[0, 255\]")
        assert len(fit().history["loss"]) == 1


def test_an_iterator_is_refused_since_a_batch_would_be_lost():
    with pytest.raises(ValueError, match=r"`data` must be a data set or arrays. Received: a generator"):
        fit(make=lambda images, ids: (pair for pair in [(images, ids)]))
