"""Everything that a source reads enters the recipe: whichever file changes, appears or goes, the examples are made again."""

import dataclasses
import os
import pathlib
import sys

import pytest

from kseg.pairs.folder_files import boundary_of
from pipeline.engine import file_digests
from pipeline.engine.file_digests import FileDigests
from pipeline.examples.sources.fingerprints import source_artifact, source_files
from pipeline.examples.sources.opening import open_source
from pipeline.settings.example_gen import ExampleGen
from tests.kseg.pairs.layouts.test_replicas import CASES, REPLICAS, generator

_opened: set[str] | None = None


def _record(event, arguments):
    if _opened is not None and event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        _opened.add(os.path.realpath(os.fsdecode(arguments[0])))


sys.addaudithook(_record)


def split_folders(photos):
    return photos


def one_folder(photos):
    for kind in ("images", "masks"):
        for split in ("train", "val", "test"):
            for path in (photos / kind / split).iterdir():
                path.rename(photos / kind / path.name)
            (photos / kind / split).rmdir()
    return photos


def links(photos):
    """Folders and a file of it lie elsewhere."""
    elsewhere = photos.with_name("elsewhere")
    elsewhere.mkdir()
    for name in ("images/train", "masks/val", "masks/test/08.png", "classes.csv"):
        place = elsewhere / name.replace("/", "_")
        (photos / name).rename(place)
        (photos / name).symlink_to(place)
    return photos


def voc(photos):
    folder = photos.with_name("voc")
    lists = folder / "ImageSets" / "Segmentation"
    for place in (lists, folder / "JPEGImages", folder / "SegmentationClass"):
        place.mkdir(parents=True)
    (photos / "classes.csv").rename(folder / "classes.csv")
    for split in ("train", "val", "test"):
        names = sorted(path.name for path in (photos / "images" / split).iterdir())
        (lists / f"{split}.txt").write_text("".join(f"{name.removesuffix('.png')}\n" for name in names))
        for name in names:
            (photos / "images" / split / name).rename(folder / "JPEGImages" / name)
            (photos / "masks" / split / name).rename(folder / "SegmentationClass" / name)
    return folder


def table(photos):
    pairs = sorted(path.relative_to(photos / "images") for path in (photos / "images").rglob("*.png"))
    rows = [f"images/{pair},masks/{pair},{pair.parts[0]}\n" for pair in pairs]
    (photos / "pairs.csv").write_text("".join(["image,mask,split\n", *rows, "images/gone.png,masks/gone.png,train\n"]))
    return photos / "pairs.csv"


LAYOUTS = (split_folders, one_folder, links, voc, table)


@pytest.fixture(params=LAYOUTS, ids=lambda layout: layout.__name__)
def source(request, photos) -> pathlib.Path:
    """A source of each layout, with `--data`'s value."""
    return request.param(photos)


def fingerprint(source, tmp_path) -> str:
    """Of the source as a new run finds it."""
    return source_artifact(str(source), ExampleGen(follow_links=True), FileDigests(tmp_path / "runs")).fingerprint


def opened_files(source, follow_links=True) -> list[str]:
    return [
        os.fspath(file) for file in source_files(source, boundary_of(source, None, follow_links), ExampleGen()).opened
    ]


def read_all(source) -> set[str]:
    """The files that are opened to list and to read every pair, as far as they can be; real paths."""
    global _opened
    _opened = set()
    try:
        opened = open_source(source, ExampleGen(ignore_value=9, follow_links=True), None)
        for image, mask in opened.sides.values():
            image.has_colour()
            [side.read() for side in (image, mask) if all(map(os.path.isfile, side.files))]
    except ValueError:  # without a table of classes the masks have been read
        pass
    finally:
        found, _opened = _opened, None
    return {file for file in found if os.path.isfile(file)}


def test_every_file_that_is_opened_is_one_of_the_source(source, tmp_path):
    exposed = set(map(os.path.realpath, opened_files(source)))
    opened = {file for file in read_all(source) if file.startswith(os.path.realpath(tmp_path))}
    assert len(opened) >= 21  # 10 pairs, classes
    assert opened <= exposed


