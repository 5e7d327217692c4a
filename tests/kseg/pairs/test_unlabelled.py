"""Images without masks: every picture below a folder is found, masks that lie there are not, and what each holds is read."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from kseg.labels import VOID
from kseg.pairs.conventions import Conventions
from kseg.pairs.errors import PairError
from kseg.pairs.image_files import decode_image
from kseg.pairs.unlabelled import find_contents, list_unlabelled, read_unlabelled

SUFFIXES = (".jpg", ".jpeg", ".JPG", ".png", ".tif", ".tiff", ".gif", ".bmp", ".webp", ".jp2", ".ppm", ".npy")


def photo(seed=0, shape=(16, 20, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def draw(path, pixels=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = photo() if pixels is None else pixels
    if path.suffix == ".npy":
        np.save(path, pixels)
    else:
        Image.fromarray(pixels).save(path)


def mask(seed=0):
    return np.repeat(np.random.default_rng(seed).integers(0, 3, (16, 1), np.uint8), 20, axis=1)


def keys(listing):
    return [pair.key for pair in listing.pairs]


def test_pictures_of_every_format_are_found_in_nested_folders_and_read_as_void(tmp_path):
    for number, suffix in enumerate(SUFFIXES):
        draw(tmp_path / "a" / f"b {number % 3}" / f"{number:02}{suffix}", photo(number))
    listing = list_unlabelled(tmp_path)
    assert sorted(key.rpartition("/")[2] for key in keys(listing)) == [f"{n:02}" for n in range(len(SUFFIXES))]
    assert not listing.faults and not listing.unused_masks
    for pair in listing.pairs:
        image_bytes, label_map_bytes, _ = read_unlabelled(pair, 3)
        assert decode_image(image_bytes).shape == (16, 20, 3)
        assert (decode_image(label_map_bytes) == VOID).all() and decode_image(label_map_bytes).shape == (16, 20, 1)


def test_pictures_of_one_stem_and_of_one_name_in_several_folders_are_all_taken(tmp_path):
    for name in ("day/0.png", "night/0.png", "0.png", "0.jpg", "day/1.png", "night/1.png"):
        draw(tmp_path / name, photo(len(name)))
    found = keys(list_unlabelled(tmp_path))
    assert len(found) == len(set(found)) == 6


def test_what_is_no_picture_is_listed_and_what_cannot_be_read_is_a_fault_with_its_path(tmp_path):
    draw(tmp_path / "0.png")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "1.heic").write_bytes(b"x")
    (tmp_path / ".hidden.png").write_bytes(b"x")
    (tmp_path / "lost.png").symlink_to(tmp_path / "nowhere.png")
    listing = list_unlabelled(tmp_path)
    assert keys(listing) == ["0"] and listing.foreign_files == [tmp_path / "notes.txt"]
    assert [(fault.error.name, fault.error.where) for fault in listing.faults] == [
        ("unsupported_format", str(tmp_path / "1.heic")),
        ("missing_file", str(tmp_path / "lost.png")),
    ]
    (tmp_path / "2.png").write_bytes((tmp_path / "0.png").read_bytes()[:-40])
    damaged = list_unlabelled(tmp_path).pairs[1]
    with pytest.raises(PairError, match=r"whole.*2\.png"):
        read_unlabelled(damaged, 3)


def test_a_link_out_of_the_folder_is_a_fault_unless_links_are_followed(tmp_path):
    draw(tmp_path / "elsewhere" / "0.png")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "0.png").symlink_to(tmp_path / "elsewhere" / "0.png")
    assert [fault.error.name for fault in list_unlabelled(tmp_path / "photos").faults] == ["outside_folder"]
    assert keys(list_unlabelled(tmp_path / "photos", follow_links=True)) == ["0"]


def test_a_table_in_the_folder_brings_in_no_image_from_elsewhere(tmp_path):
    for number in range(2):
        draw(tmp_path / "photos" / f"{number}.png", photo(number, (64, 64, 3)))
        draw(tmp_path / "photos" / "masks" / f"{number}.png", mask(number))
    draw(tmp_path / "elsewhere.png")
    rows = ["image,mask", "0.png,masks/0.png", "../elsewhere.png,masks/1.png"]
    (tmp_path / "photos" / "pairs.csv").write_text("\n".join(rows))
    listing = list_unlabelled(tmp_path / "photos")
    assert {path.name for pair in listing.pairs for path in pair.files} == {"0.png", "1.png"}
    assert not any("elsewhere" in str(path) for pair in listing.pairs for path in pair.files)
    assert {fault.error.name for fault in listing.faults} <= {"outside_folder"}


def test_every_page_of_a_stack_is_an_image(tmp_path):
    tifffile.imwrite(tmp_path / "volume.tif", photo(shape=(3, 16, 20)), photometric="minisblack")
    listing = list_unlabelled(tmp_path)
    assert keys(listing) == ["volume/0", "volume/1", "volume/2"]
    images = [decode_image(read_unlabelled(pair, 1)[0])[..., 0] for pair in listing.pairs]
    np.testing.assert_array_equal(images, photo(shape=(3, 16, 20)))


LAYOUTS = {
    "folders": ("images/{}.jpg", "masks/{}.png"),
    "folders by split": ("train/images/{}.png", "train/labels/{}.png"),
    "files beside": ("{}.jpg", "{}_mask.png"),
    "one name": ("{}.jpg", "{}.png"),
    "names that do not match": ("images/{}.jpg", "masks/other{}.png"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_masks_beside_the_images_are_not_taken_for_images(tmp_path, layout):
    for number in range(3):
        for name, pixels in zip(LAYOUTS[layout], (photo(number, (64, 64, 3)), mask(number)), strict=True):
            draw(tmp_path / name.format(number), pixels)
    listing = list_unlabelled(tmp_path)
    assert len(listing.pairs) == len(listing.unused_masks) == 3
    assert {path.suffix for pair in listing.pairs for path in pair.files} <= {".jpg", ".png"}
    assert not {path for pair in listing.pairs for path in pair.files} & set(listing.unused_masks)
    assert all(decode_image(read_unlabelled(pair, 3)[0]).shape == (64, 64, 3) for pair in listing.pairs)


def test_images_whose_masks_are_missing_are_taken_too(tmp_path):
    for number in range(4):
        draw(tmp_path / "images" / f"{number}.jpg", photo(number))
        if number < 2:
            draw(tmp_path / "masks" / f"{number}.png", mask(number))
    listing = list_unlabelled(tmp_path)
    assert (len(listing.pairs), len(listing.unused_masks), len(listing.faults)) == (4, 2, 0)


def test_folders_that_may_hold_images_and_masks_are_refused(tmp_path):
    for number in range(3):
        draw(tmp_path / "left" / f"{number}.jpg", photo(number, (64, 64, 3)))
        draw(tmp_path / "right" / f"{number}.png", mask(number))
    with pytest.raises(PairError, match=r"must hold images alone.*which may be masks.*Give the folder of the images"):
        list_unlabelled(tmp_path)


def test_what_images_hold_is_their_channels_type_and_bits(tmp_path):
    draw(tmp_path / "rgb" / "0.png")
    draw(tmp_path / "grey" / "0.png", photo(shape=(16, 20)))
    draw(tmp_path / "deep" / "0.png", photo(shape=(16, 20)).astype(np.uint16) * 16)
    four = photo(shape=(16, 20, 4)).astype(np.uint16)
    (tmp_path / "four").mkdir()
    tifffile.imwrite(tmp_path / "four" / "0.tif", four, photometric="minisblack", planarconfig="contig")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "0.png").write_bytes(b"\x89PNG")

    def contents(place):
        found = find_contents(pair.image for pair in list_unlabelled(tmp_path / place).pairs)
        return str(found.kind), sorted(found.depths)

    assert contents("rgb") == ("3 channels of uint8", [8])
    assert contents("grey") == ("1 channel of uint8", [8])
    assert contents("deep") == ("1 channel of uint8", [16])
    assert contents("four") == ("4 channels of uint16", [16])
    assert contents("broken") == ("None", [])


def test_an_image_of_other_bits_than_the_labelled_ones_is_refused_and_one_of_the_same_is_scaled_as_they_are(tmp_path):
    draw(tmp_path / "0.png", photo(shape=(16, 20)).astype(np.uint16) * 16)
    (pair,) = list_unlabelled(tmp_path).pairs
    with pytest.raises(PairError, match=r"as many bits as the labelled ones, 8\. Received: 16"):
        read_unlabelled(pair, 1, depths=frozenset((8,)))
    image_bytes, _, reason = read_unlabelled(pair, 1, conventions=Conventions(image_range=4080))
    np.testing.assert_array_equal(decode_image(image_bytes)[..., 0], photo(shape=(16, 20)))
    assert reason == "16 bits"
