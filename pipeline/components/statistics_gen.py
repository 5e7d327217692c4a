"""statistics_gen: counts over a prepared data set, per split and in total, and which images repeat others.

numpy and Pillow in Beam workers, no TensorFlow.
"""

from __future__ import annotations

import pathlib

from kseg.labels import LabelMap
from kseg.pairs.image_files import decode_image, encoding_of
from kseg.pairs.split_names import UNLABELLED
from pipeline.engine import progress
from pipeline.engine.files import read_json, write_json
from pipeline.examples import prepared
from pipeline.examples.parts import worked_on
from pipeline.settings.statistics_gen import StatisticsGen
from pipeline.validation.data_set import count_pair, data_set_statistics
from pipeline.validation.image_hashes import ImageTable, check_near_duplicate_bits
from pipeline.validation.statistics import empty_counts, summarize

TOTAL = "all"


def statistics_gen(out: pathlib.Path, config: StatisticsGen, *, examples: pathlib.Path, beam_options: list[str] = ()):
    """Writes `out/statistics.json`.

    It holds the names of the `classes`; `summarize` of each of the `splits` and of `all`; `unusable`, the number of quarantined
    pairs per fault; `image_range` of 16-bit images; `duplicates` and `near_duplicates` of `pipeline.validation.image_hashes`;
    and, as "split/key", the images with `empty_masks`, entirely void, and `tiny_images`, with a side below `config.tiny_side`.
    Images without masks count in duplicates and tiny images alone; `unlabelled` holds `summarize` of them, their `domain`,
    and `held_out`, the keys of those that are in validation or test, too.

    Args:
        out: folder to write to.
        config: what counts as a near duplicate, and as tiny.
        examples: artifact of example_gen.
        beam_options: Beam's command line.

    Raises:
        ValueError: there are too many images for so many bits between near duplicates.
    """
    labels = LabelMap.load(examples)
    total = sum(prepared.split_sizes(examples).values())
    check_near_duplicate_bits(total, config.near_duplicate_bits)
    progress.set_total(total)
    summaries, images = _count(out, examples, labels.num_classes, beam_options)
    prepared.check_complete("rows of pairs", len(images), total, out)
    ingestion = read_json(examples / "ingestion.json")
    statistics = data_set_statistics(
        labels,
        {split: summary for split, summary in summaries.items() if split != TOTAL},
        summaries[TOTAL],
        images,
        ingestion["quarantined"],
        near_duplicate_bits=config.near_duplicate_bits,
        tiny_side=config.tiny_side,
    )
    statistics["image_range"] = ingestion["conventions"]["image_range"]
    if UNLABELLED in statistics:
        statistics[UNLABELLED]["domain"] = ingestion["unlabelled"]["domain"]
    write_json(out / "statistics.json", statistics)


def _count(out, examples, num_classes, beam_options) -> tuple[dict, ImageTable]:
    """Statistics by split, TOTAL among them, and what is known of each image."""
    counts, images = {}, ImageTable()
    shards = [(split, path.absolute()) for split, paths in prepared.shard_paths(examples).items() for path in paths]
    with worked_on(out, shards, CountShard(num_classes), beam_options, [examples]) as rows:
        for row in rows:
            if isinstance(row, dict):
                images.append(row)
            else:
                split, found = row
                for part in (split,) if split == UNLABELLED else (split, TOTAL):
                    counts[part] = counts.get(part, empty_counts(num_classes)) + found
    return {part: summarize(found) for part, found in counts.items() if found.images}, images


class CountShard:
    """Counts the pairs of a shard (split, path): the work of `parts.worked_on`.

    Args:
        num_classes: K.
    """

    def __init__(self, num_classes: int):
        self._num_classes = num_classes

    def __call__(self, shard):
        """Yields the row of each pair, that of `pipeline.validation.data_set.count_pair`, then (split, counts)."""
        split, path = shard
        total = empty_counts(self._num_classes)
        for record in prepared.read_records(path):
            key, image_bytes, label_map_bytes = prepared.from_record(record)
            image, label_map = decode_image(image_bytes), decode_image(label_map_bytes)[..., 0]
            row, counts = count_pair(split, key, image, label_map, self._num_classes, encoding_of(image_bytes))
            total += counts
            progress.advance()
            yield row
        yield split, total
