"""A saved model loads after `import keras, kseg` alone, in a fresh process, and resumes training; so do files of old versions."""

import itertools
import pathlib
import shutil

import keras
import numpy as np
import pytest

import kseg
from kseg import discriminators, losses, optimizers
from tests.kseg.models.fresh import answers, answers_in_fresh_processes
from tests.kseg.models.test_networks import NETWORKS, K

SAVED = pathlib.Path(__file__).parent / "saved"
DRAW = np.random.default_rng(0)
IMAGES = DRAW.integers(0, 256, (2, 17, 19, 3)).astype("float32")
TRUTHS = DRAW.integers(0, K, (2, 17, 19)).astype("uint8")
TRUTHS[:, 0] = 255
SAMPLES = DRAW.integers(0, 256, (2, 8, 8, 3)).astype("float32")

LOSSES = {
    "cross_entropy": lambda: losses.CrossEntropy(class_weights=[1.0] * K, top_k=0.5),
    "focal": lambda: losses.Focal(),
    "boundary": lambda: losses.BoundaryCrossEntropy(),
    "dice": lambda: losses.Dice(),
    "jaccard": lambda: losses.Jaccard(),
    "tversky": lambda: losses.Tversky(),
    "lovasz": lambda: losses.Lovasz(),
    "sum": lambda: losses.CrossEntropy() + 0.5 * losses.Dice(),
}
OPTIMIZERS = {
    "sgd": lambda: optimizers.SGD(1e-4, momentum=0.9, rates={"block": 0.5}),
    "adam": lambda: optimizers.Adam(1e-4, rates={"block": 0.5}),
    "adamw": lambda: optimizers.AdamW(1e-4, rates={"block": 0.5}),
}
FAMILIES = {  # network -> its loss and optimizer; the slow test takes every network with every loss
    "unet": ("sum", "sgd"),
    "fcn8s": ("focal", "adam"),
    "segnet_basic": ("tversky", "adam"),
    "patch_classifier": ("lovasz", "sgd"),
    "dilated_context": ("jaccard", "adam"),
    "deeplab_v3_plus": ("focal", "adamw"),
}


def segmentor(network: str, loss: str, optimizer: str) -> keras.Model:
    model = NETWORKS[network]()
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # Keras does not save the state of its seed
    metrics = [kseg.metrics.ConfusionMatrix(K, ignore_class=255)]
    model.compile(OPTIMIZERS[optimizer](), loss=LOSSES[loss](), metrics=metrics, run_eagerly=True, jit_compile=False)
    return model


def game(constructor, discriminator, **arguments):
    made = constructor(kseg.UNet(K, filters=(2, 3)), discriminator, **arguments)
    metrics = [kseg.metrics.ConfusionMatrix(K, ignore_class=255)]
    made.compile(
        optimizers.SGD(1e-3), keras.optimizers.Adam(1e-3), loss=losses.CrossEntropy(), metrics=metrics, run_eagerly=True
    )
    return made


def gan():
    made = kseg.GAN(
        kseg.generators.DCGAN(3, noise=4, size=8, base_filters=2), discriminators.DCGAN(3, size=8, base_filters=2)
    )
    made.compile(keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3), run_eagerly=True)
    return made


PAIRED = {"input_shape": (None, None, 3)}
GAMES = {  # one of each class; OTHER_GAMES have other discriminators
    "two_branch": lambda: game(kseg.SegmentationGame, discriminators.TwoBranch(K, width=1 / 16)),
    "patch_gan": lambda: game(
        kseg.SegmentationGame,
        discriminators.PatchGAN(K, base_filters=2),
        schedule=kseg.Schedule(ramp=5),
        objective="hinge",
    ),
    "fully_convolutional": lambda: game(kseg.SemiSupervisedGame, discriminators.FullyConvolutional(K, base_filters=2)),
    "gan": gan,
}
OTHER_GAMES = {
    "large_fov": lambda: game(
        kseg.SegmentationGame, discriminators.LargeFOV(3 * K, width=1 / 32), encoding="product", label_stride=2
    ),
    "small_fov": lambda: game(
        kseg.SegmentationGame, discriminators.SmallFOV(K, width=1 / 32, spectral_normalization=True, **PAIRED)
    ),
}


def save(model, path: pathlib.Path) -> dict[str, np.ndarray]:
    """Trains a step, saves, and returns the answers that the loaded model must give too."""
    if isinstance(model, kseg.GAN):
        examples = {"x": SAMPLES, "given": SAMPLES[:, 0, 0, :1] * np.ones(4, "float32")}
    else:
        examples = {"x": IMAGES, "y": TRUTHS, "given": IMAGES}
    np.savez(path.with_suffix(".npz"), **examples)
    answers(model, path)
    model.save(path)
    return answers(model, path)


def assert_equal(found, expected):
    """To a thousandth of the largest value: deep networks amplify the last bits, which another process rounds differently."""
    for name, values in expected.items():
        assert found[name].keys() == values.keys()
        for key, value in values.items():
            allowed = 1e-3 * max(1.0, np.abs(value).max())
            np.testing.assert_allclose(found[name][key], value, rtol=0, atol=allowed, err_msg=f"{name}: {key}")


def assert_training_resumes(models, folder: pathlib.Path):
    expected = {}
    for name, make in models.items():
        keras.utils.set_random_seed(1)
        expected[name] = save(make(), folder / f"{name}.keras")
    assert_equal(answers_in_fresh_processes([folder / f"{name}.keras" for name in models]), expected)


def test_a_network_of_each_family_and_each_game_resume_their_training_in_a_fresh_process(tmp_path):
    models = {name: lambda name=name, how=how: segmentor(name, *how) for name, how in FAMILIES.items()}
    assert_training_resumes(models | GAMES, tmp_path)


@pytest.mark.slow
def test_each_game_with_another_discriminator_resumes_in_a_fresh_process(tmp_path):
    assert_training_resumes(OTHER_GAMES, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_network_with_every_loss_resumes_in_a_fresh_process(tmp_path):
    products = zip(itertools.product(NETWORKS, LOSSES), itertools.cycle(OPTIMIZERS), strict=False)
    models = {f"{net}-{loss}": lambda how=(net, loss, rate): segmentor(*how) for (net, loss), rate in products}
    assert_training_resumes(models, tmp_path)


@pytest.mark.parametrize("order", ["keras first", "kseg first", pytest.param("tf.keras", marks=pytest.mark.slow)])
def test_files_of_an_earlier_version_load_and_give_its_answers_whatever_is_imported_first(order, tmp_path):
    paths = [pathlib.Path(shutil.copy(path, tmp_path)) for path in SAVED.glob("*.keras")]
    outputs = dict(np.load(SAVED / "outputs.npz"))
    images, truths = outputs.pop("image"), outputs.pop("truth")
    trained = order == "keras first"  # training after it was loaded takes longest, and the same classes as loading
    for path in paths:
        np.savez(path.with_suffix(".npz"), given=images, **({"x": images, "y": truths} if trained else {}))
    found = answers_in_fresh_processes(paths, order)
    assert sorted(found) == ["every_layer", "game", "network"]
    for name, expected in outputs.items():
        if name.endswith("_trained") and not trained:
            continue
        answer = found[name.removesuffix("_trained")]["after" if name.endswith("_trained") else "before"]
        np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-5)
