"""The replicas that show one fault each end as their README says: read with the right classes, or refused by name."""

import numpy as np
import pytest

from kseg.pairs.errors import PairError
from kseg.pairs.image_files import ROTATED_ALIKE, decode_image
from pipeline.examples.sources.files import open_files
from pipeline.settings.example_gen import ExampleGen
from tests.kseg.pairs.layouts.test_replicas import REPLICAS, generator

pytestmark = pytest.mark.skipif(not REPLICAS.is_dir(), reason="the replicas of public layouts are not there")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Builds a replica once; returns its folder."""
    folders = {}

    def build(case):
        if case not in folders:
            folders[case] = tmp_path_factory.mktemp(case)
            generator(case).build(folders[case])
        return folders[case]

    return build


def open_source(root, **settings):
    return open_files(root, ExampleGen(**settings), None)


def read_all(opened) -> dict[int, tuple[np.ndarray, np.ndarray, str | None]]:
    """Image, class ids and reason of every pair by the number in its key."""
    found = {}
    for pair in opened.elements._elements:
        _, key, image, label_map, reason = opened.reader._read(pair)
        found[int(key.rpartition("/")[2].strip("t"))] = decode_image(image), decode_image(label_map)[..., 0], reason
    return found


def errors_of(opened) -> list[PairError]:
    """The errors of a source none of whose pairs can be read."""
    found = []
    for pair in opened.elements._elements:
        with pytest.raises(PairError) as raised:
            opened.reader._read(pair)
        found.append(raised.value)
    return found


def expected_ids(number, size=None):
    common = generator("common")
    return common.labels(number, [0, 1], size or (common.W, common.H))


def test_palettes_of_other_orders_are_read_by_colour_and_counted(built):
    opened = open_source(built("caseB1_palette_order"))
    assert opened.conventions.mask_reading == "colours" and opened.conventions.reordered_masks == 5
    for number, (_, ids, _) in read_all(opened).items():
        expected = generator("common").labels(number, [0, 1, 2])
        expected[:, : 8 * (1 + number % 3)] = number % 3
        np.testing.assert_array_equal(ids, expected)


def test_photographs_turned_by_exif_are_refused_or_counted(built):
    root = built("caseB2_exif")
    errors = errors_of(open_source(root / "a"))
    assert {error.name for error in errors} == {"size_mismatch"}
    assert all("rotate it as the EXIF orientation says" in error.cure for error in errors)
    for kind in ("b", "c"):
        assert {reason for _, _, reason in read_all(open_source(root / kind)).values()} == {ROTATED_ALIKE}


@pytest.mark.parametrize("kind", ["d", "f", "i"])
def test_masks_that_hold_ids_in_other_forms_are_read(kind, built):
    found = read_all(open_source(built("caseB3_mask_encodings") / kind))
    assert len(found) == 8
    for number, (_, ids, _) in found.items():
        np.testing.assert_array_equal(ids, expected_ids(number))


@pytest.mark.parametrize(
    ("kind", "name", "cure"),
    [
        ("a", "unknown_values", "write 255 instead of 1 in classes.csv"),
        ("b", "unknown_values", "smoothing"),
        ("c", "unknown_colours", "--ignore-value"),
        ("e", "mask_alpha", "without alpha"),
        ("g", "unknown_colours", "Only the red channel is used"),
        ("h", "unknown_colours", "classes.csv"),
    ],
)
def test_masks_that_may_mean_something_else_are_refused_with_a_cure(kind, name, cure, built):
    errors = errors_of(open_source(built("caseB3_mask_encodings") / kind))
    assert {error.name for error in errors} == {name} and any(cure in error.cure for error in errors)


def test_the_cure_of_masks_of_0_and_255_reads_them(built, tmp_path):
    generator("caseB3_mask_encodings").build(tmp_path)
    table = tmp_path / "a" / "classes.csv"
    table.write_text(table.read_text().replace("\n1,", "\n255,"))
    for number, (_, ids, _) in read_all(open_source(tmp_path / "a")).items():
        np.testing.assert_array_equal(ids, expected_ids(number))


@pytest.mark.parametrize("name", ["sc.csv", "sp.csv", "case.csv", "Image.csv", "u16.csv"])
def test_tables_as_other_programs_write_them_read_as_the_plain_one(name, built):
    opened = open_source(built("caseB4_tables_and_names") / name)
    with_splits = {"train": 6, "validation": 2}
    assert sum(opened.counts.values()) == 8 and (opened.counts == with_splits or name in ("Image.csv", "u16.csv"))
    for number, (_, ids, _) in read_all(opened).items():
        np.testing.assert_array_equal(ids, expected_ids(number))


def test_backslashes_and_paths_from_elsewhere_say_what_to_change(built):
    root = built("caseB4_tables_and_names")
    faults = open_source(root / "bs.csv").faults
    assert len(faults) == 8 and all("Replace each" in str(fault) for fault in faults)
    with pytest.raises(PairError, match="--data-root"):
        open_source(root / "tables" / "abs.csv")
    opened = open_files(root / "tables" / "abs.csv", ExampleGen(data_root=str(root)), root / "classes.csv")
    assert len(read_all(opened)) == 8


@pytest.mark.parametrize("name", ["vocJPG", "vocsuffix"])
def test_the_voc_layout_with_other_suffixes_is_read(name, built):
    opened = open_source(built("caseB4_tables_and_names") / name)
    assert opened.counts == {"train": 6, "validation": 2}
    for number, (_, ids, _) in read_all(opened).items():
        np.testing.assert_array_equal(ids, expected_ids(number))


@pytest.mark.parametrize("kind", ["geotiff", "rgbnir"])
def test_four_bands_are_kept(kind, built):
    opened = open_source(built("case20_many_bits") / kind)
    assert opened.channels == 4
    common = generator("common")
    for number, (image, ids, _) in read_all(opened).items():
        bands = np.dstack([common.photo(number), common.photo(number + 50, grey=True)])
        np.testing.assert_array_equal(image, bands)
        np.testing.assert_array_equal(ids, expected_ids(number))


@pytest.mark.parametrize(("kind", "factor"), [("bits12", 16), ("reflectance", 39)])
def test_images_that_use_few_of_16_bits_keep_their_levels(kind, factor, built):
    opened = open_source(built("case20_many_bits") / kind)
    greys = {number: generator("common").photo(number, grey=True) for number in range(8)}
    assert opened.conventions.image_range == factor * max(int(grey.max()) for grey in greys.values())
    for number, (image, _, _) in read_all(opened).items():
        assert len(np.unique(image)) == len(np.unique(greys[number]))
