"""Masks numbered from another number than their images are paired as the user says, never without a word by name."""

import pytest

from kseg.pairs.errors import PairError, SeveralReadingsError
from kseg.pairs.image_folder import recognise_pairs
from pipeline.examples.sources.files import open_files
from pipeline.settings.example_gen import ExampleGen
from tests.kseg.pairs.layouts.test_other_layouts import mask, picture

FORMS = {  # pictures and masks from a number each
    "own_names": ("images/img_{:d}.jpg", "masks/mask_{:d}.png"),
    "plain": ("images/{:d}.png", "masks/{:d}.png"),
    "padded": ("imgs/{:04d}.png", "labels/{:04d}_label.png"),
    "number_before_a_word": ("images/scan7_{:03d}_v2.png", "masks/scan7_{:03d}_v2.png"),
    "splits": ("train/images/{:d}.png", "train/masks/{:d}.png"),
    "one_folder": ("img_{:d}.png", "img_{:d}_mask.png"),
}


def write(root, form, numbers, mask_numbers):
    for place, draw, series in zip(FORMS[form], (picture, mask), (numbers, mask_numbers), strict=True):
        for number in series:
            draw(root / place.format(number), *((0, 1) if draw is mask else ()))


def files_of(found) -> list[tuple[str, str]]:
    return sorted((pair.image.path.name, pair.mask.path.name) for pair in found.listing.pairs)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shift", [-1, 1, 2])
def test_shifted_numbers_stop_with_both_readings_and_each_can_be_chosen(form, shift, tmp_path):
    numbers = range(2, 22)
    write(tmp_path, form, numbers, [number + shift for number in numbers])
    with pytest.raises(SeveralReadingsError) as raised:
        recognise_pairs(tmp_path)
    assert [reading.options[-1] for reading in raised.value.readings] == [
        "example_gen.pair_by=name",
        "example_gen.pair_by=order",
    ]
    by_name, by_order = (recognise_pairs(tmp_path, pair_by=way) for way in ("name", "order"))
    names = [place.rpartition("/")[2] for place in FORMS[form]]
    same = [tuple(name.format(number) for name in names) for number in numbers if number + abs(shift) in numbers]
    assert len(files_of(by_name)) == len(same) == 20 - abs(shift)
    assert len(by_name.listing.faults) == len(by_name.listing.unused_masks) == abs(shift)
    assert files_of(by_order) == sorted((names[0].format(n), names[1].format(n + shift)) for n in numbers)
    assert (by_order.listing.faults, by_order.listing.unused_masks) == ([], [])
    assert "paired by the order of their numbers" in " ".join(by_order.notes)


@pytest.mark.parametrize(
    "mask_numbers",
    [range(1, 21), range(1, 20), [*range(1, 20), 30], [*range(1, 10), *range(11, 22)], range(0, 25)],
    ids=["same", "one lacks", "another", "gap", "more masks"],
)
def test_other_differences_are_paired_by_name(mask_numbers, tmp_path):
    write(tmp_path, "plain", range(1, 21), mask_numbers)
    found = recognise_pairs(tmp_path)
    assert all(image == mask for image, mask in files_of(found))
    with pytest.raises(PairError, match="paired by order"):
        recognise_pairs(tmp_path, pair_by="order")


def test_a_folder_that_is_shifted_beside_one_that_is_not(tmp_path):
    for folder, shift in (("a", 0), ("b", -1)):
        for number in range(1, 11):
            picture(tmp_path / "images" / "x" / folder / f"{number}.png")
            mask(tmp_path / "masks" / "x" / folder / f"{number + shift}.png", 0, 1)
    found = recognise_pairs(tmp_path, pair_by="order")
    shifts = {
        pair.key.split("/")[1]: int(pair.mask.path.stem) - int(pair.image.path.stem) for pair in found.listing.pairs
    }
    assert (len(found.listing.pairs), shifts) == (20, {"a": 0, "b": -1})


def test_the_run_prints_both_readings_as_commands(tmp_path):
    write(tmp_path, "own_names", range(1, 11), range(10))
    (tmp_path / "classes.csv").write_text("value,name,red,green,blue\n0,a,0,0,0\n1,b,9,9,9\n")
    with pytest.raises(ValueError, match="must have one reading") as raised:
        open_files(tmp_path, ExampleGen(), None)
    lines = str(raised.value).splitlines()[1:]
    assert [line.split("  # ")[0].split()[3:] for line in lines] == [
        ["--data", str(tmp_path), "--set", f"example_gen.pair_by={way}"] for way in ("name", "order")
    ]
    assert "img_1.jpg with mask_1.png" in lines[0] and "img_1.jpg with mask_0.png" in lines[1]
    source = open_files(tmp_path, ExampleGen(pair_by="order"), None)
    assert sum(source.counts.values()) == 10
