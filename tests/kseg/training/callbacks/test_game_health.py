"""GameHealth: its warnings, and what happens after a loss that is not finite."""

import re

import keras
import numpy as np
import pytest

from kseg.games import Schedule
from kseg.losses import CrossEntropy
from kseg.training.callbacks import GameHealth
from tests.kseg.games.replicas_case import segmentor
from tests.kseg.games.small_game import IDS, IMAGES, assert_equal, compile_game, make_game


def warnings_of(epochs, patience=3, counted=("adversarial_share", "discriminator_gradient_norm")):
    """Warnings of epochs given as (accuracy, share, gradient norm)."""
    warned, game = [], make_game()
    for name in counted:
        game.game_metrics[name].update_state(1.0)
    health = GameHealth("unused", patience=patience, warn=warned.append)
    health.set_model(game)
    for number, (accuracy, share, norm) in enumerate(epochs):
        logs = {"discriminator_accuracy": accuracy, "adversarial_share": share, "discriminator_gradient_norm": norm}
        health.on_epoch_end(number, {name: value for name, value in logs.items() if value is not None})
    return warned


def test_an_accurate_discriminator_without_influence_has_won():
    warned = warnings_of([(0.8, 0.1, 1.0)] + [(0.99, 0.004, 1.0)] * 6)
    assert len(warned) == 1
    assert "has won: its accuracy is 99%, and its loss makes up 0.4% of the player's gradient" in warned[0]
    assert "label_smoothing=0.1" in warned[0]


def test_a_discriminator_with_nothing_left_to_learn_has_won():
    warned = warnings_of([(0.8, 0.2, 2.0)] + [(1.0, 0.2, 0.01)] * 3)
    assert len(warned) == 1 and "it has nothing left to learn" in warned[0]


def test_an_accurate_discriminator_with_influence_is_not_warned_of():
    assert warnings_of([(0.97, 0.2, 1.0)] * 9) == []


def test_two_epochs_in_a_row_are_not_three():
    assert warnings_of([(0.99, 0.004, 1.0), (0.99, 0.004, 1.0), (0.8, 0.1, 1.0)] * 3) == []


def test_guessing_from_the_start_is_warned_of_but_not_later_where_it_is_the_aim():
    warned = warnings_of([(0.5, 0.1, 1.0)] * 5)
    assert len(warned) == 1 and "its accuracy was never above 55%" in warned[0]
    assert warnings_of([(0.75, 0.1, 1.0)] + [(0.5, 0.1, 1.0)] * 9) == []


def test_an_adversarial_loss_that_dominates_the_task_is_warned_of():
    warned = warnings_of([(0.7, 0.95, 1.0)] * 3)
    assert len(warned) == 1 and "it makes up 95% of the player's gradient. Lower the game's weight" in warned[0]


def test_an_opponent_that_does_not_classify_is_judged_by_its_share_alone():
    assert warnings_of([(None, 0.004, 0.001)] * 9) == []
    assert len(warnings_of([(None, 0.95, 1.0)] * 3)) == 1


def test_what_was_not_recorded_does_not_count_as_0():
    assert warnings_of([(0.99, 0.0, 0.0)] * 9, counted=()) == []


def test_epochs_in_which_one_network_learns_alone_raise_no_warning():
    warned = []
    game = compile_game(make_game(schedule=Schedule(pretrain_player=4, pretrain_discriminator=4)), run_eagerly=True)
    health = GameHealth("unused", patience=1, warn=warned.append)
    shown = {"batch_size": 2, "epochs": 2, "validation_data": (IMAGES, IDS), "shuffle": False, "verbose": 0}
    game.fit(IMAGES, IDS, callbacks=[health], **shown)
    assert not any("won" in text or "dominates" in text for text in warned)


@pytest.mark.parametrize(
    ("weight", "rates", "warning"),
    [
        (1e-6, (0.0, 0.05), "has won: its accuracy is"),
        (1e3, (0.0, 0.05), "dominates the task"),
        (0.1, (0.01, 0.0), "has learned nothing"),
    ],
)
def test_a_game_that_one_side_wins_is_warned_of_in_fit(weight, rates, warning):
    warned, game = [], make_game(weight=weight)
    game.segmentor.get_layer("logits").bias.assign(
        [3.0, 0.0, 0.0]
    )  # one class nearly everywhere: easily told from the truth
    game.compile(*(keras.optimizers.Adam(rate) for rate in rates), loss=CrossEntropy(ignore_class=255))
    health = GameHealth(None, patience=2, warn=warned.append)
    ids = IMAGES.argmax(axis=-1).astype(np.uint8)  # as `IDS`, without void, whose maps nobody can tell apart
    game.fit(IMAGES, ids, batch_size=2, epochs=4, shuffle=False, verbose=0, callbacks=[health])
    assert [warning in text for text in warned] == [True]


