"""Samples the scene of a generated street from a seed, before anything is rendered. numpy only.

Only `Generator.random` and arithmetic are used, no function of a mathematics library, so every platform samples the same scenes.
Nothing here depends on the size of the image.
"""

from __future__ import annotations

import numpy as np

from kseg.streets.scenes import Building, Camera, Car, Colour, Light, Line, Post, Scene

SPLITS = ("train", "validation", "test")
NEAR, FAR = -45.0, 150.0  # metres behind and ahead of the camera between which buildings stand

# Many walls have the colours of sky, asphalt and cars: colour alone does not identify them.
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


class RandomStream:
    """Random choices from one stream of uniform numbers."""

    def __init__(self, entropy: list[int]):
        self.generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * float(self.generator.random())

    def chance(self, share: float) -> bool:
        """True with probability `share`."""
        return float(self.generator.random()) < share

    def choice(self, options):
        """One of `options`."""
        return options[int(self.generator.random() * len(options))]

    def tint(self, colour: Colour, spread: float) -> Colour:
        """A lighter or darker and tinted `colour`, within 0.03 to 0.97."""
        gain = self.uniform(1 - 2 * spread, 1 + 2 * spread)
        return tuple(min(max(channel * gain + self.uniform(-spread, spread) / 2, 0.03), 0.97) for channel in colour)


def scene(index: int, *, split: str, seed: int = 0) -> Scene:
    """Samples the scene of one example.

    Args:
        index: number of the example within its split, from 0.
        split: one of "train", "validation", "test"; each has different scenes.
        seed: of the data set.

    Raises:
        ValueError: the split is unknown, or `index` or `seed` is negative.
    """
    if split not in SPLITS:
        raise ValueError(f"`split` must be one of {', '.join(SPLITS)}. Received: split={split!r}.")
    if index < 0 or seed < 0:
        raise ValueError(f"`index` and `seed` must not be negative. Received: index={index}, seed={seed}.")
    rng = RandomStream([seed, SPLITS.index(split), index])
    road = rng.uniform(3.2, 5.5)
    wall = road + rng.uniform(1.6, 4.0)
    camera = _camera(rng, road)
    bend = rng.uniform(-0.006, 0.006) * rng.chance(0.7)
    grey = rng.uniform(0.28, 0.62)
    zebra_at = rng.uniform(5, 16)
    return Scene(
        camera=camera,
        light=_light(rng),
        bend=bend,
        road=road,
        wall=wall,
        asphalt=rng.tint((grey, grey, grey * 1.03), 0.04),
        pavement=rng.tint((grey * 1.1, grey * 1.08, grey * 1.02), 0.12),
        kerb=rng.tint((0.86, 0.86, 0.82) if rng.chance(0.4) else (grey * 1.2,) * 3, 0.05),
        worn=rng.uniform(0, 0.45),
        buildings=(*_row(rng, -1), *_row(rng, 1)),
        lines=_lines(rng, road),
        zebra=(zebra_at, zebra_at + rng.uniform(2.5, 4)) if rng.chance(0.25) else None,
        cars=_cars(rng, camera, road, bend),
        posts=_posts(rng, camera, road, wall, bend),
        grain=int(rng.uniform(0, 65536)),
    )


def _camera(rng: RandomStream, road: float) -> Camera:
    # The half-angle form of sine and cosine needs no mathematics library.
    half = rng.uniform(-0.16, 0.16) if rng.chance(0.55) else rng.uniform(0.25, 0.6) * rng.choice((-1, 1))
    x = rng.uniform(-0.6, 0.6) * road
    if abs(half) > 0.2:  # looking across the street: stand on the far side
        x = -rng.uniform(0.3, 1.0) * road * (1 if half > 0 else -1)
    square = half * half
    return Camera(
        x=x,
        height=rng.uniform(1.2, 2.6),
        sine=2 * half / (1 + square),
        cosine=(1 - square) / (1 + square),
        focal=rng.uniform(0.7, 1.1),
        horizon=rng.uniform(0.34, 0.54),
    )


def _light(rng: RandomStream) -> Light:
    weather = rng.choice(("clear", "clear", "cloudy", "overcast", "evening"))
    zenith, skyline = SKIES[weather]
    sunny = weather in ("clear", "cloudy")
    warm = rng.uniform(-0.2, 0.2) + 0.08 * (weather == "evening")
    return Light(
        sun_side=rng.choice((-1, 1)),
        shade=rng.uniform(0.4, 0.65) if sunny else rng.uniform(0.8, 1.0),
        shadow=rng.uniform(0.15, 1.2),
        zenith=rng.tint(zenith, 0.06),
        skyline=rng.tint(skyline, 0.04),
        clouds=rng.uniform(0.5, 1.0) if weather == "cloudy" else rng.uniform(0, 0.35),
        haze=rng.uniform(40, 120) if rng.chance(0.3) else rng.uniform(150, 500),
        wet=rng.uniform(0.2, 0.6) if rng.chance(0.25) else rng.uniform(0, 0.15),
        exposure=rng.uniform(0.55, 1.4) * (0.7 if weather == "evening" else 1.0),
        balance=(1 + warm, 1.0, 1 - warm),
        blur=rng.uniform(0, 0.8),
        noise=rng.uniform(0.01, 0.05),
        dusk=0.35 if weather == "evening" else 0.04,
    )


