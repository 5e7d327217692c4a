"""Tables of pairs or splits that lie beside folders of images and masks."""

import pytest

from kseg.pairs.errors import SeveralReadingsError
from kseg.pairs.image_folder import recognise_pairs
from pipeline.examples.sources.files import open_files
from pipeline.settings.example_gen import ExampleGen
from tests.kseg.pairs.layouts.test_other_layouts import mask, picture, text

KEYS = [f"{number:02}" for number in range(10)]
SPLITS = dict.fromkeys(KEYS[:6], "train") | dict.fromkeys(KEYS[6:8], "validation") | dict.fromkeys(KEYS[8:], "test")


@pytest.fixture(params=[("images", "masks"), ("photos", "labels")], ids="-".join)
def folders(request, tmp_path):
    """Ten pairs in two folders; returns the root and the names of both."""
    for key in KEYS:
        picture(tmp_path / request.param[0] / f"{key}.jpg")
        mask(tmp_path / request.param[1] / f"{key}.png", 0, 1)
    return tmp_path, *request.param


def table(path, header, form, keys=KEYS):
    text(path, "\n".join([header, *(form.format(key, split=SPLITS[key]) for key in keys)]))


def splits_of(found):
    return {pair.key: pair.split for pair in found.listing.pairs}


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("image,mask,split", "{images}/{{0}}.jpg,{masks}/{{0}}.png,{{split}}"),
        ("filename,subset", "{{0}}.jpg,{{split}}"),
        ("img;mask;set;dose", "{{0}};{{0}}_mask;{{split}};3"),
        ("image_path,split", "C:\\data\\{{0}}.jpg,{{split}}"),
    ],
)
def test_a_table_that_adds_splits_gives_them(folders, header, form):
    root, images, masks = folders
    if "{{0}}_mask" in form:
        for path in (root / masks).iterdir():
            path.rename(path.with_stem(f"{path.stem}_mask"))
    table(root / "pairs.csv", header, form.format(images=images, masks=masks))
    found = recognise_pairs(root)
    assert splits_of(found) == SPLITS
    assert f"Splits are those of {root / 'pairs.csv'}." in found.notes


def test_tables_named_after_splits_give_them(folders):
    root, images, masks = folders
    for name, split in (("train.csv", "train"), ("val_pairs.csv", "validation"), ("test_data.csv", "test")):
        keys = [key for key in KEYS if SPLITS[key] == split]
        table(root / name, "image,mask", f"{images}/{{0}}.jpg,{masks}/{{0}}.png", keys)
    assert splits_of(recognise_pairs(root)) == SPLITS


def test_pairs_that_a_table_of_splits_leaves_out_are_left_out_and_said(folders):
    root, _, _ = folders
    table(root / "splits.csv", "image,split", "{0}.jpg,{split}", KEYS[:-1])
    found = recognise_pairs(root)
    assert sorted(splits_of(found)) == KEYS[:-1] and "1 pairs are in no list and are left out." in found.notes


@pytest.mark.parametrize("kind", ["other masks", "fewer"])
def test_a_table_that_pairs_otherwise_is_a_second_reading(folders, kind):
    root, images, masks = folders
    listed = KEYS[:4] if kind == "fewer" else KEYS
    other = dict(zip(KEYS, KEYS if kind == "fewer" else KEYS[1:] + KEYS[:1], strict=True))
    rows = [f"{images}/{key}.jpg,{masks}/{other[key]}.png\n" for key in listed]
    text(root / "pairs.csv", "image,mask\n" + "".join(rows))
    text(root / "classes.csv", "value,name,red,green,blue\n0,a,0,0,0\n1,b,9,9,9\n")
    with pytest.raises(SeveralReadingsError) as raised:
        recognise_pairs(root)
    folder, listed = raised.value.readings
    assert (folder.root, listed.root) == (root, root / "pairs.csv")
    with pytest.raises(ValueError, match="must have one reading") as raised:
        open_files(root, ExampleGen(), None)
    assert f"--data {root / 'pairs.csv'}  # table pairs.csv" in str(raised.value)
    options = dict(zip(folder.options[::2], folder.options[1::2], strict=True))
    again = recognise_pairs(root, **{flag.removeprefix("--"): value for flag, value in options.items()})
    assert sorted(splits_of(again)) == KEYS


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pairs.csv", "image,mask\n" + "".join(f"IMAGES/{key}.jpg,MASKS/{key}.png\n" for key in KEYS)),
        ("detections.csv", "filename,width,xmin\n00.jpg,8,2\n"),
        ("train_labels.csv", "filename,class\n00.jpg,cat\n"),
        ("train.csv", "id,rle_mask\n00,1 2 3\n"),
        ("other.csv", "image,mask,split\nx/1.png,y/1.png,train\n"),
        ("broken.csv", 'image,mask\n"00.jpg'),
        ("depths.csv", "id,z\n00,3\n"),
    ],
)
def test_a_table_that_says_nothing_new_or_is_of_something_else_changes_nothing(folders, name, content):
    root, images, masks = folders
    before = recognise_pairs(root)
    text(root / name, content.replace("IMAGES", images).replace("MASKS", masks))
    after = recognise_pairs(root)
    assert splits_of(after) == splits_of(before)


def test_splits_of_a_table_that_are_those_of_the_folders_change_nothing_and_others_stop(tmp_path):
    for key, split in SPLITS.items():
        picture(tmp_path / "images" / split / f"{key}.jpg")
        mask(tmp_path / "masks" / split / f"{key}.png", 0, 1)
    row = "images/{split}/{0}.jpg,masks/{split}/{0}.png,{split}"
    table(tmp_path / "pairs.csv", "image,mask,split", row)
    assert splits_of(recognise_pairs(tmp_path)) == SPLITS
    content = (tmp_path / "pairs.csv").read_text()
    (tmp_path / "pairs.csv").write_text(content.replace(",test\n", ",train\n"))
    with pytest.raises(SeveralReadingsError):
        recognise_pairs(tmp_path)
