"""The trainer with images without masks: what a batch holds, resuming bit for bit, and the whole line up to the push."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from kseg import games
from kseg.labels import VOID
from pipeline.components import trainer as training
from pipeline.components.trainer import trainer
from pipeline.settings.trainer import Trainer
from tests.pipeline.conftest import LABELS
from tests.pipeline.small_trunk import small_network
from tests.prepared_pairs import write_prepared

SMALL = Trainer(
    filters=(4, 8), epochs=2, batch_size=4, steps_per_epoch=3, precision="float32", discriminator_filters=4, label_stride=4,
    checkpoint_seconds=0.0, teacher_start=2, pseudo_label_threshold=0.35,
)  # fmt: skip


@pytest.fixture
def prepared(finished, tmp_path):
    """A transform artifact with 5 images without masks, darker than the others."""
    splits = dict(finished.small_pairs)
    splits["unlabelled"] = [(image // 2, np.full_like(label_map, VOID)) for image, label_map in splits["test"]]
    folder = write_prepared(tmp_path / "transform", splits, LABELS)
    counts = {split: len(pairs) for split, pairs in splits.items()}
    plan = {"image_size": finished.image_size, "channels": 3, "class_weights": [1.0] * 3, "examples": counts}
    plan["unlabelled_domain"] = "target"
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A network that is traced in a second."""
    monkeypatch.setattr(
        training.networks, "segmentor", lambda config, classes, channels, weights: small_network(classes, channels)
    )


class Killed(Exception):
    pass


def train(folder, transform, monkeypatch, killed_after=None, **settings):
    """Every variable at the end; None where the training was killed after so many steps."""
    folder.mkdir(exist_ok=True)
    ends = []

    class Watch(training.EpochProgress):  # stands where the callbacks do, before Resume
        def on_train_batch_begin(self, batch, logs=None):
            if int(self.model.step) == killed_after:
                raise Killed

        def on_train_end(self, logs=None):
            ends.append([weight.numpy() for weight in self.model.variables])

    monkeypatch.setattr(training, "EpochProgress", Watch)
    monkeypatch.setattr("kseg.training.callbacks.resume.MIN_PAUSE", 0)
    try:
        trainer(folder, dataclasses.replace(SMALL, **settings), transform=transform)
    except Killed:
        return None
    return ends[0]


def test_half_of_each_batch_are_images_without_masks_and_the_record_names_the_opponent(prepared, tmp_path, monkeypatch):
    side_by_side, seen = training.data.side_by_side, []

    def look(*kinds, **options):
        both = side_by_side(*kinds, **options)
        seen.extend(both.take(3).as_numpy_iterator())
        return both

    monkeypatch.setattr(training.data, "side_by_side", look)
    train(tmp_path / "out", prepared, monkeypatch, adaptation="entropy", target_colours=True)
    for images, label_maps in seen:
        assert images.shape == (4, 24, 32, 3)
        colours = np.stack([image[image.any(axis=-1)].mean(axis=0) for image in images])  # without padding
        np.testing.assert_allclose(colours[:2], colours[2:], rtol=0.1)  # the pairs were twice as bright
        assert [bool((label_map == VOID).all()) for label_map in label_maps] == [False, False, True, True]
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    assert {"discriminator_accuracy", "adversarial_share", "confident_share"} <= set(history)
    assert history["confident_share"][1] > 0 and np.isfinite(history["val_loss"]).all()
    assert "val_confident_share" not in history
    game = keras.saving.load_model(tmp_path / "out" / "game.keras")
    assert isinstance(game, games.DomainGame) and int(game.step) == 6
    assert json.loads((tmp_path / "out" / "training.json").read_text())["discriminator"]["name"] == "patch_gan"


def test_an_epoch_is_a_pass_over_the_pairs_although_they_are_half_of_a_batch(prepared, tmp_path, monkeypatch):
    train(tmp_path / "out", prepared, monkeypatch, steps_per_epoch=None, batch_size=2, epochs=1)
    assert len(json.loads((tmp_path / "out" / "history.json").read_text())["loss"]) == 1
    assert json.loads((prepared / "plan.json").read_text())["examples"]["train"] == 3
    assert not (tmp_path / "out" / "game.keras").exists() and (tmp_path / "out" / "model.keras").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("adaptation", ["none", "maps", "features"])
@pytest.mark.parametrize("killed_after", [1, 4])
def test_a_killed_training_resumes_bit_for_bit(prepared, tmp_path, monkeypatch, adaptation, killed_after):
    whole = train(tmp_path / "whole", prepared, monkeypatch, adaptation=adaptation)
    assert train(tmp_path / "killed", prepared, monkeypatch, killed_after=killed_after, adaptation=adaptation) is None
    resumed = train(tmp_path / "killed", prepared, monkeypatch, adaptation=adaptation)
    assert len(whole) == len(resumed) and all(map(np.array_equal, whole, resumed))
    histories = [(tmp_path / name / "history.json").read_text() for name in ("whole", "killed")]
    assert histories[0] == histories[1]
