"""Schedules: who learns at which step, and how much the verdict weighs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.games import Schedule
from kseg.games.schedules import BOTH, DISCRIMINATOR, PLAYER, PLAYER_ALONE
from kseg.training.callbacks import Resume
from tests.kseg.games.small_game import IDS, IMAGES, assert_equal, compile_game, make_game, moved, weights_of
from tests.kseg.games.stop import Stop


def turns(steps, **settings):
    return [Schedule(**settings).phase(step) for step in steps]


def test_by_default_both_learn_at_every_step():
    assert set(turns(range(1000))) == {BOTH}


def test_alternation_every_step_starts_with_the_discriminator():
    assert turns(range(4), alternate_every=1) == [DISCRIMINATOR, PLAYER, DISCRIMINATOR, PLAYER]


def test_alternation_every_500_steps_as_in_the_paper():
    seen = turns([0, 499, 500, 999, 1000], alternate_every=500)
    assert seen == [DISCRIMINATOR, DISCRIMINATOR, PLAYER, PLAYER, DISCRIMINATOR]


def test_the_player_is_pretrained_first_and_then_the_discriminator():
    seen = turns([0, 9, 10, 14, 15, 99], pretrain_player=10, pretrain_discriminator=5)
    assert seen == [PLAYER_ALONE, PLAYER_ALONE, DISCRIMINATOR, DISCRIMINATOR, BOTH, BOTH]
    seen = turns([14, 15, 17, 18, 20, 21], pretrain_player=10, pretrain_discriminator=5, alternate_every=3)
    assert seen == [DISCRIMINATOR, DISCRIMINATOR, DISCRIMINATOR, PLAYER, PLAYER, DISCRIMINATOR]


def test_the_ramp_rises_from_0_to_1_once_the_game_has_begun():
    schedule = Schedule(pretrain_player=10, pretrain_discriminator=5, ramp=4)
    np.testing.assert_allclose([schedule.ramp_factor(step) for step in (0, 15, 16, 19, 400)], [0, 0, 0.25, 1, 1])
    assert Schedule().ramp_factor(0) == 1


def test_wrong_steps_are_named():
    with pytest.raises(ValueError, match=r"`ramp` must be an integer of at least 0. Received: ramp=0.5."):
        Schedule(ramp=0.5)
    with pytest.raises(ValueError, match=r"`pretrain_player` must be .*Received: pretrain_player=-1."):
        Schedule(pretrain_player=-1)


class Watch(keras.callbacks.Callback):
    """Notes after each step which network moved."""

    def __init__(self, game):
        super().__init__()
        self.game, self.seen = game, []

    def on_train_batch_begin(self, batch, logs=None):
        self.before = [weights_of(network) for network in (self.game.segmentor, self.game.discriminator)]

    def on_train_batch_end(self, batch, logs=None):
        after = [weights_of(network) for network in (self.game.segmentor, self.game.discriminator)]
        self.seen.append(tuple(moved(old, new) for old, new in zip(self.before, after, strict=True)))


def watched(game, epochs=1):
    watch = Watch(game)
    game.fit(IMAGES, IDS, batch_size=2, epochs=epochs, shuffle=False, verbose=0, callbacks=[watch])
    return watch.seen


def test_fit_trains_the_network_of_the_phase_also_after_loading_a_file(tmp_path):
    schedule = Schedule(pretrain_player=1, pretrain_discriminator=2, alternate_every=2)
    game = compile_game(make_game(batch_normalization=True, schedule=schedule))
    player, judge = (True, False), (False, True)
    assert watched(game) == [player, judge, judge, judge]
    game.save(tmp_path / "game.keras")
    again = keras.saving.load_model(tmp_path / "game.keras")
    assert watched(again) == [judge, player, player, judge]


def test_while_the_ramp_is_at_0_the_segmentor_learns_its_task_alone():
    game, alone = compile_game(make_game(weight=0.7, schedule=Schedule(ramp=1000))), compile_game(make_game(weight=0.0))
    for one in (game, alone):
        one.fit(IMAGES, IDS, batch_size=len(IMAGES), shuffle=False, verbose=0)
    assert_equal(weights_of(game.segmentor), weights_of(alone.segmentor))
    game.step.assign(1000)
    for one in (game, alone):
        one.fit(IMAGES, IDS, batch_size=len(IMAGES), shuffle=False, verbose=0)
    assert moved(weights_of(game.segmentor), weights_of(alone.segmentor))


def test_a_training_killed_in_any_phase_resumes_bit_for_bit(tmp_path, monkeypatch):
    monkeypatch.setattr("kseg.training.callbacks.resume.MIN_PAUSE", 0)

    def trained(folder, stop_after=99):
        schedule = Schedule(pretrain_player=2, pretrain_discriminator=2, alternate_every=1, ramp=3)
        game = compile_game(make_game(batch_normalization=True, weight=0.7, schedule=schedule), run_eagerly=True)
        folder.mkdir(exist_ok=True)
        resume = Resume(folder / "kept.npz", steps_per_epoch=4, batch=(IMAGES[:1], IDS[:1]), seconds=0)
        batches = tf.data.Dataset.from_tensor_slices((IMAGES, IDS)).repeat().batch(2).skip(resume.step)
        where = {"steps_per_epoch": 4, "initial_epoch": resume.epoch, "epochs": 3, "verbose": 0}
        game.fit(batches, callbacks=[resume, Stop(stop_after)], **where)
        return weights_of(game), resume.history

    weights, history = trained(tmp_path / "whole")
    for stop_after in (1, 2, 3, 3):
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "parts", stop_after)
    again, history_again = trained(tmp_path / "parts")
    assert_equal(again, weights)
    assert history_again == history
