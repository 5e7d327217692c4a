"""Pictures for people: overlays, error maps, heat maps, the confusion matrix, training curves.

Every function returns a `PIL.Image.Image`; `.save(path)` writes it. The charts import matplotlib when called, without its global
state, so they work in threads and without a display; the others need Pillow and numpy alone. No TensorFlow.
"""

from kseg.plots.charts import confusion_matrix, curves
from kseg.plots.heat_maps import heat_map, heat_scale
from kseg.plots.overlays import error_map, legend, overlay, overlay_sheet

__all__ = ["confusion_matrix", "curves", "error_map", "heat_map", "heat_scale", "legend", "overlay", "overlay_sheet"]
