"""The served graph: everything between an image file and its label map, as a `tf.Module` with one method per signature.

    image -> bring to its working size, levels, pad -> network, once per view -> softmax, mean of the views
          -> crop the padding, resize to the image's own size -> DenseCRF (optional) -> argmax

The steps are the training's: the same resizing, the same padding. `argmax` comes last because class ids cannot be interpolated.
The signature "tiles" replaces fitting, cropping and resizing by tiles of the network's size (`kseg.serving.tiles_in_graph`).
Images whose working size is a multiple of their own are labelled one by one, as they differ in size, and large ones by tiles.

A server must survive every request, so memory grows with the pixels of a request alone, and these are bounded: sizes are read
before anything is decoded (`kseg.serving.headers`), scores at the image's own size exist band by band (`kseg.serving.bands`),
and the network sees a few images of a batch at a time. One bad image does not fail its batch (`kseg.serving.statuses`).

Everything is float32, also if training was in mixed bfloat16: few processors multiply bfloat16 quickly, on others it is slower.
TensorFlow only, because a SavedModel is a TensorFlow graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import keras  # noqa: E402  (only after the backend is known)
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from kseg.data.levels import to_levels  # noqa: E402
from kseg.data.resizing_in_graph import fit_image_in_graph, pad_to_multiple, resize_in_graph  # noqa: E402
from kseg.inference.averaging import dihedral_views  # noqa: E402
from kseg.serving import overlay_in_graph, statuses  # noqa: E402
from kseg.serving.bands import map_groups, most_probable, scale_image_in_graph  # noqa: E402
from kseg.serving.decoding_in_graph import decode_strictly, decode_unless_damaged  # noqa: E402
from kseg.serving.examples_in_graph import read_examples  # noqa: E402
from kseg.serving.headers import is_png_of, read_header  # noqa: E402
from kseg.serving.limits import Limits  # noqa: E402
from kseg.serving.orientation import apply_orientation, orientation_of  # noqa: E402
from kseg.serving.runtime_in_graph import RuntimeNetwork  # noqa: E402
from kseg.serving.tiles_in_graph import predict_tiles_in_graph  # noqa: E402

GROUP_PIXELS = 2**18
"""Pixels that the network sees at a time, or those of one image if they are more: 21 images of 96 x 128, one of 512 x 512."""

LARGE_PIXELS = statuses.NETWORK_PIXELS
"""Pixels of a working size of its own above which an image is labelled by tiles."""


class ServedModel(tf.Module):
    """A network with all that lies between an image file and its label map.

    Args:
        network: functional model in float32 from an image (B, H, W, C) to logits (B, H, W, K); or a `RuntimeNetwork`,
            which has its views inside and cannot be saved.
        working_scale: (height, width) that images are fitted into, in pixels, or a factor on their own sides.
        flips: views of the image that are averaged, as in `kseg.export`.
        rotations: of these views, in degrees.
        crf_parameters: arguments of the DenseCRF that refines the probabilities; None: no refinement.
        image_range: sample of encoded 16-bit images that becomes 255; None: 65535.
        dtype: of the images, as in `kseg.export`.
        normalization: of images that are not uint8, as in `kseg.data.levels`.
        max_pixels: of a request, as in `kseg.export`.
        score_memory: in GiB, as in `kseg.export`.
        strict: whether a bad image fails the whole request of `serve_bytes`.
    """

    def __init__(
        self,
        network: keras.Model | RuntimeNetwork,
        working_scale: tuple[int, int] | float,
        flips: Sequence[str] = (),
        rotations: Sequence[int] = (0,),
        crf_parameters: Mapping | None = None,
        image_range: int | None = None,
        *,
        dtype: str = "uint8",
        normalization: Mapping | None = None,
        max_pixels: int = statuses.MAX_PIXELS,
        score_memory: float = statuses.SCORE_MEMORY,
        strict: bool = False,
    ):
        super().__init__()
        self._network = network
        self._scale = None if isinstance(working_scale, tuple) else working_scale
        self._image_size = working_scale if isinstance(working_scale, tuple) else (None, None)
        self._channels = network.inputs[0].shape[-1]
        self._image_range = image_range
        self._dtype, self._normalization = tf.as_dtype(dtype), normalization and dict(normalization)
        self._num_classes = network.outputs[0].shape[-1]
        self._views = dihedral_views(flips, rotations)
        self._crf = _built_crf(network, crf_parameters) if crf_parameters is not None else None
        box = None if self._scale else self._image_size
        limits = max_pixels, score_memory, statuses.accepted_png(self._channels, dtype)
        self._limits = Limits(box, self._num_classes, self._crf is not None, *limits)
        self._strict = strict
        self._group_size = max(1, GROUP_PIXELS // (box[0] * box[1])) if box else 1
        height, width = statuses.TILE
        strip = statuses.score_pixels("tiles", self._num_classes, score_memory) // height  # columns of pixels in memory
        self._columns_at_once = max(1, strip // (3 * width // 4) - 1)
        weights = [*network.variables, *(self._crf.variables if self._crf else [])]
        self._variables = [variable.value for variable in weights]  # tracked here, they are saved with the module
        # Traced once, although several signatures call them; the network for each size that it is to see.
        any_size = [tf.TensorSpec((None, None, None, n), tf.float32) for n in (self._num_classes, self._channels)]
        self._traced = tf.function(
            lambda image: network(image, training=False),
            input_signature=any_size[1:] if self._scale else None,
            autograph=False,
        )
        self._traced_crf = self._crf and tf.function(
            lambda probabilities, levels: self._crf([probabilities, levels]),
            input_signature=any_size,
            autograph=False,
        )

    def signatures(self, tiles: bool = False, palette: np.ndarray | None = None) -> dict:
        """The functions to export, for batches and images of any size.

        Without "serve_bytes" and "from_examples" where no PNG holds the images, and without "overlay" where they are no pictures.

        Args:
            tiles: whether "tiles" is among them.
            palette: colours (256, 3), uint8, by class id, for "overlay"; None: it is not among them.
        """
        images = tf.TensorSpec((None, None, None, self._channels), self._dtype, name="image")
        levels = tf.TensorSpec((None, *self._network.inputs[0].shape[1:3], self._channels), tf.float32, name="image")
        encoded = tf.TensorSpec((None,), tf.string, name="image_bytes")
        examples = tf.TensorSpec((None,), tf.string, name="examples")

        def traced(function, *specs):
            return tf.function(function, input_signature=specs, autograph=False)  # no Python `if` on a tensor: faster

        found = {"tiles": traced(self.label_map_of_tiles, images)} if tiles else {}
        kind = self._channels, self._dtype.name
        if statuses.takes_bytes(*kind):
            # One graph, of which these three are short ends.
            label = traced(self.label_maps_of_encoded, encoded, tf.TensorSpec((None,), tf.bool))
            found["serve_bytes"] = traced(lambda image_bytes: label(image_bytes, _all_true(image_bytes))[0], encoded)
            found["from_examples"] = traced(lambda examples: label(*read_examples(examples))[0], examples)
            if statuses.takes_overlays(*kind) and palette is not None:

                def overlay(image_bytes):
                    return self.overlays(image_bytes, *label(image_bytes, _all_true(image_bytes)), palette)

                found["overlay"] = traced(overlay, encoded)
        return found | {
            "serving_default": traced(self.label_map, images),
            "probabilities": traced(self.probabilities, images),
            "network": traced(self.network_probabilities, levels),
        }

    @property
    def network_name(self) -> str:
        """Name of the network, for messages."""
        return self._network.name

    @property
    def has_one_view(self) -> bool:
        """Whether the image is predicted as it is, without flips and rotations."""
        return len(self._views) == 1

    def bare_network(self, shape: tuple, logits: bool = False):
        """The network with its views, without checks, as converters take it.

        Args:
            shape: (B, h, w, C) of its images, None where any.
            logits: whether it returns logits, of the image itself alone, instead of probabilities.
        """

        def predict(image):
            if logits:
                return {"logits": self._network(image, training=False)}
            return {"probabilities": self._mean_of_views(image)}

        spec = tf.TensorSpec(shape, tf.float32, name="image")
        return tf.function(predict, input_signature=[spec], autograph=False)

    def crf_parameters(self) -> dict | None:
        """Every parameter of the DenseCRF, defaults included; None without one."""
        fixed = ("name", "trainable", "dtype", "from_logits", "activation")
        config = self._crf.get_config() if self._crf else None
        return config and {name: value for name, value in config.items() if name not in fixed}

    # One method per signature. Each refuses requests above its limits; the batch may be empty.

    def label_map(self, image):
        """Images (B, H, W, C) to label maps (B, H, W), uint8, and the probabilities of those classes, float32."""
        image = self._limits.checked(image, "serving_default")
        if self._scale:
            outputs = map_groups(lambda images: self._label_scaled(images[0]), [image], 1, (tf.uint8, tf.float32))
            label_map, confidence = (tf.reshape(output, tf.shape(image)[:3]) for output in outputs)
            return {"label_map": label_map, "confidence": confidence}

        def label_group(images):
            probabilities, fitted_size = self._predict_fitted(images)

            def label_one(probabilities, images):
                return self._label(probabilities[0], images[0])

            probabilities = probabilities[:, : fitted_size[0], : fitted_size[1]]
            return map_groups(label_one, [probabilities, images], 1, (tf.uint8, tf.float32))

        outputs = map_groups(label_group, [image], self._group_size, (tf.uint8, tf.float32))
        label_map, confidence = (tf.reshape(output, tf.shape(image)[:3]) for output in outputs)
        return {"label_map": label_map, "confidence": confidence}

    def probabilities(self, image):
        """Images (B, H, W, C) to probabilities (B, H, W, K), float32, at the images' own size."""
        image = self._limits.checked(image, "probabilities")
        shape = tf.concat([tf.shape(image)[:3], [self._num_classes]], axis=0)
        if self._scale:
            (values,) = map_groups(lambda images: (self._probabilities_scaled(images[0]),), [image], 1, (tf.float32,))
            return {"probabilities": tf.reshape(values, shape)}

        def predict_group(images):
            probabilities, fitted_size = self._predict_fitted(images)
            probabilities = resize_in_graph(probabilities[:, : fitted_size[0], : fitted_size[1]], tf.shape(images)[1:3])
            if not self._crf:
                return (probabilities,)
            return map_groups(lambda *pair: (self._refine(*pair),), [probabilities, images], 1, (tf.float32,))

        (values,) = map_groups(predict_group, [image], self._group_size, (tf.float32,))
        return {"probabilities": tf.reshape(values, shape)}

    def network_probabilities(self, image):
        """Images (B, h, w, C), float32, as the network sees them, to probabilities (B, h, w, K); without DenseCRF."""
        return {"probabilities": self._mean_of_views(self._limits.checked(image, "network"))}

    def overlays(self, image_bytes, labelled: dict, orientation, palette: np.ndarray):
        """Encoded images (B,) and what `label_maps_of_encoded` returns of them to JPEGs of the colours over them.

        Returns:
            overlay_bytes (B,), status and message, or, if strict, `overlay_bytes` alone.
        """
        pngs = labelled["label_map_bytes"]
        status = labelled.get("status", tf.zeros(tf.shape(pngs), tf.int32))

        def draw(encoded, label_map, orientation):
            return overlay_in_graph.encode_overlay(self._decode_again(encoded, orientation), label_map, palette)

        def answer(parts):
            encoded, png, status, orientation = parts
            good = status == statuses.GOOD
            label_map = tf.cond(
                good, lambda: tf.io.decode_png(png, channels=1)[..., 0], lambda: tf.zeros((1, 1), tf.uint8)
            )
            long = tf.reduce_max(tf.shape(label_map)) > overlay_in_graph.MAX_SIDE
            drawn = tf.cond(good & ~long, lambda: draw(encoded, label_map, orientation), lambda: tf.constant(b""))
            return drawn, tf.where(long, statuses.TOO_MANY_PIXELS, status)

        specs = tf.string, tf.int32
        drawn, status = tf.map_fn(
            answer, (image_bytes, pngs, status, orientation), fn_output_signature=specs, parallel_iterations=1
        )
        if self._strict:
            return {"overlay_bytes": self._refuse_any(drawn, status, overlay_in_graph.MAX_SIDE)}
        message = self._limits.message(status, overlay_in_graph.MAX_SIDE)
        return {"overlay_bytes": drawn, "status": status, "message": message}

    def label_maps_of_encoded(self, image_bytes, given):
        """Encoded images (B,) to PNGs of class ids (B,), each of its image's own size; and what is wrong with the others.

        Args:
            image_bytes: (B,), string.
            given: (B,), bool; false where there was an example without an image.

        Returns:
            label_map_bytes (B,), empty where an image is refused; status (B,), int32, of `kseg.serving.statuses`; message (B,).
            If strict, `label_map_bytes` alone: a refused image raises. Second, the orientations (B,) of the images.
        """
        # Read headers, and refuse what they show.
        specs = (tf.int32, tf.int64, tf.int64, tf.int64, tf.int32)
        header = tf.map_fn(self._read_size_and_orientation, image_bytes, fn_output_signature=specs)
        status, height, width, scan, orientation = header
        status = tf.where(given, status, statuses.BAD_EXAMPLE)
        status = self._limits.refused(status, height, width)
        if self._strict:
            image_bytes = self._refuse_any(image_bytes, status)

        # Decode, predict and label, one group after the other.
        def label_group(encoded, status, scan, orientation):
            padded, fitted_sizes, sizes, good = tf.map_fn(
                lambda parts: self._prepare(*parts),
                (encoded, status, scan, orientation),
                fn_output_signature=(
                    tf.TensorSpec((*self._image_size, self._channels), tf.float32),
                    *[tf.TensorSpec((2,), tf.int32)] * 2,
                    tf.TensorSpec((), tf.bool),
                ),
            )
            probabilities = self._predict(padded)
            status = tf.where(~good & (status == statuses.GOOD), statuses.DAMAGED, status)

            def encode(parts):
                probabilities, fitted_size, size, encoded, orientation, good = parts
                probabilities = probabilities[: fitted_size[0], : fitted_size[1]]
                return tf.cond(
                    good,
                    lambda: self._label_map_png(probabilities, size, encoded, orientation),
                    lambda: tf.constant(b""),
                )

            pngs = tf.map_fn(
                encode,
                (probabilities, fitted_sizes, sizes, encoded, orientation, good),
                fn_output_signature=tf.string,
                parallel_iterations=1,
            )
            return pngs, status

        def label_scaled(parts):
            encoded, status, scan, orientation = parts
            image, good = self._decode(encoded, status, scan, orientation)
            png = tf.cond(good, lambda: _encode_label_map(self._label_scaled(image)[0]), lambda: tf.constant(b""))
            return png, tf.where(~good & (status == statuses.GOOD), statuses.DAMAGED, status)

        inputs = [image_bytes, status, scan, orientation]
        if self._scale:
            specs = tf.string, tf.int32
            pngs, status = tf.map_fn(label_scaled, tuple(inputs), fn_output_signature=specs, parallel_iterations=1)
        else:
            pngs, status = map_groups(label_group, inputs, self._group_size, (tf.string, tf.int32))
        if self._strict:
            return {"label_map_bytes": self._refuse_any(pngs, status)}, orientation
        return {"label_map_bytes": pngs, "status": status, "message": self._limits.message(status)}, orientation

    def label_map_of_tiles(self, image):
        """Images (B, H, W, C) to what `label_map` returns, by tiles of the network's size; one image at a time."""
        image = self._limits.checked(image, "tiles")

        def label(images):
            if self._scale:
                return self._tiles(scale_image_in_graph(images[0], self._scale), tf.shape(images)[1:3])
            tile, number = self._image_size, self._num_classes
            return predict_tiles_in_graph(self._predict_tile, images[0], tile=tile, num_classes=number)

        outputs = map_groups(label, [image], 1, (tf.uint8, tf.float32))
        label_map, confidence = (tf.reshape(output, tf.shape(image)[:3]) for output in outputs)
        return {"label_map": label_map, "confidence": confidence}

    # The steps they share.

    def _read_size_and_orientation(self, encoded):
        """Status, height and width as stored, position of the first scan, and orientation of an encoded image."""
        header = read_header(encoded)
        status = header.status
        if not statuses.takes_pictures(self._channels, self._dtype.name):
            fits = is_png_of(encoded, self._channels, 8 * self._dtype.size)
            status = tf.where((status == statuses.GOOD) & ~fits, statuses.UNSUPPORTED_FORMAT, status)
        return status, header.height, header.width, header.scan, orientation_of(header)

    def _label_scaled(self, image):
        """An image (H, W, C) to label map and confidence (H, W), through its own working size."""
        return self._through_working_size(
            image,
            lambda probabilities: self._label(probabilities, image),
            lambda shown: self._tiles(shown, tf.shape(image)[:2], columns_at_once=self._columns_at_once),
        )

    def _probabilities_scaled(self, image):
        """An image (H, W, C) to probabilities, flattened, through its own working size."""
        size = tf.shape(image)[:2]

        def enlarge(probabilities):
            probabilities = resize_in_graph(probabilities, size)
            return self._refine(probabilities[tf.newaxis], image[tf.newaxis])[0] if self._crf else probabilities

        return self._through_working_size(
            image,
            lambda probabilities: tf.reshape(enlarge(probabilities), [-1]),
            lambda shown: tf.reshape(
                self._tiles(shown, size, reduce=lambda values: (values,), dtypes=(tf.float32,))[0], [-1]
            ),
        )

    def _through_working_size(self, image, whole, tiled):
        """What `whole` makes of the probabilities (h, w, K) of an image, or `tiled` of the image itself where it is large."""
        shown = scale_image_in_graph(image, self._scale)
        size = tf.shape(shown)[:2]

        def predict():
            padded = pad_to_multiple(to_levels(shown, self._normalization))
            return whole(self._predict(padded[tf.newaxis])[0, : size[0], : size[1]])

        return tf.cond(tf.reduce_prod(tf.cast(size, tf.int64)) > LARGE_PIXELS, lambda: tiled(shown), predict)

    def _tiles(self, shown, size, **options):
        """An image at working size (h, w, C) to label map and confidence at `size` (2,), or what the options say."""
        options |= {"tile": statuses.TILE, "num_classes": self._num_classes, "size": size}
        return predict_tiles_in_graph(self._predict_tile, shown, **options)

    def _predict_tile(self, tile):
        """A tile (1, h, w, C), float32, to probabilities (1, h, w, K), refined if there is a DenseCRF."""
        tile = to_levels(tile, self._normalization)
        probabilities = self._predict(tile)
        return self._refine_levels(probabilities, tile) if self._crf else probabilities

    def _prepare(self, encoded, status, scan, orientation):
        """An encoded image as the network sees it; of one that is refused or damaged nothing but the last output counts.

        Returns:
            padded (height, width, C), float32; fitted size (2,); the image's upright size (2,); whether it could be decoded.
        """
        image, good = self._decode(encoded, status, scan, orientation)
        padded, fitted_size = self._fit_and_pad(image)
        return padded, fitted_size, tf.shape(image)[:2], good

    def _decode(self, encoded, status, scan, orientation):
        """An encoded image, upright, (H, W, C), uint8, and whether it could be decoded; if not, one pixel."""
        nothing = tf.zeros((1, 1, self._channels), self._dtype), tf.constant(False)
        image, good = tf.cond(
            status == statuses.GOOD,
            lambda: decode_unless_damaged(encoded, scan, self._channels, self._image_range, self._dtype),
            lambda: nothing,
        )
        return apply_orientation(tf.ensure_shape(image, (None, None, self._channels)), orientation), good

    def _label_map_png(self, probabilities, size, encoded, orientation):
        """The label map of an image of `size` as PNG, from its probabilities (h, w, K)."""
        if self._crf:  # decoded once more, since images of several sizes do not fit into one tensor
            image = self._decode_again(encoded, orientation)
            label_map, _ = self._label(probabilities, image)
        else:
            label_map, _ = most_probable(probabilities, size, with_confidence=False)
        return _encode_label_map(label_map)

    def _decode_again(self, encoded, orientation):
        """An encoded image that is known to be good, upright, (H, W, C)."""
        image = decode_strictly(encoded, self._channels, self._image_range, self._dtype)
        return apply_orientation(tf.ensure_shape(image, (None, None, self._channels)), orientation)

    def _label(self, probabilities, image):
        """Probabilities (h, w, K) to label map and confidence (H, W) at the size of the image (H, W, C)."""
        size = tf.shape(image)[:2]
        if not self._crf:
            return most_probable(probabilities, size)
        refined = self._refine(resize_in_graph(probabilities, size)[tf.newaxis], image[tf.newaxis])[0]
        return tf.cast(tf.argmax(refined, axis=-1), tf.uint8), tf.reduce_max(refined, axis=-1)

    def _refine(self, probabilities, images):
        """Probabilities (B, H, W, K), refined by DenseCRF, whose colours are the levels of the images (B, H, W, C)."""
        return self._refine_levels(
            probabilities, images if self._normalization is None else to_levels(images, self._normalization)
        )

    def _refine_levels(self, probabilities, levels):
        """Probabilities (B, H, W, K), refined by DenseCRF, whose colours are levels (B, H, W, C)."""
        if tf.executing_eagerly():
            return self._crf([probabilities, levels])
        return self._traced_crf(probabilities, tf.cast(levels, tf.float32))

    def _refuse_any(self, values, status, max_side=statuses.MAX_SIDE):
        """`values`, unless an image is refused: then the message of the first one is raised."""
        status = tf.concat([status, [statuses.GOOD]], axis=0)  # the batch may be empty
        first = tf.argmax(tf.cast(status != statuses.GOOD, tf.int32), output_type=tf.int32)
        messages = self._limits.message(status, max_side)
        check = tf.debugging.Assert(
            tf.reduce_all(status == statuses.GOOD), [messages[first], "[image", first, "of the batch]"]
        )
        with tf.control_dependencies([check] if check is not None else []):
            return tf.identity(values)

    def _predict_fitted(self, images):
        """Images (B, H, W, C) to probabilities (B, height, width, K), float32, and the size (2,) that images fill."""
        padded, fitted_size = self._fit_and_pad(images)
        return self._predict(padded), fitted_size

    def _fit_and_pad(self, image):
        """Images (..., H, W, C), fitted and padded to levels (..., height, width, C), float32; and the fitted size (2,)."""
        image = to_levels(fit_image_in_graph(image, self._image_size), self._normalization)
        fitted_size = tf.shape(image)[-3:-1]
        below = [[0, self._image_size[0] - fitted_size[0]], [0, self._image_size[1] - fitted_size[1]], [0, 0]]
        return tf.pad(image, [*[[0, 0]] * (image.shape.rank - 3), *below]), fitted_size

    def _predict(self, image):
        """Images (B, height, width, C), float32, to probabilities (B, height, width, K), float32: the mean of all views."""
        return self._mean_of_views(tf.ensure_shape(image, (None, *self._image_size, self._channels)))

    def _mean_of_views(self, image):
        """Images (B, h, w, C), float32, to probabilities (B, h, w, K), float32."""
        if isinstance(self._network, RuntimeNetwork):
            return self._network.probabilities(image)
        total = self._predict_view(image, *self._views[0])
        for axes, quarter_turns in self._views[1:]:
            with tf.control_dependencies([total]):  # one view after the other: each needs the network's memory
                view = tf.identity(image)
            total += self._predict_view(view, axes, quarter_turns)
        return total / len(self._views) if len(self._views) > 1 else total

    def _predict_view(self, image, axes, quarter_turns):
        """Probabilities of one view: the image is flipped, then rotated; the probabilities are rotated and flipped back."""
        view = _rotate(_flip(image, axes), quarter_turns)
        eager = tf.executing_eagerly() and not self._scale
        logits = self._network(view, training=False) if eager else self._traced(view)
        return _flip(_rotate(tf.nn.softmax(logits), -quarter_turns), axes)


def _all_true(values):
    """True for each element, (B,)."""
    return tf.ones(tf.shape(values), tf.bool)


def _encode_label_map(label_map):
    """The PNG of a label map (H, W), uint8."""
    return tf.io.encode_png(label_map[..., tf.newaxis])


def cast_to_float32(model: keras.Model) -> keras.Model:
    """A copy of a functional model that computes in float32 throughout, with the same weights."""

    def copied(layer):
        if not isinstance(layer, keras.layers.Layer):  # a function of keras.ops, which has no dtype of its own
            return type(layer).from_config(layer.get_config())
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
