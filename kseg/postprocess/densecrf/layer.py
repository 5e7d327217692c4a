"""The fully connected conditional random field of Kraehenbuehl and Koltun as a Keras layer.

It pulls neighbouring pixels, and pixels of similar colour, towards the same class, so that a label map follows the image's edges.
Every pixel is connected to every other; mean-field inference needs only Gaussian filters, which
`kseg.postprocess.densecrf.permutohedral` computes. Use the layer after training, or train it with the network (CRF-as-RNN):
gradients reach the logits, the kernels' weights and the compatibility matrix, not the image nor the standard deviations. It
computes in float32 under every policy. TensorFlow only, because finding equal lattice points needs `tf.unique`.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import numbers  # noqa: E402  (only after the backend is known)

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from kseg._checks import check_boolean  # noqa: E402
from kseg._suggestions import did_you_mean  # noqa: E402
from kseg.array_checks import check_image_range  # noqa: E402
from kseg.postprocess.densecrf.permutohedral import build_lattice, gaussian_filter, normalize  # noqa: E402

PARAMETERS = (
    "iterations", "smoothness_sigma", "smoothness_weight", "appearance_position_sigma", "appearance_colour_sigma",
    "appearance_weight", "compatibility", "from_logits", "activation",
)  # fmt: skip
OF_KERAS = ("name", "trainable", "dtype", "autocast", "activity_regularizer")
"""Further arguments, which every layer takes."""
MIN_PROBABILITY = 1e-20  # keeps the logarithm of a probability of 0 finite


@keras.saving.register_keras_serializable(package="kseg")
class DenseCRF(keras.layers.Layer):
    """Mean-field inference in a random field that connects every pair of pixels.

    From Q = softmax(logits), each iteration computes

        Q = softmax(logits - sum_m w_m (K_m Q) mu^T)

    where K_m = D^-1/2 G_m D^-1/2 is a symmetrically normalised Gaussian filter, G_1 over positions / smoothness_sigma, G_2 over
    positions / appearance_position_sigma and colours / appearance_colour_sigma, and mu (K, K) is the cost of a pixel having one
    class (row) and its neighbour another (column). Potts: 1 - identity. Which deviations and weights help depends on the network:
    tune them on validation images. The defaults were the best of those tried on CamVid and on streets; the usual ones of other
    programs (3 and 3; 80, 13 and 10) made CamVid worse (docs/refinement.md).

    Call it on [logits (B, H, W, K), image (B, H, W, C) in [0, 255]]; it returns probabilities (B, H, W, K), float32. Called
    eagerly, it refuses NaN and warns of images in [0, 1]. In a graph, which cannot raise, a pixel with a value that is not finite
    has no say, and gets NaN; all others are as if it had no preference and no colour.

    Args:
        iterations: of mean-field inference; 0 returns the input unrefined.
        smoothness_sigma: standard deviation of the kernel over positions, in pixels.
        smoothness_weight: its weight, at the start of training.
        appearance_position_sigma: standard deviation over positions of the kernel over positions and colours, in pixels.
        appearance_colour_sigma: its standard deviation over colours, in grey levels.
        appearance_weight: its weight, at the start of training.
        compatibility: one of "potts", fixed, and "full", a trainable matrix that starts as Potts; or the matrix (K, K) that
            the trainable one starts as.
        from_logits: whether the first input is logits (True) or probabilities.
        activation: one of "softmax", for probabilities, and None, for logits, which the losses of `kseg.losses` take.

    Raises:
        TypeError: there is no such argument.
        ValueError: an argument or an input's shape does not fit; the inputs are of different sizes; called eagerly, an input
            is not finite, or a probability is negative.

    Example:
        >>> logits = np.zeros((1, 9, 9, 2), np.float32)
        >>> logits[..., 0], logits[0, 4, 4] = 1.0, (0.0, 1.0)  # one pixel disagrees with all others
        >>> refined = DenseCRF(iterations=5)([logits, np.full((1, 9, 9, 3), 128.0)])
        >>> int(np.argmax(refined[0, 4, 4]))
        0

    Source: Kraehenbuehl and Koltun 2011, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", algorithm
        1; 2013 for the normalisation; Zheng et al. 2015, "Conditional Random Fields as Recurrent Neural Networks", for training.
    """

    def __init__(
        self,
        iterations: int = 5,
        *,
        smoothness_sigma: float = 2.0,
        smoothness_weight: float = 0.3,
        appearance_position_sigma: float = 20.0,
        appearance_colour_sigma: float = 8.0,
        appearance_weight: float = 4.0,
        compatibility="potts",
        from_logits: bool = True,
        activation: str | None = "softmax",
        **kwargs,
    ):
        _check_names(kwargs)
        super().__init__(**{**kwargs, "autocast": False})
        sigmas = {
            "smoothness_sigma": smoothness_sigma,
            "appearance_position_sigma": appearance_position_sigma,
            "appearance_colour_sigma": appearance_colour_sigma,
        }
        for name, value in sigmas.items():
            if not isinstance(value, numbers.Real) or not value > 0:
                raise ValueError(f"`{name}` must be positive. Received: {name}={value!r}.")
        for name, value in {"smoothness_weight": smoothness_weight, "appearance_weight": appearance_weight}.items():
            if not isinstance(value, numbers.Real) or not np.isfinite(value):
                raise ValueError(f"`{name}` must be a finite number. Received: {name}={value!r}.")
        if not isinstance(iterations, numbers.Real) or iterations % 1 or iterations < 0:  # infinity % 1 is NaN
            raise ValueError(f"`iterations` must be a whole number, at least 0. Received: iterations={iterations!r}.")
        check_boolean("from_logits", from_logits)
        if activation not in (None, "softmax"):
            raise ValueError(f"`activation` must be None or 'softmax'. Received: activation={activation!r}.")
        if isinstance(compatibility, str) and compatibility not in ("potts", "full"):
            raise ValueError(
                f"`compatibility` must be 'potts', 'full' or a matrix (K, K). Received: compatibility={compatibility!r}."
            )
        if not isinstance(compatibility, str):
            compatibility = _costs(compatibility)
        self.supports_jit = False  # XLA has no tf.unique
        self.iterations = int(iterations)
        self.smoothness_sigma = smoothness_sigma
        self.smoothness_weight = smoothness_weight
        self.appearance_position_sigma = appearance_position_sigma
        self.appearance_colour_sigma = appearance_colour_sigma
        self.appearance_weight = appearance_weight
        self.compatibility = compatibility
        self.from_logits = from_logits
        self.activation = activation

    def build(self, input_shape):
        _check_shapes(input_shape)
        classes = input_shape[0][-1]
        options = {"shape": (), "dtype": "float32", "autocast": False}
        self._kernel_weights = [
            self.add_weight(name=name, initializer=keras.initializers.Constant(value), **options)
            for name, value in (
                ("smoothness_weight", self.smoothness_weight),
                ("appearance_weight", self.appearance_weight),
            )
        ]
        self._costs = None
        if self.compatibility != "potts":
            full = isinstance(self.compatibility, str)
            start = 1.0 - np.eye(classes) if full else np.asarray(self.compatibility, np.float32)
            if start.shape != (classes, classes):
                raise ValueError(
                    f"`compatibility` must have shape ({classes}, {classes}), one row and column per class. Received: shape "
                    f"{start.shape} [layer {self.name}]."
                )
            self._costs = self.add_weight(
                name="compatibility",
                initializer=lambda shape, dtype: keras.ops.convert_to_tensor(start, dtype),
                **{**options, "shape": start.shape},
            )

    def call(self, inputs):
        _check_shapes([tuple(tensor.shape) for tensor in inputs])
        scores, image = (tf.cast(tensor, tf.float32) for tensor in inputs)
        if tf.executing_eagerly():
            _check_values(scores, image, self.from_logits)
        else:
            same = tf.debugging.assert_equal(
                tf.shape(scores)[:3], tf.shape(image)[:3], "Logits and image must have the same batch and size."
            )
            with tf.control_dependencies([] if same is None else [same]):  # None: known when the graph is built
                scores, image = tf.identity(scores), tf.identity(image)
            finite = [tf.reduce_all(tf.math.is_finite(values), axis=-1, keepdims=True) for values in (scores, image)]
            finite = tf.logical_and(*finite)
            scores, image = (tf.where(finite, values, 0.0) for values in (scores, image))
        logits = scores if self.from_logits else tf.math.log(tf.maximum(scores, MIN_PROBABILITY))
        if self.iterations:
            positions = _positions(tf.shape(image)[1], tf.shape(image)[2])
            smoothness = normalize(build_lattice(positions / self.smoothness_sigma))  # the same for every image
            spec = tf.TensorSpec(logits.shape[1:], tf.float32)
            logits = tf.map_fn(
                lambda pair: self._refine(*pair, positions, smoothness), (logits, image), fn_output_signature=spec
            )
        refined = tf.nn.softmax(logits) if self.activation else logits
        return refined if tf.executing_eagerly() else tf.where(finite, refined, np.nan)

    def _refine(self, logits, image, positions, smoothness):
        """Logits (H, W, K) after all iterations, from the logits (H, W, K) and the image (H, W, C)."""
        colours = tf.reshape(image, [-1, image.shape[-1]])
        features = [positions / self.appearance_position_sigma, colours / self.appearance_colour_sigma]
        lattices = [smoothness, normalize(build_lattice(tf.concat(features, axis=-1)))]
        shape = tf.shape(logits)
        unary = tf.reshape(logits, [-1, logits.shape[-1]])
        weights = [tf.convert_to_tensor(weight) for weight in self._kernel_weights]

        def iterate(refined):
            probabilities = tf.nn.softmax(refined)
            messages = [
                gaussian_filter(lattice, probabilities, weight)
                for weight, lattice in zip(weights, lattices, strict=True)
            ]
            return (tf.add_n([unary, *self._pairwise_logits(messages)]),)

        # In a graph a loop: written out, its operations would be most of those of an export.
        (refined,) = tf.while_loop(lambda _: True, iterate, (unary,), maximum_iterations=self.iterations)
        return tf.reshape(refined, shape)

    def _pairwise_logits(self, messages):
        """-message mu^T of each; of Potts' mu = 1 - identity only the identity matters: the rest is equal for every class."""
        if self._costs is None:
            return messages
        return [-tf.matmul(tf.add_n(messages), tf.convert_to_tensor(self._costs), transpose_b=True)]

    def compute_output_spec(self, inputs):
        _check_shapes([tuple(tensor.shape) for tensor in inputs])
        return keras.KerasTensor(inputs[0].shape, dtype="float32")

    def get_config(self):
        return {**super().get_config(), **{name: getattr(self, name) for name in PARAMETERS}}


