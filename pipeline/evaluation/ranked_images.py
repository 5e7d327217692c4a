"""The worst, median and best images of a split by mean IoU, stored with the predictions that were scored.

Only bytes are stored: the image, its mask and the predicted label map. The report draws them, so a change to the drawing does not
require another evaluation. Beam.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import pathlib

import apache_beam as beam
import numpy as np
from PIL import Image

from kseg.pairs.image_files import decode_image, encode_png
from kseg.pictures import picture_of
from pipeline.evaluation.image_scores import ScoredImages
from pipeline.evaluation.pair_counts import PredictPairs
from pipeline.examples.collecting import Collect, read_collected
from pipeline.examples.prepared import check_complete
from pipeline.examples.records import ReadExamples
from pipeline.examples.runner_options import pipeline_options

FOLDER = "ranked_images"
PER_RANK = 2


@dataclasses.dataclass(frozen=True)
class RankedImage:
    """One image and why it is shown.

    Attributes:
        name: of its folder below `FOLDER`, such as "worst_1".
        rank: one of "worst", "median", "best".
        key: of the pair.
        mean_iou: of this image alone.
    """

    name: str
    rank: str
    key: str
    mean_iou: float


def rank_images(images: ScoredImages) -> list[RankedImage]:
    """Selects the `PER_RANK` worst, median and best images by mean IoU, ties in the order of their keys.

    An image appears once, so a split of few images has fewer median ones. Images that are entirely void are left out.
    """
    mean_ious = images.mean_ious()
    order = [index for index in np.argsort(mean_ious, kind="stable") if not np.isnan(mean_ious[index])]
    middle = max(0, (len(order) - PER_RANK) // 2)
    selected = {"worst": order[:PER_RANK], "best": order[: -PER_RANK - 1 : -1], "median": order[middle:][:PER_RANK]}
    ranked, taken = {}, set()
    for rank, indices in selected.items():  # the median comes last: it gives way to worst and best
        ranked[rank] = [index for index in indices if index not in taken]
        taken.update(ranked[rank])
    return [
        RankedImage(f"{rank}_{number}", rank, str(images.keys[index]), float(mean_ious[index]))
        for rank in ("worst", "median", "best")
        for number, index in enumerate(ranked[rank], start=1)
    ]


def save_ranked_images(
    out: pathlib.Path, ranked: list[RankedImage], model: pathlib.Path, examples: pathlib.Path, split: str, beam_options
):
    """Writes `image`, `truth.png` and `prediction.png` (class ids) of each image.

    `image` holds the stored bytes, or a picture of them where they are not 8-bit grey or RGB.

    Args:
        out: artifact of the evaluator; the files go to `out/ranked_images/<name>/`.
        ranked: from `rank_images`.
        model: folder of the SavedModel that was scored.
        examples: prepared data set.
        split: that was scored.
        beam_options: Beam's command line.
    """
    names, file = {image.key: image.name for image in ranked}, out / "ranked.jsonl"
    with beam.Pipeline(options=pipeline_options(beam_options)) as pipeline:
        _ = (
            pipeline
            | "Read" >> ReadExamples(examples, split)
            | "Select" >> beam.Filter(lambda pair, keys: pair[0] in keys, set(names))
            | "Predict" >> beam.ParDo(_PredictFiles(model))
            | "Collect" >> Collect(file)
        )
    rows = read_collected(file)
    check_complete("ranked images", len(rows), len(names), out)
    for row in rows:
        folder = out / FOLDER / names[row["key"]]
        folder.mkdir(parents=True)
        for name, data in row["files"].items():
            (folder / name).write_bytes(base64.b64decode(data))


class _PredictFiles(PredictPairs):
    """A stored pair to {"key", "files": {name: base64}}."""

    def process(self, pair):
        key, image_bytes, label_map_bytes = pair
        ((label_map, _),) = self.predict([image_bytes])
        image = decode_image(image_bytes)
        picture = picture_of(image)
        image_bytes = image_bytes if picture is image else encode_png(picture)
        stream = io.BytesIO()
        Image.fromarray(label_map).save(stream, "PNG")
        files = {"image": image_bytes, "truth.png": label_map_bytes, "prediction.png": stream.getvalue()}
        yield {"key": key, "files": {name: base64.b64encode(data).decode() for name, data in files.items()}}
