"""What label tools export: LabelMe and Supervisely polygons, Label Studio's brush masks, YOLO polygons, Roboflow's masks.

a.jpg + a.json with shapes, or a.json with imageData             LabelMe
meta.json, ds0/img/a.jpg + ds0/ann/a.jpg.json                    Supervisely
photos/a.jpg + export/task-1-annotation-2-by-3-tag-cat-0.png     Label Studio, tied by the JSON export beside
images/train/a.jpg + labels/train/a.txt, data.yaml               YOLO, as Ultralytics has it
train/a.jpg + train/a_mask.png, train/_classes.csv               Roboflow, semantic masks
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import urllib.parse

from kseg.labels import VOID, voc_colour
from kseg.pairs.derived_masks import JoinedMasks
from kseg.pairs.errors import PairError, printable
from kseg.pairs.layouts.class_files import read_json, read_roboflow, yaml_names
from kseg.pairs.layouts.matching import (
    file_in,
    find_images,
    join,
    keep_ending,
    match,
    subfolder,
    subfolders,
    walk,
)
from kseg.pairs.layouts.recognised import Classes, Recognised
from kseg.pairs.listing import IMAGE_SUFFIXES, MASK_SUFFIXES, Fault, Listing, Pair
from kseg.pairs.other_formats import side_of
from kseg.pairs.polygons import (
    EmbeddedPicture,
    NoShapes,
    PolygonFile,
    parse_labelme,
    parse_supervisely,
    parse_yolo,
    printable_label,
)
from kseg.pairs.split_names import split_of_name

TASK = re.compile(r"task-(?P<task>\d+)-annotation-\d+-by-\d+-tag-(?P<label>.+)-\d+\.png", re.IGNORECASE)
"""Names of Label Studio's brush masks."""


def split_and_key(root: pathlib.Path, path: pathlib.Path, without: tuple[str, ...] = ()) -> tuple[str, str]:
    """The split that a folder above a file names, or "", and the rest of its path without suffix.

    Args:
        root: of the data.
        path: of the file, below `root`.
        without: names of folders that are no part of the key, in lower case.
    """
    parts, split = [], ""
    for part in path.relative_to(root).parent.parts:
        if not split and split_of_name(part):
            split = split_of_name(part)
        elif part.lower() not in without:
            parts.append(part)
    return split, "/".join((*parts, path.stem))


def recognise_labelme(root: pathlib.Path) -> Recognised | None:
    """A folder of pictures and JSON files with shapes; a picture without one is a fault.

    Raises:
        PairError: a JSON file cannot be read.
    """
    if not root.is_dir() or file_in(root, "meta.json"):
        return None
    first = _first_json(root)
    if first is None or not _is_labelme(_json_or_none(first)):
        return None
    paths = [path for path in walk(root) if path.suffix.lower() == ".json"]
    names, entries = set(), []
    for path in paths:
        content = _json_or_none(path)
        if content is None or _is_labelme(content):
            content = content or {}
            names.update(str(shape.get("label")) for shape in content.get("shapes", []) if isinstance(shape, dict))
            entries.append((path, str(content.get("imagePath") or ""), bool(content.get("imageData"))))
    ordered = sorted(names - {"_background_", "__ignore__"})
    values = (("_background_", 0), *((name, number) for number, name in enumerate(ordered, 1)), ("__ignore__", VOID))
    pictures = {path: path.stem for path in walk(root) if path.suffix.lower() in IMAGE_SUFFIXES}
    pairs, faults, used = [], [], set()
    for path, stated, embedded in entries:
        split, key = split_and_key(root, path, ("annotations", "json", "jsons", "labels"))
        image = _picture_of(path, stated, pictures)
        embedded = embedded and image is None
        side = EmbeddedPicture(path) if embedded else side_of(image or path.with_suffix(".jpg"))
        pair = Pair(key, split, side, PolygonFile(path, values, side, parse_labelme))
        if embedded or image:
            used.add(image)
            pairs.append(pair)
        else:
            faults.append(Fault(pair, _no_picture_error(path, stated)))
    for path in sorted(set(pictures) - used):
        split, key = split_and_key(root, path, ("images", "imgs"))
        side = side_of(path)
        faults.append(Fault(Pair(key, split, side, side), _no_labels_error(path)))
    rows = ((0, "background", (0, 0, 0)), *((v, printable_label(n), voc_colour(v)) for n, v in values[1:-1]))
    classes = Classes(rows, "the labels of the shapes", void=VOID)
    return Recognised("LabelMe polygons", Listing(pairs, faults), root, classes)