def _check_names(names):
    """Refuses arguments that DenseCRF does not have; Keras would name neither the layer's own nor the nearest."""
    for name in names:
        if name not in OF_KERAS:
            cure = did_you_mean(name, PARAMETERS, otherwise=f"It has {', '.join(PARAMETERS)}.")
            raise TypeError(f"DenseCRF has no argument {name!r}.{cure}")


def _costs(compatibility) -> list:
    """A matrix of finite numbers as a list of lists, which serialises.

    Raises:
        ValueError: it is none.
    """
    try:
        matrix = np.asarray(compatibility, np.float64)
    except (TypeError, ValueError):  # such as rows of unlike lengths
        matrix = np.empty(())
    if matrix.ndim != 2 or not np.isfinite(matrix).all():
        raise ValueError(
            "`compatibility` must be 'potts', 'full' or a matrix (K, K) of finite numbers. "
            f"Received: compatibility={compatibility!r}."
        )
    return matrix.tolist()


def _check_shapes(shapes):
    """Refuses shapes that are not two, (B, H, W, K) and (B, H, W, C) of the same batch, height and width; unknown ones fit any.

    Raises:
        ValueError: they are not.
    """
    pair = isinstance(shapes, list | tuple) and len(shapes) == 2
    if not pair or not all(isinstance(one, list | tuple) and len(one) == 4 and one[-1] for one in shapes):
        raise ValueError(
            "DenseCRF must be called on [logits (B, H, W, K), image (B, H, W, C)] with known K and C above 0. "
            f"Received: shapes {' and '.join(map(str, shapes)) if pair else shapes}."
        )
    logits, image = map(tuple, shapes)
    if any(None not in pair and pair[0] != pair[1] for pair in zip(logits[:3], image[:3], strict=True)):
        swapped = logits[1:3] == image[2:0:-1]
        cure = (
            "The image's height and width are swapped."
            if swapped
            else "Resize one of them, with keras.ops.image.resize."
        )
        raise ValueError(
            "The logits (B, H, W, K) and the image (B, H, W, C) must have the same batch, height and width. "
            f"Received: logits of shape {logits}, image of shape {image}. {cure}"
        )


def _check_values(scores, image, from_logits: bool):
    """Refuses inputs that are not finite or no probabilities, and warns of images outside [0, 255].

    Raises:
        ValueError: a value is not finite, or a probability is negative.
    """
    scores = scores.numpy()
    name = "logits" if from_logits else "probabilities"
    wrong = np.count_nonzero(~np.isfinite(scores))
    if wrong:
        raise ValueError(
            f"`{name}` must be finite. Received: NaN or infinity at {wrong} of {scores.size} values [DenseCRF]."
        )
    if not from_logits and scores.size and scores.min() < 0:
        raise ValueError(
            f"`probabilities` must be at least 0. Received: values down to {scores.min():g} [DenseCRF]. "
            "Set from_logits=True, or apply softmax."
        )
    check_image_range(image.numpy(), "DenseCRF")


def _positions(height, width):
    """Column and row of each pixel (H W, 2), float32."""
    columns, rows = tf.meshgrid(tf.range(width), tf.range(height))
    return tf.cast(tf.reshape(tf.stack([columns, rows], axis=-1), [-1, 2]), tf.float32)
