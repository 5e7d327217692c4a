"""No file outside the folder of a data set is listed as readable, whatever leads there; links within it are allowed."""

import os
import shutil

import pytest

from kseg.pairs.errors import PairError
from kseg.pairs.folder_files import Boundary, boundary_of, walk_files
from kseg.pairs.image_folder import list_pairs


@pytest.fixture
def elsewhere(photos):
    """A picture and a mask in a folder next to the data set."""
    folder = photos.parent / "elsewhere"
    folder.mkdir()
    shutil.copy(photos / "images" / "train" / "00.png", folder / "image.png")
    shutil.copy(photos / "masks" / "train" / "00.png", folder / "mask.png")
    return folder


def voc(photos, *lists):
    """The data set in the layout of VOC; `lists` are the names of train."""
    root = photos.parent / "voc"
    shutil.copytree(photos / "images" / "train", root / "JPEGImages")
    shutil.copytree(photos / "masks" / "train", root / "SegmentationClass")
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("\n".join(lists))
    return root


def replace(path, target):
    """Puts a link to `target` in the place of `path`."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    path.symlink_to(target)


def faults(listing) -> set[tuple[str, str]]:
    return {(fault.pair.key, fault.error.name) for fault in listing.faults}


def absolute(elsewhere, image):
    return elsewhere / "image.png"


def relative(elsewhere, image):
    return os.path.relpath(elsewhere / "image.png", image.parent)


def chain(elsewhere, image):
    (image.parent / ".first").symlink_to(".second")
    (image.parent / ".second").symlink_to(elsewhere / "image.png")
    return image.parent / ".first"


def through_a_folder(elsewhere, image):
    (image.parent / ".folder").symlink_to(elsewhere)
    return image.parent / ".folder" / "image.png"


@pytest.mark.parametrize("target", [absolute, relative, chain, through_a_folder])
@pytest.mark.parametrize("layout", ["folders", "table", "voc"])
def test_a_link_out_of_the_data_is_a_fault_unless_links_are_followed(layout, target, photos, elsewhere):
    root, image = photos, photos / "images" / "train" / "00.png"
    if layout == "table":
        root = photos / "pairs.csv"
        root.write_text("image,mask\nimages/train/00.png,masks/train/00.png\nimages/train/01.png,masks/train/01.png\n")
    if layout == "voc":
        root = voc(photos, "00", "01")
        image = root / "JPEGImages" / "00.png"
    replace(image, target(elsewhere, image))
    (fault,) = list_pairs(root).faults
    assert fault.error.name == "outside_folder" and "00" in fault.pair.key
    assert str(elsewhere / "image.png") in fault.error.what and str(image) in fault.error.where
    assert "--follow-links" in fault.error.cure
    followed = list_pairs(root, follow_links=True)
    assert followed.faults == [] and image in [path for pair in followed.pairs for path in pair.files]


@pytest.mark.parametrize("name", ["images/train", "masks/train", "images", "masks"])
def test_a_folder_that_is_a_link_out_of_the_data_is_refused(name, photos, elsewhere):
    shutil.copytree(photos / name, elsewhere / "moved")
    replace(photos / name, elsewhere / "moved")
    with pytest.raises(
        PairError, match=r"Links must not lead out of .*photos\. Received: one to .*elsewhere/moved"
    ) as raised:
        list_pairs(photos)
    assert raised.value.name == "outside_folder"
    assert len(list_pairs(photos, follow_links=True).pairs) == 10


def test_a_nested_folder_that_is_a_link_out_of_the_data_is_not_entered(photos, elsewhere):
    for kind in ("images", "masks"):
        (photos / kind / "train" / "nested").symlink_to(elsewhere)
    (elsewhere / "secret.txt").write_text("")
    listing = list_pairs(photos)
    assert faults(listing) == {("nested", "outside_folder")}
    assert not [path for path in listing.foreign_files if "secret" in path.name]
    with Boundary(photos).enforced():
        assert not [path for path in walk_files(photos) if path.name in ("secret.txt", "image.png")]


@pytest.mark.parametrize("name", ["JPEGImages", "SegmentationClass", "ImageSets", "ImageSets/Segmentation/train.txt"])
def test_folders_and_lists_of_voc_must_lie_inside(name, photos, elsewhere):
    root = voc(photos, "00", "01")
    moved = elsewhere / "moved"
    (root / name).rename(moved)
    (root / name).symlink_to(moved)
    with pytest.raises(PairError, match="Links must not lead out") as raised:
        list_pairs(root)
    assert raised.value.name == "outside_folder"
    assert len(list_pairs(root, follow_links=True).pairs) == 2


def test_a_data_folder_that_is_a_link_links_inside_it_and_hard_links_are_allowed(photos, elsewhere):
    (photos.parent / "data").symlink_to(photos)
    os.link(elsewhere / "image.png", photos / "images" / "train" / "hard.png")
    os.link(elsewhere / "mask.png", photos / "masks" / "train" / "hard.png")
    (photos / "raw").mkdir()
    for kind in ("images", "masks"):
        shutil.copy(photos / kind / "train" / "00.png", photos / "raw" / f"{kind}.png")
        (photos / kind / "train" / "soft.png").symlink_to(photos.parent / "data" / "raw" / f"{kind}.png")
        (photos / kind / "train" / "folder").symlink_to(photos / kind / "val")
    for root in (photos, photos.parent / "data"):
        listing = list_pairs(root)
        assert faults(listing) == set()
        assert {"hard", "soft", "folder/06"} <= {pair.key for pair in listing.pairs}


@pytest.mark.parametrize("row", ["{0}/image.png,{0}/mask.png", "../elsewhere/image.png,../elsewhere/mask.png"])
@pytest.mark.parametrize("follow_links", [False, True])
def test_a_row_out_of_the_folder_of_the_table_is_a_fault_and_a_data_root_allows_it(
    row, follow_links, photos, elsewhere
):
    table = photos / "pairs.csv"
    table.write_text(f"image,mask\n{row.format(elsewhere)}\nimages/val/06.png,masks/val/06.png\n")
    (fault,) = list_pairs(table, follow_links=follow_links).faults
    assert fault.error.name == "outside_folder" and "--data-root" in fault.error.cure
    listing = list_pairs(table, data_root=photos.parent)
    assert listing.faults == [] and len(listing.pairs) == 2
    assert {pair.key for pair in listing.pairs} == {"elsewhere/image", "photos/images/val/06"}
    (fault,) = list_pairs(table, data_root=photos).faults
    assert fault.error.name == "outside_folder"


def test_paths_are_looked_up_beside_the_table_and_then_in_the_data_root(photos):
    table = photos.parent / "tables" / "pairs.csv"
    table.parent.mkdir()
    absolute = photos / "masks" / "val" / "06.png"
    table.write_text(f"image,mask\nimages/val/06.png,{absolute}\n../photos/images/val/07.png,masks/val/07.png\n")
    assert len(list_pairs(table).faults) == 2
    listing = list_pairs(table, data_root=photos)
    assert listing.faults == [] and {pair.key for pair in listing.pairs} == {"images/val/06", "images/val/07"}


def test_absolute_paths_below_the_folder_of_the_table_are_fine_under_any_name_of_it(photos, monkeypatch):
    (photos.parent / "data").symlink_to(photos)
    table = photos / "pairs.csv"
    table.write_text(f"image,mask\n{photos.parent}/data/images/val/06.png,{photos}/masks/val/06.png\n")
    monkeypatch.chdir(photos.parent)
    for path in (table, photos.parent / "data" / "pairs.csv", "photos/pairs.csv"):
        (pair,) = list_pairs(path).pairs
        assert pair.key == "images/val/06"


@pytest.mark.parametrize("name", ["../val/06", "{0}/images/val/06", "../../elsewhere/image"])
def test_a_name_of_a_voc_list_that_leads_out_is_a_fault_although_links_are_followed(name, photos, elsewhere):
    root = voc(photos, "00", name.format(photos))
    (fault,) = list_pairs(root, follow_links=True).faults
    assert fault.error.name == "outside_folder"


def test_a_data_root_must_be_a_folder_around_the_data(photos, elsewhere):
    for place in (elsewhere, photos / "classes.csv", photos / "nowhere"):
        with pytest.raises(PairError, match="`--data-root` must") as raised:
            boundary_of(photos, place)
        assert raised.value.name == "no_data_root"
    assert boundary_of(photos, photos.parent).folder == photos.parent
    replace(photos / "images" / "train" / "00.png", elsewhere / "image.png")
    assert list_pairs(photos).faults and not list_pairs(photos, data_root=photos.parent).faults


def test_a_data_root_of_the_whole_disk_holds_everything(photos):
    assert Boundary("/").contains(photos) and not Boundary(photos).contains("/")
    assert not Boundary(photos).contains(photos.with_name("photos-2"))


def test_a_folder_that_cannot_be_read_is_a_fault(photos, monkeypatch):
    from kseg.pairs import folder_files

    closed = photos / "images" / "train" / "closed"
    closed.mkdir()
    monkeypatch.setattr(folder_files.os, "access", lambda path, mode: str(path) != str(closed))
    (fault,) = list_pairs(photos).faults
    assert (fault.pair.key, fault.error.name) == ("closed", "unreadable_folder")
