"""Nothing outside the folder of the data is opened by a run, printed, or found below its root afterwards."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pipeline import run
from pipeline.examples.quarantine import copy_quarantined
from tests.conftest import ROOT

MARK = b"KEEP-THIS-PRIVATE"
OPENED: list | None = None


def _record(event, arguments):
    if event == "open" and OPENED is not None and isinstance(arguments[0], str | bytes):
        OPENED.append(os.path.realpath(os.fsdecode(arguments[0])))


sys.addaudithook(_record)  # cannot be removed, hence the switch OPENED


@pytest.fixture
def secrets(photos):
    """Files next to the data set that anybody would like to see: a picture, a mask, a text."""
    folder = photos.parent / "private"
    folder.mkdir()
    text = PngImagePlugin.PngInfo()
    text.add_text("mark", MARK.decode())
    size = Image.open(photos / "images" / "train" / "05.png").size
    Image.new("RGB", size, (1, 2, 3)).save(folder / "image.png", pnginfo=text)
    Image.fromarray(np.zeros(size[::-1], np.uint8)).save(folder / "mask.png", pnginfo=text)
    (folder / "text").write_bytes(b"value,name,red,green,blue\n" + MARK + b",a,1,2,3\n")
    return folder


def link(path, target):
    path.unlink()
    path.symlink_to(target)


def table(photos, row):
    names = [f"{kind}/train/0{number}.png" for number in range(3) for kind in ("images", "masks")]
    rows = [f"{image},{mask},train" for image, mask in zip(names[::2], names[1::2], strict=True)]
    rows += ["images/val/06.png,masks/val/06.png,val", f"{row},train"]
    (photos / "pairs.csv").write_text("\n".join(["image,mask,split", *rows, ""]))
    return photos / "pairs.csv"


def voc(photos):
    root = photos / "voc"
    shutil.copytree(photos / "images" / "train", root / "JPEGImages")
    shutil.copytree(photos / "masks" / "train", root / "SegmentationClass")
    shutil.copy(photos / "classes.csv", root)
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("00\n01\n02\n")
    (root / "ImageSets" / "Segmentation" / "val.txt").write_text("03\n04\n")
    return root


def absolute_row(photos, private):
    return table(photos, f"{private}/image.png,{private}/mask.png")


def bad_rows(photos, private):
    """Absolute paths, paths that climb, paths of texts, and a path of a link."""
    link(photos / "images" / "train" / "05.png", private / "image.png")
    rows = [
        f"{private}/image.png,{private}/mask.png",
        "../private/image.png,../private/mask.png",
        f"{private}/text,{private}/text",
        "images/train/05.png,masks/train/05.png",
    ]
    return table(photos, ",train\n".join(rows))


def linked_image(photos, private):
    link(photos / "images" / "train" / "05.png", private / "image.png")


def bad_links(photos, private):
    """Of an image, a mask, an unused mask, another file, and a folder."""
    linked_image(photos, private)
    link(photos / "masks" / "train" / "04.png", private / "mask.png")
    (photos / "masks" / "train" / "unused.png").symlink_to(private / "mask.png")
    (photos / "notes.txt").symlink_to(private / "text")
    linked_folder(photos, private)


def linked_mask_without_classes(photos, private):
    (photos / "classes.csv").unlink()
    link(photos / "masks" / "train" / "05.png", private / "mask.png")


def linked_folder(photos, private):
    (photos / "images" / "train" / "more").symlink_to(private)
    (photos / "masks" / "train" / "more").symlink_to(private)


def linked_split(photos, private):
    shutil.rmtree(photos / "masks" / "train")
    (photos / "masks" / "train").symlink_to(private)


def linked_classes(photos, private):
    link(photos / "classes.csv", private / "text")


def linked_voc_image(photos, private):
    root = voc(photos)
    link(root / "JPEGImages" / "00.png", private / "image.png")
    return root


def linked_voc_list(photos, private):
    root = voc(photos)
    link(root / "ImageSets" / "Segmentation" / "train.txt", private / "text")
    return root


def coco_without_sizes(photos, private):
    """Annotations that state no sizes, so that these are looked up in the pictures, of which some lie outside."""
    link(photos / "images" / "train" / "05.png", private / "image.png")
    places = ["00.png", "01.png", "05.png", "../../../private/image.png", f"{private}/image.png"]
    images = [{"id": number, "file_name": place} for number, place in enumerate(places)]
    area = {"category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]], "iscrowd": 0}
    annotations = [{"id": number, "image_id": number, **area} for number in range(len(places))]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "a"}]}
    (photos / "coco" / "annotations").mkdir(parents=True)
    (photos / "coco" / "annotations" / "instances_train.json").write_text(json.dumps(content))
    (photos / "images" / "train").rename(photos / "coco" / "images")
    return photos / "coco"


@pytest.mark.parametrize(
    ("prepare", "status"),
    [
        (bad_rows, 0),
        (bad_links, 0),
        (linked_mask_without_classes, 2),
        (linked_split, 2),
        (linked_classes, 2),
        (linked_voc_image, 0),
        (linked_voc_list, 2),
        (coco_without_sizes, 0),
    ],
)
def test_no_file_outside_the_data_is_opened_printed_or_copied(prepare, status, photos, secrets, tmp_path, capsys):
    global OPENED
    source = prepare(photos, secrets) or photos
    root = tmp_path / "root"
    arguments = ["--data", str(source), "--root", str(root), "--push-to", str(root), "--ignore-value", "9"]
    OPENED = []
    try:
        assert run.main([*arguments, "--until", "example_gen"]) == status
    finally:
        opened, OPENED = OPENED, None
    assert status == 2 or [path for path in opened if path.startswith(str(photos)) and path.endswith(".png")]
    assert not [path for path in opened if path.startswith(str(secrets))]
    printed = capsys.readouterr()
    assert MARK.decode() not in printed.out + printed.err
    assert not [path for path in root.rglob("*") if path.is_file() and MARK in path.read_bytes()]


@pytest.mark.parametrize("prepare", [linked_image, linked_folder])
def test_links_out_of_the_data_are_read_where_the_user_says_so(prepare, photos, secrets, tmp_path):
    prepare(photos, secrets)
    for name in ("image", "mask"):  # one name for both sides of the pair
        shutil.copy(secrets / f"{name}.png", secrets / "pair.png")
    arguments = ["--data", str(photos), "--root", str(tmp_path / "root"), "--push-to", str(tmp_path / "models")]
    assert run.main([*arguments, "--ignore-value", "9", "--until", "example_gen", "--follow-links"]) == 0
    (recipe,) = (tmp_path / "root" / "example_gen").glob("*/recipe.json")
    assert json.loads(recipe.read_text())["config"]["follow_links"] is True
    assert any(MARK in path.read_bytes() for path in recipe.parent.rglob("*") if path.is_file())


def test_absolute_paths_below_the_data_root_are_read_and_the_root_is_in_the_recipe(photos, secrets, tmp_path):
    source = absolute_row(photos, secrets)
    arguments = ["--data", str(source), "--root", str(tmp_path / "root"), "--push-to", str(tmp_path / "models")]
    more = ["--ignore-value", "9", "--until", "example_gen", "--data-root", str(photos.parent)]
    assert run.main([*arguments, *more]) == 0
    (recipe,) = (tmp_path / "root" / "example_gen").glob("*/recipe.json")
    assert json.loads(recipe.read_text())["config"]["data_root"] == str(photos.parent)
    ingestion = json.loads((recipe.parent / "ingestion.json").read_text())
    assert ingestion["quarantined"] == [] and ingestion["pairs"]["train"] == 4


def test_copies_have_at_most_the_permissions_of_the_originals(tmp_path):
    from kseg.pairs.sides import PlainFile

    row = {"split": "train", "key": "0", "image": "", "mask": "", "name": "", "what": "", "where": "", "cure": ""}
    for number, (mode, umask) in enumerate([(0o600, 0o022), (0o644, 0o022), (0o666, 0o077), (0o400, 0o022)]):
        sides = []
        for name in ("image", "mask"):
            path = tmp_path / f"{name}{number}.png"
            path.write_bytes(b"x")
            path.chmod(mode)
            sides.append(PlainFile(path))
        before = os.umask(umask)
        try:
            copy_quarantined(tmp_path / str(number), [row], {("train", "0"): tuple(sides)}, 100)
        finally:
            os.umask(before)
        for name in ("image", "mask"):
            copy = tmp_path / str(number) / "000" / f"{name}.png"
            assert copy.read_bytes() == b"x" and copy.stat().st_mode & 0o777 == mode & ~umask


@pytest.mark.parametrize("layout", ["folder", "table"])
def test_the_fingerprint_covers_what_links_and_tables_lead_to(layout, photos, tmp_path):
    from pipeline.engine.file_digests import FileDigests
    from pipeline.examples.sources.fingerprints import source_artifact
    from pipeline.settings.example_gen import ExampleGen

    (photos / "raw").mkdir()
    for kind in ("images", "masks"):
        (photos / kind / "val").rename(photos / "raw" / kind)
        (photos / kind / "val").symlink_to(photos / "raw" / kind)
    source = table(photos, "images/train/05.png,masks/train/05.png") if layout == "table" else photos

    def look(source):
        return source_artifact(str(source), ExampleGen(), FileDigests(tmp_path / "runs"))

    artifact = look(source)
    assert artifact.fingerprint == artifact.rehash() == look(source).fingerprint
    shutil.copy(photos / "raw" / "images" / "07.png", photos / "raw" / "images" / "06.png")
    changed = artifact.rehash()
    assert changed != artifact.fingerprint
    (photos / "classes.csv").write_text("value,name,red,green,blue\n0,a,1,2,3\n")
    assert artifact.rehash() not in (changed, artifact.fingerprint)
    moved = photos.rename(tmp_path / "moved")
    for kind in ("images", "masks"):
        (moved / kind / "val").unlink()
        (moved / kind / "val").symlink_to(f"../raw/{kind}")
    before = look(moved / source.relative_to(photos)).fingerprint
    shutil.copytree(moved, tmp_path / "copied", symlinks=True)
    assert look(tmp_path / "copied" / source.relative_to(photos)).fingerprint == before


WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", sys.executable, "-c"]


@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("setpriv") is None, reason="needs root, and setpriv to give up its rights"
)
def test_what_cannot_be_read_is_set_aside_and_the_rest_is_listed(photos, tmp_path):
    (photos / "images" / "train" / "00.png").chmod(0)
    (photos / "images" / "train" / "closed").mkdir(mode=0)
    program = f"""if True:
        import json, pathlib
        from kseg.labels import LabelMap
        from kseg.pairs.errors import PairError
        from kseg.pairs.image_folder import read_pair, recognise_pairs
        from pipeline.engine.file_digests import FileDigests
        from pipeline.examples.sources.fingerprints import source_artifact
        from pipeline.settings.example_gen import ExampleGen
        photos = pathlib.Path({str(photos)!r})
        artifact = source_artifact(str(photos), ExampleGen(), FileDigests({str(tmp_path / "root")!r}))
        assert artifact.fingerprint == artifact.rehash()
        listing, labels = recognise_pairs(photos).listing, LabelMap.from_csv(photos / "classes.csv", 9)
        found = {{fault.pair.key: fault.error.name for fault in listing.faults}}
        for pair in listing.pairs:
            try:
                read_pair(pair, labels)
            except PairError as error:
                found[pair.key] = error.name
        print(json.dumps([found, len(listing.pairs)]))
    """
    done = subprocess.run([*WITHOUT_RIGHTS, program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"closed": "unreadable_folder", "00": "unreadable_file"}, 10]
