"""The fully connected conditional random field of Kraehenbuehl and Koltun as a Keras layer.

It takes what a network says of each pixel and moves neighbours, and pixels of like colour far apart, towards one class: a label
map then follows the image's edges. Every pixel is joined to every other; mean-field inference needs only Gaussian filters, which
`kseg.postprocess.densecrf.permutohedral` computes. The layer serves after training, or is trained with the network
(CRF-as-RNN): gradients reach the scores, the kernels' weights and the compatibilities, not the image and not the deviations. It
computes in float32 under every policy. TensorFlow only, because finding equal lattice points needs `tf.unique`.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import keras  # noqa: E402  (only after the backend is known)
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from kseg.postprocess.densecrf.permutohedral import build_lattice, gaussian_filter, normalize  # noqa: E402


@keras.saving.register_keras_serializable(package="kseg")
class DenseCRF(keras.layers.Layer):
    """Mean-field inference in a random field that joins every pair of pixels.

    From Q = softmax(logits), each iteration computes

        Q = softmax(logits - sum_m w_m (K_m Q) mu^T)

    where K_m = D^-1/2 G_m D^-1/2 is a symmetrically normalised Gaussian filter, G_1 over positions / smoothness_sigma, G_2 over
    positions / appearance_position_sigma and colours / appearance_colour_sigma, and mu (K, K) says what it costs that a pixel is
    of one class (row) and its neighbour of another (column). Potts: 1 - identity. Which deviations and weights help depends on
    the network: tune them on validation images. The defaults were the best of those tried on CamVid and on streets; what many
    programs have, 3 and 3, 80, 13 and 10, did harm on CamVid (docs/refinement.md).

    [logits (B, H, W, K), image (B, H, W, C) in [0, 255]] to probabilities (B, H, W, K), float32.

    Args:
        iterations: of mean-field inference; 0 returns the scores as they came.
        smoothness_sigma: standard deviation of the kernel over positions, in pixels.
        smoothness_weight: its weight, at the start of training.
        appearance_position_sigma: standard deviation over positions of the kernel over positions and colours, in pixels.
        appearance_colour_sigma: its standard deviation over colours, in grey levels.
        appearance_weight: its weight, at the start of training.
        compatibility: "potts"; "full", a trainable matrix that starts as Potts; or the matrix (K, K) that it starts as.
        from_logits: whether the scores are logits (True) or probabilities.
        activation: "softmax" for probabilities, None for logits, which the losses of `kseg.losses` take.

    Raises:
        ValueError: an argument or an input's shape does not fit.

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
        super().__init__(**{**kwargs, "autocast": False})
        sigmas = {
            "smoothness_sigma": smoothness_sigma,
            "appearance_position_sigma": appearance_position_sigma,
            "appearance_colour_sigma": appearance_colour_sigma,
        }
        for name, value in sigmas.items():
            if not value > 0:
                raise ValueError(f"`{name}` must be positive. Received: {name}={value}.")
        if iterations != int(iterations) or iterations < 0:
            raise ValueError(f"`iterations` must be a whole number, at least 0. Received: iterations={iterations}.")
        if activation not in (None, "softmax"):
            raise ValueError(f"`activation` must be None or 'softmax'. Received: activation={activation!r}.")
        if isinstance(compatibility, str) and compatibility not in ("potts", "full"):
            raise ValueError(
                f"`compatibility` must be 'potts', 'full' or a matrix (K, K). Received: compatibility={compatibility!r}."
            )
        self.supports_jit = False  # XLA has no tf.unique
        self.iterations = int(iterations)
        self.smoothness_sigma = smoothness_sigma
        self.smoothness_weight = smoothness_weight
        self.appearance_position_sigma = appearance_position_sigma
        self.appearance_colour_sigma = appearance_colour_sigma
        self.appearance_weight = appearance_weight
        self.compatibility = compatibility if isinstance(compatibility, str) else np.asarray(compatibility).tolist()
        self.from_logits = from_logits
        self.activation = activation

    def build(self, input_shape):
        logits, image = input_shape
        classes = logits[-1]
        if len(logits) != 4 or len(image) != 4 or classes is None or image[-1] is None:
            raise ValueError(
                "DenseCRF must be called on [logits (B, H, W, K), image (B, H, W, C)] with known K and C. Received: shapes "
                f"{tuple(logits)} and {tuple(image)} [layer {self.name}]."
            )
        settings = {"shape": (), "dtype": "float32", "autocast": False}
        self._weights_of_kernels = [
            self.add_weight(name=name, initializer=keras.initializers.Constant(value), **settings)
            for name, value in (
                ("smoothness_weight", self.smoothness_weight),
                ("appearance_weight", self.appearance_weight),
            )
        ]
        self._costs = None
        if self.compatibility != "potts":
            start = (
                1.0 - np.eye(classes) if self.compatibility == "full" else np.asarray(self.compatibility, np.float32)
            )
            if start.shape != (classes, classes):
                raise ValueError(
                    f"`compatibility` must have shape ({classes}, {classes}), one row and column a class. Received: shape "
                    f"{start.shape} [layer {self.name}]."
                )
            self._costs = self.add_weight(
                name="compatibility",
                initializer=lambda shape, dtype: keras.ops.convert_to_tensor(start, dtype),
                **{**settings, "shape": start.shape},
            )

    def call(self, inputs):
        scores, image = (tf.cast(tensor, tf.float32) for tensor in inputs)
        logits = scores if self.from_logits else tf.math.log(tf.maximum(scores, 1e-20))
        if self.iterations:
            positions = _positions(tf.shape(image)[1], tf.shape(image)[2])
            smoothness = normalize(build_lattice(positions / self.smoothness_sigma))
            one = tf.TensorSpec(logits.shape[1:], tf.float32)
            logits = tf.map_fn(
                lambda pair: self._refined(*pair, positions, smoothness), (logits, image), fn_output_signature=one
            )
        return tf.nn.softmax(logits) if self.activation else logits

    def _refined(self, logits, image, positions, smoothness):
        """Logits (H, W, K) after all iterations, from the logits (H, W, K) and the image (H, W, C)."""
        colours = tf.reshape(image, [-1, image.shape[-1]])
        features = [positions / self.appearance_position_sigma, colours / self.appearance_colour_sigma]
        grids = [smoothness, normalize(build_lattice(tf.concat(features, axis=-1)))]
        shape = tf.shape(logits)
        unary = tf.reshape(logits, [-1, logits.shape[-1]])
        refined = unary
        for _ in range(self.iterations):
            beliefs = tf.nn.softmax(refined)
            messages = [
                gaussian_filter(grid, beliefs, weight)
                for weight, grid in zip(self._weights_of_kernels, grids, strict=True)
            ]
            refined = tf.add_n([unary, *self._agreements(messages)])
        return tf.reshape(refined, shape)

    def _agreements(self, messages):
        """-message mu^T of each; of Potts' mu = 1 - identity only the identity matters, the rest is the same for every class."""
        if self._costs is None:
            return messages
        return [-tf.matmul(tf.add_n(messages), tf.convert_to_tensor(self._costs), transpose_b=True)]

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs[0].shape, dtype="float32")

    def get_config(self):
        names = (
            "iterations", "smoothness_sigma", "smoothness_weight", "appearance_position_sigma", "appearance_colour_sigma",
            "appearance_weight", "compatibility", "from_logits", "activation",
        )  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _positions(height, width):
    """Column and row of each pixel (H W, 2), float32."""
    columns, rows = tf.meshgrid(tf.range(width), tf.range(height))
    return tf.cast(tf.reshape(tf.stack([columns, rows], axis=-1), [-1, 2]), tf.float32)
