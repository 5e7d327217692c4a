"""Checks the first batch of a data set before `fit` trains on it. TensorFlow is not needed.

Refused: iterators, from which a batch can be taken only once.
"""

from __future__ import annotations

import collections.abc

import keras

from kseg.array_checks import check_ids, check_image_range
from kseg.labels import VOID

WHERE = "first batch of fit"
ARRAYS_CHECKED = 32
"""Pairs checked of whole arrays."""


class CheckBatches(keras.callbacks.Callback):
    """Checks the first batch when training starts: finite images in [0, 255], label maps of class ids.

    Networks of kseg normalise images themselves. Images scaled to [0, 1] train without an error, badly; they are warned of.
    One batch is read, once.

    Args:
        data: training data of `fit`: a data set, or a tuple of arrays (x, y).
        ignore_class: id of void pixels, or None where every pixel has a class.

    Raises:
        ValueError: `data` is an iterator, an image is not finite, or an id is neither a class nor void.

    Example:
        >>> model = kseg.UNet(2, filters=(4, 8))
        >>> model.compile("adam", kseg.losses.CrossEntropy())
        >>> images, label_maps = np.full((2, 8, 8, 3), 128.0), np.zeros((2, 8, 8), np.uint8)
        >>> check = kseg.callbacks.CheckBatches((images, label_maps))
        >>> history = model.fit(images, label_maps, verbose=0, callbacks=[check])
    """

    def __init__(self, data, ignore_class: int | None = VOID):
        super().__init__()
        if isinstance(data, collections.abc.Iterator):
            raise ValueError(
                f"`data` must be a data set or arrays. Received: a {type(data).__name__}, from which a batch can be taken only "
                "once. Pass what makes the iterator."
            )
        self.data, self.ignore_class = data, ignore_class
        self._done = False

    def on_train_begin(self, logs=None):
        """Reads and checks the first batch."""
        if self._done:
            return
        self._done = True
        if isinstance(self.data, tuple):
            batch = keras.tree.map_structure(lambda array: array[:ARRAYS_CHECKED], self.data)
        else:
            batch = next(iter(self.data))
        images, label_maps, _ = keras.utils.unpack_x_y_sample_weight(batch)
        for each in keras.tree.flatten(images):
            check_image_range(keras.ops.convert_to_numpy(each), WHERE)
        if label_maps is not None:
            alone = getattr(self.model, "segmentor", self.model)  # of self-training
            network = getattr(self.model, "player", alone)  # of a game
            ids = keras.ops.convert_to_numpy(label_maps)
            check_ids(ids, network.output_shape[-1], self.ignore_class, "label_maps", WHERE)
