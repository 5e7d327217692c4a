"""Deep ensembles: the mean of probabilities, apart from the networks, saved and exported like any network."""

import keras
import numpy as np
import pytest

import kseg


def constant(*logits, channels=3):
    """A network that gives these logits everywhere."""
    image = keras.Input((None, None, channels), name="image")
    layer = keras.layers.Conv2D(len(logits), 1, kernel_initializer="zeros", name="score")
    model = keras.Model(image, layer(image), name="constant")
    layer.set_weights([layer.get_weights()[0], np.array(logits)])
    return model


IMAGE = np.full((1, 4, 5, 3), 90.0)


def test_probabilities_are_averaged_not_logits():
    networks = [
        constant(np.log(0.8), np.log(0.2)),
        constant(np.log(0.2), np.log(0.8)),
        constant(np.log(0.5), np.log(0.5)),
    ]
    logits = kseg.DeepEnsemble(networks)(IMAGE)
    np.testing.assert_allclose(logits, np.log(0.5), atol=1e-6)
    sure = kseg.DeepEnsemble([constant(0, -200), constant(0, 0)])(IMAGE)
    np.testing.assert_allclose(np.exp(sure[0, 0, 0]), [0.75, 0.25], atol=1e-6)
    assert np.isfinite(kseg.DeepEnsemble([constant(0, -500)])(IMAGE)).all()


def test_later_training_of_a_network_does_not_change_the_ensemble():
    network = constant(2, 0)
    ensemble = kseg.DeepEnsemble([network, constant(2, 0)])
    before = np.asarray(ensemble(IMAGE))
    network.layers[-1].set_weights([network.layers[-1].get_weights()[0], np.array([-9, 9])])
    np.testing.assert_array_equal(ensemble(IMAGE), before)
    assert network.name == "constant"


def test_networks_of_kseg_are_averaged_saved_and_loaded(tmp_path):
    networks = [kseg.UNet(3, filters=(4, 8)) for _ in range(2)]
    ensemble = kseg.DeepEnsemble(networks)
    image = np.random.default_rng(0).integers(0, 256, (2, 33, 35, 3)).astype(np.float32)
    expected = np.mean([keras.ops.softmax(network(image)) for network in networks], axis=0)
    np.testing.assert_allclose(keras.ops.softmax(ensemble(image)), expected, atol=1e-5)
    ensemble.save(tmp_path / "ensemble.keras")
    loaded = keras.saving.load_model(tmp_path / "ensemble.keras")
    np.testing.assert_allclose(loaded(image), ensemble(image), atol=1e-5)


def test_an_ensemble_is_exported_like_any_network(tmp_path):
    labels = kseg.LabelMap(("ground", "car"), ((90, 90, 90), (220, 60, 50)), (0, 1))
    ensemble = kseg.DeepEnsemble([constant(0, -200), constant(0, 0)])
    kseg.export(ensemble, tmp_path, labels=labels, image_size=(16, 24))
    served = kseg.inference.SavedModel(tmp_path)(IMAGE)
    np.testing.assert_allclose(np.exp(served[0, 0, 0]), [0.75, 0.25], atol=1e-5)


def test_what_is_no_network_or_gives_probabilities_is_refused():
    for networks in (None, "unet.keras", [kseg.UNet], [None]):
        with pytest.raises(
            ValueError, match=r"`networks` must be a list of functional keras.Models. Received: networks="
        ):
            kseg.DeepEnsemble(networks)
    with pytest.raises(ValueError, match=r"`networks` must give logits. Received: unet, which ends with probabilities"):
        kseg.DeepEnsemble([kseg.UNet(2, filters=(2, 4), activation="softmax")])
    one = kseg.DeepEnsemble(constant(0, number) for number in (0, 1))
    assert kseg.DeepEnsemble([kseg.DeepEnsemble([one])]).output_shape == one.output_shape  # its logarithms are logits


@pytest.mark.parametrize(
    "networks", [[], [constant(0, 0), constant(0, 0, 0)], [constant(0, 0), constant(0, 0, channels=1)]]
)
def test_networks_that_do_not_fit_together_are_refused(networks):
    with pytest.raises(ValueError, match=r"`networks` must be at least one network, all with inputs and outputs of"):
        kseg.DeepEnsemble(networks)
