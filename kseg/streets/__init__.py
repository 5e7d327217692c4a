"""Generated streets: photograph-like scenes with exact labels, from a seed. numpy only, except the TFDS `builder`."""

from kseg.streets.rendering import LABELS, VERSION, Rendering, draw, render
from kseg.streets.sampling import SPLITS, scene
from kseg.streets.scenes import Scene

__all__ = ["LABELS", "SPLITS", "VERSION", "Rendering", "Scene", "draw", "render", "scene"]
