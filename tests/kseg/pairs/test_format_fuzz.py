"""Damaged files of every format that is read give pictures or a named fault: no other exception, no hang, no heap of memory.

Each example damages one file of a small valid data set, by bytes or, where it is JSON, by parts of its content, and reads all.
"""

import contextlib
import io
import itertools
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import tempfile

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from kseg.labels import LabelMap
from kseg.pairs.conventions import count_channels
from kseg.pairs.errors import PairError
from kseg.pairs.image_files import decode_image
from kseg.pairs.image_folder import read_pair, recognise_pairs
from kseg.pairs.layouts.class_files import find_classes, read_known_file
from tests.kseg.pairs.layouts import test_other_layouts as layouts
from tests.kseg.pairs.layouts.test_damaged_json import labelme, other, supervisely
from tests.kseg.pairs.layouts.test_other_layouts import NAMES, SIZE, mask, picture, text
from tests.kseg.pairs.test_reader_fuzz import AMOUNTS, check

SECONDS = 60
"""Guards against an example that never ends, also on a loaded machine."""
MEMORY = 2**20
"""KiB that the examples of one reader may add to the process: much less than a bomb, more than caches and libraries."""
MAX_PIXELS = 1_000_000
ALL = LabelMap(tuple(map(str, range(255))), tuple((n, n, n) for n in range(255)), tuple(range(255)), ignore_value=255)