def _first_json(root, depth=2) -> pathlib.Path | None:
    """A JSON file in a folder, or in the folders in it."""
    here = [path for path in root.iterdir() if path.suffix.lower() == ".json" and not path.name.startswith(".")]
    if here:
        return min(here)
    below = (_first_json(folder, depth - 1) for folder in subfolders(root).values()) if depth else ()
    return next((path for path in below if path), None)


def _json_or_none(path):
    try:
        return read_json(path)
    except PairError:
        return None


def _is_labelme(content) -> bool:
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def _picture_of(path, stated, pictures) -> pathlib.Path | None:
    """The picture of a LabelMe file: as it states, or else the one of its name beside it or in another folder."""
    name = pathlib.PurePosixPath(stated.replace("\\", "/")).name
    for candidate in (path.parent / name, *(path.with_suffix(suffix) for suffix in IMAGE_SUFFIXES)):
        if candidate in pictures:
            return candidate
    same = [picture for picture in pictures if picture.name == name or picture.stem == path.stem]
    return same[0] if len(same) == 1 else None


def _no_picture_error(path, stated) -> PairError:
    return PairError(
        "missing_image",
        f"Every file of polygons must have a picture. Received: no {printable(stated) or 'imagePath'}",
        printable(path),
        "Copy the picture beside it, or remove it.",
    )


def _no_labels_error(path) -> PairError:
    return PairError(
        "missing_mask",
        "Every picture must have a file of polygons, an empty one where nothing is in it. Received: none",
        printable(path),
        "Save it in the label tool, or remove the picture.",
    )


def recognise_supervisely(root: pathlib.Path) -> Recognised | None:
    """A folder with meta.json and data sets with img/ and ann/.

    Raises:
        PairError: meta.json is not Supervisely's.
    """
    meta = file_in(root, "meta.json")
    folders = [folder for folder in subfolders(root).values() if subfolder(folder, "img") and subfolder(folder, "ann")]
    if not (meta and folders):
        return None
    try:
        rows = [
            (entry["title"], _hex_colour(entry.get("color"), n))
            for n, entry in enumerate(read_json(meta)["classes"], 1)
        ]
        if not all(isinstance(title, str) and title for title, _ in rows):
            raise ValueError("a title that is no text")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PairError(
            "bad_json", f"meta.json must list the classes. Received: {error}", printable(meta), "Export it again."
        ) from error
    named = [title for title, _ in rows if title.lower() in ("background", "bg")]
    values = (*((title, 0) for title in named[:1]), *_numbered(title for title, _ in rows if title not in named[:1]))
    pairs, faults = [], []
    for folder in folders:
        images, masks = subfolder(folder, "img"), subfolder(folder, "ann")
        split = split_of_name(folder.name) or ""
        for path in walk(images):
            if path.suffix.lower() not in IMAGE_SUFFIXES:
                continue
            side, labels = side_of(path), masks / f"{path.name}.json"
            labels = labels if labels.is_file() else masks / f"{path.stem}.json"
            key = path.stem if split else f"{folder.name}/{path.stem}"
            pair = Pair(key, split, side, PolygonFile(labels, values, side, parse_supervisely))
            if labels.is_file():
                pairs.append(pair)
            else:
                faults.append(Fault(pair, _no_labels_error(path)))
    colours = dict(rows)
    table = [(v, printable_label(t), colours[t]) for t, v in values]
    if not named:
        table.insert(0, (0, "background", (0, 0, 0)))
    return Recognised("Supervisely polygons", Listing(pairs, faults), root, Classes(tuple(table), meta.name))


