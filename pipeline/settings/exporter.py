"""Settings of the component exporter: what the served model does with an image, and its limits. Standard library only."""

from __future__ import annotations

import dataclasses
import importlib.util
from typing import Annotated, Literal

from kseg.serving.manifest import working_scale
from kseg.serving.statuses import MAX_PIXELS, MAX_SIDE, SCORE_MEMORY, check_limits, image_pixels
from pipeline.settings import crf as crf_settings
from pipeline.settings.values import Checked, Items, Number, Pixels

Flip, Rotation = Literal["horizontal", "vertical"], Literal[0, 90, 180, 270]
FORMATS = {
    "onnx": ("tf2onnx", "onnx", "onnxruntime"),
    "openvino": ("openvino",),
    "litert": ("ai_edge_litert",),
    "litert_int8": ("ai_edge_litert",),
}
"""Other runtimes that `kseg.export` converts the network for, and the packages that are imported for each."""

UNPOOLING = ("segnet", "segnet_basic")
"""Networks that unpool by indices, for which the other runtimes lack operations."""


@dataclasses.dataclass(frozen=True)
class Exporter(Checked):
    """Views, refinement, signatures and limits of the export."""

    crf: crf_settings.Parameters | None = None  # DenseCRF in the export: auto, JSON, or a file of tune_crf
    # views that the export averages, one forward pass each
    flips: Annotated[tuple[Flip, ...], Items(maximum=2, distinct=True)] = ()
    # degrees of further views; 0 is the image unrotated
    rotations: Annotated[tuple[Rotation, ...], Items(minimum=1, maximum=4, distinct=True)] = (0,)
    tiles: bool = False  # adds the signature "tiles", which labels large images tile by tile
    max_pixels: Pixels = MAX_PIXELS  # of a request to the export, an image or a batch; more is refused undecoded
    # GiB for class scores: bounds images refined by DenseCRF, probabilities, tiles
    score_memory: Annotated[float, Number(minimum=1e-3, maximum=1024)] = SCORE_MEMORY
    strict: bool = False  # whether a bad image fails its whole batch; otherwise it alone gets no label map
    # the network for other runtimes as well, each in a folder beside the SavedModel
    formats: Annotated[tuple[Literal[*FORMATS], ...], Items(maximum=4, distinct=True)] = ()

    def __post_init__(self):
        super().__post_init__()
        if self.formats and self.crf is not None:
            raise ValueError(
                f"`formats` must be of an export without DenseCRF. Received: exporter.formats={','.join(self.formats)} and "
                "exporter.crf. Leave one out: DenseCRF runs in TensorFlow alone."
            )
        crf_settings.check_parameters(self.crf or {})


def check_formats(config: Exporter, model: str):
    """Refuses other runtimes whose packages are not installed, or for which the network cannot be converted.

    Args:
        config: with the formats.
        model: name of the network, one of `pipeline.settings.trainer.MODELS`, or "auto", which chooses none of `UNPOOLING`.

    Raises:
        ValueError: a package is missing, or the network is one of `UNPOOLING`.
    """
    if config.formats and model in UNPOOLING:
        raise ValueError(
            f"`formats` must be of a network that other runtimes compute. Received: exporter.formats={','.join(config.formats)} "
            f"and trainer.model={model}, which unpools by indices. Leave one out."
        )
    for name in config.formats:
        missing = [package for package in FORMATS[name] if importlib.util.find_spec(package) is None]
        if missing:
            raise ValueError(
                f"The packages of a format must be installed. Received: exporter.formats={name} without {', '.join(missing)}. "
                "Install them with `pip install 'kseg[runtimes]'`."
            )


def check_servable(config: Exporter, num_classes: int, sizes: list[tuple[int, int]]):
    """Refuses limits of the export under which an image of the data set would not be served.

    Args:
        config: with the limits.
        num_classes: K.
        sizes: (width, height) of images, in pixels.

    Raises:
        ValueError: one is too large.
    """
    most = image_pixels(num_classes, config.crf is not None, config.max_pixels, config.score_memory)
    for width, height in sizes:
        if width * height > most or max(width, height) > MAX_SIDE:
            refined = most < config.max_pixels
            limit = f"exporter.score_memory={config.score_memory:g} with DenseCRF" if refined else "exporter.max_pixels"
            cure = (
                "score_memory, or leave out exporter.crf" if refined else "max_pixels, or lower example_gen.max_pixels"
            )
            raise ValueError(
                f"The trained model must serve every image of the data: at most {most:,} pixels, and no side above {MAX_SIDE:,}. "
                f"Received: an image of {width}x{height} [{limit}]. Raise exporter.{cure}."
            )


def check_working_size(config: Exporter, num_classes: int, plan: dict):
    """Refuses limits of the export under which an image at its working size could not be labelled.

    Args:
        config: with the limits.
        num_classes: K.
        plan: of transform.

    Raises:
        ValueError: they are too small.
    """
    limits = {"max_pixels": config.max_pixels, "score_memory": config.score_memory}
    check_limits(working_scale(plan), num_classes, crf=config.crf is not None, **limits)


def crf_choice(used: bool) -> dict[str, list[str]]:
    """Whether the settings of a component use DenseCRF, in the form of `pipeline.settings.trainer.choices`."""
    return {} if used else {"kseg.postprocess.densecrf": []}
