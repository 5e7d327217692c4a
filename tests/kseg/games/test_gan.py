"""GAN: samples from noise by the same game."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import kseg
from kseg import streets
from kseg.games import GAN, Schedule
from tests.kseg.games.small_game import assert_equal, moved, weights_of


def network(name, sizes, units=32):
    """Dense layers from sizes[0] to sizes[1] numbers."""
    x = inputs = keras.Input((sizes[0],))
    for number in (1, 2):
        x = layers.Dense(units, activation="leaky_relu", name=f"dense{number}")(x)
    return keras.Model(inputs, layers.Dense(sizes[1], name="out")(x), name=name)


def small(schedule=None, rates=(1e-3, 2e-3), **settings):
    keras.utils.set_random_seed(1)
    gan = GAN(network("generator", (4, 1)), network("discriminator", (1, 1)), schedule=schedule, name="gan", **settings)
    gan.compile(*(keras.optimizers.Adam(rate, beta_1=0.5) for rate in rates))
    return gan


REAL = np.random.default_rng(0).normal(3.0, 1.5, (25600, 1)).astype(np.float32)


def probability_of_real(gan, samples):
    return float(keras.ops.mean(keras.ops.sigmoid(gan.discriminator(samples))))


@pytest.mark.slow
def test_on_a_toy_distribution_the_discriminator_leads_at_first_and_then_can_only_guess():
    steps = 100
    gan = small(rates=[keras.optimizers.schedules.CosineDecay(rate, 25 * steps) for rate in (1e-3, 2e-3)])
    noise = np.random.default_rng(1).normal(size=(8192, 4)).astype(np.float32)

    def judged_rightly(epoch, logs):
        real, fake = gan.discriminator(REAL[:8192]).numpy() > 0, gan.discriminator(gan.generator(noise)).numpy() <= 0
        rightly.append((real.mean() + fake.mean()) / 2)

    rightly = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=judged_rightly)
    gan.fit(REAL[:1280], batch_size=256, epochs=4, shuffle=False, verbose=0, callbacks=[watch])
    assert max(rightly) > 0.7
    gan.fit(REAL, batch_size=256, epochs=25, shuffle=False, verbose=0, callbacks=[watch])
    assert rightly[-1] == pytest.approx(0.5, abs=0.05)

    samples = gan.predict(noise, batch_size=len(noise), verbose=0)
    assert probability_of_real(gan, samples) == pytest.approx(0.5, abs=0.02)
    assert samples.mean() == pytest.approx(REAL.mean(), abs=0.15)
    assert samples.std() == pytest.approx(REAL.std(), rel=0.1)
    shares = [0.05, 0.25, 0.5, 0.75, 0.95]
    np.testing.assert_allclose(np.quantile(samples, shares), np.quantile(REAL, shares), atol=0.25)


def spread(samples):
    """Mean distance of each sample from the next."""
    return np.abs(samples[1:] - samples[:-1]).mean()


@pytest.mark.slow
@pytest.mark.parametrize(("label_map", "enough"), [(True, 0.6), (False, 0.4)])
def test_on_streets_samples_come_to_lie_like_them_and_to_differ_from_each_other(label_map, enough):
    pairs = [streets.draw(index, split="train", size=(32, 32)) for index in range(128)]
    images, ids = (np.stack(one) for one in zip(*pairs, strict=True))
    # Void is a ninth class here.
    real = np.eye(9, dtype=np.float32)[np.minimum(ids, 8)] if label_map else images.astype(np.float32)
    real = np.concatenate([real, real[:, :, ::-1]])
    channels = real.shape[-1]
    keras.utils.set_random_seed(0)
    generator = kseg.generators.DCGAN(channels, noise=32, base_filters=16, label_map=label_map)
    discriminator = kseg.discriminators.DCGAN(channels, base_filters=16, label_map=label_map)
    gan = GAN(generator, discriminator, label_smoothing=0.1)
    gan.compile(keras.optimizers.Adam(1e-3, beta_1=0.5), keras.optimizers.Adam(4e-4, beta_1=0.5))
    noise = np.random.default_rng(0).normal(size=(256, 32)).astype(np.float32)

    def alike(samples):
        return np.corrcoef(samples.mean(axis=0).ravel(), real.mean(axis=0).ravel())[0, 1]

    before = gan.predict(noise, verbose=0)
    gan.fit(real, batch_size=32, epochs=160, verbose=0)
    after = gan.predict(noise, verbose=0)
    assert abs(alike(before)) < 0.1 < enough < alike(after)
    assert spread(after) > 0.3 * spread(real) > 10 * spread(before)


PENALTIES = {  # of real, of fake, the generator's
    "non_saturating": (lambda f: tf.nn.softplus(-f), tf.nn.softplus, lambda f: tf.nn.softplus(-f)),
    "hinge": (lambda f: tf.nn.relu(1 - f), lambda f: tf.nn.relu(1 + f), lambda f: -f),
}


def networks(convolutions):
    """A generator from 4 numbers and its discriminator; with convolutions, batch normalisation too."""
    keras.utils.set_random_seed(2)
    if not convolutions:
        return network("generator", (4, 1)), network("discriminator", (1, 1))
    settings = {"size": 8, "base_filters": 4, "label_map": True}
    return kseg.generators.DCGAN(3, noise=4, **settings), kseg.discriminators.DCGAN(3, **settings)


@pytest.mark.parametrize("convolutions", [False, True])
@pytest.mark.parametrize("objective", PENALTIES)
def test_a_step_equals_two_halves_written_out(objective, convolutions, monkeypatch):
    draw = np.random.default_rng(4)
    noise = tf.constant(draw.normal(size=(6, 4)), tf.float32)
    real = draw.random((6, 8, 8, 3), np.float32) if convolutions else REAL[:6]
    of_real, of_fake, of_player = PENALTIES[objective]
    rates, after, losses = (0.1, 0.2), [], []
    for half in (0, 1):  # each with networks that the other half never touched
        g, d = networks(convolutions)
        with tf.GradientTape() as tape:
            fake = g(noise, training=True)
            on_real, on_fake = d(real, training=True), d(fake, training=True)
            of_d = tf.reduce_mean(of_real(on_real)) + tf.reduce_mean(of_fake(on_fake))
            losses.append((tf.reduce_mean(of_player(on_fake)), of_d)[half])
        variables = (g, d)[half].trainable_variables
        for variable, gradient in zip(variables, tape.gradient(losses[half], variables), strict=True):
            variable.assign_sub(rates[half] * gradient)
        after.append(weights_of((g, d)[half]))

    gan = GAN(*networks(convolutions), objective=objective)
    gan.compile(*(keras.optimizers.SGD(rate) for rate in rates), run_eagerly=True)
    monkeypatch.setattr(tf.random, "stateless_normal", lambda shape, seed: noise)
    logs = gan.fit(real, batch_size=6, verbose=0).history
    assert_equal(weights_of(gan.generator), after[0], atol=1e-5)
    assert_equal(weights_of(gan.discriminator), after[1], atol=1e-5)
    assert (logs["adversarial_loss"][0], logs["discriminator_loss"][0]) == pytest.approx(tuple(map(float, losses)))


def test_fit_logs_the_game_and_no_task_and_predict_draws_samples():
    gan = small()
    history = gan.fit(REAL[:512], batch_size=128, epochs=2, verbose=0).history
    assert set(history) == {
        "discriminator_loss", "adversarial_loss", "discriminator_accuracy", "gradient_norm", "discriminator_gradient_norm"
    }  # fmt: skip
    noise = np.zeros((3, 4), np.float32)
    np.testing.assert_allclose(gan.predict(noise, verbose=0), gan.generator(noise), atol=1e-6)
    with pytest.raises(ValueError, match=r"there is no score to evaluate"):
        gan.evaluate(REAL[:8])


@pytest.mark.parametrize("schedule", [None, Schedule(pretrain_discriminator=9)])
def test_every_step_draws_new_noise_also_while_the_generator_does_not_learn(schedule):
    gan, drawn = small(schedule), []
    play = gan.play
    gan.play = lambda x, y=None: drawn.append(play(x, y)[0]) or (drawn[-1], x, drawn[-1])
    gan.run_eagerly = True
    before = weights_of(gan.generator)
    gan.fit(REAL[:512], batch_size=128, verbose=0)
    assert len(drawn) == 4
    assert len({float(one[0, 0]) for one in drawn}) == 4
    assert moved(before, weights_of(gan.generator)) == (schedule is None)


def test_training_resumes_from_a_file_as_if_never_stopped(tmp_path):
    gan = small(label_smoothing=0.1, objective="least_squares", seed=5)
    gan.fit(REAL[:512], batch_size=128, shuffle=False, verbose=0)
    gan.save(tmp_path / "gan.keras")
    again = keras.saving.load_model(tmp_path / "gan.keras")
    assert (again.objective, again.label_smoothing, again.seed, int(again.step)) == ("least_squares", 0.1, 5, 4)
    for one in (gan, again):
        one.fit(REAL[:512], batch_size=128, shuffle=False, verbose=0)
    assert_equal(weights_of(again), weights_of(gan))


def test_samples_must_fit_the_discriminator():
    with pytest.raises(
        ValueError, match=r"`generator` must make samples.*\(None, 2\), discriminator.input_shape=\(None, 1\)"
    ):
        GAN(network("generator", (4, 2)), network("discriminator", (1, 1)))
    with pytest.raises(ValueError, match=r"`formulation` must be left out of a GAN.*formulation='embedding'"):
        GAN(network("generator", (4, 2)), network("discriminator", (2, 1)), formulation="embedding")


@pytest.mark.parametrize("label_map", [False, True])
def test_the_dcgan_doubles_to_its_size(label_map):
    generator = kseg.generators.DCGAN(5, noise=7, size=16, base_filters=4, label_map=label_map)
    sample = generator(np.random.default_rng(0).normal(size=(2, 7))).numpy()
    assert sample.shape == (2, 16, 16, 5)
    if label_map:
        np.testing.assert_allclose(sample.sum(axis=-1), 1, rtol=1e-5)
    else:
        assert sample.min() >= 0 and sample.max() <= 255 and abs(sample.mean() - 127.5) < 20
    logits = kseg.discriminators.DCGAN(5, size=16, base_filters=4, label_map=label_map)(sample)
    assert logits.shape == (2, 1)
    with pytest.raises(ValueError, match=r"`size` must be 8, 16, 32, 64, ... Received: size=24."):
        kseg.generators.DCGAN(3, size=24)
