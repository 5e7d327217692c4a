"""Training of one arm as a compiled loop over an epoch, and its scores. Keras on JAX.

Optimizer, schedule, loss and class weights are those of `pipeline.components.trainer`. What arms vary is an input of the compiled
function where it can be, since compiling takes longer than many of these trainings.
"""

from __future__ import annotations

import math
import pathlib
import time

import jax
import jax.numpy as jnp
import keras
import numpy as np

import kseg
from benchmarks.recipe.inputs import draw_batch, positions_of_classes
from benchmarks.recipe.pack import unpack_pairs, unpack_weights
from benchmarks.recipe.settings import DECAYS, Arm, Phase, step_seconds
from kseg.complexity import multiply_adds
from kseg.labels import VOID
from kseg.losses import Dice
from kseg.metrics import scores
from kseg.pairs.class_balance import class_weights

NUM_CLASSES = 11
VALIDATION_BATCH = 8
AUXILIARY_FEATURE = {"efficientnet_lite0": "stage5_block3_add"}
"""Layer of each encoder from which the second head starts."""


class Data:
    """The data set in the accelerator's memory, and what the losses need of it."""

    def __init__(self, folder: pathlib.Path):
        images, label_maps = unpack_pairs(folder, "train")
        self.folder, self.count = folder, len(images)
        self.train = tuple(
            jax.device_put(part) for part in (images, label_maps, positions_of_classes(label_maps, NUM_CLASSES))
        )
        self.validation = tuple(jax.device_put(part) for part in _pad(*unpack_pairs(folder, "val")))
        of_class = [label_maps == label for label in range(NUM_CLASSES)]
        pixels = [mask.sum() for mask in of_class]
        image_pixels = [mask.any(axis=(1, 2)).sum() * mask[0].size for mask in of_class]
        self.class_weights = {
            None: [1.0] * NUM_CLASSES,
            "inverse_square_root": class_weights(pixels),
            "median_frequency": class_weights(pixels, "median_frequency", image_pixels),
        }


def _pad(images, label_maps):
    """Whole batches for validation: (N, B, H, W, 3) and (N, B, H, W); what is added is void."""
    missing = -len(images) % VALIDATION_BATCH
    images = np.concatenate([images, np.zeros((missing, *images.shape[1:]), np.uint8)])
    label_maps = np.concatenate([label_maps, np.full((missing, *label_maps.shape[1:]), VOID, np.uint8)])
    return (part.reshape(-1, VALIDATION_BATCH, *part.shape[1:]) for part in (images, label_maps))


