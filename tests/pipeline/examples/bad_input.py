"""A corpus of bad input, generated into folders: what real disks hold.

`PAIRS` share one folder, each under its own name; `SOURCES` are folders and tables that are wrong as a whole. Each case has the
name of its fault, or what is stored where the pair is read correctly.
"""

from __future__ import annotations

import dataclasses
import io
import os
import pathlib
import shutil
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from tests.kseg.pairs.encoded import COLOUR, GREY, black, chunk, encoded, png, with_palette, wrap

CLASSES = "value,name,red,green,blue\n0,ground,90,90,90\n5,left,220,60,50\n200,right,50,90,220\n9,void,0,0,0\n"
VOID = 9
HEIGHT, WIDTH = GREY.shape

MASK = np.zeros((HEIGHT, WIDTH), np.uint8)
MASK[4:, :5] = 5
MASK[8:, 9:] = 200
MASK[0] = VOID
IDS = np.select([MASK == 5, MASK == 200, MASK == VOID], [1, 2, 255], 0).astype(np.uint8)
PAINTED = np.array([(90, 90, 90), (220, 60, 50), (50, 90, 220)] + [(0, 0, 0)] * 253, np.uint8)[IDS]

IMAGE_FILE, MASK_FILE = encoded(COLOUR), encoded(MASK)
CUT_OUT = np.where(MASK == 5, 255, np.where(MASK == 200, 128, 0)).astype(np.uint8)
JPEG_FILE = encoded(COLOUR, "JPEG", quality=95)
NOISE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
NOISE_JPEG, NOISE_PNG = encoded(NOISE, "JPEG"), encoded(NOISE)


@dataclasses.dataclass(frozen=True)
class BadPair:
    """A pair below images/train and masks/train.

    Attributes:
        name: of the case, and the key of the pair.
        fault: name of the anomaly; None where the pair is read correctly.
        image: bytes of the file, or a function that makes them; None: no file. Likewise `mask`.
        suffix: of the image file. Likewise `mask_suffix`.
        write: called with the paths of image and mask after both were written, to replace plain files.
        reason: why the image is re-encoded.
        shows: the stored pixels (H, W, 3).
        ids: the stored label map (H, W).
        tolerance: mean absolute difference of the pixels, for JPEG.
    """

    name: str
    fault: str | None = None
    image: bytes | Callable[[], bytes] | None = IMAGE_FILE
    mask: bytes | Callable[[], bytes] | None = MASK_FILE
    suffix: str = ".png"
    mask_suffix: str = ".png"
    write: Callable[[pathlib.Path, pathlib.Path], None] | None = None
    reason: str | None = None
    shows: np.ndarray = dataclasses.field(default_factory=lambda: COLOUR)
    ids: np.ndarray = dataclasses.field(default_factory=lambda: IDS)
    tolerance: float = 0.0


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(COLOUR, exif=exif)


def animated(file_format="PNG") -> bytes:
    frames = [Image.fromarray(COLOUR), Image.fromarray(NOISE)]
    return encoded(frames[0], file_format, save_all=True, append_images=frames[1:])


def telephone() -> bytes:
    """A JPEG followed by a second picture."""
    return encoded(
        Image.fromarray(COLOUR), "MPO", save_all=True, append_images=[Image.fromarray(NOISE)], quality=95, subsampling=0
    )


def many_scans() -> bytes:
    data = encoded(NOISE, "JPEG", progressive=True)
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * 600 + b"\xff\xd9"


def text_bomb() -> bytes:
    from PIL import PngImagePlugin

    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "0" * 10**8, zip=True)
    return encoded(COLOUR, pnginfo=text)


def numpy_file() -> bytes:
    stream = io.BytesIO()
    np.save(stream, MASK)
    return stream.getvalue()


def softened(mask) -> bytes:
    return encoded(Image.fromarray(mask).filter(ImageFilter.GaussianBlur(1)))


def resized(mask) -> bytes:
    picture = Image.fromarray(mask)
    return encoded(picture.resize((40, 60)).resize(picture.size, Image.Resampling.BILINEAR))


def changed(mask, value) -> np.ndarray:
    other = mask.copy()
    other[10, 7] = value
    return other


def alone(write):
    """A `write` for one path of a pair: `write(path)` after the file was removed."""

    def replace(path):
        path.unlink()
        write(path)

    return replace


