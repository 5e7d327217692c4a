"""The game of segmentation with images that nobody labelled.

Refused: discriminators that give no map of logits, and objectives whose logits are no log-odds. TensorFlow, because the game's
step is.
"""

from __future__ import annotations

import keras
from keras import ops

from kseg import losses
from kseg.games import replicas
from kseg.games.schedules import still
from kseg.games.segmentation import SegmentationGame, begins
from kseg.labels import VOID


@keras.saving.register_keras_serializable(package="kseg")
class SemiSupervisedGame(SegmentationGame):
    """A segmentor learns from labelled images, and from the confident regions of others.

    An image is unlabelled where its whole label map is void, so both kinds come through one `fit`, in the same batch or not:

        unlabelled = images.map(lambda image: (image, tf.fill(tf.shape(image)[:2], tf.constant(255, tf.uint8))))
        both = tf.data.Dataset.sample_from_datasets([labelled.repeat(), unlabelled.repeat()]).batch(8)

    The discriminator, which gives a logit for each pixel, learns from labelled images alone. It judges the segmentor's label maps
    of the others too: that verdict weighs `unlabelled_weight`; and where it takes a pixel for real with a probability above
    `threshold`, the segmentor learns that pixel as if its own answer were the truth, with weight `region_weight`. Every loss is a
    mean over all images of the batch, 0 for those that it does not concern.

    Besides the game's logs: `confident_share`, of the pixels of unlabelled images, those that joined.

    Args:
        segmentor: model from `image` (B, H, W, C) to logits (B, H, W, K).
        discriminator: model to a map of logits (B, h, w, 1), one for each square of `label_stride` pixels, such as
            `kseg.discriminators.FullyConvolutional`.
        weight: factor of the adversarial loss on labelled images, more than 0.
        unlabelled_weight: the same on unlabelled ones.
        region_weight: factor of the cross-entropy in confident regions.
        threshold: of the probability of being real, in [0, 1).
        regions_from: steps of the game, pretraining not counted, after which regions join; before, the discriminator knows
            too little.
        **kwargs: of `SegmentationGame`.

    Raises:
        ValueError: an argument is out of range, `ignore_class` is None, or the discriminator gives one logit for an image.

    Example:
        >>> game = SemiSupervisedGame(kseg.UNet(21), kseg.discriminators.FullyConvolutional(21))
        >>> game.compile("adam", "adam", loss=CrossEntropy(ignore_class=255), metrics=[ConfusionMatrix(21)])
        >>> game.fit(both, steps_per_epoch=1000, epochs=20)

    Source: Hung et al. 2018 (arXiv:1802.07934), equations 2 to 5, with the weights of their public code.
    """

    def __init__(
        self,
        segmentor,
        discriminator,
        weight=0.01,
        unlabelled_weight=0.001,
        region_weight=0.1,
        threshold=0.2,
        regions_from=5000,
        **kwargs,
    ):
        super().__init__(segmentor, discriminator, weight=weight, **kwargs)
        if self.ignore_class is None:
            raise ValueError("`ignore_class` must be an id: it marks unlabelled images. Received: ignore_class=None.")
        if not weight > 0:
            raise ValueError(f"`weight` must be more than 0. Received: weight={weight}.")
        for name, value in (("unlabelled_weight", unlabelled_weight), ("region_weight", region_weight)):
            if not value >= 0:
                raise ValueError(f"`{name}` must be at least 0. Received: {name}={value}.")
        if not 0 <= threshold < 1:
            raise ValueError(f"`threshold` must lie in [0, 1). Received: threshold={threshold}.")
        if self.objective not in ("non_saturating", "minimax"):
            raise ValueError(
                '`objective` must be "non_saturating" or "minimax", whose logits tell how probable it is that a pixel is real. '
                f"Received: objective={self.objective!r}."
            )
        if len(discriminator.output_shape) != 4:
            raise ValueError(
                "`discriminator` must give a map of logits (B, h, w, 1). "
                f"Received: discriminator.output_shape={discriminator.output_shape}. Take FullyConvolutional."
            )
        self.unlabelled_weight, self.region_weight = unlabelled_weight, region_weight
        self.threshold, self.regions_from = threshold, regions_from
        self._own_metrics["confident_share"] = keras.metrics.Mean("confident_share")

    def counts(self, x, y):
        """Unlabelled images count nothing for the discriminator, and for the player as their weight says."""
        labelled = ops.cast(self._labelled(y), "float32")
        return labelled, labelled + (1.0 - labelled) * (self.unlabelled_weight / self.weight)

    def judged_pixels(self, ids):
        """As in the game of segmentation; all pixels of an unlabelled image."""
        return ops.logical_or(super().judged_pixels(ids), ops.logical_not(self._labelled(ids))[:, None, None])

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The task's loss and, in training, that of the confident regions."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training=training)
        if not (training and self._now.turn.game):
            return loss
        with still(self.discriminator):
            verdict = ops.sigmoid(self.discriminator(self.shown(x, y, y_pred)[1], training=True))[..., 0]
        height, width = ops.shape(y_pred)[1:3]
        top, left = (begins(size, self.label_stride) for size in (height, width))
        for axis in (1, 2):
            verdict = ops.repeat(verdict, self.label_stride, axis=axis)
        verdict = verdict[:, top : top + height, left : left + width]
        unlabelled = ops.logical_not(self._labelled(y))
        confident = ops.cast(verdict > self.threshold, "float32")
        self._own_metrics["confident_share"].update_state(ops.mean(confident, axis=(1, 2)), sample_weight=unlabelled)
        joins = ops.logical_and(verdict > self.threshold, unlabelled[:, None, None])
        answers = ops.where(joins, ops.argmax(y_pred, axis=-1), VOID)
        begun = ops.cast(self.step >= self.schedule.begins + self.regions_from, "float32")
        regions = losses.CrossEntropy(ignore_class=VOID)(answers, y_pred)
        return loss + self.region_weight * begun * regions / replicas.number()

    def _labelled(self, y):
        """Whether any pixel of each image has a class: (B,), bool."""
        return ops.any(ops.not_equal(ops.reshape(y, (ops.shape(y)[0], -1)), self.ignore_class), axis=1)

    def get_config(self):
        """Arguments of the constructor."""
        names = ("unlabelled_weight", "region_weight", "threshold", "regions_from")
        return super().get_config() | {name: getattr(self, name) for name in names}
