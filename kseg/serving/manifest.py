"""What an export records about itself, in `assets/export.json` next to its classes. Standard library only.

    {"image_size": [height, width], "image_scale": null, "image_range": null, "dtype": "uint8", "normalization": null,
     "flips": [], "rotations": [0], "tiles": false, "crf": null, "max_pixels": 50000000, "score_memory": 1.0, "strict": false}

`image_size` is what images are fitted into before the network sees them; where it is null, their own sides are multiplied by
`image_scale`. `image_range` is the sample of 16-bit images that becomes 255, or null for 65535. `dtype` is that of the images,
`normalization` the mean and the deviation of each channel by which numbers that are not uint8 are normalised. `flips` and
`rotations` are the views that are averaged; `crf` holds the parameters of the DenseCRF that refines the probabilities, or null.
`max_pixels` and `score_memory` (GiB) bound requests; with `strict` a bad image fails its batch. `pretrained` stands there where
training began with weights of others: their "encoder", "weights" ("imagenet" or "file"), "sha256", "package", "licence" and
"source". `trained_on` stands there where the network learned from other splits than "train" alone: their names.

Read `crf` before refining a model's predictions: a model that refines itself would be refined twice.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence

FILE_NAME = "export.json"
WARM_UP_REQUESTS = pathlib.PurePath("assets.extra", "tf_serving_warmup_requests")
"""Place in a SavedModel of the requests that TensorFlow Serving computes before it serves a version."""

LEAST_AGREEMENT = 0.995
"""Share of the pixels of real images on which the label maps of another runtime must be those of the model."""

TRAIN = ("train",)
"""The splits that a network learned from where its manifest names none."""

UNKNOWN = {
    "image_size": None,
    "image_scale": None,
    "image_range": None,
    "dtype": "uint8",
    "normalization": None,
    "flips": [],
    "rotations": [0],
    "tiles": False,
    "crf": None,
    "max_pixels": None,
    "score_memory": None,
    "strict": True,
}
"""The manifest of a SavedModel that has none: an export from before manifests, or one of another program."""


def read_manifest(path) -> dict:
    """How the SavedModel at `path` was exported, by the names of `UNKNOWN`; "image_size" is [height, width] in pixels.

    What a manifest does not hold is as in `UNKNOWN`: no size, no refinement and no bound as far as is known.

    Args:
        path: folder of a SavedModel.

    Raises:
        ValueError: the manifest is cut off, or holds something else.

    Example:
        >>> read_manifest("a SavedModel of another program")["rotations"]
        [0]
    """
    file = pathlib.Path(path) / "assets" / FILE_NAME
    if not file.is_file():
        return json.loads(json.dumps(UNKNOWN))
    try:
        return UNKNOWN | json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{FILE_NAME} must hold the manifest as kseg wrote it. Received: {error} [{file}]. Bring it back from a copy, or "
            "export the model again."
        ) from None


def has_seen(manifest: dict, split: str) -> bool:
    """Whether the network learned from a split.

    Args:
        manifest: of `read_manifest`.
        split: its name.

    Example:
        >>> has_seen(UNKNOWN, "validation"), has_seen(UNKNOWN | {"trained_on": ["train", "validation"]}, "validation")
        (False, True)
    """
    return split in manifest.get("trained_on", TRAIN)


def working_scale(fields: dict) -> tuple[int, int] | float:
    """At which scale a network sees images: (height, width) that they are fitted into, in pixels, or a factor on their own sides.

    Args:
        fields: a manifest or a `plan.json`, with "image_size" and, in newer ones, "image_scale".

    Example:
        >>> working_scale({"image_size": [180, 240]}), working_scale({"image_size": None, "image_scale": 0.5})
        ((180, 240), 0.5)
    """
    return tuple(fields["image_size"]) if fields["image_size"] else fields["image_scale"]


def manifest_json(
    *,
    image_size: tuple[int, int] | None,
    image_scale: float | None,
    image_range: int | None,
    dtype: str,
    normalization: dict | None,
    flips: Sequence[str],
    rotations: Sequence[int],
    tiles: bool,
    crf: dict | None,
    max_pixels: int,
    score_memory: float,
    strict: bool,
    pretrained: dict | None = None,
    trained_on: Sequence[str] = TRAIN,
) -> str:
    """The text of a manifest.

    Args:
        image_size: (height, width) that images are fitted into, in pixels; None: `image_scale` multiplies their own sides.
        image_scale: that factor, or None.
        image_range: sample of 16-bit images that becomes 255; None: 65535.
        dtype: of the images.
        normalization: "mean" and "deviation" of each channel, or None.
        flips: views that are averaged.
        rotations: of these views, in degrees.
        tiles: whether there is a signature "tiles".
        crf: parameters of the DenseCRF, or None.
        max_pixels: of a request.
        score_memory: that class scores may take, GiB.
        strict: whether a bad image fails its whole batch.
        pretrained: the weights that training began with, or None.
        trained_on: splits that the network learned from.
    """
    fields = {
        "image_size": image_size and list(image_size),
        "image_scale": image_scale,
        "image_range": image_range,
        "dtype": dtype,
        "normalization": normalization,
        "flips": list(flips),
        "rotations": list(rotations),
        "tiles": tiles,
        "crf": crf,
        "max_pixels": int(max_pixels),
        "score_memory": float(score_memory),
        "strict": strict,
    }
    if pretrained is not None:
        fields["pretrained"] = pretrained
    if tuple(trained_on) != TRAIN:
        fields["trained_on"] = list(trained_on)
    return json.dumps(fields, indent=1)