loop = alone(lambda path: path.symlink_to(path.name))
dangling = alone(lambda path: path.symlink_to("nowhere.png"))
pipe = alone(os.mkfifo)


def back(path):
    path.unlink()
    path.with_suffix("").symlink_to("..")


def linked(path):
    """The file is elsewhere, and a link is in its place."""
    elsewhere = path.parents[2] / f"elsewhere-{path.parents[1].name}.png"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def sparse(path):
    with open(path, "r+b") as file:
        file.truncate(2**30)


def unnamed(path):
    path.rename(os.fsdecode(os.fsencode(path.parent) + b"/caf\xe9.png"))


def twin(path):
    path.with_suffix(".jpg").write_bytes(JPEG_FILE)


def image_only(write):
    return lambda image, mask: write(image)


def mask_only(write):
    return lambda image, mask: write(mask)


def both(write):
    return lambda image, mask: [write(path) for path in (image, mask)]


def decomposed(image, mask):
    """The name of the image is decomposed, as on a Mac, that of the mask composed."""
    mask.rename(mask.with_name("caf\u00e9.png"))
    image.rename(image.with_name("cafe\u0301.png"))


def nested(image, mask):
    """Both are in a folder that is a link."""
    for folder in (image.parent, mask.parent):
        elsewhere = folder.parents[2] / f"elsewhere-{folder.parents[1].name[:1]}"  # not a name of images or masks
        folder.rename(elsewhere)
        folder.symlink_to(elsewhere)


