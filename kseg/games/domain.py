"""The game between domains: is this a prediction on an image of the labelled source, or of the target, which has no labels?

Refused: discriminators that see the image. TensorFlow, for the game's step.
"""

from __future__ import annotations

import math

import keras
from keras import ops

from kseg.games.formulations import BY_CLASS, DOMAIN
from kseg.games.given import inputs_of
from kseg.games.halves import run_halves, run_segmentor
from kseg.games.segmentation import SegmentationGame
from kseg.games.squares import average_squares
from kseg.games.teacher import check_void
from kseg.labels import VOID

MAPS = ("softmax", "entropy")
"""Values of `maps`."""

FIXED = ("formulation", "encoding", "apart")
"""Arguments of `SegmentationGame` that this game has none of."""


@keras.saving.register_keras_serializable(package="kseg")
class DomainGame(SegmentationGame):
    """A segmentor learns from a labelled source, and to predict on unlabelled target images what looks like a source prediction.

    An image of the target is one whose whole label map is void. The first half of each batch is of the source, the second of the
    target, and each is normalised by batch statistics of its own:

        target = images.map(lambda image: (image, tf.fill(tf.shape(image)[:2], tf.constant(255, tf.uint8))))
        both = kseg.data.side_by_side(source.repeat().batch(4), target.repeat().batch(4))

    The discriminator learns to tell the segmentor's maps of source images (real) from those of target images (fake), and the
    segmentor wants the latter to be taken for the former. With p the softmax of K classes the maps are p ("softmax"), or
    -p log p / log K ("entropy"), which says how sure a prediction is and hardly of what. With `features`, the name of a layer, it
    judges what that layer gives instead, and class by class; see `kseg.games.formulations.domain_by_class`. Every loss is a mean
    over all images of the batch, 0 for those it does not apply to.

    With a `teacher` the segmentor also learns from pseudo-labels of the target, see `kseg.Teacher`; adversary and self-training
    complement each other. Nothing here was measured with labels of the target: scores on the source's validation images do not
    say whether adaptation helped.

    Args:
        segmentor: model from `image` (B, H, W, C) to logits (B, H, W, K).
        discriminator: model from the maps (B, H, W, K) alone to logits (B, ..., 1), such as
            `kseg.discriminators.PatchGAN(K, input_shape=None)`; or from features (B, h, w, F) to logits (B, h, w, 2 K), such as
            `kseg.discriminators.DomainClasses`, where the images are coarser by an integer factor.
        weight: factor of the adversarial loss; 0.001 in both papers.
        maps: "softmax" or "entropy".
        features: name of the segmentor's layer whose output is judged in place of the maps; None: the maps.
        ignore_class: id of void.
        label_stride: side in pixels of the squares over which the maps are averaged for the discriminator.
        teacher: a `kseg.Teacher`, or None.
        **kwargs: of `AdversarialGame`: `objective` and `label_smoothing`, not with `features`; `schedule`; and of `keras.Model`.

    Raises:
        ValueError: an argument is out of range, or the discriminator fits neither K maps alone nor the features.

    Example:
        >>> discriminator = kseg.discriminators.PatchGAN(2, input_shape=None, layers_between=1, base_filters=2)
        >>> game = kseg.DomainGame(kseg.UNet(2, filters=(4, 8)), discriminator)
        >>> game.compile("adam", "adam", loss=kseg.losses.CrossEntropy(), metrics=[kseg.metrics.ConfusionMatrix(2)])
        >>> images, label_maps = np.zeros((2, 32, 32, 3), np.float32), np.zeros((2, 32, 32), np.uint8)
        >>> label_maps[1] = kseg.VOID  # the second image is of the target
        >>> history = game.fit(images, label_maps, batch_size=2, verbose=0)

    Source: Tsai et al. 2018 (arXiv:1802.10349), AdaptSegNet, at one level; Vu et al. 2019 (arXiv:1811.12833), ADVENT, for the
        entropy maps; Wang et al. 2020 (arXiv:2007.09222), FADA, for features by class.
    """

    def __init__(
        self,
        segmentor,
        discriminator,
        weight=0.001,
        maps="softmax",
        features=None,
        ignore_class=VOID,
        label_stride=1,
        teacher=None,
        **kwargs,
    ):
        check_void(ignore_class)
        if given := [name for name in FIXED if name in kwargs]:
            raise ValueError(
                f"`{given[0]}` must be left out between domains, whose discriminator sees no true label map, and each half of a "
                f"batch is apart. Received: {given[0]}={kwargs[given[0]]!r}."
            )
        settings = {"ignore_class": ignore_class, "label_stride": label_stride, "teacher": teacher}
        super().__init__(segmentor, discriminator, weight=weight, **settings, **kwargs)
        if maps not in MAPS:
            raise ValueError(f"`maps` must be one of {', '.join(MAPS)}. Received: maps={maps!r}.")
        by_class = discriminator.output_shape[-1] != 1
        if by_class != (features is not None):
            raise ValueError(
                "`features` must name a layer of the segmentor if the discriminator gives 2 K logits, and else be None. "
                f"Received: features={features!r}, discriminator.output_shape={discriminator.output_shape}."
            )
        if by_class and (self.objective != "non_saturating" or self.label_smoothing):
            raise ValueError(
                "`objective` and `label_smoothing` must be left out on features, whose discriminator has a loss of its own. "
                f"Received: objective={self.objective!r}, label_smoothing={self.label_smoothing} with features={features!r}."
            )
        if by_class:
            judged = segmentor.get_layer(features).output
            if tuple(discriminator.input_shape)[-1] != judged.shape[-1]:
                raise ValueError(
                    "`discriminator` must take as many channels as the features have. Received: "
                    f"discriminator.input_shape={tuple(discriminator.input_shape)}, features of shape {tuple(judged.shape)}."
                )
            self._step_state.with_features = keras.Model(inputs_of(segmentor), [*segmentor.outputs, judged])
        if len(discriminator.inputs) != 1:
            raise ValueError(
                "`discriminator` must take the maps alone: images would tell both domains apart. "
                f"Received: {len(discriminator.inputs)} inputs. Build it with input_shape=None."
            )
        self.maps, self.layer = maps, features

    def check_discriminator(self, player, discriminator):
        """Refuses a discriminator whose last axis is neither 1 nor 2 K."""
        if discriminator.output_shape[-1] not in (1, 2 * player.output_shape[-1]):
            raise ValueError(
                "`discriminator` must give one logit per judgement, (B, ..., 1), or on features one for each class of each "
                f"domain, (B, h, w, {2 * player.output_shape[-1]}). "
                f"Received: discriminator.output_shape={discriminator.output_shape}."
            )

    def _check_inputs(self, discriminator, encoding):
        """Refuses a discriminator of maps that does not take them."""
        if discriminator.output_shape[-1] == 1:
            super()._check_inputs(discriminator, encoding)

    @property
    def judges_features(self):
        """Whether the discriminator judges features, class by class."""
        return self.layer is not None

    @property
    def rules(self):
        """The formulation that is played."""
        return BY_CLASS if self.judges_features else DOMAIN

    def play(self, x, y):
        """Predicts on the images of both domains.

        Args:
            x: images (B, H, W, C) in [0, 255].
            y: ignored.

        Returns:
            Logits (B, H, W, K); nothing; the maps of all images, float32 (B, h, w, K), or the features of each half,
            (B / 2, h, w, F).
        """
        if self.judges_features:
            logits, features = zip(*run_halves(self._step_state.with_features, x), strict=True)
            return ops.concatenate(logits), [], list(features)
        logits = run_segmentor(self.segmentor, x, apart=True)
        log_probabilities = ops.log_softmax(ops.cast(logits, "float32"))
        maps = ops.exp(log_probabilities)
        if self.maps == "entropy":
            maps = -maps * log_probabilities / math.log(max(logits.shape[-1], 2))  # 0 of a single class
        return logits, [], average_squares(maps, self.label_stride)

    def image_weights(self, x, y):
        """1 for images of the source; 1 for those of the target."""
        source = ops.cast(self.is_labelled(y), "float32")
        return source, 1.0 - source

    def get_config(self):
        """Arguments of the constructor."""
        config = super().get_config() | {"maps": self.maps, "features": self.layer}
        return {name: value for name, value in config.items() if name not in FIXED}
