"""Exports a segmentor as a SavedModel that needs nothing but TensorFlow: no kseg, no Keras, no custom object.

The first three signatures share one path, which is also what the evaluator measures: the image is fitted into the size that
the network was trained at (`kseg.pairs.resizing`) and padded at the bottom and on the right; the network's probabilities are
cropped, resized back to the image's own size, and only then the likeliest class is taken.

    serving_default  image (B, H, W, C) uint8                 -> label_map (B, H, W) uint8, confidence (B, H, W) float32
    serve_bytes      image_bytes (B,) JPEG or PNG, any sizes  -> label_map_bytes (B,) PNG, each of its image's size
    probabilities    image (B, H, W, C) uint8                 -> probabilities (B, H, W, K) float32
    tiles            image (B, H, W, C) uint8                 -> label_map (B, H, W) uint8, confidence (B, H, W) float32

The last one is there on request. It does not fit the image but cuts it into tiles of the network's size, so that a large image
keeps its detail and memory stays bounded (`kseg.serving.tiles`).

With `flips` and `rotations` the network sees what it is shown in several ways, and its probabilities are averaged. With `crf`, a
DenseCRF refines what is resized back before the likeliest class is taken, and each tile's probabilities in `tiles`.
`assets/export.json` says so (`kseg.serving.manifest`).

The exported graph computes in float32, also where training was in mixed bfloat16: only few processors multiply bfloat16, and
on others it is slower. So the same label maps come from the Keras model in float32 (`label_maps` here), and nearly the same
ones from the model as it was trained. TensorFlow Serving's gRPC takes messages of 4 MB unless told otherwise: `probabilities`
exceeds that from 224 x 224 pixels and 21 classes on, label maps and PNG hardly ever do. JPEGs are decoded as Pillow does in Beam
workers, and turned as their EXIF says. Refused: networks that are not functional, take more than one input,
lack a score for each class or return another size than the image's. TensorFlow only, because a SavedModel is a TensorFlow graph.
"""

from __future__ import annotations

import json
import pathlib
import tempfile
from collections.abc import Sequence

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import keras  # noqa: E402  (only after the backend is known)
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from kseg.data.resizing import fit_image_in_graph, resize_in_graph  # noqa: E402
from kseg.inference.averaging import dihedral_views  # noqa: E402
from kseg.labels import LabelMap  # noqa: E402
from kseg.serving import manifest  # noqa: E402
from kseg.serving.orientation import upright  # noqa: E402
from kseg.serving.tiles import label_map_by_tiles  # noqa: E402


def export(
    model: keras.Model,
    path,
    *,
    labels: LabelMap,
    image_size: tuple[int, int],
    flips: Sequence[str] = (),
    rotations: Sequence[int] = (0,),
    tiles: bool = False,
    crf: bool | dict | None = None,
) -> None:
    """Writes a SavedModel with the signatures serving_default, serve_bytes and probabilities.

    The class names and colours go to `assets/labels.json`, the size and what refines the answers to `assets/export.json`.
    Directories get mode 0755 and files 0644, so that a server running as another user can read them. An earlier export at `path`
    is overwritten.

    Args:
        model: functional segmentor from an image (B, H, W, C), C = 1 or 3, to logits (B, H, W, K).
        path: directory to write.
        labels: the K classes.
        image_size: (height, width) that images are fitted into before the network sees them, in pixels.
        flips: of "horizontal" and "vertical": the network sees the image so, too, and its probabilities are averaged.
        rotations: multiples of 90 degrees, likewise; every combination costs one more pass of the network.
        tiles: also write the signature "tiles", which cuts images of any size into tiles of `image_size`.
        crf: whether `kseg.DenseCRF` refines the probabilities, at the image's own size (of `tiles`, in each tile): True for its
            default settings, a dict for others, such as `settings` in what `python -m pipeline.tune_crf` writes.

    Raises:
        TypeError: the model is not functional, or DenseCRF has no such setting.
        ValueError: the model's channels, classes or output size do not fit, or a setting of DenseCRF does not.

    Example:
        >>> export(model, "savedmodels/streets/1", labels=labels, image_size=(96, 128))
        >>> served = tf.saved_model.load("savedmodels/streets/1").signatures["serving_default"]
        >>> served(image=images)["label_map"]
    """
    path = pathlib.Path(path)
    served = Served(in_float32(checked(model, labels, image_size)), image_size, flips, rotations, crf)
    with tempfile.TemporaryDirectory() as scratch:
        made_with = {"image_size": list(image_size), "flips": list(flips), "rotations": list(rotations)}
        made_with |= {"tiles": tiles, "crf": served.crf_settings()}
        served.labels = _asset(scratch, "labels.json", labels.to_json())
        served.made_with = _asset(scratch, manifest.FILE_NAME, json.dumps(made_with, indent=1))
        tf.saved_model.save(served, str(path), signatures=served.signatures(tiles))
    for entry in (path, *path.rglob("*")):
        entry.chmod(0o755 if entry.is_dir() else 0o644)


