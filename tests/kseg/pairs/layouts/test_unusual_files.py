"""Files that say less than usual: arrays without names, pictures inside label files, masks as WebP, stacks of ImageJ."""

import base64

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from kseg.pairs.errors import PairError
from kseg.pairs.image_files import decode_image
from kseg.pairs.image_folder import read_pair, recognise_pairs
from tests.kseg.pairs.layouts.test_other_layouts import NAMES, SIZE, TWO, check, mask, picture, text

PICTURES = np.random.default_rng(0).integers(0, 256, (4, *SIZE, 3), np.uint8)
MASKS = np.zeros((4, *SIZE), np.uint8)
MASKS[..., 5:] = 1


@pytest.mark.parametrize("arrays", [(PICTURES, MASKS), (MASKS, PICTURES), (PICTURES, MASKS[..., None])])
def test_arrays_without_names_are_told_apart_by_their_shapes(arrays, tmp_path):
    np.savez(tmp_path / "data.npz", *arrays)
    found = check(tmp_path, "numpy", 4, (0, 1))
    roles = ("images", "masks") if arrays[0] is PICTURES else ("masks", "images")
    assert f"arr_0 as {roles[0]}" in found.name and f"arr_1 as {roles[1]}" in found.name
    np.testing.assert_array_equal(decode_image(found.listing.pairs[0].image.read())[..., :3].shape, (*SIZE, 3))


@pytest.mark.parametrize(
    "arrays", [(PICTURES[..., 0], MASKS), (PICTURES, MASKS[:, :-1]), (PICTURES,), (PICTURES, MASKS, MASKS)]
)
def test_arrays_whose_shapes_do_not_tell_are_refused_by_name(arrays, tmp_path):
    np.savez(tmp_path / "data.npz", *arrays)
    with pytest.raises(PairError, match=r"two whose shapes tell them apart\. Received: arr_0"):
        recognise_pairs(tmp_path / "data.npz")


@pytest.mark.parametrize("names", [("images", "masks"), ("x", "y"), ("Imgs", "Labels")])
def test_images_and_masks_may_be_an_archive_each(names, tmp_path):
    np.savez_compressed(tmp_path / f"{names[0]}.npz", PICTURES)
    np.savez_compressed(tmp_path / f"{names[1]}.npz", whatever=MASKS)
    check(tmp_path, "numpy", 4, (0, 1))


def test_the_picture_may_lie_in_the_file_of_labelme(tmp_path):
    shape = {"label": "cat", "points": [[5, 0], [7, 0], [7, 5], [5, 5]], "shape_type": "polygon"}
    for name in NAMES:
        picture(tmp_path / "p.png")
        data = (tmp_path / "p.png").read_bytes()
        content = {"shapes": [shape], "imagePath": f"..\\\\{name}.png", "imageHeight": SIZE[0], "imageWidth": SIZE[1]}
        text(tmp_path / "data" / f"{name}.json", content | {"imageData": base64.b64encode(data).decode()})
    found = check(tmp_path / "data", "labelme", 4, (0, 1))
    assert all(pair.image.has_colour() and pair.image.read() == data for pair in found.listing.pairs)
    text(tmp_path / "data" / "a.json", content | {"imageData": "no picture"})
    pair = recognise_pairs(tmp_path / "data", validation_share=0, test_share=0).listing.pairs[0]
    with pytest.raises(PairError, match="imageData"):
        read_pair(pair, TWO)


@pytest.mark.parametrize("colours", [(0, 1), ((0, 0, 0), (255, 0, 0))])
def test_a_lossless_webp_is_a_mask(colours, tmp_path):
    for name in NAMES:
        picture(tmp_path / "images" / f"{name}.webp")
        mask(tmp_path / "masks" / f"{name}.webp", *colours, lossless=True, exact=True)
    check(tmp_path, "folders", 4, (0, 1))


@pytest.mark.parametrize("alpha", [False, True])
def test_a_lossy_webp_is_no_mask(alpha, tmp_path):
    picture(tmp_path / "images" / "a.png")
    mask(tmp_path / "masks" / "a.webp", *(((0, 0, 0, 9), (9, 9, 9, 255)) if alpha else (0, 1)))
    (pair,) = recognise_pairs(tmp_path).listing.pairs
    with pytest.raises(PairError, match="lossy WebP") as raised:
        read_pair(pair, TWO)
    assert raised.value.name == "lossy_mask"


def stack(path, pages, description="", value=1):
    """A stack of pages whose columns from 5 on have a value; `description` is what ImageJ says of it."""
    pixels = np.zeros(SIZE, np.uint8)
    pixels[:, 5:] = value
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270] = description
    first, *others = [Image.fromarray(pixels)] * pages
    first.save(path, save_all=True, append_images=others, tiffinfo=tags)


@pytest.mark.parametrize(
    "names", [("cells.tif", "cells_mask.tif"), ("images.tiff", "labels.tiff"), ("Stack.TIF", "gt.TIF")]
)
@pytest.mark.parametrize("description", ["", "ImageJ=1.53t\nimages=4\nslices=4\nloop=false\n"])
def test_two_stacks_are_pairs_by_their_pages(names, description, tmp_path):
    stack(tmp_path / names[0], 4, description, 200)
    stack(tmp_path / names[1], 4, description)
    check(tmp_path, "isbi2012", 4, (0, 1))


def test_stacks_named_after_splits_keep_them(tmp_path):
    for split, pages in (("train", 3), ("val", 2)):
        stack(tmp_path / f"{split}_images.tif", pages, value=200)
        stack(tmp_path / f"{split}_masks.tif", pages)
    check(tmp_path, "isbi2012", {"train": 3, "validation": 2}, (0, 1))


@pytest.mark.parametrize(
    ("pages", "axes"), [(8, "images=8\nchannels=2\nslices=4\nhyperstack=true"), (1, "images=4\nslices=4")]
)
def test_a_hyperstack_whose_pages_are_no_pictures_is_refused_with_its_axes(pages, axes, tmp_path):
    stack(tmp_path / "cells.tif", pages, f"ImageJ=1.53t\n{axes}\n", 200)
    stack(tmp_path / "cells_mask.tif", 4)
    with pytest.raises(
        PairError, match=rf"Received: {pages} pages of ImageJ for {pages if pages > 1 else 4} images, .*4 slices"
    ):
        recognise_pairs(tmp_path)
