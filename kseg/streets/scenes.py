"""What stands where in a generated street: a `Scene` in metres, drawn from a seed before anything is rendered.

A street runs along z between two rows of buildings; x is the distance to the right of its middle, y the height above
ground. The street bends: its middle lies at x = bend * z**2. Nothing here depends on the size of the picture. Only
`Generator.random` is used, and no function of the mathematics library, so that every platform draws the same scenes.
Pure Python and numpy.
"""

from __future__ import annotations

import dataclasses

import numpy as np

Colour = tuple[float, float, float]

SPLITS = ("train", "validation", "test")
NEAR, FAR = -45.0, 150.0  # metres of street that are built up, behind and ahead of the camera

# Many walls have the colours of sky, asphalt and cars, so that colour alone does not tell them apart.
WALLS = (
    (0.62, 0.33, 0.26),
    (0.78, 0.7, 0.58),
    (0.5, 0.5, 0.52),
    (0.72, 0.78, 0.86),
    (0.86, 0.86, 0.85),
    (0.42, 0.4, 0.4),
    (0.6, 0.68, 0.76),
    (0.55, 0.42, 0.36),
    (0.66, 0.72, 0.8),
    (0.7, 0.71, 0.72),
)
SIGNS = ((0.8, 0.12, 0.12), (0.1, 0.5, 0.25), (0.12, 0.25, 0.7), (0.9, 0.6, 0.08), (0.55, 0.12, 0.5), (0.05, 0.5, 0.55))
PAINTS = (
    (0.85, 0.85, 0.86),
    (0.55, 0.56, 0.58),
    (0.4, 0.41, 0.43),
    (0.1, 0.1, 0.12),
    (0.6, 0.1, 0.1),
    (0.15, 0.25, 0.5),
    (0.62, 0.7, 0.8),
    (0.7, 0.62, 0.5),
    (0.15, 0.35, 0.25),
    (0.75, 0.5, 0.15),
)
SKIES = {  # overhead and at the horizon
    "clear": ((0.35, 0.55, 0.85), (0.75, 0.84, 0.93)),
    "cloudy": ((0.5, 0.62, 0.78), (0.8, 0.83, 0.87)),
    "overcast": ((0.66, 0.69, 0.72), (0.78, 0.79, 0.8)),
    "evening": ((0.4, 0.42, 0.6), (0.9, 0.68, 0.5)),
}


@dataclasses.dataclass(frozen=True)
class Camera:
    """Where the picture is taken from: z = 0, `x` metres right of the middle, `height` metres up.

    `sine` and `cosine` are of the angle by which it looks to the right of straight ahead; `focal` is the focal length
    in widths of the image; `horizon` is the height of the horizon, 0 at the top row and 1 at the bottom row.
    """

    x: float
    height: float
    sine: float
    cosine: float
    focal: float
    horizon: float


@dataclasses.dataclass(frozen=True)
class Building:
    """A building from `start` to `end` along z. `shop` alone decides of what class its windows are."""

    side: int  # -1 left of the street, 1 right
    start: float
    end: float
    storeys: int
    storey: float  # height of one
    gable: float  # height of the roof's triangle, 0 where flat
    bays: int  # windows side by side
    window: tuple[float, float]  # width and height as shares of a bay and a storey
    shop: bool
    wall: Colour
    trim: Colour
    sign: Colour
    blinds: float  # share of its windows that do not mirror the sky

    @property
    def height(self) -> float:
        """Metres up to the eaves."""
        return self.storeys * self.storey + 0.5


@dataclasses.dataclass(frozen=True)
class Line:
    """A painted line at `x`: of each `period` metres the first `drawn` are painted (all: a solid line)."""

    x: float
    width: float
    period: float
    drawn: float
    phase: float

    def covers(self, x, z):
        """Whether the points (x, z), x from the middle of the bent street, are painted; boolean, of their shape."""
        along = (z + self.phase) / self.period
        return (abs(x - self.x) < self.width / 2) & (along - np.floor(along) < self.drawn / self.period)


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
    cabin: tuple[float, float]  # where the cabin begins and ends at the belt line, shares of the length from the middle
    paint: Colour
    wheel: float  # radius


