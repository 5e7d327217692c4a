"""Sky, walls and ground of a generated street, painted on a `Canvas` before the cars. numpy only.

Each column is intersected once with the two bent rows of buildings, each row below the horizon with the ground. Walls, windows,
paint and slabs are then functions of metres along and up.
"""

from __future__ import annotations

import numpy as np

from kseg.streets.canvas import NO_HIT, Canvas, F, blend, cell_random, noise, to_linear

SKY, BUILDING, HOUSE_WINDOW, SHOP_WINDOW, ROAD, LANE_MARKING, CAR, WHEEL = range(8)
"""Class ids, in the order of `streets.LABELS`."""

YARD = 11.0
"""Metres behind the walls within which a ray through a gap can hit the end face of the next building."""
SKYLINE = F(170)
"""Depth of the far buildings, metres."""


def paint_background(canvas: Canvas) -> None:
    """Paints sky, skyline, walls and ground."""
    canvas.colour[:] = canvas.sky(canvas.rise[:, None], canvas.dx * 2)  # class 0 is the sky
    walls = Walls(canvas)
    _paint_skyline(canvas, walls)
    if (walls.building >= 0).any():
        _paint_walls(canvas, walls)
    _paint_ground(canvas, walls)


def add_haze(canvas: Canvas) -> None:
    """Fades distant colours into that of the sky at the horizon."""
    light, far = canvas.scene.light, np.square(canvas.depth)
    amount = np.where(canvas.label == SKY, F(0), far / (far + F(light.haze * light.haze)))
    canvas.colour = blend(canvas.colour, to_linear(light.skyline), amount)


class Walls:
    """What each column of rays hits first above the ground.

    Attributes:
        depth: metres in front of the camera, (S,); `NO_HIT` where there is none.
        building: index into `scene.buildings`, (S,); -1 where there is none.
        along: metres along the wall from the building's start, or from the street where `end`, (S,).
        end: whether it is the building's end face, seen through a gap, (S,).
    """

    def __init__(self, canvas: Canvas):
        scene, x = canvas.scene, F(canvas.scene.camera.x)
        left, right = (_intersect_row(canvas, side) for side in (-1, 1))
        row = np.where(left < right, -1, 1)
        self.depth = np.minimum(left, right)
        self.building = np.full(row.shape, -1)
        self.along, self.end = np.zeros_like(self.depth), np.zeros(row.shape, bool)
        z, dz = self.depth * canvas.dz, np.where(canvas.dz == 0, F(1e-6), canvas.dz)
        for side in (-1, 1):
            numbers = np.asarray([number for number, b in enumerate(scene.buildings) if b.side == side])
            starts = np.asarray([scene.buildings[number].start for number in numbers], F)
            ends = np.asarray([scene.buildings[number].end for number in numbers], F)
            index = np.clip(np.searchsorted(starts, z, "right") - 1, 0, len(numbers) - 1)
            built = (row == side) & (z >= starts[0]) & (z < ends[-1])
            front = built & (z < ends[index])
            self._set(front, self.depth, numbers[index], z - starts[index])
            # Through a gap a ray continues to the next end face, unless it leaves through the yards behind the houses.
            following = np.where(dz > 0, np.minimum(index + 1, len(numbers) - 1), index)
            face = np.where(dz > 0, starts[following], ends[following])
            depth = face / dz
            behind = abs(x + depth * canvas.dx - F(scene.bend) * face * face) - F(scene.wall)
            through = built & ~front & (depth > self.depth) & (behind < YARD)
            self._set(through, depth, numbers[following], behind)
            self.end |= through
        self.depth = np.where(self.building < 0, NO_HIT, self.depth)

    def _set(self, where, depth, building, along) -> None:
        for name, value in (("depth", depth), ("building", building), ("along", along)):
            setattr(self, name, np.where(where, value, getattr(self, name)))

    def per_column(self, canvas: Canvas, value) -> np.ndarray:
        """`value(building)` for each column, float32 (S,) or (S, 3)."""
        return np.asarray([value(building) for building in canvas.scene.buildings], F)[self.building]


def _intersect_row(canvas: Canvas, side: int) -> np.ndarray:
    """Depth (S,) at which the columns hit one bent row of walls: the smallest positive root, stable without bend."""
    scene = canvas.scene
    a, b, c = -F(scene.bend) * np.square(canvas.dz), canvas.dx, F(scene.camera.x - side * scene.wall)
    inner = b * b - 4 * a * c
    q = -(b + np.where(b < 0, F(-1), F(1)) * np.sqrt(np.maximum(inner, 0))) / 2
    roots = c / np.where(q == 0, F(1e-9), q), q / np.where(abs(a) < 1e-9, F(1e-9), a)
    return np.minimum(*(np.where((inner >= 0) & (root > 0), root, NO_HIT) for root in roots))


