"""How many pixels of the image a position of a network's map depends on, found by walking the functional graph.

The result is exact away from the image's border, and for maps whose sizes are multiples of the strides. Every layer between the
map and the image must be known in `reads`; an unknown one is refused by name. `keras` only.
"""

from kseg.receptive_fields.walk import ReceptiveField, receptive_field

__all__ = ["ReceptiveField", "receptive_field"]
