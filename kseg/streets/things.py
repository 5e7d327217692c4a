"""Things on a generated street: cars with two visible wheels, lamp posts, trees and people. numpy only.

A car is its outline from the side, extruded over its width: cross and side sections, then the end and the side that face the
camera, all tested against the depth of the canvas. The face with the larger visible area carries the wheels.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from kseg.labels import VOID
from kseg.streets.background import CAR, WHEEL
from kseg.streets.canvas import NO_HIT, Canvas, F, noise, to_linear
from kseg.streets.scenes import Car, Post

GROUND_CLEARANCE = F(0.27)
BELT = 0.6  # lower edge of the windows, as a share of a car's height
CROSS_SECTIONS, LONG_SECTIONS = 11, 7  # fewer leave gaps in the roof


def paint_things(canvas: Canvas) -> None:
    """Paints all cars and posts; the depth of the canvas decides what hides what."""
    for number, car in enumerate(canvas.scene.cars, 1):
        view = _View.create(canvas, car, number)
        if view is not None:
            _paint_car(view)
    for post in canvas.scene.posts:
        _paint_post(canvas, post)


@dataclasses.dataclass(frozen=True)
class _View:
    """A car in its own coordinates: `p` metres towards its front, `q` metres to its right, from its middle."""

    canvas: Canvas
    car: Car
    number: int
    rows: slice  # of the rays that can hit the car
    columns: slice
    p: float  # of the camera
    q: float
    dp: np.ndarray  # per metre of depth, for these columns
    dq: np.ndarray

    @classmethod
    def create(cls, canvas: Canvas, car: Car, number: int) -> _View | None:
        """The view of a car, or None if it is not visible."""
        camera, (right, depth) = canvas.scene.camera, canvas.position(car)
        radius = float(np.sqrt(car.length * car.length + car.width * car.width)) / 2
        if not radius < depth < 70:
            return None
        near, far = max(depth - radius, 0.8), depth + radius
        edges = [(right + sign * radius) / at for sign in (-1, 1) for at in (near, far)]
        columns = np.flatnonzero((canvas.across > min(edges)) & (canvas.across < max(edges)))
        top = (car.height - camera.height) / (near if car.height > camera.height else far)
        rows = np.flatnonzero((canvas.rise < top) & (canvas.rise > -camera.height / near))
        if not rows.size or not columns.size:
            return None
        rows, columns = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        dx, dz, x, z = canvas.dx[columns], canvas.dz[columns], camera.x - car.x, -car.z
        sine, cosine = F(car.sine), F(car.cosine)
        p, q = x * car.sine + z * car.cosine, x * car.cosine - z * car.sine
        return cls(canvas, car, number, rows, columns, p, q, dx * sine + dz * cosine, dx * cosine - dz * sine)

    @property
    def shows_side(self) -> bool:
        """Whether the side has the larger visible area, and so carries the wheels."""
        side = self.car.length * max(abs(self.q) - self.car.width / 2, 0)
        return side > 1.15 * self.car.width * max(abs(self.p) - self.car.length / 2, 0)

    def cross_plane(self, p):
        """Rays at the plane `p`: depth (columns,), metres to the right (columns,), height and visibility (rows, columns)."""
        depth = self._limit((F(p) - F(self.p)) / np.where(abs(self.dp) < 1e-5, F(1e-5), self.dp))
        return depth, F(self.q) + depth * self.dq, *self._visible(depth)

    def side_plane(self, q):
        """Rays at the plane `q`: the same, with metres towards the front."""
        depth = self._limit((F(q) - F(self.q)) / np.where(abs(self.dq) < 1e-5, F(1e-5), self.dq))
        return depth, F(self.p) + depth * self.dp, *self._visible(depth)

    @staticmethod
    def _limit(depth):
        return np.where((depth > 0.3) & (depth < 200), depth, NO_HIT)

    def _visible(self, depth):
        y = F(self.canvas.scene.camera.height) + self.canvas.rise[self.rows, None] * depth
        return y, (depth < self.canvas.depth[self.rows, self.columns]) & (y > 0)

    def put(self, mask, colour, label, depth) -> None:
        """Writes to the canvas in the light of the street."""
        colour = colour * F((1 + self.canvas.scene.light.shade) / 2)
        self.canvas.put(mask, colour, label, depth, rows=self.rows, columns=self.columns, car=self.number)

    def glass_light(self, y, along) -> np.ndarray:
        """Light of the windows, (rows, columns, 3): sky above a slanting edge, darker below."""
        sky = to_linear(self.canvas.scene.light.skyline)
        return np.where(y - along * F(0.4) > 1.2, F(0.36), F(0.1))[..., None] * sky


def outline(car: Car, p) -> np.ndarray:
    """Height of a car's outline, metres, at `p` metres in front of its middle."""
    belt, (rear, front) = F(BELT * car.height), car.cabin
    bonnet = belt - np.maximum(p - F(0.1 * car.length), 0) * F(0.08)
    cabin = np.minimum((p - F(rear * car.length)) * F(1.6), (F(front * car.length) - p) * F(0.75)) + belt
    return np.maximum(bonnet, np.minimum(cabin, F(car.height)))


def axles(car: Car) -> tuple[float, float]:
    """Rear and front axle, metres in front of a car's middle."""
    return -0.31 * car.length, 0.32 * car.length


def _paint_car(view: _View) -> None:
    car = view.car
    for p in _even(CROSS_SECTIONS, car.length):
        depth, q, y, visible = view.cross_plane(p)
        _paint_section(view, depth, F(p), q, y, visible)
    for q in _even(LONG_SECTIONS, car.width):
        depth, p, y, visible = view.side_plane(q)
        _paint_section(view, depth, p, F(q), y, visible & (abs(p) < F(car.length / 2)))
    if abs(view.p) > car.length / 2:
        _paint_end(view, 1 if view.p > 0 else -1)
    if abs(view.q) > car.width / 2:
        _paint_side(view, 1 if view.q > 0 else -1)


