"""Pictures for people: overlays, error maps, the confusion matrix, training curves.

Every function returns a `PIL.Image.Image`; `.save(path)` writes it. Overlays and error maps need Pillow and numpy; the charts
import matplotlib when called, without its global state, so they work in threads and without a display. No TensorFlow.
"""

from kseg.plots.charts import confusion_matrix, curves
from kseg.plots.overlays import error_map, legend, overlay, overlay_sheet

__all__ = ["confusion_matrix", "curves", "error_map", "legend", "overlay", "overlay_sheet"]