@dataclasses.dataclass(frozen=True)
class Post:
    """What stands upright and belongs to no class: a lamp post, a tree, a person (void in the label map)."""

    x: float
    z: float
    height: float
    radius: float  # of the stem
    crown: float  # radius of the round top, 0 for none
    colour: Colour
    crown_colour: Colour


@dataclasses.dataclass(frozen=True)
class Light:
    """Sun, sky, weather and the camera's electronics."""

    sun_side: int  # the row of buildings that lies in its own shade
    shade: float  # light in the shade, as a share of full light
    shadow: float  # metres of shadow on the ground per metre of building
    zenith: Colour
    skyline: Colour  # the sky's colour at the horizon, and the haze's
    clouds: float
    haze: float  # metres at which half of a colour is haze
    wet: float  # how much the road mirrors the sky
    exposure: float
    balance: Colour  # gains of red, green and blue
    blur: float
    noise: float
    dusk: float  # share of windows that are lit from inside


@dataclasses.dataclass(frozen=True)
class Scene:
    """Everything that a picture shows, in metres."""

    camera: Camera
    light: Light
    bend: float
    road: float  # half the width of the carriageway
    wall: float  # distance of both rows of buildings from the middle
    asphalt: Colour
    pavement: Colour
    kerb: Colour
    worn: float  # share of the paint that has worn off; worn paint keeps its class
    buildings: tuple[Building, ...]
    lines: tuple[Line, ...]
    zebra: tuple[float, float] | None  # crossing for walkers, from z to z
    cars: tuple[Car, ...]
    posts: tuple[Post, ...]
    grain: int  # offset into the texture

    def middle(self, z):
        """x of the street's middle at `z`, metres."""
        return self.bend * z * z

    def painted(self, x, z):
        """Whether paint was laid at the points (x, z), x from the middle of the bent street, worn off or not."""
        covered = np.zeros(np.shape(x), bool)
        for line in self.lines:
            covered |= line.covers(x, z)
        if self.zebra is not None:
            start, end = self.zebra
            bar = x * 0.9 - np.floor(x * 0.9) < 0.5
            covered = np.where((z > start - 1) & (z < end + 1), False, covered)
            covered |= bar & (z > start) & (z < end) & (abs(x) < self.road - 0.4)
        return covered