class Network:
    """A network with its initial values and compiled functions; arms that share it differ in their settings only.

    Its variables travel as two vectors, trainable and statistics, so that optimizer and averages are single operations.
    """

    def __init__(self, arm: Arm):
        self.model = build(arm)
        fixed = self.model.non_trainable_variables
        self.statistics = [i for i, variable in enumerate(fixed) if variable.dtype == "float32"]
        self.shapes = [tuple(v.shape) for v in (*self.model.trainable_variables, *(fixed[i] for i in self.statistics))]
        size = (192, 256)
        self.relative_cost = multiply_adds(self.model, size), multiply_adds(kseg.LightFPN(NUM_CLASSES), size)

    def step_seconds(self, phase: Phase) -> float:
        return step_seconds(*self.relative_cost, phase)

    def initial_state(self, seed: int, pretrained: dict | None) -> dict:
        """Variables as numpy arrays: drawn anew by `seed`, except those that a `pretrained` layer (by name) has."""
        random = np.random.default_rng(seed)
        values = {}
        for layer in self.model.layers:
            for variable, value in zip(layer.variables, _initial_values(layer, random), strict=True):
                values[id(variable)] = value
            if pretrained and layer.name in pretrained:
                values |= {id(v): value for v, value in zip(layer.weights, pretrained[layer.name], strict=True)}
        trainable, fixed = (
            [np.asarray(values[id(v)]) for v in variables]
            for variables in (self.model.trainable_variables, self.model.non_trainable_variables)
        )
        vector = np.concatenate([value.ravel() for value in (*trainable, *(fixed[i] for i in self.statistics))])
        weights = sum(value.size for value in trainable)
        return {
            "values": vector,
            "others": [value for i, value in enumerate(fixed) if i not in self.statistics],
            "moments": np.zeros((2, weights), np.float32),
            "averages": np.repeat(vector[None], len(DECAYS), axis=0),
        }

    def variables(self, vector, others) -> tuple[list, list]:
        """The model's trainable and other variables from their vector and from those that are no float32."""
        parts, start = [], 0
        for shape in self.shapes:
            parts.append(vector[start : start + math.prod(shape)].reshape(shape))
            start += math.prod(shape)
        number = len(self.shapes) - len(self.statistics)
        statistics, rest = iter(parts[number:]), iter(others)
        count = len(self.model.non_trainable_variables)
        return parts[:number], [next(statistics) if i in self.statistics else next(rest) for i in range(count)]

    def epoch(self, phase: Phase, steps: int, arm: Arm):
        """The function of an epoch, to be compiled: (state, train data, hyper, key) -> (state, mean loss)."""

        def loss_of(trainable, fixed, images, label_maps, hyper):
            logits, fixed = self.model.stateless_call(trainable, fixed, images, training=True)
            if not arm.auxiliary:
                return pixel_loss(logits, label_maps, hyper, arm), fixed
            main = pixel_loss(logits[0], label_maps, hyper, arm)
            return main + arm.auxiliary * pixel_loss(logits[1], label_maps, hyper, arm), fixed

        def step(carry, number, data, hyper, order, key):
            state, total = carry
            images, label_maps, positions = data
            indices = jax.lax.dynamic_slice(order, (number * phase.batch,), (phase.batch,))
            batch = draw_batch(
                images, label_maps, positions, indices, jax.random.fold_in(key, number), hyper, phase.crop
            )
            trainable, fixed = self.variables(state["values"], state["others"])
            gradient = jax.value_and_grad(loss_of, has_aux=True)
            (loss, fixed), gradients = gradient(trainable, fixed, *batch, hyper)
            gradients = jnp.concatenate([value.ravel() for value in gradients])
            weights = state["values"][: gradients.size]
            done = hyper["step"] + number
            rate = hyper["rate"] * schedule(hyper["progress"] + number * hyper["progress_per_step"])
            weights, moments = adam(weights, state["moments"], gradients, done + 1, rate, arm.weight_decay)
            values = jnp.concatenate([weights, *(fixed[i].ravel() for i in self.statistics)])
            decays = jnp.minimum(jnp.asarray(DECAYS), (1 + done) / (2 + done))[:, None]  # a mean at first
            state = {
                "values": values,
                "others": [value for i, value in enumerate(fixed) if i not in self.statistics],
                "moments": moments,
                "averages": decays * state["averages"] + (1 - decays) * values,
            }
            return (state, total + loss), None

        def epoch(state, data, hyper, key):
            order = jax.random.permutation(jax.random.fold_in(key, steps), data[0].shape[0])

            def numbered_step(carry, number):
                return step(carry, number, data, hyper, order, key)

            (state, total), _ = jax.lax.scan(numbered_step, (state, jnp.float32(0)), jnp.arange(steps))
            return state, total / steps

        return epoch

    def confusion(self, values, others, images, label_maps):
        """Confusion matrices of batches of whole pictures, as they are and averaged with their mirror images.

        Returns:
            (N, 2, K, K), float32; their sum over all batches may exceed 2^24.
        """
        trainable, fixed = self.variables(values, others)

        def probabilities(batch):
            found = self.model.stateless_call(trainable, fixed, batch, training=False)[0]
            return jax.nn.softmax(found[0] if isinstance(found, (list, tuple)) else found)

        def count(batch):
            images, truth = batch[0].astype("float32"), batch[1].astype("int32")
            plain = probabilities(images)
            both = plain + probabilities(images[:, :, ::-1])[:, :, ::-1]
            actual = jax.nn.one_hot(truth, NUM_CLASSES)  # zero at void
            predicted = [jax.nn.one_hot(jnp.argmax(found, axis=-1), NUM_CLASSES) for found in (plain, both)]
            return jnp.stack([jnp.einsum("bhwi,bhwj->ij", actual, each) for each in predicted])

        return jax.lax.map(count, (images, label_maps))


def adam(weights, moments, gradients, step, rate, weight_decay):
    """Keras's Adam with decoupled weight decay, on vectors: the new weights and moments (2, P); `step` counts from 1."""
    first = 0.9 * moments[0] + 0.1 * gradients
    second = 0.999 * moments[1] + 0.001 * gradients**2
    corrected = rate * jnp.sqrt(1 - 0.999**step) / (1 - 0.9**step)
    weights = weights * (1 - weight_decay * rate)
    return weights - corrected * first / (jnp.sqrt(second) + 1e-7), jnp.stack([first, second])


