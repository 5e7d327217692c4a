"""statistics_gen: whole numbers, added up exactly, that agree with the published tables of the real data sets."""

import collections
import json
import re

import numpy as np
import pytest
from PIL import Image

from kseg.labels import LabelMap
from pipeline.components import statistics_gen as module
from pipeline.components.example_gen import example_gen
from pipeline.components.statistics_gen import statistics_gen
from pipeline.components.transform import class_weights
from pipeline.config import ExampleGen, StatisticsGen


@pytest.fixture
def counted(tmp_path):
    """Ingests a source and counts it; returns statistics.json."""

    def run(source, **settings):
        examples, out = tmp_path / "examples", tmp_path / "statistics"
        for folder in (examples, out):
            folder.mkdir()
        example_gen(examples, ExampleGen(**settings), source=source)
        statistics_gen(out, StatisticsGen(), examples=examples)
        assert [path.name for path in out.iterdir()] == ["statistics.json"]
        return json.loads((out / "statistics.json").read_text())

    return run


def test_the_counts_of_two_small_pairs_are_those_of_the_hand():
    first = module.count(np.full((2, 3, 1), 255, np.uint8), np.array([[0, 0, 2], [2, 2, 255]], np.uint8), 3)
    second = module.count(np.zeros((1, 2, 1), np.uint8), np.array([[0, 0]], np.uint8), 3)
    assert module.summary(module.none(3) + first + second) == {
        "images": 2,
        "sizes": {"2x1": 1, "3x2": 1},
        "height": {"min": 1, "median": 1, "max": 2},
        "width": {"min": 2, "median": 2, "max": 3},
        "channels": 1,
        "pixels": 8,
        "void_pixels": 1,
        "class_pixels": [4, 0, 3],
        "class_images": [2, 0, 1],
        "class_image_pixels": [8, 0, 6],
        "channel_mean": [0.75],
        "channel_deviation": [pytest.approx(0.1875**0.5)],
    }


def test_parts_add_up_to_the_same_whole_in_any_order_and_past_two_to_the_53():
    generator = np.random.default_rng(0)
    parts = [
        module.count(generator.integers(0, 256, (4, 5, 3), np.uint8), generator.integers(0, 3, (4, 5), np.uint8), 3)
        for _ in range(4)
    ]
    combine = module.AddCounts(3)
    halves = [combine.create_accumulator() for _ in range(2)]
    halves = [
        combine.add_input(combine.add_input(half, parts[n]), parts[n + 1])
        for half, n in zip(halves, (2, 0), strict=True)
    ]
    together = combine.extract_output(combine.merge_accumulators([combine.create_accumulator(), *halves]))
    assert module.summary(together) == module.summary(parts[0] + parts[1] + parts[2] + parts[3])
    many = module.Counts(
        1, collections.Counter({(1, 1): 1}), np.full((3, 1), 2**53 + 1), 2**53 + 1, np.zeros((1, 256), np.int64)
    )
    assert (many + many).classes[0, 0] == 2**54 + 2


def test_splits_and_their_sum_are_counted_as_numpy_counts_them(counted, photos):
    statistics = counted(photos, ignore_value=9)
    labels = LabelMap.from_csv(photos / "classes.csv", 9)
    for name, folder in (("train", "train"), ("validation", "val"), ("test", "test"), ("all", "*")):
        images = [np.asarray(Image.open(path)) for path in sorted(photos.glob(f"images/{folder}/*"))]
        ids = [labels.to_ids(np.asarray(Image.open(path))) for path in sorted(photos.glob(f"masks/{folder}/*"))]
        found = statistics["all"] if name == "all" else statistics["splits"][name]
        pixels = np.concatenate([image.reshape(-1, 3) for image in images]) / 255
        assert (found["images"], found["pixels"]) == (len(images), len(pixels))
        assert found["class_pixels"] == [sum(int(np.sum(label_map == k)) for label_map in ids) for k in range(3)]
        assert found["class_images"] == [sum(bool(np.any(label_map == k)) for label_map in ids) for k in range(3)]
        assert found["void_pixels"] == sum(int(np.sum(label_map == 255)) for label_map in ids)
        np.testing.assert_allclose(found["channel_mean"], pixels.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(found["channel_deviation"], pixels.std(axis=0), rtol=1e-12)
    assert list(statistics["splits"]) == ["train", "validation", "test"]
    assert statistics["splits"]["train"]["height"] == {"min": 20, "median": 24, "max": 28}


def test_camvid_has_the_published_shares_images_weights_means_and_deviations(counted, data):
    train = counted(data / "camvid", ignore_value=11)["splits"]["train"]
    text = (data / "camvid" / "README.md").read_text()
    rows = re.findall(r"^\| (\d+) \| .+? \| [\d,]+ \| ([\d.]+) % \| (\d+) \| (\S+) \|$", text, re.MULTILINE)
    shares, images, weights = [float(row[1]) for row in rows], [int(row[2]) for row in rows], [row[3] for row in rows]
    pixels = np.array([*train["class_pixels"], train["void_pixels"]])
    np.testing.assert_allclose(100 * pixels / train["pixels"], shares, atol=0.0005001)
    assert train["class_images"] == images[:11]
    np.testing.assert_allclose(class_weights("median_frequency", train), np.array(weights[:11], float), atol=0.00006)
    mean, deviation = (
        [float(value) for value in re.search(rf"{what}: ([\d., ]+\d)", text)[1].split(",")]
        for what in (r"\(0\.\.1\)", "std")
    )
    np.testing.assert_allclose(train["channel_mean"], mean, atol=0.0001)
    np.testing.assert_allclose(train["channel_deviation"], deviation, atol=0.0001)
    assert train["sizes"] == {"480x360": 367}


def test_the_membranes_have_the_published_shares(counted, data):
    train = counted(data / "isbi2012_em")["splits"]["train"]
    assert train["channels"] == 1
    np.testing.assert_allclose(
        100 * np.array(train["class_pixels"]) / train["pixels"], [22.890, 77.110], atol=0.0005001
    )


def test_the_voc_sample_has_the_published_shares_and_void(counted, data):
    splits = counted(data / "voc_sample", ignore_value=255)["splits"]
    train, validation = splits["train"], splits["validation"]
    share = 100 * np.array(train["class_pixels"]) / train["pixels"]
    np.testing.assert_allclose(share[[0, 15, 9, 6, 5]], [65.839, 12.774, 5.536, 4.829, 0.027], atol=0.0005001)
    assert [k for k, number in enumerate(train["class_images"]) if not number] == [1, 2, 4, 8, 10, 13, 16, 17, 19, 20]
    assert 100 * train["void_pixels"] / train["pixels"] == pytest.approx(2.470, abs=0.0005)
    assert 100 * validation["void_pixels"] / validation["pixels"] == pytest.approx(6.317, abs=0.0005)