def _row(rng: RandomStream, side: int) -> tuple[Building, ...]:
    """One side of the street: buildings of both kinds, with gaps through which the sky is seen."""
    buildings, z = [], NEAR + rng.uniform(0, 8)
    shops, gaps = rng.uniform(0.3, 0.7), rng.uniform(0.0, 0.5)
    while z < FAR:
        width = rng.uniform(7, 17)
        storey = rng.uniform(2.8, 3.6)
        shop = rng.chance(shops)
        buildings.append(
            Building(
                side=side,
                start=z,
                end=z + width,
                storeys=1 + int(rng.uniform(0.4, 4.4)),
                storey=storey,
                gable=rng.uniform(1.5, 4) if rng.chance(0.7) and not shop else 0.0,
                bays=max(2, int(width / rng.uniform(2.8, 5.0))),
                window=(rng.uniform(0.5, 0.85), rng.uniform(0.46, 0.68)),
                shop=shop,
                wall=rng.tint(rng.choice(WALLS), 0.1),
                trim=rng.tint(rng.choice(((0.85, 0.84, 0.8), (0.3, 0.28, 0.26), (0.6, 0.6, 0.6))), 0.06),
                sign=rng.tint(rng.choice(SIGNS), 0.06),
                blinds=rng.uniform(0.1, 0.9),
            )
        )
        z += width + (rng.uniform(2, 12) if rng.chance(gaps) else 0.0)
    return tuple(buildings)


def _lines(rng: RandomStream, road: float) -> tuple[Line, ...]:
    """The middle line, and often one along each kerb."""
    width, phase = rng.uniform(0.2, 0.36), rng.uniform(0, 9)
    period = rng.uniform(5, 9)
    dash = period if rng.chance(0.4) else period * rng.uniform(0.4, 0.65)
    lines = [Line(rng.uniform(-0.5, 0.5), width, period, dash, phase)]
    if rng.chance(0.55):
        inset = rng.uniform(0.35, 0.9)
        lines += [Line(side * (road - inset), width, 10.0, 10.0, 0.0) for side in (-1, 1)]
    elif road > 4.6:
        lines += [Line(side * road / 2, width, period, period * 0.5, phase) for side in (-1, 1)]
    return tuple(lines)


def _cars(rng: RandomStream, camera: Camera, road: float, bend: float) -> tuple[Car, ...]:
    """Cars parked along both kerbs, driving, changing lanes, and sometimes one across the street."""
    places = []
    for side in (-1, 1):
        density, z = rng.uniform(0, 0.6), NEAR / 2
        while z < 45:
            z += rng.uniform(5.2, 7.5)
            if rng.chance(density):
                places.append((side * (road - rng.uniform(0.9, 1.2)), z, rng.uniform(-0.05, 0.05)))
    for _ in range(3):
        if rng.chance(0.6):
            places.append((rng.uniform(-0.5, 0.5) * road, rng.uniform(6, 30), rng.uniform(-0.25, 0.25)))
    if rng.chance(0.4):
        places.append((rng.uniform(-0.6, 0.6) * road, rng.uniform(8, 18), rng.choice((-1, 1)) * rng.uniform(0.7, 1.4)))
    cars = []
    for x, z, half in places:
        half = half + bend * z  # half of the street's own direction there, nearly
        x = x + bend * z * z
        clear = all((x - other.x) ** 2 + (z - other.z) ** 2 > 5.2**2 for other in cars)
        if clear and (x - camera.x) ** 2 + z * z > 4.6**2:
            cars.append(_car(rng, x, z, half))
    return tuple(cars)


def _car(rng: RandomStream, x: float, z: float, half: float) -> Car:
    square = half * half
    long = rng.chance(0.3)  # an estate car or a van
    return Car(
        x=x,
        z=z,
        sine=2 * half / (1 + square),
        cosine=(1 - square) / (1 + square),
        length=rng.uniform(3.7, 4.8),
        width=rng.uniform(1.65, 1.9),
        height=rng.uniform(1.7, 2.0) if long else rng.uniform(1.38, 1.55),
        cabin=(-0.49, 0.28) if long else (rng.uniform(-0.47, -0.36), rng.uniform(0.2, 0.28)),
        paint=rng.tint(rng.choice(PAINTS), 0.06),
        wheel=rng.uniform(0.33, 0.4),
    )


def _posts(rng: RandomStream, camera: Camera, road: float, wall: float, bend: float) -> tuple[Post, ...]:
    posts = []
    for _ in range(10):
        z, side = rng.uniform(-15, 35), rng.choice((-1, 1))
        x = side * rng.uniform(road + 0.35, wall - 0.5) + bend * z * z
        kind = rng.choice(("lamp", "lamp", "tree", "person", "none"))
        bark, leaf = rng.tint((0.3, 0.24, 0.18), 0.05), rng.tint((0.25, 0.38, 0.14), 0.08)
        cloth = rng.tint(rng.choice(PAINTS), 0.1)
        tall, stem, crown = rng.uniform(3.5, 6), rng.uniform(0.06, 0.12), rng.uniform(0.7, 1.4)
        if kind == "none" or (x - camera.x) ** 2 + z * z < 25:
            continue
        if kind == "lamp":
            posts.append(Post(x, z, tall + 1, stem, 0.16, (0.3, 0.31, 0.32), (0.8, 0.8, 0.75)))
        elif kind == "tree":
            posts.append(Post(x, z, tall * 0.8, stem * 1.4, crown, bark, leaf))
        else:
            posts.append(Post(x, z, 1.55 + stem, 0.22, 0.13, cloth, (0.75, 0.58, 0.48)))
    return tuple(posts)