def test_any_file_that_changes_or_goes_changes_the_recipe_and_its_return_changes_it_back(source, tmp_path, monkeypatch):
    monkeypatch.setattr(file_digests, "RECENT", 0)
    before = fingerprint(source, tmp_path)
    files = sorted(file for file in read_all(source) if file.startswith(os.path.realpath(tmp_path)))
    for file in map(pathlib.Path, files):
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        changed = fingerprint(source, tmp_path)
        file.unlink()
        gone = fingerprint(source, tmp_path) if file != source else None
        file.write_bytes(content)
        assert len({before, changed, gone}) == 3, file
    assert fingerprint(source, tmp_path) == before


def test_a_pair_that_is_added_changes_the_recipe(source, tmp_path):
    before = fingerprint(source, tmp_path)
    if source.is_file():
        for kind in ("images", "masks"):
            (source.parent / kind / "gone.png").write_bytes(b"of the row that had no files")
    else:
        folder = next(path.parent for path in sorted(source.rglob("*0.png")))
        (folder / "new.png").write_bytes(b"new")
    assert fingerprint(source, tmp_path) != before


def test_equal_files_elsewhere_are_the_same_data(source, tmp_path):
    before = fingerprint(source, tmp_path)
    folder = source if source.is_dir() else source.parent
    folder.rename(tmp_path / "moved")
    moved = tmp_path / "moved" if source == folder else tmp_path / "moved" / source.name
    assert fingerprint(moved, tmp_path) == before


def test_a_table_is_not_taken_for_another_folders_pictures(photos, tmp_path):
    import shutil

    first = table(photos)
    shutil.copytree(photos, tmp_path / "other")
    (tmp_path / "other" / "masks" / "train" / "00.png").write_bytes(b"another mask")
    assert fingerprint(first, tmp_path) != fingerprint(tmp_path / "other" / "pairs.csv", tmp_path)


def test_a_link_to_a_folder_above_ends_the_search(photos, tmp_path):
    before = fingerprint(photos, tmp_path)
    (photos / "images" / "loop").symlink_to(tmp_path)
    (photos / "masks" / "train" / "loop").symlink_to(photos)
    found = source_files(photos, boundary_of(photos, None, True), ExampleGen())
    loops = [str(photos / "images" / "loop"), str(photos / "masks" / "train" / "loop")]
    assert len(found.opened) == 21 and sorted(found.closed) == loops
    assert fingerprint(photos, tmp_path) != before


def test_a_file_that_must_not_be_opened_counts_by_its_name_alone(photos, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"1")
    (photos / "images" / "train" / "secret.png").symlink_to(tmp_path / "secret.png")
    pairs = photos / "pairs.csv"
    pairs.write_text("image,mask\nimages/train/00.png,masks/train/00.png\n../secret.png,../secret.png\n")
    for source, outside in ((photos, "images/train/secret.png"), (pairs, "../secret.png")):
        found = source_files(source, boundary_of(source), ExampleGen())
        assert [os.path.relpath(file, photos) for file in found.closed] == [outside]
        assert not [file for file in found.opened if "secret" in os.path.realpath(file)]
        before = source_artifact(str(source), ExampleGen(), FileDigests(tmp_path / "runs")).fingerprint
        (tmp_path / "secret.png").write_bytes(b"22")
        assert source_artifact(str(source), ExampleGen(), FileDigests(tmp_path / "runs")).fingerprint == before


def list_in_voc(photos, name):
    """The VOC layout; a list names the first pair of its own by `name`."""
    folder = voc(photos)
    for kind in ("JPEGImages", "SegmentationClass"):
        (folder / kind / f"{name}.png").parent.mkdir(exist_ok=True)
        (folder / kind / "00.png").rename(folder / kind / f"{name}.png")
    path = folder / "ImageSets" / "Segmentation" / "train.txt"
    path.write_text(path.read_text().replace("00", name))
    return folder, [folder / kind / f"{name}.png" for kind in ("JPEGImages", "SegmentationClass")], ExampleGen()


