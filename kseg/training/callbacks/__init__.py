"""What `fit` leaves behind beside its history: pictures of each epoch, the best weights, and a checkpoint to resume from.

All work for a segmentor that is trained alone and for one inside a game.
"""

from kseg.games.health import GameHealth
from kseg.training.callbacks.best_checkpoint import BestCheckpoint
from kseg.training.callbacks.overlays import Overlays
from kseg.training.callbacks.resume import Resume

__all__ = ["BestCheckpoint", "GameHealth", "Overlays", "Resume"]
