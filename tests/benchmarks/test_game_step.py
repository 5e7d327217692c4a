"""The benchmark of the game's step compares steps that do the same, and reads its table rightly."""

import argparse

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks import game_step


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(game_step, "SIZE", (16, 16))
    monkeypatch.setattr(game_step, "BATCH", 2)
    monkeypatch.setattr(game_step, "make_segmentor", lambda: game_step.kseg.UNet(game_step.CLASSES, filters=(4, 8)))


def test_every_step_moves_the_discriminator_alike(small, monkeypatch):
    made = []
    build = game_step.make_game
    monkeypatch.setattr(game_step, "make_game", lambda *size: made.append(build(*size)) or made[-1])
    x, y = game_step.make_batch()
    for of in (game_step.make_discriminator_step, game_step.make_game_step, game_step.make_textbook_step):
        keras.utils.set_random_seed(0)
        of(x, y, 4, 2)()
    alone, game, textbook = ([weight.numpy() for weight in model.discriminator.weights] for model in made)
    for one, two, three in zip(alone, game, textbook, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
        np.testing.assert_allclose(one, three, atol=1e-5)


def test_the_gambler_alone_learns_what_it_learns_in_the_game(small, monkeypatch):
    made, build = [], game_step.make_formulation
    monkeypatch.setattr(game_step, "make_formulation", lambda *how: made.append(build(*how)) or made[-1])
    x, y = game_step.make_batch()
    keras.utils.set_random_seed(0)
    game_step.make_gambler_step(x, y, 2, 2)()
    keras.utils.set_random_seed(0)
    game_step.make_formulation_step(x, y, "gambler", 2, 2)()
    alone, game = ([weight.numpy() for weight in model.discriminator.weights] for model in made)
    for one, other in zip(alone, game, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_textbooks_segmentor_hears_the_discriminator_after_its_step(small, monkeypatch):
    made = []
    build = game_step.make_game
    monkeypatch.setattr(game_step, "make_game", lambda *size: made.append(build(*size)) or made[-1])
    monkeypatch.setattr(game_step.keras.optimizers, "AdamW", lambda rate: keras.optimizers.SGD(0.5))
    monkeypatch.setattr(game_step.keras.optimizers, "Adam", lambda rate: keras.optimizers.SGD(0.5))
    x, y = game_step.make_batch()
    monkeypatch.setattr(game_step, "WEIGHT", 100.0)  # so that the verdict is most of what it hears
    keras.utils.set_random_seed(0)
    game_step.make_textbook_step(x, y, 4, 2)()
    keras.utils.set_random_seed(0)
    one = build(4, 2)
    variables = one.segmentor.trainable_variables
    _, real, fake = one.play(x, y)
    game_step._train_discriminator(one, real, fake)
    with tf.GradientTape() as tape:
        logits, _, fake = one.play(x, y)
        loss = one.loss(y, logits) + 100.0 * tf.reduce_mean(tf.nn.softplus(-one.discriminator(fake, training=True)))
    one.optimizer.apply(tape.gradient(loss, variables), variables)
    for ours, textbooks in zip(variables, made[0].segmentor.trainable_variables, strict=True):
        np.testing.assert_allclose(ours.numpy(), textbooks.numpy(), rtol=1e-4, atol=1e-5)


def test_steps_take_turns_and_the_first_two_rounds_are_not_counted():
    order = []
    found = game_step.measure_seconds({name: lambda name=name: order.append(name) for name in "ab"}, rounds=3)
    assert order == list("ababababab")
    assert {name: times.shape for name, times in found.items()} == {"a": (3,), "b": (3,)}


def test_the_table_holds_the_game_against_its_parts_and_against_the_textbook():
    times = {"segmentor": 2.0, "discriminator": 2.0, "game": 4.4, "textbook": 5.5}
    arguments = argparse.Namespace(filters=4, stride=1, precision="float32", rounds=1)
    text = game_step.format_table({name: np.array([value]) for name, value in times.items()}, arguments)
    assert "| game | 4.400 (4.400 to 4.400) | 1.10 | 0.80 |" in text and text.endswith("held.")
    slow = game_step.format_table(
        {name: np.array([value]) for name, value in (times | {"game": 5.0}).items()}, arguments
    )
    assert slow.endswith("FAILED.")
