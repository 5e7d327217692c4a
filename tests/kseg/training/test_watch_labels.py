"""WatchLabels: ids outside the classes are reported by value and number, of training and of validation."""

import keras
import numpy as np
import pytest

import kseg
from kseg.games import SegmentationGame
from kseg.losses import CrossEntropy
from kseg.metrics import ConfusionMatrix
from kseg.training.callbacks import WatchLabels
from tests.kseg.games.replicas_case import K, discriminator, pairs, segmentor

IMAGES, IDS = pairs()


def spoil(ids, *where, value=37):
    """A copy with `value` at the given pixels."""
    ids = ids.copy()
    for place in where:
        ids[place] = value
    return ids


def fit(ids, validation=None, game=False, epochs=1, watch=None, **settings):
    """Trains in batches of 4; returns the warnings."""
    model, found = segmentor(), []
    if game:
        model, settings["discriminator_optimizer"] = SegmentationGame(model, discriminator()), "sgd"
    model.compile("sgd", loss=CrossEntropy(), **{"metrics": [ConfusionMatrix(K)]} | settings)
    data = None if validation is None else (IMAGES, validation)
    watch = watch or WatchLabels("warn", warn=found.append)
    model.fit(
        IMAGES, ids, validation_data=data, batch_size=4, epochs=epochs, shuffle=False, verbose=0, callbacks=[watch]
    )
    assert all(np.isfinite(keras.ops.convert_to_numpy(weight)).all() for weight in model.weights)
    return found


@pytest.mark.parametrize("game", [False, True])
def test_training_stops_with_values_and_numbers_after_the_first_batch_that_shows_them(game):
    ids = spoil(spoil(IDS, (0, 0, 0), (1, 2, 3)), (2, 5, 5), value=99)
    with pytest.raises(
        ValueError,
        match=r"class ids in 0..2 or be 255 \(void\). Received: 37 at 2 pixels, 99 at 1 pixels \[training\]. Map these",
    ):
        fit(ids, game=game, watch=WatchLabels())


@pytest.mark.parametrize("validated", [False, True])
def test_ids_that_only_later_batches_hold_are_found_at_the_end_of_the_epoch(validated):
    found = fit(spoil(IDS, (5, 0, 0)), validation=IDS if validated else None, epochs=3)
    assert len(found) == 1 and "37 at 1 pixels [training]; they count as void" in found[0]


def test_validation_is_watched_by_itself():
    found = fit(IDS, validation=spoil(IDS, (5, 0, 0)), epochs=2)
    assert len(found) == 1 and "37 at 1 pixels [validation]" in found[0]


def test_valid_label_maps_raise_no_warning():
    assert fit(IDS, validation=IDS, epochs=2) == []


def test_wrong_arguments_and_models_that_count_nothing_are_named():
    with pytest.raises(ValueError, match=r'`on_invalid` must be "stop" or "warn". Received: on_invalid=\'ignore\''):
        WatchLabels("ignore")
    with pytest.raises(
        ValueError, match=r"WatchLabels needs a metric that counts ids.*Add kseg.metrics.ConfusionMatrix"
    ):
        fit(IDS, metrics=[])
    assert kseg.callbacks.WatchLabels is WatchLabels
