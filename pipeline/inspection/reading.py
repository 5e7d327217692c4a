"""Reads pairs of a source without Beam: as many as the time allows, by threads, in an order whose beginning is a fair sample."""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import itertools
import os
import random
import re
import time

import numpy as np

from kseg.pairs.image_files import decode_image, encoding_of
from kseg.pairs.listing import Pair
from pipeline.examples.sources.source import Source
from pipeline.inspection.alignment import Outline, outline
from pipeline.validation.data_set import count_pair
from pipeline.validation.statistics import ExampleCounts, empty_counts, summarize

RUN = 4
"""Neighbours that are read together, since masks are compared with those of the images beside theirs."""

MAX_STREAMED = 500  # elements of a source that holds their bytes
MAX_OUTLINES = 2000  # kept in memory, 48 KB each
TOTAL = "all"


@dataclasses.dataclass(frozen=True)
class ReadPair:
    """One element that was read.

    Attributes:
        position: in the order of names.
        image: (H, W, C), uint8, or None where the pair cannot be used.
        label_map: ids (H, W), uint8, 255 where void, or None.
        encoding: of the stored image, "JPEG" or "PNG".
        split: of the pair.
        key: of the pair.
        reencoded: why the image becomes a PNG, or None.
        quarantined: the row of a pair that cannot be used, or None.
    """

    position: int
    image: np.ndarray | None = None
    label_map: np.ndarray | None = None
    encoding: str = ""
    split: str = ""
    key: str = ""
    reencoded: str | None = None
    quarantined: dict | None = None


@dataclasses.dataclass
class Sample:
    """What was read.

    Attributes:
        total: pairs that could be read.
        read: pairs that were read, unusable ones included.
        counts: sums by split, TOTAL among them, of the usable pairs.
        rows: of `count_pair`, one for each usable pair.
        positions: position of each row.
        outlines: by position, of the first MAX_OUTLINES usable pairs.
        reencoded: images by the reason why they become PNGs.
        quarantined: rows of pairs that cannot be used.
    """

    total: int
    read: int = 0
    counts: dict[str, ExampleCounts] = dataclasses.field(default_factory=dict)
    rows: list[dict] = dataclasses.field(default_factory=list)
    positions: list[int] = dataclasses.field(default_factory=list)
    outlines: dict[int, Outline] = dataclasses.field(default_factory=dict)
    reencoded: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    quarantined: list[dict] = dataclasses.field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every pair was read."""
        return self.read >= self.total

    def summaries(self) -> dict[str, dict]:
        """`summarize` of each split and of TOTAL."""
        return {split: summarize(counts) for split, counts in self.counts.items()}


def elements_in_order(source: Source) -> list:
    """The elements of a source in the order of names, numbers in names by value; the first MAX_STREAMED of a stream."""
    elements = source.elements.stream()
    if not isinstance(elements, list):
        return list(itertools.islice(elements, MAX_STREAMED))
    if elements and isinstance(elements[0], Pair):
        return sorted(elements, key=lambda pair: _natural(pair.image.name))  # splits may be drawn by a hash
    return elements


def _natural(key: str) -> list:
    """Sorts "frame_10" after "frame_9"."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", key)]


def reading_order(elements: list, seed: int) -> list[int]:
    """Positions in runs of RUN neighbours, the runs in random order, one of each split first.

    Args:
        elements: in the order of names.
        seed: of the order.
    """
    runs = [list(range(start, min(start + RUN, len(elements)))) for start in range(0, len(elements), RUN)]
    random.Random(seed).shuffle(runs)
    first = {}
    for number, run in enumerate(runs):
        for position in run:
            first.setdefault(_split(elements[position]), number)
    leading = sorted(set(first.values()))
    others = [number for number in range(len(runs)) if number not in set(leading)]
    return list(itertools.chain.from_iterable(runs[number] for number in [*leading, *others]))


def _split(element) -> str:
    return element.split if isinstance(element, Pair) else element[0]


def read_sample(source: Source, elements: list, seconds: float, seed: int, report=lambda read, total: None) -> Sample:
    """Reads as many pairs as the time allows, and at least one run of each split.

    Args:
        source: to read.
        elements: of `elements_in_order`.
        seconds: time after which no further pair is read.
        seed: of the order of reading.
        report: called with the numbers of pairs that are read, and of all.
    """
    end, least = time.monotonic() + seconds, RUN * len(source.counts)
    sample = Sample(max(len(elements), sum(source.counts.values()) if len(elements) == MAX_STREAMED else 0))
    workers = min(8, os.cpu_count() or 1)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        waiting = collections.deque()
        for position in reading_order(elements, seed):
            waiting.append(pool.submit(_read_and_count, source, position, elements[position]))
            if len(waiting) > 2 * workers:
                _add(sample, *waiting.popleft().result())
                report(sample.read, sample.total)
            if time.monotonic() > end and sample.read + len(waiting) >= least:
                break
        for future in waiting:
            _add(sample, *future.result())
    return sample


def read_element(source: Source, position: int, element) -> ReadPair:
    """Reads one element as example_gen does, and decodes what would be stored."""
    found = {"position": position}
    for output in source.reader.process(element):
        if isinstance(output, tuple):
            split, key, image_bytes, label_map_bytes = output
            found |= {
                "image": decode_image(image_bytes),
                "label_map": decode_image(label_map_bytes)[..., 0],
                "encoding": encoding_of(image_bytes),
                "split": split,
                "key": key,
            }
        else:
            found[output.tag] = output.value
    return ReadPair(**found)


def _read_and_count(source, position, element):
    pair = read_element(source, position, element)
    if pair.quarantined:
        return pair.position, pair.quarantined, None, None, None, None
    row, counts = count_pair(pair.split, pair.key, pair.image, pair.label_map, source.labels.num_classes, pair.encoding)
    return position, None, pair.reencoded, row, counts, outline(pair.image, pair.label_map)


def _add(sample: Sample, position, quarantined, reencoded, row, counts, outlined):
    sample.read += 1
    if quarantined:
        sample.quarantined.append(quarantined)
        return
    if reencoded:
        sample.reencoded[reencoded] += 1
    sample.rows.append(row)
    sample.positions.append(position)
    if len(sample.outlines) < MAX_OUTLINES:
        sample.outlines[position] = outlined
    for part in (row["split"], TOTAL):
        sample.counts[part] = sample.counts.get(part, empty_counts(counts.classes.shape[1])) + counts
