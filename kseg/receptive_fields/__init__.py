"""How many pixels of the image a position of a network's map depends on, found by walking the functional graph.

The answer is exact away from the image's border, and for maps whose sizes divide by the strides. Every layer between the map
and the image has to be one that is known in `reads`; another one is named in the error rather than guessed at. `keras` only.
"""

from kseg.receptive_fields.walk import ReceptiveField, receptive_field

__all__ = ["ReceptiveField", "receptive_field"]
