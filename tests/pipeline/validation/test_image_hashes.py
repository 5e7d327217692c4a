"""Exact duplicates, near duplicates, and images that are neither."""

import io

import numpy as np
import pytest
from PIL import Image

from kseg import streets
from pipeline.validation import image_hashes
from pipeline.validation.image_hashes import exact_duplicates, near_duplicates, perceptual_hash, pixel_digest

BITS = 10  # the default of statistics_gen.near_duplicate_bits


def photograph(data, number=0):
    return Image.open(sorted((data / "voc_sample" / "images" / "train").iterdir())[number]).convert("RGB")


def bits(picture, other) -> int:
    """How many of the 128 bits differ."""
    hashes = [int(perceptual_hash(np.asarray(image)), 16) for image in (picture, other)]
    return (hashes[0] ^ hashes[1]).bit_count()


def saved(picture, quality):
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def row(split, key, image, labels="m"):
    pixels = np.asarray(image)
    return {
        "split": split,
        "key": key,
        "pixels": pixel_digest(pixels),
        "labels": labels,
        "hash": perceptual_hash(pixels),
    }


def test_a_perceptual_hash_is_the_signs_of_brightness_differences_across_and_down():
    falling = np.arange(255, -1, -4, np.int16).astype(np.uint8)
    across = np.repeat(falling[None, :, None], 64, axis=0)
    assert perceptual_hash(across) == "0" * 32  # darker to the right, equal downwards: no sign is positive
    assert perceptual_hash(across[:, ::-1]) == "f" * 16 + "0" * 16
    assert perceptual_hash(across.transpose(1, 0, 2)[::-1]) == "0" * 16 + "f" * 16
    assert perceptual_hash(np.repeat(across, 3, axis=-1)) == perceptual_hash(across)


@pytest.mark.parametrize("number", range(12))
def test_a_photograph_compressed_halved_or_brightened_is_a_near_duplicate(data, number):
    picture = photograph(data, number)
    half = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BICUBIC)
    brighter = picture.point(lambda value: min(255, int(1.15 * value + 8)))
    for other in (saved(picture, 20), half, brighter):
        assert 0 <= bits(picture, other) <= BITS


def test_twelve_photographs_and_forty_streets_are_no_near_duplicates(data):
    pictures = [photograph(data, number) for number in range(12)]
    pictures += [streets.draw(number, split="train", size=(96, 128), seed=0)[0] for number in range(40)]
    images = [row("train", f"{number:02}", picture) for number, picture in enumerate(pictures)]
    assert near_duplicates(images, 20) == exact_duplicates(images) == []


def test_copies_are_listed_with_the_first_one_and_whether_labels_agree():
    red, blue = (np.full((4, 4, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    images = [
        row("test", "a", red),
        row("train", "b", red),
        row("train", "c", blue),
        row("validation", "d", red, labels="other"),
    ]
    assert exact_duplicates(images) == [
        {"image": "validation/d", "of": "train/b", "same_labels": False},
        {"image": "test/a", "of": "train/b", "same_labels": True},
    ]


def test_the_same_values_in_another_shape_are_no_copy():
    assert pixel_digest(np.zeros((2, 3, 1), np.uint8)) != pixel_digest(np.zeros((3, 2, 1), np.uint8))


def test_each_image_is_listed_with_the_most_similar_earlier_one_of_each_split():
    generator = np.random.default_rng(0)
    base = generator.integers(0, 256, (9, 9, 1), np.uint8)

    def image(split, key, flips):
        text = f"{int(perceptual_hash(base), 16) ^ sum(1 << flip for flip in flips):032x}"
        return {"split": split, "key": key, "pixels": key, "labels": "m", "hash": text}

    images = [
        image("train", "a", []),
        image("train", "b", range(8)),
        image("train", "far", range(64)),
        image("validation", "c", range(6)),
        image("test", "d", range(5)),
    ]
    assert near_duplicates(images[::-1], 8) == [
        {"image": "train/b", "of": "train/a", "bits": 8},
        {"image": "validation/c", "of": "train/b", "bits": 2},
        {"image": "test/d", "of": "train/b", "bits": 3},
        {"image": "test/d", "of": "validation/c", "bits": 1},
    ]
    assert near_duplicates(images, 1) == [{"image": "test/d", "of": "validation/c", "bits": 1}]
    assert near_duplicates(images[:1], 8) == []


def test_an_exact_copy_is_not_a_near_duplicate_too():
    images = [row(split, "a", np.zeros((4, 4, 1), np.uint8)) for split in ("train", "test")]
    assert near_duplicates(images, BITS) == []


def test_many_images_are_compared_in_parts_with_the_same_result(monkeypatch):
    generator = np.random.default_rng(1)
    images = [
        {"split": "train", "key": f"{n:03}", "pixels": f"{n}", "labels": "m", "hash": generator.bytes(16).hex()}
        for n in range(60)
    ]
    whole = near_duplicates(images, 50)
    monkeypatch.setattr("pipeline.validation.image_hashes.COMPARISONS", 100)
    assert near_duplicates(images, 50) == whole and len(whole) > 5


def compared_one_by_one(images, max_bits):
    """What `near_duplicates` returns, by its definition."""
    images = sorted(images, key=lambda image: (image_hashes.SPLITS.index(image["split"]), image["key"]))
    rows = []
    for split in image_hashes.SPLITS:
        for number, image in enumerate(images):
            earlier = [other for other in images[:number] if other["split"] == split]
            if any(other["pixels"] == image["pixels"] for other in earlier):
                continue
            bits = [(int(other["hash"], 16) ^ int(image["hash"], 16)).bit_count() for other in earlier]
            if bits and min(bits) <= max_bits:
                name, of = (f"{one['split']}/{one['key']}" for one in (image, earlier[bits.index(min(bits))]))
                rows.append({"image": name, "of": of, "bits": min(bits)})
    return rows


@pytest.mark.parametrize("max_bits", [0, 1, 3, 4, 7, 10, 15])
def test_no_near_duplicate_is_missed_where_not_all_images_are_compared(monkeypatch, max_bits):
    generator = np.random.default_rng(max_bits)
    bases = [int.from_bytes(generator.bytes(16), "big") for _ in range(9)]
    images = []
    for number in range(150):
        text = bases[generator.integers(9)]
        for flip in generator.choice(128, generator.integers(0, 12), replace=False).tolist():
            text ^= 1 << flip
        split = image_hashes.SPLITS[generator.integers(3)]
        pixels = f"{generator.integers(100)}"
        images.append({"split": split, "key": f"{number:03}", "pixels": pixels, "labels": "m", "hash": f"{text:032x}"})
    expected = compared_one_by_one(images, max_bits)
    assert len(expected) > 3
    assert near_duplicates(images, max_bits) == expected
    monkeypatch.setattr(image_hashes, "EXHAUSTIVE", 10)
    monkeypatch.setattr(image_hashes, "COMPARISONS", 50)
    assert near_duplicates(images, max_bits) == expected


def test_more_bits_than_bands_allow_are_refused_for_many_images():
    image_hashes.check_near_duplicate_bits(20_000, 128)
    image_hashes.check_near_duplicate_bits(10**6, 15)
    with pytest.raises(
        ValueError, match=r"must not exceed 15 where more than 20000 .*near_duplicate_bits=16, 20001 images"
    ):
        image_hashes.check_near_duplicate_bits(20_001, 16)
