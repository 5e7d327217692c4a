"""Two networks that learn from each other inside one `fit`: see `kseg.games.adversarial` for the step that all games share."""

from kseg.games.adversarial import AdversarialGame
from kseg.games.gan import GAN
from kseg.games.schedules import Schedule
from kseg.games.segmentation import SegmentationGame
from kseg.games.semi_supervised import SemiSupervisedGame

__all__ = ["GAN", "AdversarialGame", "Schedule", "SegmentationGame", "SemiSupervisedGame"]