def _even(count: int, length: float) -> list[float]:
    """`count` evenly spaced positions over `length` metres, relative to the middle."""
    return [length * (step / (count - 1) - 0.5) for step in range(count)]


def _paint_section(view: _View, depth, p, q, y, visible) -> None:
    """Paints one section through the body: a strip of roof, bonnet and sloping windows."""
    car = view.car
    half = F(car.width / 2) - _narrowing(car, y)
    mask = visible & (y > GROUND_CLEARANCE) & (y < outline(car, p)) & (abs(q) < half)
    if not mask.any():
        return
    roof = y > F(car.height - 0.1)
    glass = (y > F(BELT * car.height + 0.03)) & ~roof & (abs(q) < half - F(0.1))
    paint = to_linear(car.paint) * np.where(roof, F(1.2), F(0.95))[..., None]
    view.put(mask, np.where(glass[..., None], view.glass_light(y, q), paint), CAR, depth)


def _paint_end(view: _View, end: int) -> None:
    """Paints front (1) or rear (-1): window, lamps, plate, bumper, and two tyres if this face carries the wheels."""
    car, (depth, q, y, visible) = view.car, view.cross_plane(end * view.car.length / 2)
    half = F(car.width / 2) - _narrowing(car, y)
    mask = visible & (y > GROUND_CLEARANCE) & (y < outline(car, F(end * car.length / 2))) & (abs(q) < half)
    colour = to_linear(car.paint) * (F(0.7) + F(0.25) * y)[..., None]
    lamp = to_linear((0.9, 0.9, 0.85) if end > 0 else (0.75, 0.1, 0.08))
    window = (y > F(BELT * car.height + 0.05)) & (y < F(car.height - 0.15)) & (abs(q) < half - F(0.12))
    for where, what in (
        (y < 0.42, colour * F(0.35)),
        ((abs(y - F(0.68)) < 0.09) & (abs(q) > F(car.width / 2 - 0.4)), lamp),
        ((abs(y - F(0.5)) < 0.07) & (abs(q) < 0.26), F(0.7)),
        (window, view.glass_light(y, q)),
    ):
        colour = np.where(where[..., None], what, colour)
    view.put(mask, colour, CAR, depth)
    if not view.shows_side:
        tyre = visible & (y < F(1.5 * car.wheel)) & (abs(abs(q) - F(car.width / 2 - 0.16)) < 0.16)
        view.put(tyre, (F(0.012) + F(0.02) * y)[..., None], WHEEL, depth)


def _paint_side(view: _View, side: int) -> None:
    """Paints right (1) or left (-1): windows, doors, and two wheels if this face carries them."""
    car, (depth, p, y, visible) = view.car, view.side_plane(side * view.car.width / 2)
    mask = visible & (y > GROUND_CLEARANCE) & (y < outline(car, p)) & (abs(p) < F(car.length / 2))
    belt, pillar = F(BELT * car.height), abs(p + F(0.02 * car.length))
    cabin = np.minimum(outline(car, p + F(0.14)), outline(car, p - F(0.14)))
    glass = (y > belt + F(0.04)) & (y < cabin - F(0.1)) & (pillar > 0.05)
    gaps = (y < 0.36) | (pillar < 0.02) & (y < belt)
    colour = to_linear(car.paint) * ((F(0.62) + F(0.4) * y) * (1 + F(0.05) * noise(p * 20, y * 20)))[..., None]
    colour = np.where(gaps[..., None], colour * F(0.3), colour)
    view.put(mask, np.where(glass[..., None], view.glass_light(y, p), colour), CAR, depth)
    if view.shows_side:
        radius = F(car.wheel)
        away = np.minimum(*(np.square(p - F(axle)) for axle in axles(car))) + np.square(y - radius)
        rim = to_linear((0.55, 0.55, 0.57)) * (1 + noise(p * 90, y * 90) * F(0.5))[..., None]
        colour = np.where((away < np.square(radius * F(0.55)))[..., None], rim, F(0.015))
        view.put(visible & (away < radius * radius), colour, WHEEL, depth)


def _narrowing(car: Car, y) -> np.ndarray:
    """Metres by which each side of the cabin leans inwards at height `y`."""
    return np.maximum(y - F(BELT * car.height), 0) * F(0.25)


def _paint_post(canvas: Canvas, post: Post) -> None:
    """Paints a stem and a round top that face the camera."""
    right, depth = canvas.position(post)
    if not 2 < depth < 60:
        return
    q = canvas.across * F(depth) - F(right)
    columns = np.flatnonzero(abs(q) < max(post.crown * 1.3, post.radius))
    if not columns.size:
        return
    columns = slice(columns[0], columns[-1] + 1)
    q, y = q[columns], canvas.height_at(F(depth))
    visible = (canvas.depth[:, columns] > depth) & (y > 0)
    bumps = noise(q * 9 + canvas.grain_u, y * 9)
    ragged = bumps * F(0.3) if post.crown > 0.5 else F(0)
    crown = np.square(q) + np.square(y - F(post.height)) < F(post.crown * post.crown) * (1 - ragged)
    light = (1 + F(0.5) * bumps + F(0.5) * (y - F(post.height)) / F(post.crown + 1))[..., None]
    stem = (y < F(post.height)) & (abs(q) < F(post.radius))
    colour = np.where(
        crown[..., None], to_linear(post.crown_colour) * light, to_linear(post.colour) * (1 + 2 * q)[:, None]
    )
    canvas.put(visible & (stem | crown), np.maximum(colour, F(0.01)), VOID, depth, columns=columns)