def _numbered(names) -> list[tuple[str, int]]:
    return [(name, number) for number, name in enumerate(names, 1)]


def _hex_colour(text, number) -> tuple[int, int, int]:
    if isinstance(text, str) and re.fullmatch(r"#[0-9A-Fa-f]{6}", text):
        return tuple(bytes.fromhex(text[1:]))
    return voc_colour(number)


def recognise_label_studio(root: pathlib.Path) -> Recognised | None:
    """A folder with brush masks task-*-tag-*.png somewhere below, the pictures, and the JSON export that ties both.

    Raises:
        PairError: there is no JSON export, or it does not name the pictures.
    """
    if not root.is_dir():
        return None
    names = [folder for folder in (root, *subfolders(root).values()) if any(_masks_in(folder))]
    if not names:
        return None
    by_task, labels = {}, set()
    for folder in names:
        for path, found in _masks_in(folder):
            by_task.setdefault(int(found["task"]), []).append((found["label"], path))
            labels.add(found["label"])
    values = dict(_numbered(sorted(labels)))
    tasks = _read_tasks(root, names)
    masks = {path for entries in by_task.values() for _, path in entries}
    pictures = {path.name: path for path in walk(root) if path.suffix.lower() in IMAGE_SUFFIXES and path not in masks}
    pairs, faults = [], []
    for task, stated in sorted(tasks.items()):
        path = _picture_of_upload(stated, pictures)
        if task not in by_task:
            continue
        mask = JoinedMasks(
            tuple((values[label], side_of(path)) for label, path in sorted(by_task[task])), printable(stated)
        )
        side = side_of(path or root / pathlib.PurePosixPath(stated).name)
        pair = Pair(side.path.stem, "", side, mask)
        if path is None:
            faults.append(Fault(pair, _no_picture_error(by_task[task][0][1], stated)))
        else:
            pairs.append(pair)
    left = sorted(set(by_task) - set(tasks))
    notes = ["Pixels of no label are background, those of several labels are void."]
    if left:
        notes.append(f"{len(left)} tasks with masks are not in the JSON export and are left out: {left[:5]}.")
    rows = ((0, "background", (0, 0, 0)), *((v, printable_label(n), voc_colour(v)) for n, v in values.items()))
    unused = [path for task in left for _, path in by_task[task]]
    listing = Listing(pairs, faults, unused_masks=sorted(unused))
    return Recognised(
        "Label Studio, brush masks", listing, root, Classes(rows, "the names of the masks", VOID), tuple(notes)
    )


def _masks_in(folder):
    return ((path, found) for path in sorted(folder.iterdir()) if (found := TASK.fullmatch(path.name)))


def _read_tasks(root, folders) -> dict[int, str]:
    """Place of the picture of each task, from the JSON export."""
    for folder in (root, *folders):
        for path in sorted(folder.glob("*.json")):
            content = _json_or_none(path)
            if isinstance(content, list) and content and all(map(_is_task, content)):
                found = {int(task["id"]): _picture_in(task) for task in content}
                if all(found.values()):
                    return found
    raise PairError(
        "missing_export",
        "Brush masks of Label Studio must lie beside the JSON export of the same project, which ties tasks to pictures. "
        "Received: none",
        printable(root),
        "Export the project as JSON, too, into this folder; pairing by order might shift the masks by one.",
    )


def _is_task(task) -> bool:
    """Whether an entry of an export has a number and data."""
    return isinstance(task, dict) and str(task.get("id")).isdecimal() and isinstance(task.get("data"), dict)


def _picture_in(task) -> str:
    """The picture of a task: the first value of its data that names one."""
    for value in task["data"].values():
        if isinstance(value, str) and pathlib.PurePosixPath(_place(value)).suffix.lower() in IMAGE_SUFFIXES:
            return value
    return ""