def _paint_skyline(canvas: Canvas, walls: Walls) -> None:
    bearing = canvas.dx / np.where(abs(canvas.dz) < 1e-3, F(1e-3), canvas.dz)
    block = np.floor(bearing * 22)
    y = canvas.height_at(np.full_like(bearing, SKYLINE))
    tall = 2 + 13 * cell_random(block + canvas.grain_u, block * 0 + canvas.grain_v)
    windows = np.where(noise(bearing * 300, y * 2 + canvas.grain_u) > 0.45, F(0.55), F(1))
    colour = (windows * (F(0.12) + F(0.15) * cell_random(block, block * 0 + 5)))[..., None] * to_linear((1, 0.97, 0.95))
    canvas.put((walls.depth == NO_HIT) & (y > 0) & (y < tall), colour, BUILDING, SKYLINE)


def _paint_walls(canvas: Canvas, walls: Walls) -> None:
    light, along, end = canvas.scene.light, walls.along, walls.end

    def per_column(value):
        return walls.per_column(canvas, value)

    width, bays, storey, eaves = (
        per_column(lambda b: b.end - b.start),
        per_column(lambda b: b.bays),
        per_column(lambda b: b.storey),
        per_column(lambda b: b.height),
    )
    roof = np.where(end, F(0), per_column(lambda b: b.gable) * (1 - abs(2 * along / width - 1)))
    y = canvas.height_at(walls.depth)
    visible = (walls.building >= 0) & (y > 0) & (y < eaves + roof)
    first, last = np.flatnonzero(visible.any(1))[[0, -1]]
    rows = slice(first, last + 1)
    y, visible = y[rows], visible[rows]
    bay, level = along / width * bays, y / storey
    bay_fraction, level_fraction = bay - np.floor(bay), level - np.floor(level)

    # Openings, alike in shops and houses.
    half, tall = per_column(lambda b: b.window[0]) / 2, per_column(lambda b: b.window[1])
    ground_floor = level < 1
    low = np.where(ground_floor, F(0.18), F(0.56) - tall / 2)
    top = np.where(ground_floor, F(0.6), F(0.56) + tall / 2)
    across = abs(bay_fraction - F(0.5))
    shop = per_column(lambda b: b.shop) > 0
    storeys = ~end & (level < per_column(lambda b: b.storeys))
    door = ~shop & ground_floor & (np.floor(bay) == np.floor(bays / 2))
    opening = storeys & ~door & (across < half) & (level_fraction > low) & (level_fraction < top)
    frame, sill = F(0.07) * bays / width, F(0.07) / storey  # 7 cm as shares of a bay and a storey
    crossbar = (across < frame / 2) & (cell_random(walls.building, walls.building * 0 + 3) < 0.5)
    bars = (across > half - frame) | crossbar | (level_fraction < low + sill) | (level_fraction > top - sill)
    glass = opening & ~bars

    colour = np.empty((*y.shape, 3), F)
    colour[:] = np.square(per_column(lambda b: b.wall))
    trim, sign = np.square(per_column(lambda b: b.trim)), np.square(per_column(lambda b: b.sign))
    awning = np.where((np.floor(along * F(1.4)) % 2 == 0)[:, None], sign, F(0.75))
    for where, what in (
        (~end & ((level_fraction < 0.05) | (abs(y - eaves) < 0.3)), trim),
        (storeys & door & (across < 0.3) & (level < 0.68), trim * F(0.3)),
        (~end & shop & (level > 0.76) & (level < 1.08), sign),
        (~end & shop & (level > 0.6) & (level <= 0.76), awning),
        (opening & bars, trim),
    ):
        np.copyto(colour, what, where=where[..., None])
    grain = noise(along * 6 + canvas.grain_u, y * 6 + canvas.grain_v) + noise(along * 40 + canvas.grain_v, y * 40) * F(
        0.7
    )
    stain = noise(along * F(1.5) + walls.building * 17, y * F(1.2) + canvas.grain_u)
    shade = np.where(per_column(lambda b: b.side) == light.sun_side, F(light.shade), F(1))
    shade = np.where(end, F((1 + light.shade) / 2), shade)
    colour *= (shade * (1 + F(0.06) * grain + F(0.1) * stain))[..., None]

    at, column = np.nonzero(glass)
    blinds = per_column(lambda b: b.blinds)[column]
    colour[at, column] = _glass(canvas, bay[column], level[at, column], walls.building[column], blinds)
    label = np.where(glass, np.where(shop, SHOP_WINDOW, HOUSE_WINDOW), BUILDING)
    canvas.put(visible, colour, label, walls.depth, rows=rows)


def _glass(canvas: Canvas, bay, level, building, blinds) -> np.ndarray:
    """Light of N points of windows, (N, 3): the reflected sky, a dark room, a blind or a lamp."""
    which = cell_random(np.floor(bay) + building * 31, np.floor(level) * 7 + 1)
    variant = cell_random(np.floor(bay) * 5 + building, np.floor(level) + 11)
    reflected = (
        canvas.sky(level * F(0.1) + variant * F(0.2), bay * F(0.15) + variant * 3)
        * (F(0.55) + F(0.4) * variant)[:, None]
    )
    room = np.repeat((F(0.02) + F(0.06) * variant)[:, None], 3, 1)
    blind = (F(0.25) + F(0.35) * variant)[:, None] * to_linear((1, 0.97, 0.9))
    lamp = (F(0.5) + F(0.4) * variant)[:, None] * to_linear((1, 0.86, 0.6))
    colour = np.where((which < blinds)[:, None], np.where((variant < 0.6)[:, None], room, blind), reflected)
    colour = np.where((which * 7 % 1 < canvas.scene.light.dusk)[:, None], lamp, colour)
    return colour * (1 + F(0.12) * noise(bay * 9 + canvas.grain_u, level * 9))[:, None]


