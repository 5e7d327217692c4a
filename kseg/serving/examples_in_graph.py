"""Serialized `tf.Example`s as encoded images, in a TensorFlow graph. TensorFlow only.

One that cannot be parsed leaves its batch alone, which `tf.io.parse_example` does not.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402  (only after the backend is known)

FEATURE = "image"
"""Name of the feature with the bytes of an image, as in the records of a prepared data set."""


def read_examples(examples):
    """The encoded images of examples; raises nothing.

    Args:
        examples: (B,), string, serialized `tf.train.Example`.

    Returns:
        Encoded images (B,), string, and whether there is one, (B,), bool: the feature FEATURE is one bytes value.
    """

    def parse(example):
        # A feature that is missing raises, as one of another type or length does.
        return tf.io.parse_single_example(example, {FEATURE: tf.io.FixedLenFeature((), tf.string)})[FEATURE], True

    nothing = tf.data.Dataset.from_tensors((b"", False))

    def read(example):
        parsed = tf.data.Dataset.from_tensors(example).map(parse).ignore_errors()
        return parsed.concatenate(nothing).take(1).get_single_element()

    return tf.map_fn(read, examples, fn_output_signature=(tf.string, tf.bool))
