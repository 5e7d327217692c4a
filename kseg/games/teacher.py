"""Self-training: an averaged copy of the segmentor labels the images that have no label map. `keras.ops` only, but for its seeds.

An image without a label map has a label map that is void everywhere, so both kinds go through one `fit`, in one batch.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import typing  # noqa: E402  (only after the backend is known)

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import ops  # noqa: E402

from kseg._checks import check_arguments, check_boolean, check_integer, check_number  # noqa: E402
from kseg.labels import VOID  # noqa: E402
from kseg.losses.segmentation_loss import SegmentationLoss, find_image_weights, find_valid  # noqa: E402

BRIGHTNESS, CONTRAST, GAIN = 40.0, (0.6, 1.4), (0.85, 1.15)
"""Of the strong view: largest shift of all levels; ranges of the factors on their distance from the mean, and on each channel."""
SIDES = (0.25, 0.75)
"""Range of the sides of the rectangle that is mixed in, as shares of those of the image."""


class Seen(typing.NamedTuple):
    """What the segmentor learns from in place of a batch.

    Attributes:
        images: float32 (B, H, W, C); those without a label map in their strong view.
        ids: int32 (B, H, W): label maps, and pseudo-labels, void where the teacher is not confident.
        weights: float32 (B,), of the images in the task's loss.
        confident: float32 (B,), the share of confident pixels of images without a label map, 0 for others.
        unlabelled: bool (B,).
    """

    images: object
    ids: object
    weights: object
    confident: object
    unlabelled: object


@keras.saving.register_keras_serializable(package="kseg")
class Teacher:
    """An average of the segmentor's weights labels images without a label map, for the segmentor to find in a strong view.

    After each step the teacher's weights t move towards the segmentor's s: t <- d t + (1 - d) s, with d = min(decay, 1 - 1 / (n +
    1)) at step n, so that the first ones are soon forgotten. Of an image without a label map it sees what the batch holds. Where
    its probability reaches `threshold`, its class is the pseudo-label; elsewhere the label is void. The segmentor sees another
    view: light and colours change, and a rectangle shows the next image of the batch, with its labels, true or not. The loss of
    an image is weighted with `weight` times the share of its labelled pixels, so it is a sum over these divided by all pixels.

    Args:
        decay: d, in [0, 1).
        threshold: probability from which a pixel has a pseudo-label, in (0, 1].
        weight: factor of the loss on pseudo-labels, at least 0.
        start: first step with pseudo-labels; the teacher follows from the beginning.
        cut_mix: whether a rectangle of the next image is mixed in.
        seed: of the views.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> model = kseg.SelfTraining(kseg.UNet(2, filters=(4, 8)), teacher=kseg.Teacher(threshold=0.8))
        >>> model.compile("adam", kseg.losses.CrossEntropy(), metrics=[kseg.metrics.ConfusionMatrix(2)])
        >>> images, label_maps = np.zeros((2, 32, 32, 3), np.float32), np.zeros((2, 32, 32), np.uint8)
        >>> label_maps[1] = kseg.VOID  # the second image has no label map
        >>> history = model.fit(images, label_maps, batch_size=2, verbose=0)
        >>> 0 <= history.history["confident_share"][0] <= 1
        True

    Source: Tarvainen and Valpola 2017 (arXiv:1703.01780) for the average, with their beginning; Sohn et al. 2020
        (arXiv:2001.07685), FixMatch, for threshold and views; French et al. 2020 (arXiv:1906.01916) for CutMix on label maps.
        UniMatch (Yang et al. 2023, arXiv:2208.09910) adds a second strong view and one of features; DACS (Tranheden et al. 2021,
        arXiv:2007.08702) mixes whole classes of source images into target images.
    """

    def __init__(self, decay=0.99, threshold=0.9, weight=1.0, start=0, cut_mix=True, seed=0):
        check_number("decay", decay, minimum=0, below=1)
        check_number("threshold", threshold, above=0, maximum=1)
        check_number("weight", weight, minimum=0)
        check_integer("start", start, minimum=0)
        check_boolean("cut_mix", cut_mix)
        check_arguments(seed=seed)
        self.decay, self.threshold, self.weight, self.start = decay, threshold, weight, int(start)
        self.cut_mix, self.seed = cut_mix, int(seed)

    def copy_of(self, segmentor):
        """A copy of the segmentor that does not learn, with its weights.

        Raises:
            ValueError: on several devices or machines, where Keras offers no copy of a network.
        """
        if tf.distribute.has_strategy():
            raise ValueError(
                "A `teacher` must train on one device. "
                f"Received: {tf.distribute.get_strategy().num_replicas_in_sync} replicas. Use strategy one."
            )
        copy = keras.models.clone_model(segmentor)
        copy.set_weights(segmentor.get_weights())
        copy.trainable = False
        return copy

    def look(self, network, images, ids, step, ignore_class=VOID) -> Seen:
        """Labels the images that have no label map, and makes their strong views.

        Args:
            network: the copy of `copy_of`.
            images: (B, H, W, C).
            ids: (B, H, W) or (B, H, W, 1); void everywhere for an image without a label map.
            step: number of the step, an integer tensor: draws depend on it and on the seed alone.
            ignore_class: id of void.
        """
        images = ops.cast(images, "float32")
        ids = ops.cast(ops.squeeze(ids, axis=-1) if len(ids.shape) == 4 else ids, "int32")
        probabilities = ops.softmax(ops.cast(network(images, training=False), "float32"))
        if None not in (*ids.shape[1:3], *probabilities.shape[1:3]) and ids.shape[1:3] != probabilities.shape[1:3]:
            raise ValueError(
                "A segmentor with a `teacher` must label every pixel. "
                f"Received: logits of shape {tuple(probabilities.shape)}, label maps of shape {tuple(ids.shape)}."
            )
        classes = probabilities.shape[-1]
        unlabelled = ops.logical_not(ops.any(find_valid(ids, classes, ignore_class), axis=(1, 2)))
        confident = ops.max(probabilities, axis=-1) >= self.threshold
        pseudo_labels = ops.where(confident, ops.cast(ops.argmax(probabilities, axis=-1), "int32"), ignore_class)
        where = unlabelled[:, None, None]
        ids = ops.where(where, pseudo_labels, ids)
        share = ops.mean(ops.cast(confident, "float32"), axis=(1, 2)) * ops.cast(unlabelled, "float32")

        seed = ops.stack([ops.convert_to_tensor(self.seed, "int64"), ops.cast(step, "int64")])
        draws = tf.random.stateless_uniform((8, ops.shape(images)[0]), seed)
        images = ops.where(where[..., None], strong_view(images, draws[:4]), images)
        if self.cut_mix:
            inside = rectangles(ops.shape(ids)[1:3], draws[4:])
            inside = ops.logical_and(inside, where)
            ids = ops.where(inside, ops.roll(ids, -1, axis=0), ids)
            images = ops.where(inside[..., None], ops.roll(images, -1, axis=0), images)

        started = ops.cast(step >= self.start, "float32")
        labelled_pixels = ops.mean(ops.cast(find_valid(ids, classes, ignore_class), "float32"), axis=(1, 2))
        weights = ops.where(unlabelled, self.weight * started * labelled_pixels, 1.0)
        return Seen(images, ids, weights, share, unlabelled)

    def follow(self, network, segmentor, step):
        """Moves the copy towards the segmentor, at the end of a step; the first is 0."""
        decay = ops.minimum(ops.cast(self.decay, "float32"), 1.0 - 1.0 / (ops.cast(step, "float32") + 1.0))
        for mean, value in zip(network.weights, segmentor.weights, strict=True):
            if keras.backend.is_float_dtype(mean.dtype):
                mean.assign(decay * mean + (1.0 - decay) * value)
            else:
                mean.assign(value)

    def get_config(self):
        """Arguments of the constructor."""
        return {name: getattr(self, name) for name in ("decay", "threshold", "weight", "start", "cut_mix", "seed")}

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`."""
        return cls(**config)