def nan_at(at):
    """Batches of two pairs, the image of one of which is no number at batch `at`."""
    images = IMAGES.copy()
    images[2 * at] = np.nan
    return images


def fit(game, health, at=2, epochs=1, callbacks=()):
    settings = {"batch_size": 2, "epochs": epochs, "shuffle": False, "verbose": 0}
    return game.fit(nan_at(at), IDS, callbacks=[health, *callbacks], **settings)


def test_a_loss_that_is_not_finite_stops_with_the_batch_saved(tmp_path):
    with pytest.raises(ValueError, match="must be finite") as caught:
        fit(compile_game(make_game(), run_eagerly=True), GameHealth(tmp_path / "nonfinite"))
    path = tmp_path / "nonfinite" / "step_00000002.npz"
    assert re.search(rf"`\w+` must be finite. Received: \w+=nan at step 2 \[batch saved to {path}\]", str(caught.value))
    with np.load(path) as batch:
        np.testing.assert_array_equal(batch["x"], nan_at(2)[4:6])
        np.testing.assert_array_equal(batch["y"], IDS[4:6])


def test_without_a_folder_no_batch_is_saved_and_none_is_named():
    with pytest.raises(ValueError, match=r"must be finite. Received: \w+=nan at step 2\. Inspect"):
        fit(compile_game(make_game(), run_eagerly=True), GameHealth(None))


def state_of(game):
    """All that changes in a step: of both networks and both optimizers, and the step."""
    held = game.segmentor, game.discriminator, game.optimizer, game.discriminator_optimizer
    return [np.array(variable) for one in held for variable in one.variables] + [np.array(game.step)]


class Copy(keras.callbacks.Callback):
    """Everything as it was before and after each step."""

    def __init__(self):
        super().__init__()
        self.before, self.after = [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.before.append(state_of(self.model))

    def on_train_batch_end(self, batch, logs=None):
        self.after.append(state_of(self.model))


@pytest.mark.parametrize(("at", "keep_every", "good"), [(2, 1, 2), (3, 2, 2), (1, 9, 0)])
def test_the_last_good_state_is_restored_and_training_continues_with_the_next_batch(at, keep_every, good, tmp_path):
    warned, copy = [], Copy()
    game = make_game(batch_normalization=True)
    adams = keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.02)
    game.compile(*adams, loss=CrossEntropy(ignore_class=255), run_eagerly=True)
    health = GameHealth(tmp_path, on_nonfinite="restore", keep_every=keep_every, warn=warned.append)
    history = fit(game, health, at=at, callbacks=[copy]).history
    assert_equal(copy.after[at], copy.before[good])  # moving statistics, both optimizers and the step with them
    assert all((old != new).any() for old, new in zip(copy.before[0][:2], copy.before[at][:2], strict=True))
    assert int(game.step) == int(game.discriminator_optimizer.iterations) == good + 3 - at
    assert all(np.isfinite(value).all() for value in state_of(game))
    assert np.isfinite(history["loss"]).all()
    assert len(warned) == 1 and f"continues from its last good state, step {good}." in warned[0]
    assert (tmp_path / f"step_{at:08}.npz").exists()


def test_after_five_restores_training_stops(tmp_path):
    health = GameHealth(tmp_path, on_nonfinite="restore", warn=lambda text: None)
    with pytest.raises(ValueError, match="last good state was restored 5 times already"):
        fit(compile_game(make_game(), run_eagerly=True), health, epochs=9)


def test_wrong_arguments_and_other_models_are_named():
    with pytest.raises(ValueError, match=r'`on_nonfinite` must be "stop" or "restore". Received: .*\'ignore\''):
        GameHealth("unused", on_nonfinite="ignore")
    with pytest.raises(ValueError, match=r"GameHealth must watch a game. Received: a Functional. Remove the callback."):
        GameHealth("unused").set_model(segmentor())