def hidden_pattern(photos):
    """A pattern that spells a hidden folder out."""
    (photos / "images").rename(photos / ".left")
    config = ExampleGen(images=".left/**/*.png", masks="masks/**/*.png")
    return photos, [photos / ".left" / "val" / "06.png"], config


def table_of_a_wider_root(photos):
    """A folder whose table names pairs elsewhere below the data root."""
    folder = photos.with_name("faces")
    rows = []
    for number in range(6):
        names = [f"../../photos/{kind}/train/{number:02}.png" for kind in ("images", "masks")]
        rows.append(f"{names[0]},{names[1]}\n")
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "metadata.csv").write_text("".join(["file_name,mask_file_name\n", *rows]))
    (folder / "classes.csv").write_bytes((photos / "classes.csv").read_bytes())
    files = [photos / kind / "train" / "03.png" for kind in ("images", "masks")]
    return folder, files, ExampleGen(data_root=str(photos.parent))


NAMED = {
    "hidden file in a list": lambda photos: list_in_voc(photos, ".00"),
    "hidden folder in a list": lambda photos: list_in_voc(photos, ".more/00"),
    "hidden folder in a pattern": hidden_pattern,
    "file elsewhere below the data root": table_of_a_wider_root,
}


@pytest.mark.parametrize("build", NAMED.values(), ids=NAMED)
def test_files_of_a_folder_that_only_a_list_or_pattern_names_enter_the_recipe(build, photos, tmp_path):
    source, files, config = build(photos)
    config = dataclasses.replace(config, ignore_value=9)
    sides = [side.path for pair in open_source(source, config, None).sides.values() for side in pair]
    assert set(files) <= {pathlib.Path(os.path.normpath(path)) for path in sides}

    def found():
        return source_artifact(str(source), config, FileDigests(tmp_path / "runs")).fingerprint

    before = found()
    for file in files:
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert found() != before, file
        file.write_bytes(content)
    assert found() == before


def test_hidden_files_that_no_list_names_do_not_enter_the_recipe(photos, tmp_path):
    before = fingerprint(photos, tmp_path)
    (photos / "images" / "train" / "._00.png").write_bytes(b"as a Mac writes it beside 00.png")
    (photos / ".git").mkdir()
    (photos / ".git" / "index").write_bytes(b"1")
    assert fingerprint(photos, tmp_path) == before


LISTS = (".json", ".npz", ".parquet", ".csv")
"""Suffixes of files that may be a source of their own."""


@pytest.mark.skipif(not REPLICAS.is_dir(), reason="the replicas of public layouts are not there")
@pytest.mark.parametrize("case", sorted({case.partition("/")[0] for case in CASES}))
def test_every_file_that_a_public_layout_opens_is_one_of_the_source(case, tmp_path):
    generator(case).build(tmp_path / "data")
    below = [tmp_path / "data" / name.partition("/")[2] for name in CASES if name.partition("/")[0] == case]
    lists = [path for path in (tmp_path / "data").rglob("*") if path.suffix in LISTS and path.is_file()]
    for source in dict.fromkeys([*below, *lists]):
        opened = {file for file in read_all(source) if file.startswith(os.path.realpath(tmp_path))}
        assert opened - set(map(os.path.realpath, opened_files(source))) == set(), source
        assert opened or source in lists


def test_a_second_look_reads_no_file_again(tmp_path, monkeypatch):
    for kind in ("images", "masks"):
        (tmp_path / "many" / kind).mkdir(parents=True)
        for number in range(200):
            (tmp_path / "many" / kind / f"{number}.png").write_bytes(b"%d" % number)
    monkeypatch.setattr(file_digests, "RECENT", 0)
    first = fingerprint(tmp_path / "many", tmp_path)
    monkeypatch.setattr(file_digests, "file_digest", None)  # nothing is read
    assert fingerprint(tmp_path / "many", tmp_path) == first