def check_void(ignore_class):
    """Refuses label maps without void, which marks images that have none.

    Raises:
        ValueError: `ignore_class` is None.
    """
    if ignore_class is None:
        raise ValueError(
            "`ignore_class` must be an id: it marks images without a label map. Received: ignore_class=None."
        )


def check_loss_of_images(loss, num_classes: int):
    """Refuses losses without a value for each image, such as Keras's, of which no image's weight is its own.

    Args:
        loss: of `compile`: a loss, its name or function, or a structure of them; or None.
        num_classes: K.

    Raises:
        ValueError: there is one.
    """
    for one in keras.tree.flatten(loss):
        if isinstance(one, SegmentationLoss | None):
            continue
        function = keras.losses.get(one) if isinstance(one, str) else one
        values = getattr(function, "call", function)(ops.zeros((2, 3, 4), "int32"), ops.zeros((2, 3, 4, num_classes)))
        if tuple(values.shape) != (2,):
            raise ValueError(
                "`loss` must give one value for each image, (B,), since a `teacher` weighs images. Received: "
                f"loss={one!r:.80}, whose values have the shape {tuple(values.shape)} for 2 images of 4x3 pixels. "
                "Take kseg.losses.CrossEntropy()."
            )


def weigh(seen: Seen, sample_weight):
    """Weights (B,) of the images that are `Seen`, times the caller's, (B,) or (B, 1), or None."""
    return seen.weights if sample_weight is None else seen.weights * find_image_weights(sample_weight)


def strong_view(images, draws):
    """Other light and colours: images (B, H, W, C) float32, whose levels are as of 8 bits; draws (4, B) in [0, 1).

    Nothing is cut off at 0 and 255, as levels of normalised images lie beyond.
    """
    brightness, contrast, *gains = (draw[:, None, None, None] for draw in ops.unstack(draws))
    mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
    images = mean + (images - mean) * (CONTRAST[0] + (CONTRAST[1] - CONTRAST[0]) * contrast)
    images = images + BRIGHTNESS * (2.0 * brightness - 1.0)
    channels = images.shape[-1]
    last, first = (GAIN[0] + (GAIN[1] - GAIN[0]) * draw for draw in gains)
    along = ops.reshape(
        ops.linspace(0.0, 1.0, channels), (1, 1, 1, channels)
    )  # from the first channel's gain to the last's
    return images * (first + (last - first) * along)


def rectangles(size, draws):
    """Whether each pixel lies in a rectangle, (B, H, W) bool; draws (4, B) in [0, 1)."""
    inside = []
    for length, side, place in zip(size, ops.unstack(draws[:2]), ops.unstack(draws[2:]), strict=True):
        side = ops.cast(length, "float32") * (SIDES[0] + (SIDES[1] - SIDES[0]) * side)
        start = (place * (ops.cast(length, "float32") - side))[:, None]
        along = ops.arange(length, dtype="float32")[None] + 0.5
        inside.append(ops.logical_and(along >= start, along < start + side[:, None]))
    rows, columns = inside
    return ops.logical_and(rows[:, :, None], columns[:, None, :])
