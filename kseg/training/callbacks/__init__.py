"""Callbacks of `fit`: checks of the data, sheets of predictions, the best weights, a checkpoint to resume from.

All work for a segmentor trained alone and for one inside a game.
"""

from kseg.training.callbacks.best_checkpoint import BestCheckpoint
from kseg.training.callbacks.check_batches import CheckBatches
from kseg.training.callbacks.game_health import GameHealth
from kseg.training.callbacks.overlays import Overlays
from kseg.training.callbacks.resume import Resume
from kseg.training.callbacks.watch_labels import WatchLabels

__all__ = ["BestCheckpoint", "CheckBatches", "GameHealth", "Overlays", "Resume", "WatchLabels"]