def build(arm: Arm) -> keras.Model:
    """The network of an arm from images (B, H, W, 3) to logits, and to those of the second head if it has one."""
    if arm.network == "light_fpn":
        model = kseg.LightFPN(NUM_CLASSES, encoder=arm.encoder)
    elif arm.network == "unet":
        model = kseg.UNet(
            NUM_CLASSES, filters=(16, 32, 64, 128, 256, 256), encoder=arm.encoder, batch_normalization=True
        )
    elif arm.network == "deeplab_v3_plus":
        model = kseg.DeepLabV3Plus(NUM_CLASSES, encoder=arm.encoder, width=0.5)
    elif arm.network == "fcn8s":
        model = kseg.FCN8s(NUM_CLASSES, fc_filters=512, at_once=True)  # on VGG16
    else:
        raise ValueError(
            f"`network` must be light_fpn, unet, deeplab_v3_plus or fcn8s. Received: network={arm.network!r}."
        )
    if not arm.auxiliary:
        return model
    x = kseg.blocks.conv_norm(model.get_layer(AUXILIARY_FEATURE[arm.encoder]).output, 64, 3, name="auxiliary")
    x = kseg.blocks.score(x, NUM_CLASSES, name="auxiliary_score", kernel_initializer="he_normal")
    x = kseg.layers.ResizeToMatch(name="auxiliary_logits")([x, model.output])
    return keras.Model(model.input, [model.output, x])


def _initial_values(layer, random) -> list[np.ndarray]:
    """Values of a layer's variables: kernels drawn anew as their initializer says, all others as they are."""
    values = [np.asarray(variable.value) for variable in layer.variables]
    initializer = getattr(layer, "depthwise_initializer", None) or getattr(layer, "kernel_initializer", None)
    if not values or initializer is None:
        return values
    shape = values[0].shape
    fan_in, fan_out = math.prod(shape[:-1]), math.prod(shape[:-2]) * shape[-1]
    if isinstance(initializer, keras.initializers.HeNormal):
        values[0] = _truncated_normal(random, shape) * np.float32(math.sqrt(2 / fan_in) / 0.87962566103423978)
    elif isinstance(initializer, keras.initializers.GlorotUniform):
        limit = math.sqrt(6 / (fan_in + fan_out))
        values[0] = random.uniform(-limit, limit, shape).astype(np.float32)
    return values


def _truncated_normal(random, shape) -> np.ndarray:
    """Standard normal values, drawn again beyond two deviations."""
    values = random.standard_normal(shape)
    while (beyond := np.abs(values) > 2).any():
        values[beyond] = random.standard_normal(int(beyond.sum()))
    return values.astype(np.float32)


def schedule(progress):
    """Linear warm-up over the first twentieth, then half a cosine down to 0; `progress` in [0, 1)."""
    return jnp.where(progress < 0.05, progress / 0.05, 0.5 * (1 + jnp.cos(jnp.pi * (progress - 0.05) / 0.95)))


def pixel_loss(logits, label_maps, hyper, arm: Arm):
    """Mean over the batch of the mean over each picture's pixels: weighted cross-entropy, and what the arm adds.

    Args:
        logits: (B, H, W, K).
        label_maps: (B, H, W), int32, 255 where void.
        hyper: `class_weights` (K,), `label_smoothing`, `hardest`, `boundary`, `dice`.
        arm: says which of the last three are in use.
    """
    valid = label_maps < NUM_CLASSES
    ids = jnp.where(valid, label_maps, 0)
    logs = jax.nn.log_softmax(logits)
    smoothing = hyper["label_smoothing"]
    losses = -(1 - smoothing) * jnp.take_along_axis(logs, ids[..., None], axis=-1)[..., 0]
    losses = (losses - smoothing * jnp.mean(logs, axis=-1)) * hyper["class_weights"][ids]
    if arm.boundary:
        losses = losses * boundary_weights(label_maps, valid, hyper["boundary"])
    losses = jnp.where(valid, losses, 0.0)
    counted = jnp.sum(valid, axis=(1, 2))
    if arm.hardest < 1:
        kept = jnp.maximum(jnp.round(hyper["hardest"] * counted), 1).astype("int32")
        flat = jax.lax.stop_gradient(jnp.where(valid, losses, -1.0).reshape(losses.shape[0], -1))
        least = jnp.take_along_axis(jnp.sort(flat, axis=-1), (flat.shape[1] - kept)[:, None], axis=1)[:, :, None]
        losses, counted = jnp.where(losses >= least, losses, 0.0), kept
    result = jnp.mean(jnp.sum(losses, axis=(1, 2)) / jnp.maximum(counted, 1))
    if arm.dice:
        result += hyper["dice"] * jnp.mean(Dice(ignore_class=VOID).call(label_maps, logits))
    return result


