"""Prepared data sets as tf.data: what is stored comes out, in an order that the seed alone decides."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from kseg import data
from kseg.data import reading
from kseg.labels import VOID
from kseg.pairs import resizing
from tests.kseg.conftest import drawn

SIZE = (48, 64)


def batches(dataset, count=None):
    return [(image.numpy(), label_map.numpy()) for image, label_map in itertools.islice(dataset, count)]


def assert_equal(some, others):
    for pair, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(pair[0], other[0])
        np.testing.assert_array_equal(pair[1], other[1])


def test_pairs_come_out_as_they_were_stored_and_in_that_order(prepared):
    seen = batches(data.pairs(prepared, "train"))
    assert_equal(seen, [drawn(index) for index in range(7)])
    assert all(image.dtype == label_map.dtype == np.uint8 for image, label_map in seen)


def test_evaluation_shows_every_pair_once_fitted_as_beam_workers_fit_it(prepared):
    seen = batches(data.evaluation_set(prepared, split="train", size=SIZE, batch_size=3))
    assert [len(image) for image, _ in seen] == [3, 3, 1]
    images, label_maps = (np.concatenate(part) for part in zip(*seen, strict=True))
    assert images.dtype == np.float32 and label_maps.dtype == np.uint8
    for index, (image, label_map) in enumerate(zip(images, label_maps, strict=True)):
        stored_image, stored_label_map = drawn(index)
        height, width = resizing.fitted_size(*stored_label_map.shape, SIZE)
        expected = resizing.resize_image(stored_image, (height, width))
        assert np.abs(image[:height, :width] - expected).max() <= 1
        np.testing.assert_array_equal(
            label_map[:height, :width], resizing.resize_label_map(stored_label_map, (height, width))
        )
        assert not image[height:].any() and not image[:, width:].any()
        assert (label_map[height:] == VOID).all() and (label_map[:, width:] == VOID).all()


def test_two_runs_with_one_seed_see_the_same_batches(prepared):
    settings = {"size": SIZE, "batch_size": 3, "seed": 4}
    first = batches(data.training_set(prepared, **settings), 6)
    assert_equal(first, batches(data.training_set(prepared, **settings), 6))
    other = batches(data.training_set(prepared, **settings | {"seed": 5}), 1)
    assert (other[0][0] != first[0][0]).any()


@pytest.mark.parametrize("seen", [1, 4, 11])
def test_a_run_that_begins_later_sees_what_the_first_saw_from_there_on(prepared, seen):
    settings = {"size": SIZE, "batch_size": 3, "seed": 4}
    whole = batches(data.training_set(prepared, **settings), seen + 3)
    assert_equal(batches(data.training_set(prepared, **settings, first=seen), 3), whole[seen:])


@pytest.mark.parametrize("global_seed", [0, 5])
def test_the_seed_of_tensorflow_does_not_matter(prepared, global_seed):
    settings = {"size": SIZE, "batch_size": 3, "seed": 4}
    expected = batches(data.training_set(prepared, **settings), 3)
    tf.random.set_seed(global_seed)
    assert_equal(batches(data.training_set(prepared, **settings), 3), expected)


def test_opening_a_data_set_again_begins_again(prepared):
    dataset = data.training_set(prepared, size=SIZE, batch_size=3, seed=4)
    assert_equal(batches(dataset, 4), batches(dataset, 4))


def test_a_split_that_fits_into_memory_is_read_once(prepared, monkeypatch):
    read, pairs = [], data.pairs

    def counted(directory, split):
        def note(image, label_map):
            seen = tf.numpy_function(lambda pixels: read.append(1) or pixels, [image], tf.uint8)
            return tf.ensure_shape(seen, image.shape), label_map

        return pairs(directory, split).map(note)

    monkeypatch.setattr(reading, "pairs", counted)
    dataset = data.training_set(prepared, size=SIZE, batch_size=7, augment=False)
    judged = len(read)
    batches(dataset, 5)
    assert len(read) == judged + 7


def test_training_is_endless_and_each_pass_shows_every_pair_in_its_own_order(prepared):
    dataset = data.training_set(prepared, size=SIZE, batch_size=7, augment=False)
    assert dataset.cardinality().numpy() == -1  # infinite
    passes = batches(dataset, 3)
    stored = batches(data.evaluation_set(prepared, split="train", size=SIZE, batch_size=7))[0][0]
    orders = [[int(np.abs(stored - image).sum((1, 2, 3)).argmin()) for image in images] for images, _ in passes]
    assert all(sorted(order) == list(range(7)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


def test_training_batches_have_one_size_and_only_stored_ids(prepared):
    for image, label_map in batches(data.training_set(prepared, size=SIZE, batch_size=4), 8):
        assert image.shape == (4, *SIZE, 3) and image.dtype == np.float32
        assert label_map.shape == (4, *SIZE) and label_map.dtype == np.uint8
        assert set(np.unique(label_map)) <= {0, 1, 2, VOID}


def test_a_pair_is_changed_anew_each_time_it_comes(prepared_grey):
    (first, _), (second, _), *_ = batches(data.training_set(prepared_grey, size=SIZE, batch_size=2), 2)
    assert not any(np.array_equal(one, other) for one in first for other in second)


def test_grey_images_keep_their_one_channel(prepared_grey):
    dataset = data.training_set(prepared_grey, size=SIZE, batch_size=2)
    assert dataset.element_spec[0].shape == (2, *SIZE, 1)
    assert batches(dataset, 1)[0][0].shape == (2, *SIZE, 1)


def test_a_split_too_large_for_memory_still_shows_every_pair(prepared, monkeypatch):
    monkeypatch.setattr(reading, "MEMORY", 30_000)  # three pairs
    dataset = data.training_set(prepared, size=SIZE, batch_size=7, augment=False)
    images = batches(dataset, 1)[0][0]
    stored = batches(data.evaluation_set(prepared, split="train", size=SIZE, batch_size=7))[0][0]
    assert sorted(int(np.abs(stored - image).sum((1, 2, 3)).argmin()) for image in images) == list(range(7))


def test_missing_folders_and_splits_are_named(prepared, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must hold a file dataset_info.json. Received: directory='.*nothing'"):
        data.pairs(tmp_path / "nothing", "train")
    with pytest.raises(ValueError, match=r"`split` must be one of train, validation. Received: split='val'"):
        data.pairs(prepared, "val")
