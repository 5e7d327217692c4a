"""The served graph: everything between an image file and its label map, as a `tf.Module` with one method per signature.

    image -> fit into the network's size, pad -> network, once per view -> softmax, mean of the views
          -> crop the padding, resize to the image's own size -> DenseCRF (optional) -> argmax

The steps are the training's: the same resizing, the same padding. `argmax` comes last because class ids cannot be interpolated.
The signature "tiles" replaces fitting, cropping and resizing by tiles of the network's size (`kseg.serving.tiles_in_graph`).

Everything is float32, also if training was in mixed bfloat16: few processors multiply bfloat16 quickly, on others it is slower.
TensorFlow only, because a SavedModel is a TensorFlow graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import keras  # noqa: E402  (only after the backend is known)
import tensorflow as tf  # noqa: E402

from kseg.data.resizing_in_graph import fit_image_in_graph, resize_in_graph  # noqa: E402
from kseg.inference.averaging import dihedral_views  # noqa: E402
from kseg.serving.orientation import apply_orientation  # noqa: E402
from kseg.serving.tiles_in_graph import predict_tiles_in_graph  # noqa: E402


class ServedModel(tf.Module):
    """A network with all that lies between an image file and its label map.

    Args:
        network: functional model in float32 from an image (B, H, W, C) to logits (B, H, W, K).
        image_size: (height, width) that images are fitted into, in pixels.
        flips: views of the image that are averaged, as in `kseg.export`.
        rotations: of these views, in degrees.
        crf_parameters: arguments of the DenseCRF that refines the probabilities; None: no refinement.
        image_range: sample of encoded 16-bit images that becomes 255; None: 65535.
    """

    def __init__(
        self,
        network: keras.Model,
        image_size: tuple[int, int],
        flips: Sequence[str] = (),
        rotations: Sequence[int] = (0,),
        crf_parameters: Mapping | None = None,
        image_range: int | None = None,
    ):
        super().__init__()
        self._network = network
        self._image_size = tuple(image_size)
        self._channels = network.inputs[0].shape[-1]
        self._image_range = image_range
        self._views = dihedral_views(flips, rotations)
        self._crf = _built_crf(network, crf_parameters) if crf_parameters is not None else None
        weights = [*network.variables, *(self._crf.variables if self._crf else [])]
        self._variables = [variable.value for variable in weights]  # tracked here, they are saved with the module

    def signatures(self, tiles: bool = False) -> dict:
        """The functions to export, for batches and images of any size; "tiles" only where `tiles` is true."""
        images = tf.TensorSpec((None, None, None, self._channels), tf.uint8, name="image")
        encoded = tf.TensorSpec((None,), tf.string, name="image_bytes")

        def traced(function, spec):
            return tf.function(function, input_signature=[spec], autograph=False)  # no Python `if` on a tensor: faster

        optional = {"tiles": traced(self.label_map_of_tiles, images)} if tiles else {}
        return optional | {
            "serving_default": traced(self.label_map, images),
            "serve_bytes": traced(self.label_map_of_bytes, encoded),
            "probabilities": traced(self.probabilities, images),
        }

    def crf_parameters(self) -> dict | None:
        """Every parameter of the DenseCRF, defaults included; None without one."""
        fixed = ("name", "trainable", "dtype", "from_logits", "activation")
        config = self._crf.get_config() if self._crf else None
        return config and {name: value for name, value in config.items() if name not in fixed}

    # One method per signature.

    def label_map(self, image):
        """Images (B, H, W, C), uint8, to label maps (B, H, W), uint8, and the probabilities of those classes, float32."""
        probabilities = self.probabilities(image)["probabilities"]
        return {
            "label_map": tf.cast(tf.argmax(probabilities, axis=-1), tf.uint8),
            "confidence": tf.reduce_max(probabilities, axis=-1),
        }

    def probabilities(self, image):
        """Images (B, H, W, C), uint8, to probabilities (B, H, W, K), float32, at the images' own size."""
        padded, fitted_size = self._fit_and_pad(image)
        probabilities = self._predict(padded)[:, : fitted_size[0], : fitted_size[1]]
        return {"probabilities": self._resize_and_refine(probabilities, image)}

    def label_map_of_bytes(self, image_bytes):
        """Encoded images (B,) to PNGs of class ids (B,), each of its image's own size; the network sees one batch."""

        def prepare(encoded):
            image = self._decode(encoded)
            padded, fitted_size = self._fit_and_pad(image)
            return padded, fitted_size, tf.shape(image)[:2]

        def label(example):
            encoded, probabilities, fitted_size, size = example
            probabilities = probabilities[: fitted_size[0], : fitted_size[1]]
            if self._crf:  # decoded once more, since images of several sizes do not fit into one tensor
                probabilities = self._resize_and_refine(probabilities[None], self._decode(encoded)[None])[0]
            else:
                probabilities = resize_in_graph(probabilities, size)
            return tf.io.encode_png(tf.cast(tf.argmax(probabilities, axis=-1), tf.uint8)[..., None])

        # Decode and fit each image.
        size = tf.TensorSpec((2,), tf.int32)
        padded = tf.TensorSpec((*self._image_size, self._channels), tf.float32)
        images, fitted_sizes, sizes = tf.map_fn(prepare, image_bytes, fn_output_signature=(padded, size, size))
        # Predict the batch.
        probabilities = self._predict(images)
        # Bring each to its own size, one at a time: the probabilities of a photograph of 12 megapixels and 21 classes take 1 GB.
        examples = (image_bytes, probabilities, fitted_sizes, sizes)
        pngs = tf.map_fn(label, examples, fn_output_signature=tf.string, parallel_iterations=1)
        return {"label_map_bytes": pngs}

    def label_map_of_tiles(self, image):
        """Images (B, H, W, C), uint8, to what `label_map` returns, by tiles of the network's size; one image at a time."""
        num_classes = self._network.outputs[0].shape[-1]

        def predict(tile):
            probabilities = self._predict(tile)
            return self._crf([probabilities, tile]) if self._crf else probabilities

        def label(one):
            return predict_tiles_in_graph(predict, one, tile=self._image_size, num_classes=num_classes)

        outputs = tf.TensorSpec((None, None), tf.uint8), tf.TensorSpec((None, None), tf.float32)
        label_map, confidence = tf.map_fn(label, image, fn_output_signature=outputs, parallel_iterations=1)
        return {"label_map": label_map, "confidence": confidence}

    # The steps they share.

    def _decode(self, encoded):
        """An encoded JPEG or PNG as an upright image (H, W, C), uint8, with the pixels that Pillow decodes in Beam workers."""

        # decode_jpeg reads PNG too; tf.io.decode_image decodes JPEG with another method, up to 6 grey levels off.
        def decode_8_bits():
            return tf.io.decode_jpeg(encoded, channels=self._channels, dct_method="INTEGER_ACCURATE")

        def scale_16_bits():  # like kseg.pairs.decoding.to_8_bits
            samples = tf.cast(tf.io.decode_png(encoded, channels=self._channels, dtype=tf.uint16), tf.int32)
            scaled = (samples * 510 + self._image_range) // (2 * self._image_range)
            return tf.cast(tf.minimum(scaled, 255), tf.uint8)

        if self._image_range is None:
            image = decode_8_bits()
        else:  # bytes 1 to 3 and 24 of a PNG: its name, and the bits of a sample
            is_png = tf.strings.substr(encoded, 1, 3) == "PNG"
            image = tf.cond(
                is_png,
                lambda: tf.cond(tf.strings.substr(encoded, 24, 1) == b"\x10", scale_16_bits, decode_8_bits),
                decode_8_bits,
            )
        return apply_orientation(image, encoded)

    def _fit_and_pad(self, image):
        """Images (..., H, W, C), uint8, fitted and padded to (..., height, width, C), float32; and the fitted size (2,)."""
        image = tf.cast(fit_image_in_graph(image, self._image_size), tf.float32)
        fitted_size = tf.shape(image)[-3:-1]
        below = [[0, self._image_size[0] - fitted_size[0]], [0, self._image_size[1] - fitted_size[1]], [0, 0]]
        return tf.pad(image, [*[[0, 0]] * (image.shape.rank - 3), *below]), fitted_size

    def _predict(self, image):
        """Images (B, height, width, C), float32, to probabilities (B, height, width, K), float32: the mean of all views."""
        image = tf.ensure_shape(image, (None, *self._image_size, self._channels))
        views = [self._predict_view(image, axes, quarter_turns) for axes, quarter_turns in self._views]
        return views[0] if len(views) == 1 else tf.add_n(views) / len(views)

    def _predict_view(self, image, axes, quarter_turns):
        """Probabilities of one view: the image is flipped, then rotated; the probabilities are rotated and flipped back."""
        logits = self._network(_rotate(_flip(image, axes), quarter_turns), training=False)
        return _flip(_rotate(tf.nn.softmax(logits), -quarter_turns), axes)

    def _resize_and_refine(self, probabilities, image):
        """Probabilities (B, h, w, K) at the size of the images (B, H, W, C), uint8, refined by the DenseCRF if there is one."""
        resized = resize_in_graph(probabilities, tf.shape(image)[1:3])
        return self._crf([resized, image]) if self._crf else resized


def cast_to_float32(model: keras.Model) -> keras.Model:
    """A copy of a functional model that computes in float32 throughout, with the same weights."""

    def copied(layer):
        return type(layer).from_config(layer.get_config() | {"dtype": "float32"})

    copy = keras.models.clone_model(model, clone_function=copied, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def _built_crf(network: keras.Model, crf_parameters: Mapping):
    """A DenseCRF for the network's probabilities and images."""
    from kseg.postprocess.densecrf import DenseCRF

    crf = DenseCRF(**crf_parameters, from_logits=False)
    crf.build([network.outputs[0].shape, network.inputs[0].shape])
    return crf


def _flip(values, axes):
    """Values (B, H, W, C) reversed along axes."""
    return tf.reverse(values, axes) if axes else values


def _rotate(values, quarter_turns):
    """Values (B, H, W, C) rotated counterclockwise, like `np.rot90`."""
    values = tf.transpose(values, (0, 2, 1, 3)) if quarter_turns % 2 else values
    return _flip(values, ((), (1,), (1, 2), (2,))[quarter_turns % 4])