def _place(text) -> str:
    """The path in an address; local files are named in its query."""
    try:
        parts = urllib.parse.urlsplit(text)
    except ValueError:  # brackets that are no address
        return text
    query = urllib.parse.parse_qs(parts.query)
    return query["d"][0] if "d" in query else urllib.parse.unquote(parts.path)


def _picture_of_upload(stated, pictures) -> pathlib.Path | None:
    """The picture by its name, which an upload prefixes with eight digits."""
    name = pathlib.PurePosixPath(_place(stated)).name
    return pictures.get(name) or pictures.get(re.sub(r"^[0-9a-f]{8}-", "", name))


def recognise_yolo(root: pathlib.Path) -> Recognised | None:
    """A folder with data.yaml, images/ and labels/ of text files, or with both below folders of splits.

    Raises:
        PairError: the YAML lists no names.
    """
    if not root.is_dir():
        return None
    tables = sorted(path for path in root.iterdir() if path.suffix.lower() in (".yaml", ".yml"))
    folders = {"": root, **subfolders(root)}
    places = [(subfolder(f, "images"), subfolder(f, "labels")) for f in folders.values()]
    places = [(images, labels) for images, labels in places if images and labels and _has_text(labels)]
    if not (tables and places):
        return None
    names = yaml_names(tables[0])
    if sorted(names) != list(range(len(names))) or not names:
        raise PairError(
            "bad_table",
            f"The YAML must name the classes 0 to the last. Received: {names}",
            printable(tables[0]),
            "Add the names.",
        )
    values = tuple((names[number], number + 1) for number in sorted(names))
    pairs, faults = [], []
    for images, labels in places:
        for path in walk(images):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                split, key = split_and_key(root, path, ("images",))
                side, text = side_of(path), (labels / path.relative_to(images)).with_suffix(".txt")
                mask = PolygonFile(text, values, side, parse_yolo) if text.is_file() else NoShapes(side)
                pairs.append(Pair(key, split, side, mask))
    rows = ((0, "background", (0, 0, 0)), *((v, printable_label(n), voc_colour(v)) for n, v in values))
    note = "A picture without a text file is background."
    return Recognised("YOLO polygons", Listing(pairs, faults), root, Classes(rows, tables[0].name), (note,))


def _has_text(folder) -> bool:
    return any(path.suffix.lower() == ".txt" and path.name != "classes.txt" for path in walk(folder))


def recognise_roboflow(root: pathlib.Path) -> Recognised | None:
    """Folders of splits with _classes.csv, pictures a.jpg and masks a_mask.png.

    Raises:
        PairError: the table is wrong, or differs between the splits.
    """
    folders = [folder for folder in (root, *subfolders(root).values()) if file_in(folder, "_classes.csv")]
    listings, tables = [], {}
    for folder in folders:
        tables[read_roboflow(file_in(folder, "_classes.csv"))] = folder
        every = find_images(folder)
        masks = keep_ending(every, "_mask")
        masks = dataclasses.replace(
            masks, files={k: p for k, p in masks.files.items() if p.suffix.lower() in MASK_SUFFIXES}
        )
        images = {key: path for key, path in every.files.items() if path not in masks.files.values()}
        listing = match(
            dataclasses.replace(every, files=images, foreign=[]),
            masks,
            split_of_name(folder.name) or "",
            lambda key, folder=folder: folder / f"{key}_mask.png",
        )
        listings.append(dataclasses.replace(listing, foreign_files=[]))
    if not any(listing.pairs for listing in listings):
        return None
    if len(tables) > 1:
        raise PairError(
            "two_tables",
            "The _classes.csv of all splits must agree. Received: different ones",
            ", ".join(printable(folder) for folder in tables.values()),
            "Export all splits together.",
        )
    return Recognised("Roboflow, semantic masks", join(listings), root, next(iter(tables)))
