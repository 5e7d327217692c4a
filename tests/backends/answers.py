"""Computes what networks, losses and metrics answer on the backend named by KERAS_BACKEND: `answers.py KIND FILE.npz`.

Questions (weights, images, label maps) are drawn by numpy, so every backend gets the same. On any backend but TensorFlow,
TensorFlow cannot be imported: what needs it in secret fails. Kinds are the keys of `KINDS`.
"""

import functools
import importlib
import os
import pathlib
import sys

BACKEND = os.environ["KERAS_BACKEND"]


class NoTensorFlow:
    """An import hook that refuses TensorFlow."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            raise ImportError(f"TensorFlow must not be needed here. Received: import {name}.")


if BACKEND != "tensorflow":
    sys.meta_path.insert(0, NoTensorFlow())
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import ops  # noqa: E402

import kseg  # noqa: E402
from kseg import encoders, losses, metrics  # noqa: E402
from tests.kseg.encoders.test_encoders import KERAS, OWN  # noqa: E402
from tests.kseg.models.test_networks import NETWORKS, OTHERS, inputs  # noqa: E402

K = 5
SIZE = (45, 38)


def on_encoder(name):
    """A builder of FCN-8s on an encoder; those of keras.applications cannot be as narrow as others."""
    narrow = {} if name == "efficientnet_v2_b0" else {"width": 0.35 if name in KERAS else 1 / 32}
    return lambda: kseg.FCN8s(K, width=1 / 64, encoder=functools.partial(getattr(encoders, name), **narrow))


ENCODERS = set(OWN | KERAS) - {"resnet101"}  # which is built like ResNet-50
EVERY = NETWORKS | OTHERS | {f"fcn8s_{name}": on_encoder(name) for name in sorted(ENCODERS)}
WEIGHTS = [0.5, 1.0, 2.0, 3.0, 0.0]
LOSSES = {
    "cross_entropy": losses.CrossEntropy(255, WEIGHTS, label_smoothing=0.1, reduction=None),
    "cross_entropy_of_hardest": losses.CrossEntropy(255, WEIGHTS, top_k=0.3, reduction=None),
    "focal": losses.Focal(255, WEIGHTS, gamma=1.5, reduction=None),
    "dice": losses.Dice(255, WEIGHTS, reduction=None),
    "generalized_dice": losses.Dice(255, generalized=True, reduction=None),
    "jaccard": losses.Jaccard(255, reduction=None),
    "tversky": losses.Tversky(255, reduction=None),
    "lovasz": losses.Lovasz(255, WEIGHTS, reduction=None),
    "weighted_sum": losses.CrossEntropy(255, reduction=None) + 0.5 * losses.Dice(255),
}


def drawn():
    """Ids (2, H, W) of K classes, int32, a tenth of them void, and logits (2, H, W, K), float32."""
    draw = np.random.default_rng(0)
    ids = draw.integers(0, K, (2, *SIZE))
    ids[draw.random(ids.shape) < 0.1] = 255
    return ids.astype(np.int32), draw.normal(0, 3, (*ids.shape, K)).astype(np.float32)


def gradients(function, values):
    """What `function(values)` returns, a scalar and more, and the scalar's gradients by the values; compiled."""
    if BACKEND == "jax":
        import jax

        return jax.jit(jax.value_and_grad(function, has_aux=True))(values)
    import tensorflow as tf

    @tf.function
    def traced(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            scalar, rest = function(values)
        return (scalar, rest), tape.gradient(scalar, values)

    return traced([tf.convert_to_tensor(value) for value in values])


def of_networks():
    """What every network answers."""
    answers = {}
    for name, build in EVERY.items():
        network = build()
        fill(network)
        answers[name] = network.predict(inputs(network, *SIZE), verbose=0)
    return answers


def of_gradients():
    """Gradients of one direction of every network's answer by all its weights; in float64, with fixed batch statistics.

    In float32 the backends' rounding decides which of two nearly equal maxima is pooled, and so where a gradient goes: one
    such place moved some of an FCN's gradients by 1e-3, on TensorFlow as on JAX, against those of float64. Statistics of maps
    of 3x3 pixels, layer upon layer, magnify rounding as much; Keras takes them in float32 on JAX whatever the network's type.
    """
    keras.config.set_floatx("float64")
    answers = {}
    for name, build in EVERY.items():
        network = build()
        fill(network)
        values = inputs(network, *SIZE)
        fixed = [variable.value for variable in network.non_trainable_variables]
        direction = np.random.default_rng(1).normal(size=network.compute_output_shape(shapes(values)))

        def along(weights, network=network, values=values, fixed=fixed, direction=direction):
            answer, _ = network.stateless_call(weights, fixed, values)
            return ops.sum(ops.cast(answer, "float64") * direction), ()

        _, slopes = gradients(along, [variable.value for variable in network.trainable_variables])
        paths = [variable.path for variable in network.trainable_variables]
        answers |= {f"{name}: gradient by {path}": slope for path, slope in zip(paths, slopes, strict=True)}
    return answers


def shapes(values):
    """Shapes of one tensor or of several."""
    return [each.shape for each in values] if isinstance(values, list) else values.shape


def fill(network):
    """Gives all trainable weights numbers that numpy draws, and turns dropout off, whose noise each backend draws itself."""
    draw = np.random.default_rng(0)
    for layer in network._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0
    for variable in network.trainable_variables:
        if len(variable.shape) > 1:
            value = draw.normal(0, np.sqrt(2 / np.prod(variable.shape[:-1])), variable.shape)
        else:
            value = draw.normal(variable.path.endswith("gamma"), 0.1, variable.shape)
        variable.assign(value)


def of_losses():
    """Values and gradients of every loss."""
    untried = {name for name, loss in vars(losses).items() if isinstance(loss, type)} - {"SegmentationLoss"}
    untried -= {type(loss).__name__ for loss in LOSSES.values()}
    if untried:
        raise ValueError(f"Every loss must be tested. Received: no {', '.join(sorted(untried))} in LOSSES.")
    (ids, logits), answers = drawn(), {}
    for name, loss in LOSSES.items():

        def total(values, loss=loss):
            of_images = loss(ids, values[0])
            return ops.sum(of_images), of_images

        (_, of_images), slopes = gradients(total, [logits])
        answers |= {name: of_images, f"{name}: gradient": slopes[0]}
    return answers


def of_metrics():
    """Counts and scores of the metric of `compile`, past 2^24 pixels too."""
    (ids, logits), answers = drawn(), {}
    for score in metrics.SCORES:
        metric = metrics.ConfusionMatrix(K, score=score)
        metric.update_state(ids, logits)
        metric.update_state(ids, np.where(ids == 255, 0, ids))
        answers |= {f"{score}: matrix": metric.matrix(), score: metric.result()}
    words = np.zeros((2, K**2 + 1))
    words[:, 0] = 2**16 - 1, 2**24 - 2
    metric.words.assign(words)
    metric.update_state(np.zeros((1, 1, 2), np.int32), np.zeros((1, 1, 2), np.int32))
    return answers | {"past 2^24: matrix": metric.matrix()}


def of_training():
    """What `fit` reports of a few steps of two networks, one with batch normalisation, and the weights that they end with."""
    answers = {}
    for name in ("full_resolution_fcn", "unet_norm"):
        network = NETWORKS[name]()
        fill(network)
        loss = losses.CrossEntropy(255) + 0.5 * losses.Dice(255) + 0.1 * losses.Lovasz(255)
        network.compile(keras.optimizers.SGD(0.01), loss, metrics=[metrics.ConfusionMatrix(K)])
        images, ids = inputs(network, *SIZE), drawn()[0]
        history = network.fit(images, ids, batch_size=1, epochs=3, shuffle=False, verbose=0).history
        answers |= {f"{name}: {measure}": values for measure, values in history.items()}
        answers |= {f"{name}: {weight.path}": weight for weight in network.weights}
    return answers


def of_imports():
    """Of every module of kseg what its import raises, or ""; but of those that lack an optional package here."""
    answers = {}
    for path in sorted((ROOT / "kseg").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        except ImportError as error:
            answers[name] = str(error)
        else:
            answers[name] = ""
    return answers


KINDS = {
    "networks": of_networks,
    "gradients": of_gradients,
    "losses": of_losses,
    "metrics": of_metrics,
    "training": of_training,
    "imports": of_imports,
}


def main(kind, file):
    """Writes the answers of one kind."""
    answers = {name: ops.convert_to_numpy(a) if kind != "imports" else a for name, a in KINDS[kind]().items()}
    np.savez(file, **answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
