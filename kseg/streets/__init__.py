"""Generated streets: photograph-like scenes with exact labels, drawn from a seed. numpy only, but for the TFDS `builder`."""

from kseg.streets.rendering import LABELS, VERSION, Rendering, draw, render
from kseg.streets.scenes import SPLITS, Scene, scene

__all__ = ["LABELS", "SPLITS", "VERSION", "Rendering", "Scene", "draw", "render", "scene"]
