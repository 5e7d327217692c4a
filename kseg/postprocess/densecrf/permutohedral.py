"""Gaussian filtering over many dimensions by the permutohedral lattice, in plain TensorFlow operations.

A Gaussian filter over d features of each pixel (position, colour) costs N^2 when it is summed and N when it is sampled: the
features are scaled so that the Gaussian has a fixed width, projected onto the plane x_0 + ... + x_d = 0, and that plane is tiled
with simplices whose corners form a lattice. *Splat* adds each pixel's value to the d + 1 corners around it, by barycentric
weights; *blur* convolves the lattice with (1/2, 1, 1/2) along each of its d + 1 directions; *slice* reads the pixels back with
the same weights. Only corners near a pixel exist, so cost does not grow with the volume of the space. The kernel approximates
the Gaussian, as the papers' programs do.

There is no custom operation to compile: lattice points are integers, equal ones are found by `tf.unique`, splat and slice are
one sparse matrix. Everything is float32. Refused: features so far apart that a lattice point does not fit into 63 bits.

Source: Adams, Baek and Davis 2010, "Fast High-Dimensional Filtering Using the Permutohedral Lattice".
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import math  # noqa: E402  (only after the backend is known)
from typing import NamedTuple  # noqa: E402

import tensorflow as tf  # noqa: E402


class Lattice(NamedTuple):
    """The lattice points around N feature vectors, and how values move between the two.

    Point 0 belongs to no pixel and always holds zero: it stands for every missing neighbour.

    Args:
        indices: (N (d + 1), 2), int32: a pixel and a corner of its simplex.
        weights: (N (d + 1),), float32: the barycentric weight of that corner.
        neighbours: d + 1 pairs of (M,), int32: the next and the previous point along each direction.
        pixels: (), int32: N.
    """

    indices: tf.Tensor
    weights: tf.Tensor
    neighbours: list[tuple[tf.Tensor, tf.Tensor]]
    pixels: tf.Tensor


def build_lattice(features: tf.Tensor) -> Lattice:
    """Builds the lattice for a Gaussian exp(-|f_i - f_j|^2 / 2) between feature vectors.

    Args:
        features: (N, d), float32, each divided by its standard deviation; d is static.

    Returns:
        The lattice. No gradient flows through it to the features.

    Raises:
        tf.errors.InvalidArgumentError: a lattice point does not fit into 63 bits, because the deviations are tiny.

    Example:
        >>> few = build_lattice(tf.constant([[0.0, 0.0], [0.1, 0.0], [9.0, 9.0]]))
        >>> np.round(gaussian_filter(few, tf.constant([[1.0], [1.0], [1.0]])).numpy()[:, 0], 2)
        array([2.19, 2.11, 0.8 ], dtype=float32)
    """
    corners = features.shape[-1] + 1
    elevated = tf.stop_gradient(_elevated(features)) / corners
    whole = tf.floor(elevated)
    # Walking from `whole` along the axes in descending order of remainder visits the corners of the simplex around the pixel.
    remainder, axis = tf.math.top_k(elevated - whole, k=corners)
    nearest = 1.0 - remainder[:, :1] + remainder[:, -1:]
    weights = tf.concat([nearest, remainder[:, :-1] - remainder[:, 1:]], axis=-1)
    codes, steps = _codes(elevated, whole, axis)

    points, of_corner = tf.unique(tf.reshape(codes, [-1]))
    pixels, count = tf.shape(features)[0], tf.size(points)
    of_pixel = tf.repeat(tf.range(pixels), corners)
    return Lattice(
        indices=tf.stack([of_pixel, of_corner + 1], axis=-1),
        weights=tf.reshape(weights, [-1]),
        neighbours=_neighbours(points, steps, count),
        pixels=pixels,
    )


def gaussian_filter(grid: Lattice, values: tf.Tensor, factor=1.0) -> tf.Tensor:
    """Sums values over all pixels, weighted by the Gaussian between their features, up to one constant.

    Splat and slice are each other's transposes, and the blur along a direction is its own; the gradients use that. Those that
    TensorFlow would derive keep a copy of every value per corner and direction, and compute unused gradients of the lattice's
    weights.

    Args:
        grid: the lattice of N pixels.
        values: (N, K), float32.
        factor: scalar that multiplies the result; applied at the lattice points, which are few.

    Returns:
        (N, K), float32.
    """
    return _product(grid, factor * _blur(_product(grid, values, splat=True), grid.neighbours), splat=False)


def normalize(grid: Lattice) -> Lattice:
    """Normalises a lattice symmetrically.

    Its filter becomes D^-1/2 K D^-1/2, where K is the filter of `grid` and D the diagonal matrix of the row sums K 1.

    Source: symmetric normalisation, Kraehenbuehl and Koltun 2013, "Parameter Learning and Convergent Inference for Dense
    Random Fields".
    """
    sums = gaussian_filter(grid, tf.ones([grid.pixels, 1]))[:, 0]
    return grid._replace(weights=grid.weights * tf.gather(tf.math.rsqrt(sums + 1e-20), grid.indices[:, 0]))


def _elevated(features: tf.Tensor) -> tf.Tensor:
    """Features (N, d) on the plane of sum 0 in d + 1 dimensions (N, d + 1), stretched for a blur of standard deviation 1."""
    dimensions = features.shape[-1]
    deviation = math.sqrt(2 / 3) * (dimensions + 1)
    # Sums of products, since a matrix product may round to 10 bits on a GPU.
    total = 0.0
    for i in range(dimensions):
        scale = deviation / math.sqrt((i + 1) * (i + 2))
        direction = [scale] * (i + 1) + [-(i + 1) * scale] + [0.0] * (dimensions - 1 - i)
        total += features[:, i, None] * tf.constant(direction, tf.float32)
    return total


def _codes(elevated: tf.Tensor, whole: tf.Tensor, axis: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """One integer per corner, linear in its coordinates, and its increment for a step along each direction.

    Returns:
        codes (N, d + 1) and steps (d + 1,), int64.
    """
    corners = elevated.shape[-1]
    radix, total = _radix(elevated)
    base = tf.reduce_sum(tf.cast(whole, tf.int64) * (corners * radix - total), axis=-1, keepdims=True)
    steps = corners * radix - total
    walk = tf.cumsum(tf.gather(steps, axis), axis=-1, exclusive=True)
    return base + walk, steps


def _radix(elevated: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The weight of each coordinate in a code (d + 1,), and their sum (); the last coordinate follows from the others."""
    corners = elevated.shape[-1]
    span = tf.reduce_max(elevated, axis=0) - tf.reduce_min(elevated, axis=0)
    extent = corners * (tf.cast(tf.math.ceil(span[:-1]), tf.float64) + 4)  # corners and their neighbours
    tf.debugging.assert_less(
        tf.reduce_prod(extent),
        tf.constant(2.0**62, tf.float64),
        "The deviations of DenseCRF must leave fewer than 2^62 lattice points between an image's extremes. Make them larger.",
    )
    radix = tf.math.cumprod(tf.cast(extent, tf.int64), exclusive=True)
    return tf.concat([radix, [0]], axis=0), tf.reduce_sum(radix)


