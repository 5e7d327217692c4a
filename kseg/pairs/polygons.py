"""Masks that are drawn from polygons when they are read. numpy and Pillow only.

A label tool writes one file per picture: LabelMe and Supervisely as JSON, YOLO as text with coordinates relative to the size.
Later shapes lie over earlier ones, as the tools show them. A shape without an area, such as a point or line, is refused.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import pathlib
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from kseg.pairs.decoding import DECODE_ERRORS, MAX_PIXELS, check_pixels
from kseg.pairs.errors import PairError, printable
from kseg.pairs.other_formats import encode, reads_colour
from kseg.pairs.sides import METADATA_BYTES, PlainFile, Side, read_file

Points = list[tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Shape:
    """An area of one class.

    Attributes:
        label: name of its class.
        outline: points (x, y) of a polygon, in pixels; empty where there is a bitmap.
        holes: outlines of what is not part of it.
        bitmap: truth values (h, w) of a shape that was painted, or None.
        origin: (x, y) of the bitmap's upper left pixel.
    """

    label: str
    outline: Points
    holes: tuple[Points, ...] = ()
    bitmap: np.ndarray | None = None
    origin: tuple[int, int] = (0, 0)


def draw_shapes(size: tuple[int, int], shapes: list[Shape], values: dict[str, int], where: str) -> np.ndarray:
    """Draws shapes into a mask (H, W), uint8; 0 where there is none.

    Args:
        size: (height, width) in pixels.
        shapes: in the order in which they are drawn.
        values: of each label.
        where: place of the shapes, for messages.

    Raises:
        PairError: a label has no value.

    Example:
        >>> draw_shapes((2, 4), [Shape("cat", [(1, 0), (2, 0), (2, 1), (1, 1)])], {"cat": 7}, "").tolist()
        [[0, 7, 7, 0], [0, 7, 7, 0]]
    """
    mask = Image.new("L", (size[1], size[0]))
    for shape in shapes:
        if shape.label not in values:
            raise PairError(
                "unknown_label",
                f"Every shape must have a label of the classes {', '.join(values)}. Received: {shape.label!r}",
                where,
                "Correct the label, or add it to the classes.",
            )
        area = Image.new("L", mask.size)
        if shape.bitmap is not None:
            area.paste(Image.fromarray(shape.bitmap.astype(np.uint8) * 255), shape.origin)
        else:
            pen = ImageDraw.Draw(area)
            pen.polygon(shape.outline, fill=255, outline=255)
            for hole in shape.holes:
                pen.polygon(hole, fill=0, outline=0)
        mask.paste(values[shape.label], mask=area)
    return np.asarray(mask)


@dataclasses.dataclass(frozen=True)
class PolygonFile(PlainFile):
    """The polygons of one picture in the file of a label tool; see `Side`.

    Args:
        path: the file.
        values: value of each label.
        image: the picture, whose size the mask has.
        parse: of the tool, from the bytes, this side and `max_pixels` to (height, width) and the shapes; one of `parse_labelme`,
            `parse_supervisely` and `parse_yolo`.
    """

    values: tuple[tuple[str, int], ...]
    image: Side
    parse: Callable[[bytes, PolygonFile, int], tuple[tuple[int, int], list[Shape]]]

    kind = None

    def read(self, max_pixels: int = MAX_PIXELS) -> bytes:
        data = read_file(self.path, max_pixels)
        try:
            size, shapes = self.parse(data, self, max_pixels)
            if min(size) < 1:
                raise ValueError(f"a picture of {size[1]}x{size[0]}")
            check_pixels(size[1], size[0], self.name, max_pixels)
            return encode(Image.fromarray(draw_shapes(size, shapes, dict(self.values), self.name)))
        except PairError:  # is a ValueError, too
            raise
        except (AttributeError, RecursionError, *DECODE_ERRORS) as error:
            raise PairError(
                "bad_polygons",
                f"The polygons of a picture must be as their tool writes them. Received: {type(error).__name__} {error}",
                self.name,
                "Export them again.",
            ) from error

    def has_colour(self) -> bool:
        return False


@dataclasses.dataclass(frozen=True)
class EmbeddedPicture:
    """The picture in a file of LabelMe, as `imageData`; see `Side`.

    Args:
        path: the JSON file.
    """

    path: pathlib.Path

    kind = None
    own_file = None

    @property
    def name(self) -> str:
        return f"{printable(self.path)}, imageData"

    @property
    def files(self) -> tuple[pathlib.Path, ...]:
        return (self.path,)

    def read(self, max_pixels: int = MAX_PIXELS) -> bytes:
        try:
            return base64.b64decode(json.loads(read_file(self.path, max_pixels))["imageData"])
        except PairError:  # is a ValueError, too
            raise
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise PairError(
                "bad_polygons",
                f"A file of LabelMe must hold its picture, or name one. Received: {type(error).__name__} {error}",
                self.name,
                "Copy the picture beside it, or save it again.",
            ) from error

    def has_colour(self) -> bool:
        return reads_colour(self)


def labelme_shapes(content: dict) -> list[Shape]:
    """The shapes of a LabelMe file.

    Raises:
        PairError: a shape has no area.
    """
    return [_labelme_shape(shape) for shape in content["shapes"]]


def _labelme_shape(shape) -> Shape:
    points = [tuple(map(float, point)) for point in shape["points"]]
    kind = shape.get("shape_type") or "polygon"
    if kind == "rectangle" and len(points) >= 2:
        (left, top), (right, bottom) = np.min(points, axis=0), np.max(points, axis=0)
        points = [(left, top), (right, top), (right, bottom), (left, bottom)]
    elif kind == "circle" and len(points) == 2:
        radius = float(np.hypot(*np.subtract(*points)))
        angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        points = [(points[0][0] + radius * np.cos(a), points[0][1] + radius * np.sin(a)) for a in angles]
    elif kind == "mask":
        bitmap = np.asarray(_open_bitmap(base64.b64decode(shape["mask"]))) > 0
        return Shape(shape["label"], [], bitmap=bitmap, origin=(round(points[0][0]), round(points[0][1])))
    elif kind != "polygon" or len(points) < 3:
        raise no_area_error(f"a {kind} of {len(points)} points labelled {shape['label']!r}")
    return Shape(shape["label"], points)


def _open_bitmap(data: bytes) -> Image.Image:
    """The picture of a shape that was painted.

    Raises:
        PairError: it is too large.
    """
    picture = Image.open(io.BytesIO(data))
    check_pixels(picture.width, picture.height, "the bitmap of a shape", MAX_PIXELS)
    return picture


def no_area_error(found: str, where: str = "polygons") -> PairError:
    """The error of a shape that is a point or line."""
    return PairError(
        "shape_without_area",
        f"A shape must have an area: a polygon of 3 points or more, a rectangle, circle or bitmap. Received: {found}",
        where,
        "Remove the shape, or draw a polygon.",
    )


def parse_labelme(data: bytes, side: PolygonFile, max_pixels: int):
    """The JSON file of LabelMe; see `PolygonFile`."""
    content = json.loads(data)
    size = content.get("imageHeight"), content.get("imageWidth")
    return (size if all(size) else picture_size(side.image, max_pixels)), labelme_shapes(content)


def parse_supervisely(data: bytes, side: PolygonFile, max_pixels: int):
    """The JSON file of Supervisely; see `PolygonFile`."""
    content = json.loads(data)
    shapes = [_supervisely_shape(entry) for entry in content["objects"]]
    return (int(content["size"]["height"]), int(content["size"]["width"])), shapes


def _supervisely_shape(entry) -> Shape:
    label, kind = entry["classTitle"], entry.get("geometryType")
    if kind == "bitmap" or (kind is None and entry.get("bitmap")):
        stored = entry["bitmap"]
        picture = _open_bitmap(zlib.decompressobj().decompress(base64.b64decode(stored["data"]), METADATA_BYTES))
        bitmap = (
            np.asarray(picture.convert("RGBA"))[..., 3] > 0 if "A" in picture.getbands() else np.asarray(picture) > 0
        )
        return Shape(label, [], bitmap=bitmap, origin=tuple(map(int, stored["origin"])))
    points = [tuple(map(float, point)) for point in entry["points"]["exterior"]]
    holes = tuple([tuple(map(float, point)) for point in hole] for hole in entry["points"].get("interior", []))
    if kind == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points
        points = [(left, top), (right, top), (right, bottom), (left, bottom)]
    elif kind not in ("polygon", None) or len(points) < 3:
        raise no_area_error(f"a {kind} of {len(points)} points labelled {label!r}")
    return Shape(label, points, holes)


def parse_yolo(data: bytes, side: PolygonFile, max_pixels: int):
    """The text file of YOLO: number of the class, then x and y relative to the size; see `PolygonFile`."""
    size = height, width = picture_size(side.image, max_pixels)
    labels, shapes = [label for label, _ in side.values], []
    for line in data.decode().splitlines():
        number, *rest = line.split()
        if len(rest) < 6:
            raise no_area_error(f"{len(rest)} coordinates, which are a box", side.name)
        numbers = [float(part) for part in rest]
        points = [(x * width, y * height) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
        if not number.isdecimal() or int(number) >= len(labels):
            raise ValueError(f"class {number} of {len(labels)}")
        shapes.append(Shape(labels[int(number)], points))
    return size, shapes


def picture_size(side: Side, max_pixels: int) -> tuple[int, int]:
    """(height, width) of a picture by its header, as it is stored.

    Raises:
        PairError: it cannot be read.
    """
    try:
        with Image.open(io.BytesIO(side.read(max_pixels))) as image:
            return image.height, image.width
    except DECODE_ERRORS as error:
        raise PairError(
            "damaged_file", f"A picture must be whole. Received: {error}", side.name, "Copy it again."
        ) from error


@dataclasses.dataclass(frozen=True)
class NoShapes:
    """The mask of a picture without a file of polygons, where that means that nothing is in it; see `Side`."""

    image: Side

    kind = None
    own_file = None
    files = ()

    @property
    def name(self) -> str:
        return f"no labels of {self.image.name}"

    def has_colour(self) -> bool:
        return False

    def read(self, max_pixels: int = MAX_PIXELS) -> bytes:
        height, width = picture_size(self.image, max_pixels)
        return encode(Image.new("L", (width, height)))


def printable_label(label) -> str:
    """A label as text, for tables of classes."""
    return printable(str(label)).strip() or "unnamed"
