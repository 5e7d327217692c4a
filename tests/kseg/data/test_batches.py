"""Batches of prepared data sets: the seed alone decides their order, and every pair comes once per pass."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from kseg import data
from kseg.data import batches
from kseg.labels import VOID
from kseg.pairs import resizing
from tests.kseg.conftest import LABELS, make_pair
from tests.prepared_pairs import write_prepared

SIZE = (48, 64)


def take(dataset, count=None):
    return [(image.numpy(), label_map.numpy()) for image, label_map in itertools.islice(dataset, count)]


def assert_equal(some, others):
    for pair, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(pair[0], other[0])
        np.testing.assert_array_equal(pair[1], other[1])


def test_evaluation_sees_the_first_pairs_where_not_all_are_wanted(prepared):
    every, first = (
        [
            image
            for images, _ in take(data.evaluation_set(prepared, split="train", size=SIZE, batch_size=2, pairs=pairs))
            for image in images
        ]
        for pairs in (None, 3)
    )
    np.testing.assert_array_equal(first, every[:3])


def test_evaluation_sees_every_pair_once_fitted_as_by_beam_workers(prepared):
    seen = take(data.evaluation_set(prepared, split="train", size=SIZE, batch_size=3))
    assert [len(image) for image, _ in seen] == [3, 3, 1]
    images, label_maps = (np.concatenate(part) for part in zip(*seen, strict=True))
    assert images.dtype == np.float32 and label_maps.dtype == np.uint8
    for index, (image, label_map) in enumerate(zip(images, label_maps, strict=True)):
        stored_image, stored_label_map = make_pair(index)
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
    first = take(data.training_set(prepared, **settings), 6)
    assert_equal(first, take(data.training_set(prepared, **settings), 6))
    other = take(data.training_set(prepared, **settings | {"seed": 5}), 1)
    assert (other[0][0] != first[0][0]).any()


@pytest.mark.parametrize("seen", [1, 4, 11])
def test_a_resumed_run_sees_what_an_uninterrupted_one_sees(prepared, seen):
    settings = {"size": SIZE, "batch_size": 3, "seed": 4}
    whole = take(data.training_set(prepared, **settings), seen + 3)
    assert_equal(take(data.training_set(prepared, **settings, initial_step=seen), 3), whole[seen:])


@pytest.mark.parametrize("global_seed", [0, 5])
def test_tensorflows_global_seed_does_not_matter(prepared, global_seed):
    settings = {"size": SIZE, "batch_size": 3, "seed": 4}
    expected = take(data.training_set(prepared, **settings), 3)
    tf.random.set_seed(global_seed)
    assert_equal(take(data.training_set(prepared, **settings), 3), expected)


def test_a_pass_over_two_splits_sees_every_pair_of_both_once(prepared):
    splits, batches = ("train", "validation"), {"size": SIZE, "batch_size": 1}
    stored = [image for split in splits for image, _ in take(data.evaluation_set(prepared, split=split, **batches))]
    both = data.training_set(prepared, split=splits, augment=False, **batches)
    seen = [image for image, _ in take(both, len(stored))]
    assert sorted(image.tobytes() for image in seen) == sorted(image.tobytes() for image in stored)


def test_a_data_set_can_be_iterated_twice(prepared):
    dataset = data.training_set(prepared, size=SIZE, batch_size=3, seed=4)
    assert_equal(take(dataset, 4), take(dataset, 4))


@pytest.fixture
def decoded(monkeypatch):
    """A list that grows by an entry with each pair that is decoded."""
    seen, read = [], batches.read_encoded_pairs

    def noted(directory, split):
        encoded, decode = read(directory, split)

        def decode_and_note(*pair):
            image, label_map = decode(*pair)
            noted = tf.numpy_function(lambda pixels: seen.append(1) or pixels, [image], tf.uint8)
            return tf.ensure_shape(noted, image.shape), label_map

        return encoded, decode_and_note

    monkeypatch.setattr(batches, "read_encoded_pairs", noted)
    return seen


def test_a_split_that_fits_into_the_cache_is_decoded_once(prepared, decoded):
    dataset = data.training_set(prepared, size=SIZE, batch_size=7, augment=False)
    for_the_estimate = len(decoded)
    take(dataset, 5)
    assert len(decoded) == for_the_estimate + 7


def machines(number, devices=1):
    """What `tf.distribute` tells each of several machines with so many devices each."""
    counts = {"num_input_pipelines": number, "num_replicas_in_sync": number * devices}
    return [tf.distribute.InputContext(input_pipeline_id=index, **counts) for index in range(number)]


def joined(parts, devices=1):
    """The batches of all machines put together; `parts` are the batches of each, one for each of its devices in turn."""
    steps = zip(*(part[device::devices] for part in parts for device in range(devices)), strict=True)
    return [tuple(np.concatenate(arrays) for arrays in zip(*step, strict=True)) for step in steps]


THREE_PAIRS = 30_000  # bytes


@pytest.mark.parametrize(
    ("arguments", "number", "devices", "cache_bytes"),
    [
        ({"batch_size": 4}, 2, 1, THREE_PAIRS),
        ({"batch_size": 6}, 3, 1, batches.CACHE_BYTES),
        ({"batch_size": 12}, 2, 3, THREE_PAIRS),
        ({"batch_size": 4, "initial_step": 5}, 2, 1, batches.CACHE_BYTES),
        ({"batch_size": 4, "initial_step": 5}, 2, 1, THREE_PAIRS),
        ({"batch_size": 4, "size": (16, 24), "working_scale": (96, 128)}, 2, 2, batches.CACHE_BYTES),
        ({"batch_size": 4, "augment": False}, 2, 1, batches.CACHE_BYTES),
    ],
    ids=["two", "three", "three devices", "resumed", "resumed from disk", "crops", "not augmented"],
)
def test_several_machines_together_see_the_batches_that_one_sees(
    prepared, monkeypatch, arguments, number, devices, cache_bytes
):
    monkeypatch.setattr(batches, "CACHE_BYTES", cache_bytes)
    settings = {"size": SIZE, "seed": 4} | arguments
    one = take(data.training_set(prepared, **settings), 4)
    parts = [
        take(data.training_set(prepared, **settings, input_context=context), 4 * devices)
        for context in machines(number, devices)
    ]
    assert {len(images) for part in parts for images, _ in part} == {settings["batch_size"] // number // devices}
    assert_equal(joined(parts, devices), one)


@pytest.mark.parametrize("cache_bytes", [batches.CACHE_BYTES, 60_000], ids=["cached", "a few in memory"])
def test_several_machines_share_images_of_more_than_8_bits(tmp_path, monkeypatch, cache_bytes):
    monkeypatch.setattr(batches, "CACHE_BYTES", cache_bytes)
    pairs = [(image.astype(np.uint16) * 200, label_map) for image, label_map in map(make_pair, range(5))]
    folder = write_prepared(tmp_path / "deep", {"train": pairs}, LABELS)
    settings = {"size": SIZE, "batch_size": 4, "normalization": {"mean": 3 * [25e3], "deviation": 3 * [9e3]}}
    one = take(data.training_set(folder, **settings), 3)
    parts = [take(data.training_set(folder, **settings, input_context=context), 3) for context in machines(2)]
    assert_equal(joined(parts), one)


def test_a_machine_decodes_its_own_part_of_what_is_not_cached(prepared, decoded, monkeypatch):
    monkeypatch.setattr(batches, "CACHE_BYTES", 30_000)  # three pairs
    monkeypatch.setattr(tf.data, "AUTOTUNE", 1)  # nothing is decoded ahead
    first, _ = machines(2)
    dataset = data.training_set(prepared, size=SIZE, batch_size=2, augment=False, input_context=first)
    assert (
        dataset.cardinality().numpy() == -1
    )  # infinite: otherwise `tf.distribute` asks at every step whether there is more
    for_the_estimate = len(decoded)
    take(dataset, 35)  # 70 pairs, ten passes
    assert 35 <= len(decoded) - for_the_estimate <= 35 + 4  # those of four batches ahead


@pytest.mark.parametrize(("number", "devices", "batch_size"), [(2, 1, 4), (2, 2, 7), (3, 1, 4), (2, 1, 5)])
def test_several_machines_together_evaluate_every_pair_once_and_share_each_batch_evenly(
    prepared, number, devices, batch_size
):
    settings = {"split": "train", "size": SIZE, "batch_size": batch_size, "pairs": 7}  # the last batch is smaller
    parts = [
        take(data.evaluation_set(prepared, **settings, input_context=context)) for context in machines(number, devices)
    ]
    assert_equal(joined(parts, devices), take(data.evaluation_set(prepared, **settings)))
    for step in zip(*(part[device::devices] for part in parts for device in range(devices)), strict=True):
        sizes = [len(images) for images, _ in step]
        assert min(sizes) > 0 and max(sizes) - min(sizes) <= 1


def test_several_machines_share_the_pieces_of_large_pairs(prepared, monkeypatch):
    monkeypatch.setattr(batches, "PIECE", 40)
    settings = {"split": "train", "size": None}
    one = take(data.evaluation_set(prepared, **settings, batch_size=1))
    first, second = [
        take(data.evaluation_set(prepared, **settings, batch_size=2, input_context=context)) for context in machines(2)
    ]
    assert len(one) == len(first) + len(second) == 19  # of the last batch one has nothing
    assert_equal([piece for pair in zip(first, second, strict=False) for piece in pair], one[:18])


def test_a_machine_decodes_its_own_part_of_an_evaluation(prepared, decoded):
    _, second = machines(2)
    settings = {"split": "train", "size": SIZE, "batch_size": 4}
    assert [len(images) for images, _ in take(data.evaluation_set(prepared, **settings, input_context=second))] == [
        2,
        2,
    ]
    assert len(decoded) == 4


def test_batches_that_devices_cannot_share_are_refused(prepared):
    _, second = machines(2)
    with pytest.raises(ValueError, match=r"must be a multiple of the number of devices.*batch_size=3 on 2 devices"):
        data.training_set(prepared, size=SIZE, batch_size=3, input_context=second)
    with pytest.raises(ValueError, match=r"must be at least the number of devices.*batch_size=1 on 2 devices"):
        data.evaluation_set(prepared, size=SIZE, batch_size=1, input_context=second)


def test_training_is_endless_and_every_pass_is_shuffled_differently(prepared):
    dataset = data.training_set(prepared, size=SIZE, batch_size=7, augment=False)
    assert dataset.cardinality().numpy() == -1  # infinite
    passes = take(dataset, 3)
    stored = take(data.evaluation_set(prepared, split="train", size=SIZE, batch_size=7))[0][0]
    orders = [[int(np.abs(stored - image).sum((1, 2, 3)).argmin()) for image in images] for images, _ in passes]
    assert all(sorted(order) == list(range(7)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


def test_training_batches_have_one_size_and_no_new_ids(prepared):
    for image, label_map in take(data.training_set(prepared, size=SIZE, batch_size=4), 8):
        assert image.shape == (4, *SIZE, 3) and image.dtype == np.float32
        assert label_map.shape == (4, *SIZE) and label_map.dtype == np.uint8
        assert set(np.unique(label_map)) <= {0, 1, 2, VOID}


@pytest.mark.parametrize("working_scale", [(48, 64), 1.0])
def test_without_augmentation_crops_of_pairs_at_their_working_size_are_seen(prepared, working_scale):
    dataset = data.training_set(prepared, size=(16, 24), batch_size=7, augment=False, working_scale=working_scale)
    whole = [pair[0] for pair in take(data.read_pairs(prepared, "train"))]
    if working_scale != 1.0:
        whole = [resizing.resize_image(image, resizing.fitted_size(*image.shape[:2], (48, 64))) for image in whole]
    (images, label_maps), (later, _) = take(dataset, 2)
    assert images.shape == (7, 16, 24, 3) and label_maps.shape == (7, 16, 24)
    found = []
    for crop in images:
        windows = [np.lib.stride_tricks.sliding_window_view(image, (16, 24, 3)) for image in whole]
        apart = [np.abs(window - crop).max((-1, -2, -3)).min() for window in windows]
        found.append(int(np.argmin(apart)))
        assert min(apart) <= 1.01  # the graph does not round
    assert sorted(found) == list(range(7))
    assert not np.array_equal(np.sort(images.ravel()), np.sort(later.ravel()))  # other crops in every pass


def test_a_pair_is_augmented_differently_in_every_pass(prepared_grey):
    (first, _), (second, _), *_ = take(data.training_set(prepared_grey, size=SIZE, batch_size=2), 2)
    assert not any(np.array_equal(one, other) for one in first for other in second)


def test_grey_images_keep_their_one_channel(prepared_grey):
    dataset = data.training_set(prepared_grey, size=SIZE, batch_size=2)
    assert dataset.element_spec[0].shape == (2, *SIZE, 1)
    assert take(dataset, 1)[0][0].shape == (2, *SIZE, 1)


def test_a_split_too_large_for_the_cache_still_yields_every_pair(prepared, monkeypatch):
    monkeypatch.setattr(batches, "CACHE_BYTES", 30_000)  # three pairs
    dataset = data.training_set(prepared, size=SIZE, batch_size=7, augment=False)
    images = take(dataset, 1)[0][0]
    stored = take(data.evaluation_set(prepared, split="train", size=SIZE, batch_size=7))[0][0]
    assert sorted(int(np.abs(stored - image).sum((1, 2, 3)).argmin()) for image in images) == list(range(7))


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"size": (0, 64)}, r"each at least 1\. Received: size=\(0, 64\)"),
        ({"batch_size": 0}, r"`batch_size` must be an integer of at least 1\. Received: batch_size=0"),
        ({"initial_step": -1}, r"`initial_step` must not be negative\. Received: initial_step=-1"),
        ({"scale": (2.0, 0.5)}, r"`scale` must be \(smallest, largest\)"),
    ],
)
def test_arguments_out_of_range_are_refused(prepared, arguments, received):
    with pytest.raises(ValueError, match=received):
        data.training_set(prepared, **{"size": SIZE, "batch_size": 2} | arguments)
    if arguments.keys() <= {"size", "batch_size"}:
        with pytest.raises(ValueError, match=received):
            data.evaluation_set(prepared, **{"size": SIZE, "batch_size": 2} | arguments)


def test_pairs_of_their_own_sizes_are_padded_to_multiples_of_32_one_by_one(prepared):
    seen = take(data.evaluation_set(prepared, split="train", size=None, batch_size=1))
    for index, (images, label_maps) in enumerate(seen):
        image, label_map = make_pair(index)
        (height, width), padded = label_map.shape, tuple(-(-side // 32) * 32 for side in label_map.shape)
        assert images.shape == (1, *padded, 3) and label_maps.shape == (1, *padded)
        np.testing.assert_array_equal(images[0, :height, :width], image)
        np.testing.assert_array_equal(label_maps[0, :height, :width], label_map)
        assert images.sum(dtype=int) == image.sum(dtype=int) and (label_maps[0, height:] == VOID).all()
    assert len(seen) == 7
    (images, label_maps), *_ = take(data.evaluation_set(prepared, split="train", size=None, batch_size=7))
    assert images.shape == (7, 64, 64, 3) and label_maps.dtype == np.uint8
    assert data.evaluation_set(prepared, split="train", size=None, batch_size=2).element_spec[0].shape[-1] == 3


def test_large_pairs_are_evaluated_in_pieces_of_which_each_pixel_is_in_one(prepared, monkeypatch):
    monkeypatch.setattr(batches, "PIECE", 40)  # 40 x 56 becomes two pieces, 37 x 61 has two, 20 x 28 stays
    pieces = take(data.evaluation_set(prepared, split="train", size=None, batch_size=1))
    whole = [make_pair(index) for index in range(7)]
    counts = [-(-label_map.shape[0] // 40) * -(-label_map.shape[1] // 40) for _, label_map in whole]
    counts = [n if label_map.size > 1600 else 1 for n, (_, label_map) in zip(counts, whole, strict=True)]
    assert len(pieces) == sum(counts) > 7
    for batch_size in (1, 2, 3):
        dataset = data.evaluation_set(prepared, split="train", size=None, batch_size=batch_size)
        assert dataset.cardinality().numpy() == len(take(dataset)) == -(-sum(counts) // batch_size)
    assert max(max(label_map.shape[1:]) for _, label_map in pieces) == 64  # 40, padded
    for part in (0, 1):
        ids = np.concatenate([pair[part].ravel() for pair in pieces])
        of_whole = np.concatenate([pair[part].ravel() for pair in whole])
        kept = ids[ids != (0, VOID)[part]]
        expected = of_whole[of_whole != (0, VOID)[part]]
        np.testing.assert_array_equal(np.bincount(kept.astype(int)), np.bincount(expected))


def test_images_without_masks_stand_beside_the_pairs_and_resume_where_a_run_ended(prepared):
    def both(initial_step):
        pairs, others = (
            data.training_set(prepared, size=SIZE, batch_size=size, seed=seed, initial_step=initial_step)
            for size, seed in ((3, 5), (2, 6))
        )
        void = others.map(
            lambda images, label_maps: (images, tf.fill(tf.shape(label_maps), tf.constant(VOID, tf.uint8)))
        )
        return take(data.side_by_side(pairs, void), 4 - initial_step)

    whole = both(0)
    assert_equal(whole[2:], both(2))
    (alone, _) = take(data.training_set(prepared, size=SIZE, batch_size=3, seed=5), 2)
    for (images, label_maps), (pairs, masks) in zip(whole, (alone,), strict=False):
        assert images.shape == (5, *SIZE, 3) and (label_maps[3:] == VOID).all()
        np.testing.assert_array_equal(images[:3], pairs)
        np.testing.assert_array_equal(label_maps[:3], masks)


def test_pairs_take_the_colours_of_the_images_beside_them_and_these_stay_as_they_are(prepared):
    pairs, others = (data.training_set(prepared, size=SIZE, batch_size=2, seed=seed) for seed in (5, 6))
    ((images, label_maps),) = take(data.side_by_side(pairs, others, colours=True), 1)
    ((own, masks),), ((beside, _),) = take(pairs, 1), take(others, 1)
    np.testing.assert_allclose(images[:2], data.take_colours(own, beside), rtol=1e-3)
    np.testing.assert_array_equal(images[2:], beside)
    np.testing.assert_array_equal(label_maps[:2], masks)
    assert not np.allclose(images[:2], own, rtol=0.1)
    levels = [one.map(lambda image, ids: (tf.cast(image, tf.uint8), ids)) for one in (pairs, others)]
    ((whole, _),) = take(data.side_by_side(*levels, colours=True), 1)
    assert whole.dtype == np.float32
    ((alone, ids),) = take(data.in_colours_of(others, pairs), 1)
    np.testing.assert_allclose(alone, images[:2], rtol=1e-3)
    np.testing.assert_array_equal(ids, masks)


def test_each_device_of_a_machine_gets_images_of_both_kinds():
    pairs, others = (
        tf.data.Dataset.from_tensors(
            (tf.range(first, last)[:, None, None, None], tf.range(10 * first, 10 * last, 10)[:, None, None])
        )
        for first, last in ((0, 4), (4, 10))
    )
    ((images, label_maps),) = data.side_by_side(pairs, others, parts=2)
    assert images.numpy().ravel().tolist() == [0, 1, 4, 5, 6, 2, 3, 7, 8, 9]
    assert label_maps.numpy().ravel().tolist() == [10 * image for image in images.numpy().ravel()]


def of_pairs(*shapes, dtype=tf.uint8):
    return tf.data.Dataset.from_tensors(tuple(tf.zeros(shape, dtype) for shape in shapes))


@pytest.mark.parametrize(
    ("unlabelled", "settings", "message"),
    [
        (of_pairs((2, 8, 8, 3)), {}, r"`unlabelled` must be a data set of batches .*Received: uint8 \(2, 8, 8, 3\)\."),
        (
            of_pairs((8, 8, 3), (8, 8)),
            {},
            r"`unlabelled` must be a data set of batches .*uint8 \(8, 8, 3\), uint8 \(8, 8\)",
        ),
        (np.zeros((2, 8, 8, 3)), {}, r"`unlabelled` must be a data set of batches .*Received: ndarray"),
        (of_pairs((2, 8, 9, 3), (2, 8, 9)), {}, r"one dtype, height, .*uint8 \(2, 8, 8, 3\) and uint8 \(2, 8, 9, 3\)"),
        (of_pairs((2, 8, 8, 3), (2, 8, 8), dtype=tf.int32), {}, "one dtype, height, .*uint8 .* and int32 "),
        (of_pairs((2, 8, 8, 3), (2, 8, 8)), {"parts": 0}, "`parts` must be an integer of at least 1"),
    ],
)
def test_what_cannot_stand_side_by_side_is_refused(unlabelled, settings, message):
    with pytest.raises(ValueError, match=message):
        data.side_by_side(of_pairs((2, 8, 8, 3), (2, 8, 8)), unlabelled, **settings)
