"""Deep ensemble (Lakshminarayanan et al. 2017): one network that averages the probabilities of several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import keras
from keras import ops

from kseg._checks import check_logits

TINY = 1e-37
"""Keeps the logarithm of a probability of 0 finite."""


def DeepEnsemble(networks: Sequence[keras.Model], *, name: str = "deep_ensemble") -> keras.Model:
    """Averages networks: the mean of their probabilities, as logits.

    Each network is copied with its weights, so the ensemble is a model of its own, which `kseg.export` serves like any other; it
    costs as much as all networks together.

    Args:
        networks: functional models from an image (B, H, W, C) to logits (B, H, W, K), of the same C, K, H and W.
        name: of the model.

    Returns:
        Model from `image` (B, H, W, C) in [0, 255] to logits (B, H, W, K), float32: the logarithms of the mean probabilities.

    Raises:
        ValueError: there is no network, one is no functional model or gives probabilities, or their inputs or outputs differ.

    Example:
        >>> networks = [kseg.UNet(3, filters=(4, 8)) for _ in range(2)]
        >>> kseg.DeepEnsemble(networks).output_shape
        (None, None, None, 3)

    Source: Lakshminarayanan et al. 2017, "Simple and scalable predictive uncertainty estimation using deep ensembles",
        section 2.4.
    """
    networks = list(networks) if isinstance(networks, Iterable) else [networks]
    if not all(isinstance(network, keras.Model) and hasattr(network, "input_shape") for network in networks):
        raise ValueError(f"`networks` must be a list of functional keras.Models. Received: networks={networks!r:.120}.")
    for network in networks:
        check_logits("networks", network)
    shapes = {(network.input_shape, network.output_shape) for network in networks}
    if len(shapes) != 1:
        raise ValueError(
            "`networks` must be at least one network, all with inputs and outputs of the same shapes. "
            f"Received: {len(networks)} networks with {sorted(map(str, shapes))}."
        )
    image = keras.Input(networks[0].input_shape[1:], name="image")
    members = []
    for number, network in enumerate(networks, start=1):
        member = keras.models.clone_model(network)
        member.set_weights(network.get_weights())
        member.name = f"member{number}"
        softmax = keras.layers.Softmax(dtype="float32", name=f"member{number}_probabilities")
        members.append(softmax(member(image)))
    mean = keras.layers.Average(dtype="float32", name="mean")(members) if len(members) > 1 else members[0]
    return keras.Model(image, ops.log(ops.maximum(mean, TINY)), name=name)