class Draw:
    """Random choices from one stream of uniform numbers."""

    def __init__(self, entropy: list[int]):
        self.generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))

    def between(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * float(self.generator.random())

    def chance(self, share: float) -> bool:
        """True with probability `share`."""
        return float(self.generator.random()) < share

    def pick(self, options):
        """One of `options`."""
        return options[int(self.generator.random() * len(options))]

    def tinted(self, colour: Colour, spread: float) -> Colour:
        """`colour`, made lighter or darker and tinted, within 0.03 to 0.97."""
        gain = self.between(1 - 2 * spread, 1 + 2 * spread)
        return tuple(min(max(channel * gain + self.between(-spread, spread) / 2, 0.03), 0.97) for channel in colour)


def scene(index: int, *, split: str, seed: int = 0) -> Scene:
    """The scene of one example.

    Args:
        index: number of the example within its split, from 0.
        split: train, validation or test; each has scenes of its own.
        seed: another seed is another data set.

    Raises:
        ValueError: there is no such split, or `index` or `seed` is negative.
    """
    if split not in SPLITS:
        raise ValueError(f"`split` must be one of {', '.join(SPLITS)}. Received: split={split!r}.")
    if index < 0 or seed < 0:
        raise ValueError(f"`index` and `seed` must not be negative. Received: index={index}, seed={seed}.")
    draw = Draw([seed, SPLITS.index(split), index])
    road = draw.between(3.2, 5.5)
    wall = road + draw.between(1.6, 4.0)
    camera = _camera(draw, road)
    bend = draw.between(-0.006, 0.006) * draw.chance(0.7)
    grey = draw.between(0.28, 0.62)
    zebra_at = draw.between(5, 16)
    return Scene(
        camera=camera,
        light=_light(draw),
        bend=bend,
        road=road,
        wall=wall,
        asphalt=draw.tinted((grey, grey, grey * 1.03), 0.04),
        pavement=draw.tinted((grey * 1.1, grey * 1.08, grey * 1.02), 0.12),
        kerb=draw.tinted((0.86, 0.86, 0.82) if draw.chance(0.4) else (grey * 1.2,) * 3, 0.05),
        worn=draw.between(0, 0.45),
        buildings=(*_row(draw, -1), *_row(draw, 1)),
        lines=_lines(draw, road),
        zebra=(zebra_at, zebra_at + draw.between(2.5, 4)) if draw.chance(0.25) else None,
        cars=_cars(draw, camera, road, bend),
        posts=_posts(draw, camera, road, wall, bend),
        grain=int(draw.between(0, 65536)),
    )


def _camera(draw: Draw, road: float) -> Camera:
    # The half-angle form of sine and cosine needs no mathematics library.
    half = draw.between(-0.16, 0.16) if draw.chance(0.55) else draw.between(0.25, 0.6) * draw.pick((-1, 1))
    x = draw.between(-0.6, 0.6) * road
    if abs(half) > 0.2:  # looking across: stand on the other side
        x = -draw.between(0.3, 1.0) * road * (1 if half > 0 else -1)
    square = half * half
    return Camera(
        x=x,
        height=draw.between(1.2, 2.6),
        sine=2 * half / (1 + square),
        cosine=(1 - square) / (1 + square),
        focal=draw.between(0.7, 1.1),
        horizon=draw.between(0.34, 0.54),
    )


def _light(draw: Draw) -> Light:
    weather = draw.pick(("clear", "clear", "cloudy", "overcast", "evening"))
    zenith, skyline = SKIES[weather]
    sunny = weather in ("clear", "cloudy")
    warm = draw.between(-0.2, 0.2) + 0.08 * (weather == "evening")
    return Light(
        sun_side=draw.pick((-1, 1)),
        shade=draw.between(0.4, 0.65) if sunny else draw.between(0.8, 1.0),
        shadow=draw.between(0.15, 1.2),
        zenith=draw.tinted(zenith, 0.06),
        skyline=draw.tinted(skyline, 0.04),
        clouds=draw.between(0.5, 1.0) if weather == "cloudy" else draw.between(0, 0.35),
        haze=draw.between(40, 120) if draw.chance(0.3) else draw.between(150, 500),
        wet=draw.between(0.2, 0.6) if draw.chance(0.25) else draw.between(0, 0.15),
        exposure=draw.between(0.55, 1.4) * (0.7 if weather == "evening" else 1.0),
        balance=(1 + warm, 1.0, 1 - warm),
        blur=draw.between(0, 0.8),
        noise=draw.between(0.01, 0.05),
        dusk=0.35 if weather == "evening" else 0.04,
    )


def _row(draw: Draw, side: int) -> tuple[Building, ...]:
    """One side of the street: buildings of both kinds, with gaps through which the sky is seen."""
    buildings, z = [], NEAR + draw.between(0, 8)
    shops, gaps = draw.between(0.3, 0.7), draw.between(0.0, 0.5)
    while z < FAR:
        width = draw.between(7, 17)
        storey = draw.between(2.8, 3.6)
        shop = draw.chance(shops)
        buildings.append(
            Building(
                side=side,
                start=z,
                end=z + width,
                storeys=1 + int(draw.between(0.4, 4.4)),
                storey=storey,
                gable=draw.between(1.5, 4) if draw.chance(0.7) and not shop else 0.0,
                bays=max(2, int(width / draw.between(2.8, 5.0))),
                window=(draw.between(0.5, 0.85), draw.between(0.46, 0.68)),
                shop=shop,
                wall=draw.tinted(draw.pick(WALLS), 0.1),
                trim=draw.tinted(draw.pick(((0.85, 0.84, 0.8), (0.3, 0.28, 0.26), (0.6, 0.6, 0.6))), 0.06),
                sign=draw.tinted(draw.pick(SIGNS), 0.06),
                blinds=draw.between(0.1, 0.9),
            )
        )
        z += width + (draw.between(2, 12) if draw.chance(gaps) else 0.0)
    return tuple(buildings)


def _lines(draw: Draw, road: float) -> tuple[Line, ...]:
    """The middle line, and often a line along each kerb."""
    width, phase = draw.between(0.2, 0.36), draw.between(0, 9)
    period = draw.between(5, 9)
    drawn = period if draw.chance(0.4) else period * draw.between(0.4, 0.65)
    lines = [Line(draw.between(-0.5, 0.5), width, period, drawn, phase)]
    if draw.chance(0.55):
        inset = draw.between(0.35, 0.9)
        lines += [Line(side * (road - inset), width, 10.0, 10.0, 0.0) for side in (-1, 1)]
    elif road > 4.6:
        lines += [Line(side * road / 2, width, period, period * 0.5, phase) for side in (-1, 1)]
    return tuple(lines)


def _cars(draw: Draw, camera: Camera, road: float, bend: float) -> tuple[Car, ...]:
    """Cars parked along both kerbs, driving, changing lanes, and now and then one across the street."""
    places = []
    for side in (-1, 1):
        density, z = draw.between(0, 0.6), NEAR / 2
        while z < 45:
            z += draw.between(5.2, 7.5)
            if draw.chance(density):
                places.append((side * (road - draw.between(0.9, 1.2)), z, draw.between(-0.05, 0.05)))
    for _ in range(3):
        if draw.chance(0.6):
            places.append((draw.between(-0.5, 0.5) * road, draw.between(6, 30), draw.between(-0.25, 0.25)))
    if draw.chance(0.4):
        places.append(
            (draw.between(-0.6, 0.6) * road, draw.between(8, 18), draw.pick((-1, 1)) * draw.between(0.7, 1.4))
        )
    cars = []
    for x, z, half in places:
        half = half + bend * z  # half of the street's own direction there, nearly
        x = x + bend * z * z
        clear = all((x - other.x) ** 2 + (z - other.z) ** 2 > 5.2**2 for other in cars)
        if clear and (x - camera.x) ** 2 + z * z > 4.6**2:
            cars.append(_car(draw, x, z, half))
    return tuple(cars)


def _car(draw: Draw, x: float, z: float, half: float) -> Car:
    square = half * half
    long = draw.chance(0.3)  # an estate car or a van
    return Car(
        x=x,
        z=z,
        sine=2 * half / (1 + square),
        cosine=(1 - square) / (1 + square),
        length=draw.between(3.7, 4.8),
        width=draw.between(1.65, 1.9),
        height=draw.between(1.7, 2.0) if long else draw.between(1.38, 1.55),
        cabin=(-0.49, 0.28) if long else (draw.between(-0.47, -0.36), draw.between(0.2, 0.28)),
        paint=draw.tinted(draw.pick(PAINTS), 0.06),
        wheel=draw.between(0.33, 0.4),
    )


def _posts(draw: Draw, camera: Camera, road: float, wall: float, bend: float) -> tuple[Post, ...]:
    posts = []
    for _ in range(10):
        z, side = draw.between(-15, 35), draw.pick((-1, 1))
        x = side * draw.between(road + 0.35, wall - 0.5) + bend * z * z
        kind = draw.pick(("lamp", "lamp", "tree", "person", "none"))
        bark, leaf = draw.tinted((0.3, 0.24, 0.18), 0.05), draw.tinted((0.25, 0.38, 0.14), 0.08)
        cloth = draw.tinted(draw.pick(PAINTS), 0.1)
        tall, stem, crown = draw.between(3.5, 6), draw.between(0.06, 0.12), draw.between(0.7, 1.4)
        if kind == "none" or (x - camera.x) ** 2 + z * z < 25:
            continue
        if kind == "lamp":
            posts.append(Post(x, z, tall + 1, stem, 0.16, (0.3, 0.31, 0.32), (0.8, 0.8, 0.75)))
        elif kind == "tree":
            posts.append(Post(x, z, tall * 0.8, stem * 1.4, crown, bark, leaf))
        else:
            posts.append(Post(x, z, 1.55 + stem, 0.22, 0.13, cloth, (0.75, 0.58, 0.48)))
    return tuple(posts)
