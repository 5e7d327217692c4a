"""The generated streets: repeatable, exactly labelled, and such that a small part of an image does not determine its class."""

import dataclasses
import hashlib
import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage

from kseg import streets
from kseg.labels import VOID
from kseg.streets.background import CAR, HOUSE_WINDOW, LANE_MARKING, ROAD, SHOP_WINDOW, SKY, WHEEL

DIGESTS = {"1.0.0": "1329aba67f54aac9", "1.1.0": "b7b12725e201b40d", "1.2.0": "ac2e86eca30cf550"}
SIZE = (96, 128)
FEW = range(24)


def digest(size=(48, 64), count=3) -> str:
    """The digest of a few examples of each split."""
    total = hashlib.sha256()
    for split in streets.SPLITS:
        for index in range(count):
            for array in streets.draw(index, split=split, size=size):
                total.update(array.tobytes())
    return total.hexdigest()[:16]


@pytest.fixture(scope="module")
def renderings():
    """Scenes of the split train and their renderings."""
    scenes = [streets.scene(index, split="train") for index in FEW]
    return [(scene, streets.render(scene, SIZE)) for scene in scenes]


def test_the_version_changes_with_the_output():
    assert streets.VERSION in DIGESTS, "Record the digest of the new version."
    assert digest() == DIGESTS[streets.VERSION], "The output changed: give streets.VERSION a new value, and record it."


