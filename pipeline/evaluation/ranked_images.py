"""The worst, median and best images of a split by mean IoU, stored with the predictions that were scored.

Only bytes are stored: the image, its mask and the predicted label map. The report draws them, so a change to the drawing does not
require another evaluation. Beam.
"""

from __future__ import annotations

import dataclasses
import io
import pathlib

import numpy as np
from PIL import Image

from kseg.pairs.image_files import decode_image, encode_png
from kseg.pictures import picture_of
from pipeline.evaluation.image_scores import ScoredImages
from pipeline.evaluation.pair_counts import PredictPairs
from pipeline.examples.parts import worked_on
from pipeline.examples.prepared import check_complete, from_record, read_records, shard_paths

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
    out: pathlib.Path,
    ranked: list[RankedImage],
    model: pathlib.Path,
    examples: pathlib.Path,
    split: str,
    beam_options,
    reads=(),
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
        reads: as of `parts.worked_on`.
    """
    names = {image.key: image.name for image in ranked}
    shards = [path.absolute() for path in shard_paths(examples)[split]]
    with worked_on(out, shards, _PredictFiles(model, set(names)), beam_options, reads) as rows:
        found = list(rows)
    check_complete("ranked images", len(found), len(names), out)
    for row in found:
        folder = out / FOLDER / names[row["key"]]
        folder.mkdir(parents=True)
        for name, data in row["files"].items():
            (folder / name).write_bytes(data)


class _PredictFiles(PredictPairs):
    """The pairs of a shard with given keys to {"key", "files": {name: bytes}}: the work of `parts.worked_on`."""

    def __init__(self, model: pathlib.Path, keys: set[str]):
        super().__init__(model)
        self._keys = keys

    def __call__(self, path):
        for record in read_records(path):
            key, image_bytes, label_map_bytes = from_record(record)
            if key in self._keys:
                yield {"key": key, "files": self._files(image_bytes, label_map_bytes)}

    def _files(self, image_bytes, label_map_bytes) -> dict[str, bytes]:
        ((label_map, _),) = self.predict([image_bytes])
        image = decode_image(image_bytes)
        picture = picture_of(image)
        stream = io.BytesIO()
        Image.fromarray(label_map).save(stream, "PNG")
        return {
            "image": image_bytes if picture is image else encode_png(picture),
            "truth.png": label_map_bytes,
            "prediction.png": stream.getvalue(),
        }
