"""The rays of one generated street and what they hit: colour, class, car and depth; and the noise of textures. numpy only.

Only elementwise arithmetic, square roots and integer sums are used, which IEEE 754 rounds in one way, so every platform gives the
same image. Light is linear here; a displayed colour is its square root.
"""

from __future__ import annotations

import functools

import numpy as np

from kseg.streets.scenes import Car, Colour, Post, Scene

F = np.float32
NO_HIT = F(1e6)
"""Depth of a ray that has hit nothing, metres."""


class Canvas:
    """R x S rays through a scene. All rays of a column have one direction on the ground, so much is computed once per column.

    Args:
        scene: the scene.
        rows: R.
        columns: S.

    Attributes:
        dx: metres to the right along the street's own axes per metre of depth, (S,).
        dz: metres along the street per metre of depth, (S,).
        rise: metres upwards per metre of depth, (R,).
        colour: light hit, float32 (R, S, 3).
        label: class id hit, uint8 (R, S).
        car: number of the car hit, from 1, uint8 (R, S); 0 for none.
        depth: metres in front of the camera, float32 (R, S).
    """

    def __init__(self, scene: Scene, rows: int, columns: int):
        self.scene, camera = scene, scene.camera
        self.focal = F(camera.focal * columns)
        self.across = (np.arange(columns, dtype=F) + F(0.5 - columns / 2)) / self.focal
        self.dx = F(camera.sine) + self.across * F(camera.cosine)
        self.dz = F(camera.cosine) - self.across * F(camera.sine)
        self.rise = (F(camera.horizon * rows) - np.arange(rows, dtype=F) - F(0.5)) / self.focal
        self.colour = np.zeros((rows, columns, 3), F)
        self.label = np.zeros((rows, columns), np.uint8)
        self.car = np.zeros((rows, columns), np.uint8)
        self.depth = np.full((rows, columns), NO_HIT)
        self.grain_u, self.grain_v = scene.grain & 255, scene.grain >> 8  # offset into the texture

    def height_at(self, depth) -> np.ndarray:
        """y of the rays, metres, at `depth` (S,) or one number: (R, S) or (R, 1)."""
        return F(self.scene.camera.height) + self.rise[:, None] * depth

    def position(self, thing: Car | Post) -> tuple[float, float]:
        """Position of a thing: metres to the right of the image's middle, metres in front of the camera."""
        camera, x = self.scene.camera, thing.x - self.scene.camera.x
        return x * camera.cosine - thing.z * camera.sine, x * camera.sine + thing.z * camera.cosine

    def sky(self, rise, along) -> np.ndarray:
        """Light of the sky (..., 3) in the direction `rise`; `along` shifts the clouds."""
        light = self.scene.light
        colour = blend(to_linear(light.skyline), to_linear(light.zenith), np.clip(rise * F(2.2), 0, 1))
        far = 9 / (np.maximum(rise, 0) + F(0.12))
        cloud = noise(along * far + self.grain_u, far * 2 + self.grain_v) * F(0.6) + F(light.clouds * 1.6 - 0.9)
        return blend(colour, to_linear((0.88, 0.89, 0.91)), np.clip(cloud, 0, 1) * F(0.8))

    def put(self, mask, colour, label, depth, *, rows=slice(None), columns=slice(None), car: int = 0) -> None:
        """Writes what the rays of (rows, columns) hit where `mask` is true; the values broadcast to that region."""
        np.copyto(self.colour[rows, columns], colour, where=mask[..., None])
        np.copyto(self.label[rows, columns], np.asarray(label, np.uint8), where=mask)
        np.copyto(self.depth[rows, columns], np.asarray(depth, F), where=mask)
        np.copyto(self.car[rows, columns], np.uint8(car), where=mask)


def to_linear(colour: Colour) -> np.ndarray:
    """A displayed colour as linear light, float32 (3,); the gamma of the display is 2."""
    return np.square(np.asarray(colour, F))


def blend(one, other, amount) -> np.ndarray:
    """Blends `one` and `other` (..., 3), with the weight `amount` (...) of the other."""
    amount = np.asarray(amount, F)[..., None]
    return one + (other - one) * amount


def noise(u, v) -> np.ndarray:
    """Smooth noise from -1.5 to 1.5 at (u, v), arrays that broadcast; its period is 256."""
    return _texture()[np.floor(u).astype(np.int32) & 255, np.floor(v).astype(np.int32) & 255]


def cell_random(u, v) -> np.ndarray:
    """A pseudorandom number in [0, 1) for each integer cell of (u, v)."""
    mixed = (np.floor(u).astype(np.int64) * 73856093 ^ np.floor(v).astype(np.int64) * 19349663) & 0xFFFFFF
    return ((mixed * 2654435761 >> 8) & 0xFFFF).astype(F) / F(65536)


@functools.cache
def _texture() -> np.ndarray:
    """Octaves of random cells, each blurred twice over its size, (256, 256) float32."""
    generator = np.random.Generator(np.random.PCG64(20260101))
    total = np.zeros((256, 256), F)
    for cell, weight in ((64, 1.0), (32, 0.7), (16, 0.5), (8, 0.4), (4, 0.3), (2, 0.25)):
        field = (generator.random((256 // cell, 256 // cell)) * 4096).astype(np.int64) - 2048
        field = field.repeat(cell, 0).repeat(cell, 1)
        for _ in range(4):  # rows, columns, and both again
            sums = np.cumsum(np.concatenate([field, field[:cell]]), 0)
            field = (sums[cell:] - sums[:-cell]).T // cell
        total += field.astype(F) * F(weight / 1100)
    return np.clip(total, F(-1.5), F(1.5))