def test_another_process_draws_the_same_bytes_without_tensorflow():
    program = (
        "import sys, hashlib; from kseg import streets; total = hashlib.sha256()\n"
        "for array in streets.draw(5, split='test', seed=3): total.update(array.tobytes())\n"
        "print(total.hexdigest(), 'tensorflow' in sys.modules or 'tensorflow_datasets' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    here = hashlib.sha256()
    for array in streets.draw(5, split="test", seed=3):
        here.update(array.tobytes())
    assert answer == [here.hexdigest(), "False"]


def test_splits_indices_and_seeds_draw_different_streets():
    examples = [("train", 0, 0), ("validation", 0, 0), ("test", 0, 0), ("train", 1, 0), ("train", 0, 1)]
    images = {
        streets.draw(index, split=split, size=(32, 48), seed=seed)[0].tobytes() for split, index, seed in examples
    }
    assert len(images) == len(examples)


@pytest.mark.parametrize("size", [(32, 48), (48, 32), (97, 131), (360, 480)])
def test_every_size_is_drawn(size):
    image, label_map = streets.draw(2, split="validation", size=size)
    assert (image.shape, image.dtype) == ((*size, 3), np.uint8)
    assert (label_map.shape, label_map.dtype) == (size, np.uint8)


def test_a_scene_is_the_same_view_at_another_size():
    scene = streets.scene(4, split="train")
    small, large = streets.render(scene, (60, 80)).label_map, streets.render(scene, (180, 240)).label_map[1::3, 1::3]
    known = (small != VOID) & (large != VOID)
    assert (small == large)[known].mean() > 0.99


def test_every_label_is_a_class_or_void_and_every_class_occurs(renderings):
    values = np.unique([rendering.label_map for _, rendering in renderings])
    assert values.tolist() == [*range(streets.LABELS.num_classes), VOID]


def test_images_have_texture_and_use_the_range(renderings):
    for _, rendering in renderings:
        assert rendering.image.std() > 15
        assert len(np.unique(rendering.image)) > 80


def test_thin_void_separates_all_classes(renderings):
    for _, rendering in renderings:
        label_map = rendering.label_map.astype(int)
        for one, other in ((label_map[:-1], label_map[1:]), (label_map[:, :-1], label_map[:, 1:])):
            assert ((one == other) | (one == VOID) | (other == VOID)).all()
    bare = [streets.render(dataclasses.replace(scene, posts=()), SIZE) for scene, _ in renderings]  # posts are void too
    assert all((rendering.label_map == VOID).any() for rendering in bare)
    assert 0.01 < np.mean([rendering.label_map == VOID for rendering in bare]) < 0.15
    assert 0.01 < np.mean([rendering.label_map == VOID for _, rendering in renderings]) < 0.15


def test_sky_never_lies_below_road(renderings):
    for _, rendering in renderings:
        rows = np.arange(SIZE[0])[:, None]
        lowest_sky = np.where(rendering.label_map == SKY, rows, -1).max(0)
        ground = np.isin(rendering.label_map, (ROAD, LANE_MARKING))
        highest_ground = np.where(ground, rows, SIZE[0]).min(0)
        assert (lowest_sky < highest_ground).all()


def whole_cars(scene, size, margin=2):
    """Yields the rendering and the mask of each car that is wholly in the image and at least 14 pixels high."""
    everything = streets.render(scene, size)
    for number, car in enumerate(scene.cars, 1):
        alone = streets.render(dataclasses.replace(scene, cars=(car,), posts=()), size).cars == 1
        inner = np.zeros_like(alone)
        inner[margin:-margin, margin:-margin] = True
        high = np.ptp(np.flatnonzero(alone.any(1))) + 1 if alone.any() else 0
        if high >= 14 and not (alone & ~inner).any() and (alone == (everything.cars == number)).all():
            yield everything, everything.cars == number


def test_each_car_in_full_view_stands_on_two_wheels():
    found = 0
    for index in FEW:
        for rendering, car in whole_cars(streets.scene(index, split="train"), SIZE):
            wheels, count = ndimage.label(car & (rendering.label_map == WHEEL))
            assert count == 2
            body = car & (rendering.label_map == CAR)
            for wheel in (wheels == 1, wheels == 2):
                columns = ndimage.binary_dilation(wheel.any(0), iterations=3)
                rows, body_rows = np.nonzero(wheel)[0], np.nonzero(body[:, columns])[0]
                assert rows.mean() > body_rows.mean()
            found += 1
    assert found >= 5


def test_a_line_continues_behind_a_car():
    split_lines = 0
    for index in range(60):
        scene = streets.scene(index, split="train")
        rendering = streets.render(scene, SIZE)
        street = streets.render(dataclasses.replace(scene, cars=(), posts=()), SIZE).label_map
        empty = street == LANE_MARKING
        seen = rendering.label_map == LANE_MARKING
        free = ~np.isin(rendering.label_map, (CAR, WHEEL, VOID)) & (street != VOID)
        np.testing.assert_array_equal(seen[free], empty[free])
        lines, count = ndimage.label(empty, np.ones((3, 3)))
        for line in range(1, count + 1):
            hidden = (lines == line) & (rendering.cars > 0)
            _, pieces = ndimage.label((lines == line) & seen, np.ones((3, 3)))
            split_lines += hidden.any() and pieces >= 2
    assert split_lines >= 3


def test_worn_paint_keeps_its_class(renderings):
    scene = next(scene for scene, rendering in renderings if (rendering.label_map == LANE_MARKING).mean() > 0.03)
    fresh, worn = (streets.render(dataclasses.replace(scene, worn=worn), SIZE) for worn in (0.0, 0.45))
    np.testing.assert_array_equal(fresh.label_map, worn.label_map)
    marking = fresh.label_map == LANE_MARKING
    assert fresh.image[marking].mean() > worn.image[marking].mean() + 5


def test_glass_belongs_to_a_shop_or_a_house_depending_on_its_building(renderings):
    for scene, _ in renderings[:6]:
        shops, houses = (
            streets.render(
                dataclasses.replace(scene, buildings=tuple(dataclasses.replace(b, shop=shop) for b in scene.buildings)),
                SIZE,
            )
            for shop in (True, False)
        )
        both = (shops.label_map == SHOP_WINDOW) & (houses.label_map == HOUSE_WINDOW)
        assert not (shops.label_map == HOUSE_WINDOW).any() and not (houses.label_map == SHOP_WINDOW).any()
        same = (shops.image == houses.image).all(-1)
        assert same[both].mean() > 0.8


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"`split` must be one of train, validation, test\. Received: split='val'"):
        streets.draw(0, split="val")
    with pytest.raises(ValueError, match=r"must not be negative\. Received: index=-1, seed=0"):
        streets.draw(-1, split="train")
    with pytest.raises(ValueError, match=r"at least 16 pixels.*Received: size=\(8, 128\)"):
        streets.draw(0, split="train", size=(8, 128))


def test_the_builder_writes_a_data_set_that_tfds_reads_without_kseg(tmp_path):
    import tensorflow_datasets as tfds

    from kseg.streets.builder import Streets, StreetsConfig

    config = StreetsConfig(train=3, validation=1, test=1, size=(33, 48), seed=7)
    builder = Streets(config=config, data_dir=tmp_path)
    builder.download_and_prepare()
    read = tfds.builder_from_directory(builder.data_path)
    assert {split: info.num_examples for split, info in read.info.splits.items()} == {
        "train": 3,
        "validation": 1,
        "test": 1,
    }
    for example in tfds.as_numpy(read.as_dataset(split="train")):
        index = int(example["key"].decode().rpartition("_")[2])
        image, label_map = streets.draw(index, split="train", size=(33, 48), seed=7)
        np.testing.assert_array_equal(example["image"], image)
        np.testing.assert_array_equal(example["label_map"][..., 0], label_map)