def boundary_weights(label_maps, valid, extra):
    """1 + `extra` within two pixels of another class, 1 elsewhere, over their mean in each picture; void is no border."""
    window, strides = (1, 5, 5), (1, 1, 1)
    high = jax.lax.reduce_window(jnp.where(valid, label_maps, -1), -1, jax.lax.max, window, strides, "SAME")
    low = jax.lax.reduce_window(jnp.where(valid, label_maps, VOID), VOID, jax.lax.min, window, strides, "SAME")
    weights = 1.0 + extra * ((high > low) & valid)
    mean = jnp.sum(weights * valid, axis=(1, 2)) / jnp.maximum(jnp.sum(valid, axis=(1, 2)), 1)
    return weights / jnp.maximum(mean, 1.0)[:, None, None]


def hyperparameters(arm: Arm, phase: Phase, data: Data) -> dict:
    """What the compiled epoch takes as inputs, except for the schedule's place."""
    return {
        "class_weights": np.asarray(data.class_weights[arm.class_weights], np.float32),
        "scale": np.asarray(phase.scale, np.float32),
        "photometric": np.float32(arm.photometric),
        "rate": np.float32(phase.rate),
        "step": np.float32(0),
        "progress": np.float32(0),
        "progress_per_step": np.float32(0),
    } | {
        name: np.float32(getattr(arm, name))
        for name in ("label_smoothing", "hardest", "boundary", "dice", "cutmix", "rare")
    }


def train(arm: Arm, seed: int, network: Network, functions: dict, data: Data, limit: float = math.inf) -> dict | None:
    """Trains one arm and scores it.

    Args:
        arm: the recipe.
        seed: of initial values, order and augmentation.
        network: of the arm.
        functions: the compiled epoch of each phase by (crop, batch), and "confusion".
        data: the data set.
        limit: `time.monotonic()` at which training must have ended.

    Returns: a line of results; None if the time did not suffice.
    """
    pretrained = unpack_weights(data.folder, arm.encoder) if arm.pretrained else None
    state = jax.device_put(network.initial_state(seed, pretrained))
    key, start, done, losses = jax.random.key(seed), time.monotonic(), 0, []
    total = sum(count_epochs(network, phase, data)[2] for phase in arm.phases)
    for number, phase in enumerate(arm.phases):
        steps, epochs, _ = count_epochs(network, phase, data)
        hyper = hyperparameters(arm, phase, data)
        for epoch in range(epochs):
            hyper["step"] = np.float32(done)
            hyper["progress"] = np.float32(epoch / epochs)
            hyper["progress_per_step"] = np.float32(1 / epochs / steps)
            epoch_key = jax.random.fold_in(jax.random.fold_in(key, number), epoch)
            state, loss = functions[phase.crop, phase.batch](state, data.train, hyper, epoch_key)
            losses.append(loss)
            done += steps
            if epoch % 4 == 3:  # dispatch runs ahead of the device; look at the clock where the device is
                loss.block_until_ready()
                if time.monotonic() > limit:
                    return None
    losses[-1].block_until_ready()
    trained = time.monotonic()
    line = {
        "steps": done,
        "minutes": round(total / 60, 2),
        "loss": [round(float(loss), 4) for loss in losses[:: max(1, len(losses) // 12)]]
        + [round(float(losses[-1]), 4)],
    }
    weights = {"last": state["values"]} | {f"average {decay}": state["averages"][i] for i, decay in enumerate(DECAYS)}
    for name, values in weights.items():
        counts = functions["confusion"](values, state["others"], *data.validation)
        matrices = np.asarray(counts).astype(np.int64).sum(axis=0)
        for kind, matrix in zip(("plain", "flip"), matrices, strict=True):
            found = scores(matrix)
            line[f"{name}, {kind}"] = round(found["mean_iou"], 4)
            if name == "last":
                line[f"iou, {kind}"] = [round(value, 4) for value in found["iou"]]
    ended = time.monotonic()
    line |= {"training_seconds": round(trained - start, 2), "scoring_seconds": round(ended - trained, 2)}
    return line


def count_epochs(network: Network, phase: Phase, data: Data) -> tuple[int, int, float]:
    """Steps of an epoch, epochs, and the seconds of two CPU cores that they stand for."""
    steps = data.count // phase.batch
    seconds = network.step_seconds(phase) * steps
    epochs = max(1, round(60 * phase.minutes / seconds))
    return steps, epochs, epochs * seconds