def _asset(folder, name: str, text: str):
    """A text file that is copied into the SavedModel."""
    file = pathlib.Path(folder) / name
    file.write_text(text, encoding="utf-8")
    return tf.saved_model.Asset(str(file))


def predict_label_maps(
    model: keras.Model,
    image_size: tuple[int, int],
    images: np.ndarray,
    *,
    flips: Sequence[str] = (),
    rotations: Sequence[int] = (0,),
    crf: bool | dict | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What the signature serving_default of an export of `model` answers, computed by Keras.

    Args:
        model: functional segmentor from an image (B, H, W, C) to logits (B, H, W, K).
        image_size: (height, width) that images are fitted into, in pixels.
        images: (B, H, W, C), uint8.
        flips: as `export` takes them.
        rotations: as `export` takes them.
        crf: as `export` takes it.

    Returns:
        label_map (B, H, W), uint8, and confidence (B, H, W), float32: the probability of that class.
    """
    answer = Served(in_float32(model), image_size, flips, rotations, crf).likeliest(tf.constant(images))
    return answer["label_map"].numpy(), answer["confidence"].numpy()


class Served(tf.Module):
    """A network with all that lies between an image file and its label map.

    Args:
        network: functional model in float32 from an image (B, H, W, C) to logits (B, H, W, K).
        image_size: (height, width) that images are fitted into, in pixels.
        flips: that the network sees, too.
        rotations: that it sees, in degrees.
        crf: whether DenseCRF refines the probabilities, or its settings.
    """

    def __init__(
        self,
        network: keras.Model,
        image_size: tuple[int, int],
        flips: Sequence[str] = (),
        rotations: Sequence[int] = (0,),
        crf: bool | dict | None = None,
    ):
        super().__init__()
        self._views = dihedral_views(flips, rotations)
        self._refine = None
        if crf not in (False, None):
            from kseg.postprocess.densecrf import DenseCRF

            self._refine = DenseCRF(**({} if crf is True else crf), from_logits=False)
            self._refine.build([network.outputs[0].shape, network.inputs[0].shape])
        self._network = network
        self._image_size = tuple(image_size)
        self._channels = network.inputs[0].shape[-1]
        weights = [*network.variables, *(self._refine.variables if self._refine else [])]
        self._variables = [variable.value for variable in weights]  # what the SavedModel has to keep

    def signatures(self, tiles: bool = False) -> dict:
        """The three functions, and `tiles` where it is wanted, traced for every batch and every size."""
        images = tf.TensorSpec((None, None, None, self._channels), tf.uint8, name="image")
        encoded = tf.TensorSpec((None,), tf.string, name="image_bytes")

        def traced(function, spec):
            return tf.function(function, input_signature=[spec], autograph=False)  # no Python `if` on a tensor: faster

        more = {"tiles": traced(self.likeliest_by_tiles, images)} if tiles else {}
        return more | {
            "serving_default": traced(self.likeliest, images),
            "serve_bytes": traced(self.likeliest_of_bytes, encoded),
            "probabilities": traced(self.probabilities, images),
        }

    def crf_settings(self) -> dict | None:
        """Every setting of the DenseCRF that refines, defaults too; None: there is none."""
        fixed = ("name", "trainable", "dtype", "from_logits", "activation")
        settings = self._refine.get_config() if self._refine else None
        return settings and {name: value for name, value in settings.items() if name not in fixed}

    def likeliest(self, image):
        """Images (B, H, W, C), uint8, to label maps (B, H, W), uint8, and the probabilities of those classes, float32."""
        probabilities = self.probabilities(image)["probabilities"]
        return {
            "label_map": tf.cast(tf.argmax(probabilities, axis=-1), tf.uint8),
            "confidence": tf.reduce_max(probabilities, axis=-1),
        }

    def probabilities(self, image):
        """Images (B, H, W, C), uint8, to probabilities (B, H, W, K), float32, at the images' own size."""
        padded, fitted = self._padded(image)
        probabilities = self._predict(padded)[:, : fitted[0], : fitted[1]]
        return {"probabilities": self._resized(probabilities, image)}

    def likeliest_by_tiles(self, image):
        """Images (B, H, W, C), uint8, to what `likeliest` answers, by tiles of the network's size; one image after the other."""
        classes = self._network.outputs[0].shape[-1]

        def predict(tile):
            probabilities = self._predict(tile)
            return self._refine([probabilities, tile]) if self._refine else probabilities

        def answered(one):
            return label_map_by_tiles(predict, one, tile=self._image_size, num_classes=classes)

        kinds = tf.TensorSpec((None, None), tf.uint8), tf.TensorSpec((None, None), tf.float32)
        label_map, confidence = tf.map_fn(answered, image, fn_output_signature=kinds, parallel_iterations=1)
        return {"label_map": label_map, "confidence": confidence}

    def likeliest_of_bytes(self, image_bytes):
        """Encoded images (B,) to PNGs of class ids (B,), each at its image's own size; the network sees one batch."""

        def decoded(encoded):
            # Integer-accurate and for PNGs too: the same pixels as Pillow's, which tf.io.decode_image misses by up to 6.
            image = tf.io.decode_jpeg(encoded, channels=self._channels, dct_method="INTEGER_ACCURATE")
            return upright(image, encoded)

        def prepared(encoded):
            image = decoded(encoded)
            padded, fitted = self._padded(image)
            return padded, fitted, tf.shape(image)[:2]

        def answered(example):
            encoded, probabilities, fitted, size = example
            probabilities = probabilities[: fitted[0], : fitted[1]]
            if self._refine:  # decoded anew, since images of several sizes are no batch
                resized = self._resized(probabilities[None], decoded(encoded)[None])[0]
            else:
                resized = resize_in_graph(probabilities, size)
            return tf.io.encode_png(tf.cast(tf.argmax(resized, axis=-1), tf.uint8)[..., None])

        size = tf.TensorSpec((2,), tf.int32)
        image = tf.TensorSpec((*self._image_size, self._channels), tf.float32)
        images, fitted, sizes = tf.map_fn(prepared, image_bytes, fn_output_signature=(image, size, size))
        examples = (image_bytes, self._predict(images), fitted, sizes)
        # One at a time: the probabilities of a photograph of 12 megapixels and 21 classes take 1 GB.
        answers = tf.map_fn(answered, examples, fn_output_signature=tf.string, parallel_iterations=1)
        return {"label_map_bytes": answers}

    def _resized(self, probabilities, image):
        """Probabilities (B, h, w, K) at the size of the images (B, H, W, C), uint8, and refined where that was asked for."""
        resized = resize_in_graph(probabilities, tf.shape(image)[1:3])
        return self._refine([resized, image]) if self._refine else resized

    def _padded(self, image):
        """Images (..., H, W, C), uint8, fitted and padded to (..., height, width, C), float32; and the fitted size (2,)."""
        image = tf.cast(fit_image_in_graph(image, self._image_size), tf.float32)
        fitted = tf.shape(image)[-3:-1]
        below = [[0, self._image_size[0] - fitted[0]], [0, self._image_size[1] - fitted[1]], [0, 0]]
        return tf.pad(image, [*[[0, 0]] * (image.shape.rank - 3), *below]), fitted

    def _predict(self, image):
        """Images (B, height, width, C), float32, to probabilities (B, height, width, K), float32."""
        image = tf.ensure_shape(image, (None, *self._image_size, self._channels))
        views = [self._predict_turned(image, axes, quarters) for axes, quarters in self._views]
        return views[0] if len(views) == 1 else tf.add_n(views) / len(views)

    def _predict_turned(self, image, axes, quarters):
        """Probabilities of the image reversed along axes, then turned against the clock; they are turned back."""
        logits = self._network(_turned(_reversed(image, axes), quarters), training=False)
        return _reversed(_turned(tf.nn.softmax(logits), -quarters), axes)


def _reversed(values, axes):
    return tf.reverse(values, axes) if axes else values


def _turned(values, quarters):
    """(B, H, W, C) turned by quarters against the clock, as `np.rot90` does."""
    values = tf.transpose(values, (0, 2, 1, 3)) if quarters % 2 else values
    return _reversed(values, ((), (1,), (1, 2), (2,))[quarters % 4])


def in_float32(model: keras.Model) -> keras.Model:
    """A copy of a functional model that computes in float32 throughout, with the same weights."""

    def copied(layer):
        return type(layer).from_config(layer.get_config() | {"dtype": "float32"})

    copy = keras.models.clone_model(model, clone_function=copied, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def checked(model: keras.Model, labels: LabelMap, image_size: tuple[int, int]) -> keras.Model:
    """The model, when it can be exported.

    Raises:
        TypeError: it is not functional.
        ValueError: its channels, classes or output size do not fit.
    """
    if not isinstance(model, keras.Model) or not hasattr(model, "inputs") or not model.inputs:
        raise TypeError(
            f"`model` must be a functional keras.Model. Received: model={model!r}. Of a game, export the `segmentor`."
        )
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][-1] not in (1, 3):
        raise ValueError(
            f"`model` must take one image (B, H, W, C) with C = 1 or 3. Received: inputs of shapes {shapes} "
            f"[model {model.name}]."
        )
    expected = (1, *image_size, labels.num_classes)
    answered = tuple(model.compute_output_shape((1, *image_size, shapes[0][-1])))
    if answered[-1] != expected[-1]:
        raise ValueError(
            f"`model` must return a logit for each of the {expected[-1]} classes. Received: {answered[-1]} logits "
            f"[model {model.name}]."
        )
    if answered != expected:
        raise ValueError(
            f"`model` must return logits of the image's own size. Received: logits {answered[1:3]} of an image "
            f"{tuple(image_size)} [model {model.name}]. Build the network with padding='same'."
        )
    return model
