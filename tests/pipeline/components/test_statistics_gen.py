"""statistics_gen: counts per split that agree with the published tables of the real data sets."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from kseg.labels import LabelMap
from pipeline.components.example_gen import example_gen
from pipeline.components.statistics_gen import statistics_gen
from pipeline.components.transform import class_weights
from pipeline.settings.example_gen import ExampleGen
from pipeline.settings.statistics_gen import StatisticsGen


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


def test_splits_and_their_total_are_counted_as_numpy_counts_them(counted, photos):
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
    assert statistics["classes"] == ["ground", "left", "right"]
    assert statistics["splits"]["train"]["formats"] == {"PNG": 6}
    assert statistics["splits"]["train"]["height"] == {"min": 20, "median": 24, "max": 28}


def test_duplicates_and_empty_masks_are_listed_and_unusable_pairs_counted(counted, photos):
    shutil.copy(photos / "images" / "train" / "00.png", photos / "images" / "val" / "06.png")
    shutil.copy(photos / "masks" / "train" / "00.png", photos / "masks" / "val" / "06.png")
    Image.fromarray(np.full((20, 24), 9, np.uint8)).save(photos / "masks" / "train" / "03.png")
    (photos / "images" / "train" / "05.png").write_bytes(b"")
    statistics = counted(photos, ignore_value=9)
    assert statistics["duplicates"] == [{"image": "validation/06", "of": "train/00", "same_labels": True}]
    assert statistics["near_duplicates"] == []  # noise looks like no other noise
    assert statistics["empty_masks"] == ["train/03"]
    assert statistics["tiny_images"] == []
    assert statistics["unusable"] == {"empty_file": 1}


def test_the_same_statistics_come_from_any_number_of_workers(photos, tmp_path):
    examples = tmp_path / "examples"
    examples.mkdir()
    example_gen(examples, ExampleGen(ignore_value=9), source=photos)
    found = []
    for workers in (1, 3):
        out = tmp_path / f"{workers}"
        out.mkdir()
        statistics_gen(out, StatisticsGen(), examples=examples, beam_options=[f"--direct_num_workers={workers}"])
        found.append((out / "statistics.json").read_bytes())
    assert found[0] == found[1]


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
    np.testing.assert_allclose(train["channel_mean"], mean, atol=0.00006)
    np.testing.assert_allclose(train["channel_deviation"], deviation, atol=0.00006)
    assert train["sizes"] == {"480x360": 367}


def test_the_membranes_have_the_published_shares(counted, data):
    train = counted(data / "isbi2012_em")["splits"]["train"]
    text = (data / "isbi2012_em" / "README.md").read_text()
    shares = [float(share) for share in re.findall(r"^\| \d+ \| .+? \| ([\d.]+) % \|$", text, re.MULTILINE)]
    assert (train["channels"], train["sizes"]) == (1, {"512x512": 20})
    np.testing.assert_allclose(100 * np.array(train["class_pixels"]) / train["pixels"], shares, atol=0.0005001)


def test_the_voc_sample_has_the_published_shares_void_and_missing_classes(counted, data):
    statistics = counted(data / "voc_sample", ignore_value=255)
    train, validation = statistics["splits"]["train"], statistics["splits"]["validation"]
    text = " ".join((data / "voc_sample" / "README.md").read_text().split())
    shares = dict(re.findall(r"(\w+) ([\d.]+) %", text[text.index("Train pixel shares") : text.index("Absent from")]))
    names = [*statistics["classes"], "void"]
    assert len(shares) == 12
    found = dict(
        zip(names, 100 * np.array([*train["class_pixels"], train["void_pixels"]]) / train["pixels"], strict=True)
    )
    for name, share in shares.items():
        assert found[name] == pytest.approx(float(share), abs=0.0005001), name
    absent = re.search(r"Absent from train: ([\d, ]+)\.", text)[1].split(", ")
    assert [str(k) for k, number in enumerate(train["class_images"]) if not number] == absent
    void = float(re.search(r"\(void ([\d.]+) %\)", text)[1])
    assert 100 * validation["void_pixels"] / validation["pixels"] == pytest.approx(void, abs=0.0005001)