def panoptic(root):
    images = [{"id": n, "file_name": f"{name}.jpg", "height": SIZE[0], "width": SIZE[1]} for n, name in enumerate("ab")]
    annotations = []
    for image in images:
        picture(root / "train2017" / image["file_name"])
        place = f"{image['file_name'][0]}.png"
        mask(root / "annotations" / "panoptic_train2017" / place, (1, 0, 0), (2, 0, 0))
        segments = [{"id": 1, "category_id": 1}, {"id": 2, "category_id": 7, "iscrowd": 0}]
        annotations.append({"image_id": image["id"], "file_name": place, "segments_info": segments})
    categories = [{"id": 1, "name": "cat"}, {"id": 7, "name": "dog", "color": [1, 2, 3]}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    text(root / "annotations" / "panoptic_train2017.json", content)


def run_lengths(root):
    from pycocotools import mask as coco_mask

    inside = np.zeros(SIZE, np.uint8, order="F")
    inside[:, 5:] = 1
    packed = coco_mask.encode(inside)
    areas = [
        {"size": list(SIZE), "counts": packed["counts"].decode()},
        {"size": list(SIZE), "counts": [30, 18]},
    ]
    images = [{"id": n, "file_name": f"{name}.jpg", "height": SIZE[0], "width": SIZE[1]} for n, name in enumerate("ab")]
    for image in images:
        picture(root / "train" / image["file_name"])
    annotations = [{"id": n, "image_id": n, "category_id": 1, "segmentation": area} for n, area in enumerate(areas)]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
    text(root / "train" / "_annotations.coco.json", content)


def parquet(root):
    import pyarrow
    from pyarrow import parquet

    def cell(pixels):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        return {"bytes": stream.getvalue(), "path": "x"}

    images = [cell(np.full((*SIZE, 3), n, np.uint8)) for n in range(3)]
    masks = [cell(np.full(SIZE, n, np.uint8)) for n in range(3)]
    parquet.write_table(pyarrow.table({"image": images, "label": masks}), root / "train.parquet", row_group_size=2)


def tiff_pages(root):
    for name in ("train-volume.tif", "train-labels.tif"):
        pages = [Image.fromarray(np.full(SIZE, 255 * (n % 2), np.uint8)) for n in range(3)]
        pages[0].save(root / name, save_all=True, append_images=pages[1:])


def other_pictures(root):
    for number, suffix in enumerate((".tif", ".bmp", ".gif", ".webp", ".jp2", ".ppm")):
        picture(root / "images" / f"{number}{suffix}")
    for number, suffix in enumerate((".tif", ".bmp", ".gif", ".png", ".tif", ".pgm")):
        mask(root / "masks" / f"{number}{suffix}", 0, 1)


def npy_files(root):
    for folder, shape in (("images", (*SIZE, 3)), ("masks", SIZE)):
        (root / folder).mkdir()
        for name in "ab":
            np.save(root / folder / f"{name}.npy", np.ones(shape, np.uint8))


def label_studio(root):
    tasks = []
    for number, name in enumerate("ab", 1):
        picture(root / "photos" / f"{name}.jpg")
        mask(root / "export" / f"task-{number}-annotation-2-by-3-tag-cat-0.png", 0, 255)
        tasks.append({"id": number, "data": {"image": f"/data/upload/1/{name}.jpg"}})
    text(root / "export.json", tasks)


def hugging_face(root):
    rows = []
    for name in "ab":
        picture(root / "train" / f"{name}.jpg")
        mask(root / "train" / f"{name}_mask.png", 0, 1)
        rows.append(json.dumps({"file_name": f"{name}.jpg", "mask_file_name": f"{name}_mask.png"}))
    text(root / "train" / "metadata.jsonl", "\n".join(rows))
    text(root / "id2label.json", {"0": "a", "1": "b"})


def voc_lists(root):
    for name in NAMES:
        picture(root / "JPEGImages" / f"{name}.jpg")
        mask(root / "SegmentationClass" / f"{name}.png", 0, 1)
    text(root / "ImageSets" / "Segmentation" / "train.txt", "a\nb\nc\n")
    text(root / "labelmap.txt", "background:0,0,0::\ncat:255,0,0::\n")


def split_lists(root):
    for name in NAMES:
        picture(root / "images" / f"{name}.jpg")
        mask(root / "masks" / f"{name}.png", 0, 1)
    text(root / "train.txt", "a\nb\n")
    text(root / "val.txt", "images/c.jpg masks/c.png\n")
    text(root / "pairs.csv", "image,mask,split\nimages/a.jpg,masks/a.png,train\n")


def class_tables(root):
    for name in NAMES[:2]:
        picture(root / "images" / f"{name}.jpg")
        mask(root / "masks" / f"{name}.png", 0, 1)
    text(root / "colormap.csv", "name,r,g,b\nbackground,0,0,0\ncat,255,0,0\n")
    text(root / "colors.json", {"background": [0, 0, 0], "cat": [255, 0, 0]})
    text(root / "palette.txt", "0 background 0 0 0\n1 cat 255 0 0\n")
    text(root / "data.yaml", "names:\n  0: background\n  1: cat\n")
    text(root / "class_dict.csv", "name,r,g,b\nbackground,0,0,0\ncat,255,0,0\n")


def run_length_table(root):
    for name in "abc":
        picture(root / "train_images" / f"{name}.jpg")
    text(root / "train.csv", "ImageId,ClassId,EncodedPixels\na.jpg,1,1 6 13 2\na.jpg,3,48 1\nb.jpg,3,1 6\n")


BUILDERS = [
    class_tables,
    hugging_face,
    label_studio,
    labelme,
    layouts.nnunet,
    layouts.one_npz_a_pair,
    layouts.one_npz_in_a_folder,
    layouts.roboflow_coco,
    layouts.roboflow_masks,
    layouts.stacked_npy,
    layouts.vistas,
    layouts.yolo,
    npy_files,
    other_pictures,
    panoptic,
    parquet,
    run_length_table,
    run_lengths,
    split_lists,
    supervisely,
    tiff_pages,
    voc_lists,
]
MEMORY_DISK = pathlib.Path("/dev/shm")
"""Where files are written, if it is there: 10,000 examples wait for a disk longer than they compute."""
PLAIN = {".jpg", ".png"}  # fuzzed by test_reader_fuzz, but where another format is not to be had


def damage(data: bytes, draw: random.Random) -> bytes:
    """The bytes of a file with some changed, left out or put in; of JSON perhaps with other content."""
    if data[:1] in (b"{", b"[") and draw.random() < 0.6:
        with contextlib.suppress(ValueError):
            return json.dumps(other(json.loads(data), draw)).encode()
    for _ in range(draw.randint(1, 4)):
        start = draw.randint(0, len(data))
        new = draw.choice(
            [b"", b"\0", b"\xff", b"\xff\xff\xff\xff", b"9", b"-1", b"1e99", b"\n", b",", draw.randbytes(4)]
        )
        length = draw.choice([len(new), len(new), len(new), 0, 1, 8, 10_000])
        data = data[:start] + new + data[start + length :]
    return data


@contextlib.contextmanager
def ends():
    """Fails where its body takes longer than SECONDS."""

    def stop(*_):
        pytest.fail(f"an example did not end in {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def read_all(root, damaged=None) -> None:
    """Reads everything in a folder; only named faults and refusals are let through, and pictures must fit their masks.

    Args:
        root: the folder.
        damaged: the only file that is damaged; None: any. Of pairs of other files one is read.
    """
    try:
        for path in root.iterdir():
            if path.is_file() and path.suffix in (".csv", ".txt", ".json", ".yaml"):
                with contextlib.suppress(PairError):
                    read_known_file(path)
        find_classes(root)
        found = recognise_pairs(root)
        labels = found.classes.label_map() if found.classes else ALL
        channels = count_channels(found.listing.pairs)
    except ValueError as error:
        assert "Received: " in str(error), repr(error)
        return
    pairs = found.listing.pairs
    touched = [pair for pair in pairs if damaged is None or damaged in pair.files]
    for pair in touched or pairs[:1]:
        try:
            image, label_map, _ = read_pair(pair, labels, channels, MAX_PIXELS)
        except PairError as error:
            assert error.name and error.where and error.cure and "Received: " in error.what
            continue
        ids = decode_image(label_map)[..., 0]
        assert decode_image(image).shape[:2] == ids.shape
        assert set(np.unique(ids)) <= {*range(labels.num_classes), 255}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
@pytest.mark.parametrize("amount", [pytest.param(20), AMOUNTS[1]])
def test_a_damaged_file_gives_pictures_or_a_named_fault(amount, build, tmp_path, request):
    root = tempfile.mkdtemp(dir=MEMORY_DISK if MEMORY_DISK.is_dir() else tmp_path)
    request.addfinalizer(lambda: shutil.rmtree(root))
    root = pathlib.Path(root)
    build(root)
    files = {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
    special = [path for path in files if path.suffix not in PLAIN] or list(files)
    times = itertools.count(10**18)  # another one each time, since indices are remembered by time of change
    read_all(root)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @check(amount, st.integers(0, 2**32))
    def _(seed):
        draw = random.Random(seed)
        chosen = draw.choice(special)
        chosen.write_bytes(damage(files[chosen], draw))
        os.utime(chosen, ns=(next(times),) * 2)
        try:
            with ends():
                read_all(root, chosen)
        except BaseException:
            print(f"seed {seed}, {chosen}: {chosen.read_bytes()[:400]!r}")
            raise
        finally:
            chosen.write_bytes(files[chosen])
            os.utime(chosen, ns=(next(times),) * 2)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY
