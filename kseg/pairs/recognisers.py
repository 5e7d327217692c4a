"""Every layout that is recognised, by the name that `layout` takes, and the search for one in a folder and the folders in it."""

from __future__ import annotations

import dataclasses
import pathlib

from kseg._suggestions import did_you_mean
from kseg.pairs.errors import PairError
from kseg.pairs.folder_files import Boundary, boundary_of, walk_files
from kseg.pairs.layouts import (
    ade20k,
    aerial,
    camvid,
    carvana,
    cityscapes,
    coco,
    csv_table,
    drive,
    folders,
    guesses,
    hugging_face,
    label_tools,
    nnunet,
    numpy_files,
    own_folders,
    oxford_pet,
    patterns,
    polyps,
    run_lengths,
    stacks,
    vistas,
    voc,
)
from kseg.pairs.layouts.matching import subfolders
from kseg.pairs.layouts.recognised import Recognised
from kseg.pairs.listing import IMAGE_SUFFIXES

NAMED = {
    "ade20k": ade20k.recognise,
    "camvid": camvid.recognise,
    "carvana": carvana.recognise,
    "cityscapes": cityscapes.recognise,
    "coco-instances": coco.recognise_instances,
    "coco-panoptic": coco.recognise_panoptic,
    "coco-stuff": coco.recognise_stuff,
    "cvc-clinicdb": polyps.recognise_cvc,
    "deepglobe": aerial.recognise_deepglobe,
    "drive": drive.recognise,
    "hugging-face": hugging_face.recognise_folder,
    "isbi2012": stacks.recognise,
    "kvasir-seg": polyps.recognise_kvasir,
    "label-studio": label_tools.recognise_label_studio,
    "labelme": label_tools.recognise_labelme,
    "loveda": aerial.recognise_loveda,
    "nnunet": nnunet.recognise,
    "numpy": numpy_files.recognise,
    "oxford-pet": oxford_pet.recognise,
    "parquet": hugging_face.recognise_parquet,
    "potsdam": aerial.recognise_potsdam,
    "roboflow": label_tools.recognise_roboflow,
    "supervisely": label_tools.recognise_supervisely,
    "table": csv_table.recognise,
    "vistas": vistas.recognise,
    "vistas-v2": vistas.recognise_v2,
    "voc": voc.recognise,
    "yolo": label_tools.recognise_yolo,
}
"""Layouts that are recognised by names of their own."""

FOLDERS = {"folders": folders.recognise}
"""Layouts that are tried where no named one answers."""

TABLES = {"run-lengths": run_lengths.recognise}
"""Layouts that are tried where folders of masks are none."""

CLASS_FOLDERS = "class-folders"
ON_REQUEST = {
    CLASS_FOLDERS: patterns.recognise_class_folders,
    "cityscapes-labelids": cityscapes.recognise_label_ids,
    "potsdam-irrg": aerial.recognise_potsdam_irrg,
    "voc-aug": voc.recognise_augmented,
}
"""Readings beside a usual one, which are taken only where `layout` names them."""

RECOGNISERS = NAMED | FOLDERS | TABLES | ON_REQUEST

MAX_DEPTH = 3
MAX_FOLDERS = 200
"""Limits of the search below a folder that is no data set itself."""


def find_readings(
    root: pathlib.Path,
    layout: str | None = None,
    images: str | None = None,
    masks: str | None = None,
    boundary: Boundary | None = None,
) -> list[Recognised]:
    """Every reading of a folder or file, or else of the folders in it that are nearest.

    Args:
        root: an existing folder or file.
        layout: the one to try; None: all.
        images: pattern of the images, with `masks`: no layout is looked for then; "class-folders" may go with them.
        masks: pattern of the masks.
        boundary: outside which no file is opened; None: the folder, or that of the file.

    Returns:
        Readings whose `options` select them; several where the user has to choose, none where nothing is recognised.

    Raises:
        PairError: a layout is certain, and cannot be used as a whole.
        ValueError: `layout` is unknown, or goes with patterns, or one of the patterns is missing.
    """
    if images or masks:
        if not (images and masks) or layout not in (None, CLASS_FOLDERS):
            raise ValueError(
                f"`images` and `masks` must be given together, without `layout` or with that of {CLASS_FOLDERS}. "
                f"Received: images={images!r}, masks={masks!r}, layout={layout!r}."
            )
        read = patterns.recognise_class_folders if layout else patterns.recognise
        with (boundary or boundary_of(root)).enforced():
            return [read(root, images, masks)]
    if layout is not None and layout not in RECOGNISERS:
        cure = did_you_mean(layout, RECOGNISERS, f"There are: {', '.join(RECOGNISERS)}.")
        raise ValueError(f"`layout` must name a layout. Received: layout={layout!r}.{cure}")
    with (boundary or boundary_of(root)).enforced():
        return _find(root, layout)


def _find(root, layout) -> list[Recognised]:
    if layout is not None:
        return _first_level(root, {layout: RECOGNISERS[layout]})
    if root.is_file():
        return _try(root, NAMED)
    if (root / "images").is_dir() and (root / "masks").is_dir():
        named = _try(root, NAMED)
        if any(_uses(reading, root / "masks") for reading in named):
            return named
        return named + _own_readings(root)
    inner = _without_outer_folders(root)
    if found := _first_level(root, NAMED):
        return found
    try:
        found = _own_readings(inner) or _below(inner)
    except PairError:
        if tables := _try(root, TABLES):
            return tables
        raise
    return found or _try(root, TABLES) or guesses.guess_readings(inner)


def _uses(reading, folder) -> bool:
    """Whether masks of a reading lie in a folder."""
    return any(path.is_relative_to(folder) for pair in reading.listing.pairs for path in pair.mask.files)


def _try(root, recognisers) -> list[Recognised]:
    answers = {name: recognise(root) for name, recognise in recognisers.items()}
    return [
        dataclasses.replace(found, options=("--layout", name), layout=name) for name, found in answers.items() if found
    ]


def _first_level(root, recognisers) -> list[Recognised]:
    """The readings of a folder; of the folders in it where it has none itself, and so on."""
    level, looked = [root], 0
    for _ in range(MAX_DEPTH + 1):
        found = [reading for folder in level for reading in _try(folder, recognisers)]
        looked += len(level)
        level = [inner for folder in level for inner in subfolders(folder).values()] if not root.is_file() else []
        if found or not level or looked + len(level) > MAX_FOLDERS:
            return found
    return []


def _without_outer_folders(root) -> pathlib.Path:
    """The folder below those that hold nothing but one folder and texts, as archives unpack."""
    for _ in range(MAX_DEPTH):
        inner = list(subfolders(root).values())
        if len(inner) != 1 or own_folders.says_something(inner[0].name) or own_folders.has_pictures(root):
            break
        (root,) = inner
    return root


def _own_readings(root) -> list[Recognised]:
    """The readings of folders that nobody but their names describes.

    The layout images/ and masks/ is one of them, and its own recogniser knows its faults best.
    """
    if plain := _plain_reading(root):
        return plain
    found = own_folders.find_own_readings(root)
    exact = (root / "images").is_dir() and ((root / "masks").is_dir() or not found)
    if exact and len(found) < 2:
        try:
            exactly = _try(root, FOLDERS)
            return [own for own in found.values() if _pairs_more(own, exactly)] or exactly
        except PairError as error:
            complete = found and all(_lists_all(reading, root / "images") for reading in found.values())
            if error.name != "missing_mask" or not complete:
                raise
    return list(found.values())


def _plain_reading(root) -> list[Recognised]:
    """The reading of images/ and masks/ where nothing else holds pictures and each has its partner; it is the quickest."""
    if not ((root / "images").is_dir() and (root / "masks").is_dir() and own_folders.has_one_kind_each(root)):
        return []
    try:
        found = _try(root, FOLDERS)
    except PairError:  # is raised again if there is no other reading
        return []
    return [] if any(reading.listing.faults or reading.listing.unused_masks for reading in found) else found


def _pairs_more(own: Recognised, exactly: list[Recognised]) -> bool:
    """Whether a reading finds masks that are merely named otherwise, as 7.jpg and 007.png beside 100.jpg and 100.png."""
    return all(
        len(own.listing.pairs) > len(other.listing.pairs)
        and {fault.error.name for fault in other.listing.faults} == {"missing_mask"}
        for other in exactly
    )


def _lists_all(reading: Recognised, folder: pathlib.Path) -> bool:
    """Whether every picture below a folder is one of the reading; a split that is left out should stop the run instead."""
    listing = reading.listing
    listed = {path for pair in listing.every_pair for path in pair.image.files}
    pictures = (path for path in walk_files(folder) if path.suffix.lower() in IMAGE_SUFFIXES)
    return all(path in listed for path in pictures)


def _below(root) -> list[Recognised]:
    """The own folders in the folders below, where the folder has none itself."""
    return [reading for folder in subfolders(root).values() for reading in _own_readings(folder)]
