"""Two networks that learn from each other inside one `fit`; all games share the step of `kseg.games.step`."""

from kseg.games.adversarial import AdversarialGame
from kseg.games.gan import GAN
from kseg.games.schedules import Schedule
from kseg.games.segmentation import SegmentationGame
from kseg.games.semi_supervised import SemiSupervisedGame

__all__ = ["GAN", "AdversarialGame", "Schedule", "SegmentationGame", "SemiSupervisedGame"]
