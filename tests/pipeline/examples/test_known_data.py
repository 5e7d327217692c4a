"""The data sets that tests use give the same pairs, bytes and class ids as they did before layouts were recognised."""

import hashlib

import pytest

from kseg.pairs.image_files import decode_image
from pipeline.examples.sources.files import open_files
from pipeline.settings.example_gen import ExampleGen

KNOWN = {
    "camvid": (11, {"train": 367, "validation": 101}, "dfec5cebd3bff5f8b42d17152da6cb79"),
    "isbi2012_em": (None, {"train": 20, "validation": 4}, "e07e244aa6f42dc545e72b5522bf054b"),
    "voc_sample": (255, {"train": 12, "validation": 11}, "87ee3b0f131b14372d411f0676f4ac13"),
}
"""Void value, pairs of each split, and the digest of all, by the commit before the first recogniser."""


@pytest.mark.slow
@pytest.mark.parametrize("name", KNOWN)
def test_pairs_bytes_and_class_ids_are_as_before(name, data):
    ignore_value, counts, expected = KNOWN[name]
    opened = open_files(data / name, ExampleGen(ignore_value=ignore_value), None)
    assert opened.counts == counts
    digest = hashlib.sha256()
    for pair in sorted(opened.elements._elements, key=lambda pair: (pair.split, pair.key)):
        split, key, image, label_map, *_ = opened.reader._read(pair)
        for part in (split.encode(), key.encode(), image, decode_image(label_map).tobytes()):
            digest.update(hashlib.sha256(part).digest())
    assert digest.hexdigest()[:32] == expected
