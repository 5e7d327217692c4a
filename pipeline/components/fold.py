"""fold: the pairs of one fold of a cross-validation as a prepared data set; those held out are its test split.

All pairs but those of the test split are dealt among the folds (`pipeline/examples/folds.py`). Those of the other folds are the
training split. There is no validation split: an epoch chosen on the pairs held out would score too well on them. Beam.
"""

from __future__ import annotations

import pathlib
import shutil

from kseg.pairs.channels import PixelKind
from pipeline.engine import progress
from pipeline.engine.files import read_json
from pipeline.examples import prepared
from pipeline.examples.folds import assign_folds
from pipeline.examples.parts import worked_on
from pipeline.settings.fold import Fold

TEST = "test"


def fold(
    out: pathlib.Path,
    config: Fold,
    *,
    examples: pathlib.Path,
    statistics: pathlib.Path,
    beam_options: list[str] = (),
):
    """Writes the data set, and copies of `labels.json` and `ingestion.json`.

    The test split of the examples is left out. A key that several splits have is written with its split before it.

    Args:
        out: folder to write to.
        config: number of folds, and which one.
        examples: artifact of example_gen.
        statistics: artifact of statistics_gen of these examples.
        beam_options: Beam's command line.

    Raises:
        ValueError: there are fewer pairs than folds.
    """
    places = [
        (split, str(path.absolute()), start, length)
        for split, paths in prepared.shard_paths(examples).items()
        if split != TEST
        for path in paths
        for start, length in prepared.record_places(path)
    ]
    keys = [prepared.from_record(prepared.read_record(*place))[0] for _, *place in places]
    names = [f"{split}/{key}" for (split, *_), key in zip(places, keys, strict=True)]
    folds = assign_folds(names, config.folds)
    written = names if len(set(keys)) < len(keys) else keys
    chosen = [
        (TEST if folds[name] == config.number else "train", key, *place)
        for name, key, (_, *place) in zip(names, written, places, strict=True)
    ]
    progress.set_total(len(chosen))
    counts = {split: sum(row[0] == split for row in chosen) for split in ("train", TEST)}
    with worked_on(out, _deal(chosen), _WriteShard(out), beam_options, [examples]):
        pass  # the pairs are all that it leaves
    kind = PixelKind.recorded(read_json(statistics / "statistics.json")["splits"]["train"])
    prepared.write_metadata(out, kind, f"Fold {config.number + 1} of {config.folds}: held out as test.", counts)
    for name in ("labels.json", "ingestion.json"):
        shutil.copyfile(examples / name, out / name)


def _deal(chosen):
    """Yields (split, number of the shard, number of all, its pairs): (key, path, start, length)."""
    for split in ("train", TEST):
        rows = [(key, (key, *place)) for row_split, key, *place in chosen if row_split == split]
        shards = prepared.shard_count(len(rows), sum(length for _, (*_, length) in rows))
        for number, pairs in enumerate(prepared.deal(rows, shards)):
            yield split, number, shards, pairs


class _WriteShard:
    """Copies the pairs of a shard: the work of `parts.worked_on`."""

    def __init__(self, out: pathlib.Path):
        self._out = out.absolute()

    def __call__(self, shard):
        split, number, of, pairs = shard
        prepared.write_records(self._out / prepared.shard_name(split, number, of), map(_read, pairs))
        return ()


def _read(pair) -> bytes:
    """The record of a pair under another key."""
    key, *place = pair
    _, image_bytes, label_map_bytes = prepared.from_record(prepared.read_record(*place))
    progress.advance()
    return prepared.to_record(key, image_bytes, label_map_bytes)
