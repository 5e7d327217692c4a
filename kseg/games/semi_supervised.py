"""The segmentation game with unlabelled images.

Refused: discriminators without a map of logits, and objectives whose logits are not log-odds. TensorFlow, for the game's step.
"""

from __future__ import annotations

import keras
from keras import ops

from kseg import losses
from kseg._checks import check_integer, check_number
from kseg.games import replicas
from kseg.games.schedules import frozen
from kseg.games.segmentation import SegmentationGame
from kseg.games.squares import spread_squares
from kseg.games.teacher import check_void


@keras.saving.register_keras_serializable(package="kseg")
class SemiSupervisedGame(SegmentationGame):
    """A segmentor learns from labelled images, and from confident regions of unlabelled ones.

    An image is unlabelled if its whole label map is void, so both kinds go through one `fit`, in one batch or not:

        unlabelled = images.map(lambda image: (image, tf.fill(tf.shape(image)[:2], tf.constant(255, tf.uint8))))
        both = tf.data.Dataset.sample_from_datasets([labelled.repeat(), unlabelled.repeat()]).batch(8)

    The discriminator gives one logit per pixel and learns from labelled images alone. It also judges predictions on unlabelled
    images: their adversarial loss has weight `unlabelled_weight`, and pixels that it considers real with a probability above
    `threshold` become pseudo-labels, the segmentor's own predictions, learned with weight `region_weight`. Every loss is a mean
    over all images of the batch, 0 for those it does not apply to.

    One more log than the game's: `confident_share`, the share of unlabelled images' pixels that are pseudo-labels.

    Args:
        segmentor: model from `image` (B, H, W, C) to logits (B, H, W, K).
        discriminator: model to a map of logits (B, h, w, 1), one per square of `label_stride` pixels, such as
            `kseg.discriminators.FullyConvolutional`.
        weight: factor of the adversarial loss on labelled images, more than 0.
        unlabelled_weight: factor of the adversarial loss on unlabelled images.
        region_weight: factor of the cross-entropy on pseudo-labels.
        threshold: probability of being real above which a pixel becomes a pseudo-label, in [0, 1).
        regions_from: first step of the game with pseudo-labels, not counting pretraining; the discriminator must learn first.
        **kwargs: of `SegmentationGame`. With a `teacher`, its pseudo-labels take the place of the confident regions.

    Raises:
        ValueError: an argument is out of range, `ignore_class` is None, or the discriminator gives one logit per image.

    Example:
        >>> discriminator = kseg.discriminators.FullyConvolutional(2, base_filters=2)
        >>> game = kseg.SemiSupervisedGame(kseg.UNet(2, filters=(4, 8)), discriminator, regions_from=0)
        >>> game.compile("adam", "adam", loss=kseg.losses.CrossEntropy(), metrics=[kseg.metrics.ConfusionMatrix(2)])
        >>> images, label_maps = np.zeros((2, 32, 32, 3), np.float32), np.zeros((2, 32, 32), np.uint8)
        >>> label_maps[1] = kseg.VOID  # the second image is unlabelled
        >>> history = game.fit(images, label_maps, batch_size=2, verbose=0)
        >>> 0 <= history.history["confident_share"][0] <= 1
        True

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
        check_void(self.ignore_class)
        check_number("weight", weight, above=0)
        check_number("unlabelled_weight", unlabelled_weight, minimum=0)
        check_number("region_weight", region_weight, minimum=0)
        check_number("threshold", threshold, minimum=0, below=1)
        check_integer("regions_from", regions_from, minimum=0)
        if self.objective not in ("non_saturating", "minimax"):
            raise ValueError(
                '`objective` must be "non_saturating" or "minimax", whose logits are log-odds of being real. '
                f"Received: objective={self.objective!r}."
            )
        if self.formulation != "adversarial":
            raise ValueError(
                '`formulation` must be "adversarial", whose discriminator says where predictions are confident. '
                f"Received: formulation={self.formulation!r}."
            )
        if len(discriminator.output_shape) != 4:
            raise ValueError(
                "`discriminator` must give a map of logits (B, h, w, 1). "
                f"Received: discriminator.output_shape={discriminator.output_shape}. Use FullyConvolutional."
            )
        self.unlabelled_weight, self.region_weight = unlabelled_weight, region_weight
        self.threshold, self.regions_from = threshold, regions_from
        if self.teacher is None:
            self.game_metrics["confident_share"] = keras.metrics.Mean("confident_share")

    def image_weights(self, x, y):
        """Unlabelled images have weight 0 for the discriminator, `unlabelled_weight` relative to `weight` for the player."""
        labelled = ops.cast(self.is_labelled(y), "float32")
        return labelled, labelled + (1.0 - labelled) * (self.unlabelled_weight / self.weight)

    def visible_pixels(self, valid):
        """Pixels of a class, and all pixels of an unlabelled image."""
        unlabelled = self._step_state.unlabelled  # of a teacher, who labels some of their pixels
        if unlabelled is None:
            unlabelled = ops.logical_not(ops.any(valid, axis=(1, 2)))
        return ops.logical_or(valid, unlabelled[:, None, None])

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The task's loss and, in training, that of the pseudo-labels."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training=training)
        if self.teacher is not None or not (training and self._step_state.phase.game):
            return loss
        with frozen(self.discriminator):
            _, fake = self.discriminator_inputs(x, y, y_pred)
            probability = ops.sigmoid(self.discriminator(fake, training=True))[..., 0]
        height, width = ops.shape(y_pred)[1:3]
        probability = spread_squares(probability, self.label_stride, height, width)
        unlabelled = ops.logical_not(self.is_labelled(y))
        confident = ops.cast(probability > self.threshold, "float32")
        self.game_metrics["confident_share"].update_state(ops.mean(confident, axis=(1, 2)), sample_weight=unlabelled)
        chosen = ops.logical_and(probability > self.threshold, unlabelled[:, None, None])
        pseudo_labels = ops.where(chosen, ops.argmax(y_pred, axis=-1), self.ignore_class)
        started = ops.cast(self.step >= self.schedule.game_start + self.regions_from, "float32")
        pseudo_loss = losses.CrossEntropy(ignore_class=self.ignore_class)(pseudo_labels, y_pred)
        return loss + self.region_weight * started * pseudo_loss / replicas.num_replicas()

    def get_config(self):
        """Arguments of the constructor."""
        names = ("unlabelled_weight", "region_weight", "threshold", "regions_from")
        return super().get_config() | {name: getattr(self, name) for name in names}