def _neighbours(points: tf.Tensor, steps: tf.Tensor, count: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """For each direction the index of the next point and of the previous one; 0 where there is none."""
    candidates = tf.concat([points[None], points[None] + steps[:, None]], axis=0)
    indices = tf.unique(tf.reshape(candidates, [-1]))[1]  # known points come first, so they keep their numbers
    found = tf.reshape(indices, tf.shape(candidates))[1:]
    following_points = tf.pad(tf.where(found < count, found + 1, 0), [[0, 0], [1, 0]])
    itself = tf.range(count + 1)
    pairs = []
    for following in tf.unstack(following_points, num=steps.shape[0]):
        exists = following > 0
        previous = tf.scatter_nd(
            tf.boolean_mask(following, exists)[:, None], tf.boolean_mask(itself, exists), [count + 1]
        )
        pairs.append((following, previous))
    return pairs


def _product(grid: Lattice, dense: tf.Tensor, splat: bool) -> tf.Tensor:
    """Values of pixels (N, K) onto points (M, K), or back; the gradient is the other of the two."""
    shape = tf.cast(tf.stack([grid.pixels, tf.size(grid.neighbours[0][0])]), tf.int64)

    def multiplied(dense, transposed):
        # The operation behind tf.sparse.sparse_dense_matmul, which insists on 64-bit indices: these read half the memory.
        return tf.raw_ops.SparseTensorDenseMatMul(
            a_indices=grid.indices, a_values=grid.weights, a_shape=shape, b=dense, adjoint_a=transposed
        )

    @tf.custom_gradient
    def product(dense):
        return multiplied(dense, splat), lambda upstream: multiplied(upstream, not splat)

    return product(dense)


def _blur(values: tf.Tensor, neighbours) -> tf.Tensor:
    """Values (M, K) after (1/2, 1, 1/2) along each direction in turn; the gradient takes the directions in reverse."""

    def blurred(values, neighbours):
        for following, previous in neighbours:
            values += 0.5 * (tf.gather(values, following) + tf.gather(values, previous))
        return values

    @tf.custom_gradient
    def blur(values):
        return blurred(values, neighbours), lambda upstream: blurred(upstream, neighbours[::-1])

    return blur(values)