PAIRS = [
    BadPair("near_infrared_as_alpha", "picture_in_alpha", image=encoded(np.dstack([COLOUR, GREY]))),
    BadPair("near_infrared_with_grey", "picture_in_alpha", image=encoded(np.dstack([GREY, GREY]))),
    # damaged files
    BadPair("image_of_0_bytes", "empty_file", image=b""),
    BadPair("mask_of_0_bytes", "empty_file", mask=b""),
    BadPair("cut_off_jpeg", "damaged_file", image=NOISE_JPEG[: len(NOISE_JPEG) // 2], suffix=".jpg"),
    BadPair("cut_off_png", "damaged_file", image=NOISE_PNG[: len(NOISE_PNG) // 2]),
    BadPair("cut_off_mask", "damaged_file", mask=MASK_FILE[:-20]),
    BadPair("jpeg_of_a_header", "damaged_file", image=NOISE_JPEG[:20], suffix=".jpg"),
    BadPair("png_of_a_signature", "damaged_file", image=NOISE_PNG[:8]),
    BadPair("jpeg_without_its_lower_half", "damaged_file", image=NOISE_JPEG[: len(NOISE_JPEG) // 2] + b"\xff\xd9"),
    BadPair("jpeg_with_changed_bits", "damaged_file", image=NOISE_JPEG[:700] + 9 * b"\x55\xaa" + NOISE_JPEG[718:]),
    BadPair("png_without_its_end", "damaged_file", image=NOISE_PNG[:-4]),
    BadPair("png_with_a_changed_bit", "damaged_file", image=NOISE_PNG[:500] + b"\0" + NOISE_PNG[501:]),
    BadPair("png_with_an_unknown_chunk", "damaged_file", image=IMAGE_FILE[:33] + chunk(b"HiHi", b"") + IMAGE_FILE[33:]),
    BadPair("png_of_0_rows", "damaged_file", image=wrap(3, 0, b"")),
    BadPair("png_with_100_megabytes_of_text", "damaged_file", image=text_bomb),
    BadPair("jpeg_of_600_scans", "damaged_file", image=many_scans, suffix=".jpg"),
    # files of other formats, whatever their names
    BadPair("text_as_jpg", "unsupported_format", image=b"to do: export", suffix=".jpg"),
    BadPair("html_as_png", "unsupported_format", image=b"<!doctype html><h1>404</h1>"),
    BadPair("gif_as_png", "unsupported_format", image=encoded(COLOUR, "GIF")),
    BadPair("bmp_as_jpg", "unsupported_format", image=encoded(COLOUR, "BMP"), suffix=".jpg"),
    BadPair("tiff_as_png", "unsupported_format", image=encoded(COLOUR, "TIFF")),
    BadPair("webp_as_jpg", "unsupported_format", image=encoded(COLOUR, "WEBP"), suffix=".jpg"),
    BadPair("heif_as_jpg", "unsupported_format", image=b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", suffix=".jpg"),
    BadPair("zip_as_png", "unsupported_format", image=b"PK\x03\x04" + bytes(99)),
    BadPair("pdf_as_png", "unsupported_format", image=b"%PDF-1.7\n%\xe2\xe3\xcf\xd3"),
    BadPair("numpy_as_mask", "unsupported_format", mask=numpy_file()),
    BadPair("gif_of_two_frames", "animated", image=animated("GIF"), suffix=".gif"),
    BadPair("tiff_of_two_pages", "animated", image=animated("TIFF"), suffix=".tif"),
    BadPair("tiff_of_four_bands", "picture_in_alpha", image=encoded(np.dstack([COLOUR, GREY]), "TIFF"), suffix=".tif"),
    BadPair("animated_png", "animated", image=animated()),
    # sizes
    BadPair("image_of_200_megapixels", "too_many_pixels", image=lambda: black(20_000, 10_000, 3)),
    BadPair("mask_of_200_megapixels", "too_many_pixels", mask=lambda: black(20_000, 10_000, 1)),
    BadPair(
        "jpeg_that_says_65500x65500", "too_many_pixels", image=JPEG_FILE.replace(b"\0\x18\0\x10", b"\xff\xdc\xff\xdc")
    ),
    BadPair("12000x12000", "too_many_pixels", image=lambda: black(12_000, 12_000, 3)),
    BadPair("file_of_a_gigabyte", "too_many_bytes", write=image_only(sparse)),
    BadPair("1x1", image=encoded(COLOUR[:1, :1]), mask=encoded(MASK[2:3, :1]), shows=COLOUR[:1, :1], ids=IDS[2:3, :1]),
    BadPair("mask_half_as_large", "size_mismatch", mask=encoded(MASK[::2, ::2])),
    BadPair("mask_on_its_side", "size_mismatch", mask=encoded(MASK.T)),
    BadPair("mask_drawn_before_the_image_was_turned", "size_mismatch", image=turned(6)),
    # masks
    BadPair("mask_with_soft_edges", "unknown_values", mask=softened(MASK)),
    BadPair("mask_resized_bilinearly", "unknown_values", mask=resized(MASK)),
    BadPair("label_out_of_range", "unknown_values", mask=encoded(changed(MASK, 77))),
    BadPair("void_of_another_value", "unknown_values", mask=encoded(changed(MASK, 255))),
    BadPair("label_above_255", "values_above_255", mask=png(changed(MASK.astype(np.uint16), 1000), 16, 0)),
    BadPair("jpeg_mask", "lossy_mask", mask=encoded(MASK, "JPEG"), mask_suffix=".jpg"),
    BadPair("jpeg_mask_called_png", "lossy_mask", mask=encoded(MASK, "JPEG")),
    BadPair("mask_of_unknown_colours", "unknown_colours", mask=encoded(changed(PAINTED, (1, 2, 3)))),
    BadPair("mask_of_colours_with_soft_edges", "unknown_colours", mask=softened(PAINTED)),
    BadPair("mask_that_is_the_photograph", "unknown_colours", mask=IMAGE_FILE),
    BadPair("transparent_mask", "mask_alpha", mask=encoded(np.dstack([PAINTED, 255 - MASK]))),
    BadPair("transparent_grey_mask", "mask_alpha", mask=encoded(np.dstack([MASK, 255 - MASK]))),
    BadPair("mask_all_void", mask=encoded(np.full_like(MASK, VOID)), ids=np.full_like(IDS, 255)),
    BadPair("mask_of_one_class", mask=encoded(np.full_like(MASK, 5)), ids=np.full_like(IDS, 1)),
    # missing files, ambiguous files, not files
    BadPair("no_mask", "missing_mask", mask=None),
    BadPair("two_of_one_stem", "two_of_one_stem", write=image_only(twin)),
    BadPair("link_to_itself", "symlink_loop", write=image_only(loop)),
    BadPair("mask_link_to_itself", "symlink_loop", write=mask_only(loop)),
    BadPair("link_to_the_folder_above", "symlink_loop", mask=None, write=image_only(back)),
    BadPair("link_to_nowhere", "missing_file", write=image_only(dangling)),
    BadPair("pipe", "not_a_file", write=image_only(pipe)),
    BadPair("pipe_as_mask", "not_a_file", write=mask_only(pipe)),
    BadPair("caf\\xe9", "name_not_utf8", write=both(unnamed)),
    # unusual, and read correctly
    BadPair("jpeg_called_png", image=JPEG_FILE, tolerance=10),
    BadPair("png_called_jpg", suffix=".jpg"),
    BadPair("capitals", suffix=".PNG", mask_suffix=".PNG"),
    BadPair("telephone", image=telephone(), suffix=".jpg", tolerance=3),
    BadPair("progressive", image=encoded(COLOUR, "JPEG", progressive=True, quality=95), suffix=".jpg", tolerance=10),
    BadPair(
        "cmyk", image=encoded(Image.fromarray(COLOUR).convert("CMYK"), "JPEG", quality=95), reason="CMYK", tolerance=10
    ),
    BadPair("grey_16_bits", image=png(GREY.astype(int) * 257, 16, 0), reason="16 bits", shows=np.dstack([GREY] * 3)),
    BadPair("colour_16_bits", image=png(COLOUR.astype(int) * 257, 16, 2), reason="16 bits"),
    BadPair(
        "dark_16_bits",
        image=png(GREY.astype(int), 16, 0),
        reason="16 bits, the upper 4 unused",
        shows=np.zeros_like(COLOUR),
    ),
    BadPair("alpha", image=encoded(np.dstack([COLOUR, CUT_OUT])), reason="alpha channel"),
    BadPair(
        "grey_alpha", image=encoded(np.dstack([GREY, CUT_OUT])), reason="alpha channel", shows=np.dstack([GREY] * 3)
    ),
    BadPair(
        "transparent_colour", image=encoded(Image.fromarray(COLOUR), transparency=(0, 112, 255)), reason="alpha channel"
    ),
    BadPair(
        "palette", image=encoded(with_palette(GREY, (7, 8, 9))), reason="palette", shows=np.full_like(COLOUR, (7, 8, 9))
    ),
    BadPair(
        "one_bit",
        image=encoded(Image.fromarray(GREY > 9)),
        reason="1 bits",
        shows=np.dstack([np.where(GREY > 9, 255, 0)] * 3),
    ),
    BadPair(
        "tiff",
        image=encoded(COLOUR, "TIFF"),
        suffix=".TIF",
        mask=encoded(MASK, "TIFF"),
        mask_suffix=".tiff",
        reason="TIFF",
    ),
    BadPair("bmp", image=encoded(COLOUR, "BMP"), suffix=".bmp", reason="BMP"),
    BadPair("gif_mask", mask=encoded(Image.fromarray(PAINTED).quantize(8), "GIF"), mask_suffix=".gif"),
    BadPair("grey", image=encoded(GREY), reason="grey among colour", shows=np.dstack([GREY] * 3)),
    BadPair("exif_2", image=turned(2), reason="rotated by EXIF, size unchanged", shows=COLOUR[:, ::-1]),
    BadPair("exif_3", image=turned(3), reason="rotated by EXIF, size unchanged", shows=COLOUR[::-1, ::-1]),
    BadPair(
        "exif_6",
        image=turned(6),
        mask=encoded(np.rot90(MASK, -1)),
        reason="rotated by EXIF",
        shows=np.rot90(COLOUR, -1),
        ids=np.rot90(IDS, -1),
    ),
    BadPair("exif_unreadable", image=encoded(COLOUR, "JPEG", exif=b"Exif\0\0MM\0*\0\0", quality=95), tolerance=10),
    BadPair("mask_with_palette", mask=encoded(with_palette(MASK))),
    BadPair("mask_of_16_bits", mask=png(MASK.astype(int), 16, 0)),
    BadPair("mask_of_the_classes_colours", mask=encoded(PAINTED)),
    BadPair("mask_with_opaque_alpha", mask=encoded(np.dstack([MASK, np.full_like(MASK, 255)]))),
    BadPair("caf\u00e9", write=decomposed),
    BadPair("new\nline"),
    BadPair("漢字 🙂 'quoted' [1] 100% $HOME"),
    BadPair("x" * 200),
    BadPair("linked", write=both(linked)),
    BadPair("monday/nested", write=nested),
]


def write_pairs(folder: pathlib.Path, cases) -> pathlib.Path:
    """Writes the pairs below images/train and masks/train, four good ones into val, and classes.csv; returns `folder`."""
    for kind in ("images", "masks"):
        for split in ("train", "val"):
            (folder / kind / split).mkdir(parents=True)
    (folder / "classes.csv").write_text(CLASSES)
    for number in range(4):
        image = np.random.default_rng(100 + number).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        (folder / "images" / "val" / f"{number}.png").write_bytes(encoded(image))
        (folder / "masks" / "val" / f"{number}.png").write_bytes(MASK_FILE)
    for case in cases:
        paths = []
        for kind, contents, suffix in (("images", case.image, case.suffix), ("masks", case.mask, case.mask_suffix)):
            path = folder / kind / "train" / f"{case.name}{suffix}"
            path.parent.mkdir(exist_ok=True)
            if contents is not None:
                path.write_bytes(contents() if callable(contents) else contents)
            paths.append(path)
        if case.write:
            case.write(*paths)
    return folder


def flat(folder):
    """Moves the pairs of the splits into one folder."""
    for kind in ("images", "masks"):
        for path in sorted((folder / kind).glob("*/*")):
            path.rename(folder / kind / f"{path.parent.name}-{path.name}")
        for split in ("train", "val"):
            (folder / kind / split).rmdir()


def emptied(name):
    def write(folder):
        for path in (folder / name).iterdir():
            path.unlink()

    return write


def without(name):
    def write(folder):
        shutil.rmtree(folder / name)

    return write


def renamed(old, new):
    def write(folder):
        (folder / old).rename(folder / new)

    return write


def table(text, encoding="utf-8"):
    """A source that is pairs.csv with this text."""

    def write(folder):
        (folder / "pairs.csv").write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return folder / "pairs.csv"

    return write


def voc(**lists):
    """The VOC layout with these lists, by name."""

    def write(folder):
        (folder / "images" / "train").rename(folder / "JPEGImages")
        (folder / "masks" / "train").rename(folder / "SegmentationClass")
        (folder / "images").rename(folder / "other")
        (folder / "ImageSets" / "Segmentation").mkdir(parents=True)
        for name, contents in lists.items():
            (folder / "ImageSets" / "Segmentation" / f"{name}.txt").write_bytes(contents)

    return write


def classes(text, encoding="utf-8"):
    def write(folder):
        (folder / "classes.csv").write_bytes(text.encode(encoding))

    return write


def other_names(folder):
    for path in sorted((folder / "masks" / "train").iterdir()):
        path.rename(path.with_name(f"{'abc'[int(path.stem)]}.png"))


def unknown_splits(folder):
    for kind in ("images", "masks"):
        (folder / kind / "train").rename(folder / kind / "learning")
        (folder / kind / "val").rename(folder / kind / "evaluation")


def removed(folder):
    folder.rename(folder.with_name("moved"))


def unpacked_not(folder):
    (folder / "photos.zip").write_bytes(b"PK\x03\x04")
    return folder / "photos.zip"


def piped(folder):
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


ROW = "images/train/0.png,masks/train/0.png"

SOURCES = {  # name -> (a function that spoils a good folder and may return another source, pattern of the message)
    "gone": (
        removed,
        r"The data must be a folder or a file\. Received: neither \[.*photos\]\. Check the path",
    ),
    "a_pipe": (piped, r"must be a folder or a file.*pipe\]"),
    "an_archive": (
        unpacked_not,
        r"must be a table .*\.zip \[.*photos\.zip\]\. Unpack it, and pass the folder: unzip -q ",
    ),
    "of_another_layout": (
        without("images"),
        r"must hold images/ and masks/, .*Received: classes\.csv, masks \[.*photos\]\. Move the folders",
    ),
    "with_masks_of_other_names": (
        other_names,
        r"Received: none of 3 has one.*0\.png\]\. Give images and masks the same",
    ),
    "without_masks": (
        without("masks"),
        r"Received: no such folder \[.*masks/train\]\. Add the folder",
    ),
    "with_a_split_without_images": (
        emptied("images/val"),
        r"must not be empty\. Received: no \.jpg.* in it \[.*images/val\]\. Add pairs, or remove the folder",
    ),
    "with_a_split_of_another_name": (
        renamed("images/val", "images/evaluation"),
        r"Next to folders of splits.*images/evaluation\]\. Rename it, or move it into train; known are train \(training",
    ),
    "with_two_folders_of_one_split": (
        renamed("images/val", "images/Training"),
        r"Each split must have one folder\. Received: Training and train, both train \[.*photos.*\]\. Move the files of one",
    ),
    "with_splits_of_unknown_names": (
        unknown_splits,
        r"A few folders that hold every image.*Received: evaluation, learning \[.*images\]\. If they are splits, rename them",
    ),
    "without_classes": (
        renamed("classes.csv", "labels.csv"),
        r"(?s)must name the mask values\. Received: no .*photos/classes\.csv.*Save the one below.*value,name,red,green,blue",
    ),
    "with_classes_without_two_colours": (
        classes("value,name,red\n0,a,7\n"),
        r"classes\.csv without green, blue\. Add them",
    ),
    "with_classes_that_are_empty": (classes(""), r"header with the columns.*classes\.csv without value"),
    "with_classes_of_words": (classes("value,name,red,green,blue\nzero,a,1,2,3\n"), r"whole numbers.*classes\.csv"),
    "with_classes_without_a_name": (
        classes("value,name,red,green,blue\n0,,1,2,3\n"),
        r"name=''.*classes\.csv\]\. Correct",
    ),
    "with_colours_above_255": (
        classes("value,name,red,green,blue\n0,a,1,2,300\n"),
        r"\(1, 2, 300\) \[.*classes\.csv\]",
    ),
    "with_a_value_twice": (classes("value,name,red,green,blue\n0,a,1,2,3\n0,b,4,5,6\n"), r"differ.*classes\.csv\]"),
    "with_a_short_row_of_classes": (classes("value,name,red,green,blue\n0,a\n"), r"whole numbers.*classes\.csv"),
    "with_classes_in_latin_1": (
        classes("value,name,red,green,blue\n0,stra\u00dfe,1,2,3\n", "latin-1"),
        r"UTF-8.*classes\.csv",
    ),
    "a_table_without_masks": (
        table("image,label\na,b\n"),
        r"'image', 'label', without mask \[.*pairs\.csv\]\. Write it as",
    ),
    "a_table_with_bars": (table("image|mask\na|b\n"), r"'image\|mask', without image, mask .*with commas"),
    "a_table_without_rows": (table("image,mask\n"), r"no rows, without image, mask \[.*pairs\.csv\]"),
    "an_empty_table": (table(""), r"no rows.*pairs\.csv"),
    "a_table_in_latin_1": (
        table("image,mask\nstra\u00dfe.png,stra\u00dfe.png\n", "latin-1"),
        r"codec can't decode.*pairs\.csv\]\. Write it as UTF-8",
    ),
    "a_table_of_one_endless_cell": (table("image,mask\n" + "x" * 200_000), r"field larger than .*pairs\.csv"),
    "voc_without_lists": (voc(), r"Received: no lists \[.*ImageSets/Segmentation\]\. Add a text file"),
    "voc_with_an_empty_list": (voc(train=b"\n \n"), r"must not be empty.*train\.txt\]\. Remove it"),
    "voc_with_a_list_in_latin_1": (voc(train=b"stra\xdfe\n"), r"must be UTF-8.*train\.txt\]\. Save it as UTF-8"),
}

ROWS = {  # name -> (line of a table with the columns image,mask,split, name of the fault)
    "of_a_path_that_climbs": ("../../etc/passwd,masks/train/0.png,train", "outside_folder"),
    "of_a_path_from_the_root": ("/etc/passwd,masks/train/0.png,train", "outside_folder"),
    "of_a_mask_elsewhere": ("images/train/1.png,../other/1.png,train", "outside_folder"),
    "of_a_file_that_is_missing": ("images/train/9.png,masks/train/0.png,train", "missing_file"),
    "of_a_folder": ("images/train,masks/train/0.png,train", "symlink_loop"),
    "of_another_split": (f"{ROW},night", "bad_row"),
    "without_a_mask": ("images/train/1.png,,train", "bad_row"),
    "with_a_comma_too_many": ("images/train/1,2.png,masks/train/1.png,train", "bad_row"),
    "with_a_null": ("images/train/1\0.png,masks/train/1.png,train", "bad_row"),
    "that_is_too_short": ("images/train/1.png", "bad_row"),
    "that_stands_twice": (f"{ROW},train", "listed_twice"),
    "of_a_file_of_another_kind": ("classes.csv,masks/train/1.png,train", "unsupported_format"),
}