def _paint_ground(canvas: Canvas, walls: Walls) -> None:
    scene, light = canvas.scene, canvas.scene.light
    rows = slice(int(np.argmax(canvas.rise < 0)), None)
    depth = np.minimum(F(scene.camera.height) / -canvas.rise[rows, None], F(2000))
    x, z = F(scene.camera.x) + depth * canvas.dx, depth * canvas.dz
    street = x - F(scene.bend) * z * z  # metres to the right of the street's middle
    beyond = abs(street) - F(scene.road)  # metres beyond the kerb
    near = 1 / (1 + depth / 12)  # grain fades where it is finer than a ray

    colour = np.where((beyond < 0)[..., None], to_linear(scene.asphalt), to_linear(scene.pavement))
    slabs = (beyond > 0.2) & ((z * F(1.1) % 1 < 0.05) | (beyond * F(1.3) % 1 < 0.05))
    np.multiply(colour, F(0.7), out=colour, where=slabs[..., None])
    np.copyto(colour, to_linear(scene.kerb), where=((beyond > 0) & (beyond < 0.22))[..., None])
    np.multiply(colour, F(0.3), out=colour, where=(_repairs(canvas, street, z) & (beyond < 0))[..., None])
    painted = scene.painted(street, z) & (beyond < 0)
    left = np.clip((noise(street * 5 + canvas.grain_v, z * 3) * F(0.8) + F(1 - 2.4 * scene.worn)) * 2, F(0.12), 1)
    colour = np.where(painted[..., None], blend(colour, to_linear((0.86, 0.86, 0.82)), left * F(0.9)), colour)
    grain = noise(x * 30 + canvas.grain_u, z * 30 + canvas.grain_v) * near * F(0.22)
    grain += noise(x * F(2.3), z * F(1.1) + canvas.grain_u) * F(0.14) + noise(x * 9, z * F(0.7) + canvas.grain_v) * F(
        0.1
    )
    colour *= (1 + grain)[..., None]
    colour = blend(colour, to_linear(light.skyline), F(light.wet) * np.clip(1 - near * F(1.2), 0, 1))
    colour *= (_sunlight(canvas, street, z) * _under_cars(canvas, x, z))[..., None]
    canvas.put(depth < walls.depth, colour, np.where(painted, LANE_MARKING, ROAD), depth, rows=rows)


def _repairs(canvas: Canvas, street, z) -> np.ndarray:
    """Dark asphalt without a class: tar seams and manholes."""
    wave = noise(z * 2, z * 0 + 9) * F(0.15)
    seam = (abs(street - F(0.31 * canvas.scene.road) - wave) < 0.06) & (noise(z, z * 0 + canvas.grain_u) > 0)
    u, v = z / 7, street / 3
    round_ = np.square((u % 1 - F(0.5)) * 7) + np.square((v % 1 - F(0.5)) * 3) < F(0.13)
    return seam | round_ & (cell_random(u, v) < 0.12)


def _sunlight(canvas: Canvas, street, z) -> np.ndarray:
    """Light on the ground: the row on the sun's side casts its outline on the street, trees outside the image cast spots."""
    scene, light = canvas.scene, canvas.scene.light
    row = [b for b in scene.buildings if b.side == light.sun_side]
    starts, ends = np.asarray([b.start for b in row], F), np.asarray([b.end for b in row], F)
    z = z + street * F(0.4)
    index = np.clip(np.searchsorted(starts, z) - 1, 0, len(row) - 1)
    height = np.where(z < ends[index], np.asarray([b.height for b in row], F)[index], 0)
    dark = F(scene.wall) - street * light.sun_side < height * F(light.shadow)
    dark |= noise(street * 4 + canvas.grain_u, z * 4) + noise(street, z) > F(1.25)
    return np.where(dark, F(light.shade * 0.85), F(1))


def _under_cars(canvas: Canvas, x, z) -> np.ndarray:
    """Share of the light that cars leave on the ground under and next to them, 1 elsewhere."""
    lit = np.ones(x.shape, F)
    for car in canvas.scene.cars:
        if 0 < canvas.position(car)[1] < 45:
            right, ahead = x - F(car.x), z - F(car.z)
            along = abs(right * F(car.sine) + ahead * F(car.cosine)) - F(car.length / 2)
            across = abs(right * F(car.cosine) - ahead * F(car.sine)) - F(car.width / 2)
            lit = np.minimum(lit, np.clip(F(0.42) + np.maximum(along, across) * F(1.6), F(0.25), 1))
    return lit
