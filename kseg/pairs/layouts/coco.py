"""COCO: instances and panoptic segments in JSON, stuff as PNG, and the same JSON as Roboflow and label tools write it.

    images/train2017/X.jpg or train2017/X.jpg, annotations/instances_train2017.json       polygons and RLE, drawn by pycocotools
    annotations/panoptic_train2017.json + annotations/panoptic_train2017/X.png            ids of segments as colours
    stuffthingmaps/train2017/X.png or annotations/train2017/X.png                         values, 255 is void
    train/X.jpg + train/_annotations.coco.json                                            instances, as Roboflow has it

The index of a JSON file is read once in each process. Pixels of two categories are void, and so are crowds.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import os
import pathlib

import numpy as np
from PIL import Image

from kseg._extras import extra
from kseg.labels import VOID, voc_colour
from kseg.pairs.decoding import MAX_PIXELS, check_pixels
from kseg.pairs.derived_masks import paint
from kseg.pairs.errors import PairError, printable
from kseg.pairs.folder_files import check_file
from kseg.pairs.layouts.class_files import read_json
from kseg.pairs.layouts.coco_names import STUFF_AND_THINGS
from kseg.pairs.layouts.matching import find_images, find_masks, join, match, subfolder, subfolders
from kseg.pairs.layouts.recognised import Classes, Recognised
from kseg.pairs.listing import Fault, Listing, Pair
from kseg.pairs.mask_files import decode_mask, pack_colours
from kseg.pairs.other_formats import encode, side_of
from kseg.pairs.polygons import picture_size
from kseg.pairs.split_names import split_in_name, split_of_name

ROBOFLOW = "_annotations.coco.json"
MAX_OUTSIDE = 10  # sides of the picture that a polygon may reach


@dataclasses.dataclass(frozen=True)
class AnnotationFile:
    """A JSON file of COCO and where its pictures lie.

    Attributes:
        path: of the file.
        split: train, validation, test or "".
        images: folders to look for the pictures in.
    """

    path: pathlib.Path
    split: str
    images: tuple[pathlib.Path, ...]


@dataclasses.dataclass(frozen=True)
class CocoMask:
    """The mask of one picture, drawn from the annotations of a JSON file; see `kseg.pairs.sides.Side`.

    Args:
        path: the JSON file.
        image_id: of the picture.
        size: (height, width) in pixels.
        values: value of each category.
    """

    path: pathlib.Path
    image_id: int
    size: tuple[int, int]
    values: tuple[tuple[int, int], ...]

    kind = None
    own_file = None

    @property
    def name(self) -> str:
        return f"{printable(self.path)}, image_id {self.image_id}"

    @property
    def files(self) -> tuple[pathlib.Path, ...]:
        return (self.path,)

    def has_colour(self) -> bool:
        return False

    def read(self, max_pixels: int = MAX_PIXELS) -> bytes:
        check_pixels(*self.size[::-1], self.name, max_pixels)
        values = dict(self.values)
        mask, crowds = np.zeros(self.size, np.uint8), np.zeros(self.size, bool)
        for annotation in read_index(self.path).annotations.get(self.image_id, ()):
            inside = _draw(annotation, self.size, self.name)
            if annotation.get("iscrowd"):
                crowds |= inside
            elif annotation.get("category_id") not in values:
                raise _category_error(annotation, self.name)
            else:
                mask = paint(mask, inside, values[annotation["category_id"]])
        return encode(Image.fromarray(np.where(crowds, np.uint8(VOID), mask)))


def _category_error(annotation, where) -> PairError:
    return PairError(
        "unknown_label",
        f"Every annotation must have one of the categories. Received: category_id {annotation.get('category_id')}",
        where,
        "Export the file again.",
    )


def _draw(annotation, size, where) -> np.ndarray:
    """The pixels (H, W) of an annotation, bool: polygons or run lengths, as COCO's own tools draw them."""
    with extra("formats"):
        from pycocotools import mask as coco_mask

    area = annotation.get("segmentation")
    try:
        _check_extent(area, size)
        if isinstance(area, list):
            if not area:
                raise ValueError("no polygon")
            runs = coco_mask.merge(coco_mask.frPyObjects([list(map(float, polygon)) for polygon in area], *size))
        elif isinstance(area["counts"], list):
            runs = coco_mask.frPyObjects(area, *area["size"])
        else:
            runs = {"size": area["size"], "counts": area["counts"]}
        return coco_mask.decode(runs).astype(bool)
    except (TypeError, KeyError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise PairError(
            "bad_polygons",
            f"An annotation must have a polygon or run lengths. Received: annotation {annotation.get('id')}, {error}",
            where,
            "Export the file again with segmentations, not boxes alone.",
        ) from error


def _check_extent(area, size):
    """Refuses what would let COCO's tools, which check nothing, run on for long or take much memory."""
    if isinstance(area, list):
        short = next((polygon for polygon in area if len(polygon) < 6), None)
        if short is not None:  # which COCO's tools would take for a box
            raise ValueError(f"a polygon of {len(short)} numbers, which has no area")
        numbers = (float(number) for polygon in area for number in polygon)
        far = next((number for number in numbers if not abs(number) <= MAX_OUTSIDE * max(size)), None)
        if far is not None:
            raise ValueError(f"a coordinate of {far:g} in a picture of {size[1]}x{size[0]}")
        return
    if list(area["size"]) != list(size):
        raise ValueError(f"run lengths of {area['size']} for a picture of {list(size)}")
    counts = area["counts"]
    if isinstance(counts, list) and (
        sum(counts) != size[0] * size[1] or any(type(n) is not int or n < 0 for n in counts)
    ):
        raise ValueError(f"run lengths of {sum(counts)} pixels in all for {size[0] * size[1]}")


@dataclasses.dataclass(frozen=True)
class PanopticMask:
    """The mask of one picture whose segments are ids in colours, named by a JSON file; see `kseg.pairs.sides.Side`.

    Args:
        path: the PNG.
        index: the JSON file.
        image_id: of the picture.
        values: value of each category.
    """

    path: pathlib.Path
    index: pathlib.Path
    image_id: int
    values: tuple[tuple[int, int], ...]

    kind = None

    @property
    def name(self) -> str:
        return printable(self.path)

    @property
    def own_file(self) -> pathlib.Path:
        return self.path

    @property
    def files(self) -> tuple[pathlib.Path, ...]:
        return (self.path, self.index)

    def has_colour(self) -> bool:
        return False

    def read(self, max_pixels: int = MAX_PIXELS) -> bytes:
        pixels, _ = decode_mask(side_of(self.path).read(max_pixels), self.name, max_pixels)
        pixels = pixels if pixels.ndim == 3 else np.dstack([pixels, np.zeros_like(pixels), np.zeros_like(pixels)])
        ids = pack_colours(pixels[..., ::-1])  # red is the lowest byte
        mask, values = np.zeros(ids.shape, np.uint8), dict(self.values)
        try:
            for annotation in read_index(self.index).annotations.get(self.image_id, ()):
                for segment in annotation.get("segments_info", ()):
                    if segment.get("category_id") not in values:
                        raise _category_error(segment, self.name)
                    if not segment.get("iscrowd"):
                        mask[ids == int(segment["id"])] = values[segment["category_id"]]
        except PairError:  # is a ValueError, too
            raise
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise PairError(
                "bad_json",
                f"segments_info must list segments with id and category_id. Received: {type(error).__name__} {error}",
                f"{printable(self.index)}, image_id {self.image_id}",
                "Export the file again.",
            ) from error
        return encode(Image.fromarray(mask))


@dataclasses.dataclass(frozen=True)
class Index:
    """A JSON file of COCO: its pictures, categories, and annotations by picture."""

    images: tuple[dict, ...]
    categories: tuple[dict, ...]
    annotations: dict[int, list[dict]]


def read_index(path: pathlib.Path) -> Index:
    """The index of a JSON file, which is kept until the file changes.

    Raises:
        PairError: it is no such file.
    """
    try:
        changed = os.stat(path).st_mtime_ns
    except OSError as error:
        raise PairError(
            "missing_file",
            f"The annotations must exist. Received: {error.strerror}",
            printable(path),
            "Copy them again.",
        ) from error
    return _read_index(path, changed)


@functools.lru_cache(maxsize=4)
def _read_index(path, changed) -> Index:
    content = read_json(path)
    try:
        annotations = collections.defaultdict(list)
        for annotation in content["annotations"]:
            hash((annotation["image_id"], annotation.get("category_id")))
            if not isinstance(annotation.get("file_name") or "", str):
                raise TypeError(f"a file name but {annotation['file_name']!r}")
            annotations[annotation["image_id"]].append(annotation)
        for image in content["images"]:
            hash(image["id"])
            if not (isinstance(image["file_name"], str) and pathlib.PurePosixPath(image["file_name"]).name):
                raise TypeError(f"a file name but {image['file_name']!r}")
        for category in content["categories"]:
            hash(category.get("supercategory"))
            if not (type(category["id"]) is int and isinstance(category["name"], str) and category["name"]):
                raise TypeError(f"a number and a name but {category['id']!r}, {category['name']!r}")
        return Index(tuple(content["images"]), tuple(content["categories"]), dict(annotations))
    except (KeyError, TypeError, AttributeError) as error:
        raise PairError(
            "bad_json",
            f"A file of COCO must have images, annotations and categories. Received: none of {error}",
            printable(path),
            "Export it again as COCO JSON.",
        ) from error


def find_annotation_files(root: pathlib.Path, kind: str) -> list[AnnotationFile]:
    """The JSON files of a kind, "instances" or "panoptic", and where their pictures lie."""
    found = []
    if root.is_file():
        return (
            [_annotation_file(root, "", root.parent)] if root.suffix.lower() == ".json" and kind == "instances" else []
        )
    for folder in (subfolder(root, "annotations"), root):
        for path in sorted(folder.glob(f"{kind}*.json")) if folder else ():
            found.append(_annotation_file(path, kind, root))
        if found:
            return found
    if kind == "instances":
        for folder in (root, *subfolders(root).values()):
            path = folder / ROBOFLOW
            if path.is_file():
                found.append(AnnotationFile(path, split_of_name(folder.name) or "", (folder,)))
    return found


def _annotation_file(path, kind, root) -> AnnotationFile:
    name = path.stem.removeprefix(kind).strip("_-")
    split = split_of_name(name) or (split_in_name(name) or ("",))[0]
    folders = [subfolder(base, name) for base in (subfolder(root, "images"), root) if base and name]
    folders += [subfolder(root, "images"), path.parent, root, subfolder(root.parent, "images")]
    return AnnotationFile(path, split, tuple(folder for folder in folders if folder))


def recognise_instances(root: pathlib.Path) -> Recognised | None:
    """A folder with annotations/instances_*.json or <split>/_annotations.coco.json, or such a file.

    Raises:
        PairError: a JSON file cannot be read, or the categories of two differ.
    """
    files = find_annotation_files(root, "instances")
    if not files:
        return None
    categories = _categories(files)
    values = tuple((category["id"], number) for number, category in enumerate(categories, 1))
    pairs, faults, crowds = [], [], 0
    for file in files:
        index = read_index(file.path)
        crowds += sum(bool(a.get("iscrowd")) for annotations in index.annotations.values() for a in annotations)
        for entry in index.images:
            image = _find_picture(file, entry)
            mask = CocoMask(file.path, entry["id"], _size(entry, image), values)
            _add(pairs, faults, file, entry, image, mask)
    rows = [(0, "background", (0, 0, 0)), *_rows(categories)]
    notes = (f"{crowds} crowds are void, and so are pixels of two categories; pixels of none are background.",)
    name = "COCO instances"
    return Recognised(name, Listing(pairs, faults), root, Classes(tuple(rows), files[0].path.name, VOID), notes)


def recognise_panoptic(root: pathlib.Path) -> Recognised | None:
    """A folder with annotations/panoptic_*.json, each with a folder of its name.

    Raises:
        PairError: a JSON file cannot be read, or the categories of two differ.
    """
    files = [] if root.is_file() else find_annotation_files(root, "panoptic")
    if not files:
        return None
    categories = _categories(files)
    values = tuple((category["id"], number) for number, category in enumerate(categories, 1))
    pairs, faults = [], []
    for file in files:
        masks = subfolder(file.path.parent, file.path.stem, f"{file.path.stem}/{file.path.stem}") or file.path.parent
        index = read_index(file.path)
        stored = {image_id: found[0].get("file_name") for image_id, found in index.annotations.items()}
        for entry in index.images:
            place = masks / (stored.get(entry["id"]) or f"{pathlib.PurePath(entry['file_name']).stem}.png")
            mask = PanopticMask(place, file.path, entry["id"], values)
            _add(pairs, faults, file, entry, _find_picture(file, entry), mask)
    classes = Classes(((0, "void", (0, 0, 0)), *_rows(categories)), files[0].path.name, void=0)
    notes = ("Pixels of no segment and crowds are void.",)
    return Recognised("COCO panoptic", Listing(pairs, faults), root, classes, notes)


def recognise_stuff(root: pathlib.Path) -> Recognised | None:
    """A folder with images/train2017/ and stuffthingmaps/train2017/ or annotations/train2017/ of PNGs."""
    if root.is_file():
        return None
    images, listings = subfolder(root, "images") or root, []
    for masks in (
        subfolder(root, "stuffthingmaps"),
        subfolder(root, "annotations"),
        subfolder(root, "stuffthingmaps_trainval2017"),
    ):
        for name, folder in subfolders(masks).items() if masks else ():
            pictures = subfolder(images, name)
            if pictures and name.startswith(("train20", "val20")):
                listing = match(
                    find_images(pictures),
                    find_masks(folder),
                    split_of_name(name),
                    lambda key, folder=folder: folder / f"{key}.png",
                )
                listings.append(listing)
        if any(listing.pairs for listing in listings):
            rows = tuple((value, name, voc_colour(value)) for value, name in enumerate(STUFF_AND_THINGS))
            return Recognised("COCO stuff", join(listings), root, Classes(rows, "COCO-Stuff, labels.txt", VOID))
    return None


def _categories(files) -> list[dict]:
    """The categories by id, which all files must share; what Roboflow adds as their parent and never uses is left out."""
    by_id, used = {}, set()
    for file in files:
        index = read_index(file.path)
        used |= {annotation.get("category_id") for found in index.annotations.values() for annotation in found}
        for category in index.categories:
            if by_id.setdefault(category["id"], category)["name"] != category["name"]:
                raise PairError(
                    "two_tables",
                    f"The categories of all files must agree. Received: {category['name']!r} and "
                    f"{by_id[category['id']]['name']!r} for {category['id']}",
                    printable(file.path),
                    "Export all splits together.",
                )
    parents = {category.get("supercategory") for category in by_id.values()}
    kept = [
        category
        for number, category in sorted(by_id.items())
        if number in used or not (category.get("supercategory") == "none" and category["name"] in parents)
    ]
    if len(kept) >= VOID:
        raise PairError(
            "too_many_classes",
            f"There must be fewer than {VOID} categories. Received: {len(kept)}",
            printable(files[0].path),
            "Join or drop categories.",
        )
    return kept


def _rows(categories) -> list[tuple]:
    return [(number, category["name"], _colour(category, number)) for number, category in enumerate(categories, 1)]


def _colour(category, number) -> tuple[int, int, int]:
    """The colour of a category where it has one, or else that of PASCAL VOC."""
    colour = category.get("color")
    stated = (
        isinstance(colour, list) and len(colour) == 3 and all(type(part) is int and 0 <= part < 256 for part in colour)
    )
    return tuple(colour) if stated else voc_colour(number)


def _size(entry, image) -> tuple[int, int]:
    """(height, width) as the file states it, or else of the picture."""
    stated = entry.get("height"), entry.get("width")
    if all(type(number) is int and number > 0 for number in stated):
        return stated
    try:
        if image is None:
            return (0, 0)
        check_file(image)
        return picture_size(side_of(image), MAX_PIXELS)
    except PairError:  # is reported when the picture is read
        return (0, 0)


def _find_picture(file: AnnotationFile, entry) -> pathlib.Path | None:
    name = str(entry["file_name"]).replace("\\", "/").lstrip("/")
    candidates = [folder / part for folder in file.images for part in (name, pathlib.PurePosixPath(name).name)]
    return next((path for path in candidates if path.is_file()), None)


def _add(pairs, faults, file, entry, image, mask):
    side = side_of(image or file.images[0] / str(entry["file_name"]))
    pair = Pair(pathlib.PurePosixPath(str(entry["file_name"])).with_suffix("").as_posix(), file.split, side, mask)
    if image is None:
        error = PairError(
            "missing_image",
            f"Every image of the annotations must exist. Received: no {printable(entry['file_name'])}",
            mask.name,
            "Copy the images, or remove their annotations.",
        )
        faults.append(Fault(pair, error))
    elif isinstance(mask, PanopticMask) and not mask.path.is_file():
        error = PairError("missing_mask", "Every image must have a mask. Received: no such file", mask.name, "Copy it.")
        faults.append(Fault(pair, error))
    else:
        pairs.append(pair)
