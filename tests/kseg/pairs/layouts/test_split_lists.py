"""Splits by lists of names beside folders of pictures."""

import pytest

from kseg.pairs.errors import PairError
from kseg.pairs.image_folder import recognise_pairs

KEYS = [f"{number:02}" for number in range(10)]
SPLITS = {"train": KEYS[:6], "validation": KEYS[6:8], "test": KEYS[8:]}


@pytest.fixture
def flat(photos):
    """The pairs without folders of splits."""
    for kind in ("images", "masks"):
        for path in sorted((photos / kind).glob("*/*")):
            path.rename(photos / kind / path.name)
        for folder in [path for path in (photos / kind).iterdir() if path.is_dir()]:
            folder.rmdir()
    return photos


def write_lists(folder, form="{}", names=("train.txt", "val.txt", "test.txt")):
    folder.mkdir(parents=True, exist_ok=True)
    for name, keys in zip(names, SPLITS.values(), strict=True):
        (folder / name).write_text("".join(form.format(key) + "\n" for key in keys))


def splits_of(found) -> dict[str, list[str]]:
    splits = {}
    for pair in found.listing.pairs:
        splits.setdefault(pair.split, []).append(pair.key)
    return splits


@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "{}.png",
        "images/{}.png",
        "masks/{}.png",
        "images/{0}.png masks/{0}.png",
        "{}.png,1",
        r"C:\x\images\{}.png",
    ],
)
def test_a_line_names_a_picture_or_its_mask(flat, form):
    write_lists(flat, form)
    found = recognise_pairs(flat)
    assert splits_of(found) == SPLITS
    assert found.notes == (f"Splits are those of {flat}/test.txt, {flat}/train.txt, {flat}/val.txt.",)


@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("splits", ("Train.txt", "valid.txt", "TEST.TXT")),
        ("ImageSets/Segmentation", ("train.lst", "dev.lst", "test.lst")),
        ("lists", ("train_list.txt", "val_ids.txt", "test-images.txt")),
    ],
)
def test_lists_may_have_other_usual_names_and_places(flat, place, names):
    write_lists(flat / place, names=names)
    assert splits_of(recognise_pairs(flat)) == SPLITS


def test_lists_are_found_beside_folders_of_any_names_and_in_outer_folders(flat, tmp_path):
    (flat / "images").rename(flat / "photos")
    write_lists(flat)
    assert splits_of(recognise_pairs(flat)) == SPLITS
    outer = tmp_path / "download"
    outer.mkdir()
    flat.rename(outer / "data")
    (outer / "splits").mkdir()
    for path in sorted((outer / "data").glob("*.txt")):
        path.rename(outer / "splits" / path.name)
    assert splits_of(recognise_pairs(outer)) == {
        split: [f"data/{key}" for key in keys] for split, keys in SPLITS.items()
    }


def test_a_list_of_validation_alone_leaves_the_others_to_train(flat):
    (flat / "valid.txt").write_text("06.png\n07.png\n")
    found = recognise_pairs(flat)
    assert splits_of(found) == {"train": [*KEYS[:6], *KEYS[8:]], "validation": KEYS[6:8]}
    assert found.notes[-1] == "Pairs in no list are train."


def test_pairs_in_no_list_and_names_of_no_pair_are_counted(flat):
    write_lists(flat)
    (flat / "val.txt").write_text("06\nmissing\n")
    (flat / "test.txt").write_text("of a test set\n")
    (flat / "trainval.txt").write_text("\n".join(KEYS[:8]))
    found = recognise_pairs(flat)
    assert splits_of(found) == {"train": KEYS[:6], "validation": ["06"]}
    assert found.notes[1:] == (
        f"{flat}/test.txt names no pair and is not read.",
        f"1 of 2 names in {flat}/val.txt are no pair.",
        "3 pairs are in no list and are left out.",
    )


def test_a_faulty_pair_has_the_split_of_its_list(flat):
    write_lists(flat)
    (flat / "masks" / "07.png").unlink()
    (fault,) = recognise_pairs(flat).listing.faults
    assert (fault.pair.key, fault.pair.split, fault.error.name) == ("07", "validation", "missing_mask")


@pytest.mark.parametrize(
    ("name", "received"), [("val.txt", "00 in train.txt and val.txt"), ("train_list.txt", "both train")]
)
def test_lists_that_contradict_each_other_are_refused(flat, name, received):
    write_lists(flat)
    (flat / name).write_text("00\n")
    with pytest.raises(PairError, match=received):
        recognise_pairs(flat)


def test_a_text_of_other_content_is_no_list(flat):
    (flat / "train.txt").write_text("epoch 1: loss 0.3\n")
    (flat / "train_notes.txt").write_text("00\n")
    found = recognise_pairs(flat)
    assert splits_of(found).keys() == {"train", "validation", "test"}
    assert found.notes == (
        f"{flat}/train.txt names no pair and is not read.",
        "No splits are given, so a hash of each key assigns them.",
    )


def test_folders_of_splits_count_rather_than_lists(photos):
    write_lists(photos)
    (photos / "train.txt").write_text("08\n")
    assert splits_of(recognise_pairs(photos)) == SPLITS


def test_fastai_s_camvid_is_read_with_its_codes_and_validation(flat):
    (flat / "classes.csv").unlink()
    (flat / "masks").rename(flat / "labels")
    for path in sorted((flat / "labels").iterdir()):
        path.rename(path.with_name(f"{path.stem}_P.png"))
    (flat / "codes.txt").write_text("Animal\nCar\nVoid")
    (flat / "valid.txt").write_text("08.png\n09.png\n")
    found = recognise_pairs(flat)
    assert splits_of(found) == {"train": KEYS[:8], "validation": KEYS[8:]}
    assert [row[:2] for row in found.classes.rows] == [(0, "Animal"), (1, "Car"), (2, "Void")]
