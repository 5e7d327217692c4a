"""The scene of a generated street: what stands where, in metres. numpy only.

A street runs along z between two rows of buildings; x is the distance to the right of its middle, y the height above ground. The
street bends: its middle lies at x = bend * z**2.
"""

from __future__ import annotations

import dataclasses

import numpy as np

Colour = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Camera:
    """The camera, at z = 0, `x` metres right of the middle and `height` metres above ground.

    `sine` and `cosine` belong to the angle of its view to the right of straight ahead; `focal` is the focal length in widths of
    the image; `horizon` is the row of the horizon, from 0 at the top to 1 at the bottom.
    """

    x: float
    height: float
    sine: float
    cosine: float
    focal: float
    horizon: float


@dataclasses.dataclass(frozen=True)
class Building:
    """A building from `start` to `end` along z. `shop` alone decides the class of its windows."""

    side: int  # -1 left of the street, 1 right
    start: float
    end: float
    storeys: int
    storey: float  # height of one storey
    gable: float  # height of the roof's triangle, 0 if flat
    bays: int  # windows side by side
    window: tuple[float, float]  # width and height as shares of a bay and a storey
    shop: bool
    wall: Colour
    trim: Colour
    sign: Colour
    blinds: float  # share of its windows that do not reflect the sky

    @property
    def height(self) -> float:
        """Metres up to the eaves."""
        return self.storeys * self.storey + 0.5


@dataclasses.dataclass(frozen=True)
class Line:
    """A painted line at `x`: the first `dash` metres of each `period` are painted; a solid line if both are equal."""

    x: float
    width: float
    period: float
    dash: float
    phase: float

    def covers(self, x, z):
        """Which of the points (x, z) are painted, x from the middle of the bent street; bool, of their shape."""
        along = (z + self.phase) / self.period
        return (abs(x - self.x) < self.width / 2) & (along - np.floor(along) < self.dash / self.period)


@dataclasses.dataclass(frozen=True)
class Car:
    """A car centred at (x, z), x from the straight axis; its length points along (cosine * z + sine * x)."""

    x: float
    z: float
    sine: float
    cosine: float
    length: float
    width: float
    height: float
    cabin: tuple[
        float, float
    ]  # rear and front end of the cabin at the belt line, as shares of the length from the middle
    paint: Colour
    wheel: float  # radius


@dataclasses.dataclass(frozen=True)
class Post:
    """An upright thing without a class, void in the label map: a lamp post, a tree, a person."""

    x: float
    z: float
    height: float
    radius: float  # of the stem
    crown: float  # radius of the round top, 0 for none
    colour: Colour
    crown_colour: Colour


@dataclasses.dataclass(frozen=True)
class Light:
    """Sun, sky, weather and the camera's sensor."""

    sun_side: int  # the row of buildings whose front is in the shade
    shade: float  # light in the shade, as a share of full light
    shadow: float  # metres of shadow on the ground per metre of building
    zenith: Colour
    skyline: Colour  # the sky's colour at the horizon, and the haze's
    clouds: float
    haze: float  # metres at which half of a colour is haze
    wet: float  # how much the road reflects the sky
    exposure: float
    balance: Colour  # gains of red, green and blue
    blur: float
    noise: float
    dusk: float  # share of windows that are lit from inside


@dataclasses.dataclass(frozen=True)
class Scene:
    """Everything in an image, in metres."""

    camera: Camera
    light: Light
    bend: float
    road: float  # half the width of the carriageway
    wall: float  # distance of both rows of buildings from the middle
    asphalt: Colour
    pavement: Colour
    kerb: Colour
    worn: float  # share of the road paint that has worn off; worn paint keeps its class
    buildings: tuple[Building, ...]
    lines: tuple[Line, ...]
    zebra: tuple[float, float] | None  # zebra crossing, from z to z
    cars: tuple[Car, ...]
    posts: tuple[Post, ...]
    grain: int  # offset into the texture

    def middle(self, z):
        """x of the street's middle at `z`, metres."""
        return self.bend * z * z

    def painted(self, x, z):
        """Which of the points (x, z) are painted, worn off or not, x from the middle of the bent street."""
        covered = np.zeros(np.shape(x), bool)
        for line in self.lines:
            covered |= line.covers(x, z)
        if self.zebra is not None:
            start, end = self.zebra
            bar = x * 0.9 - np.floor(x * 0.9) < 0.5
            covered = np.where((z > start - 1) & (z < end + 1), False, covered)
            covered |= bar & (z > start) & (z < end) & (abs(x) < self.road - 0.4)
        return covered
