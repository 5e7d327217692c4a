"""Two networks that learn from each other inside one `fit`; all games share the step of `kseg.games.step`."""

from kseg.games.adversarial import AdversarialGame
from kseg.games.domain import DomainGame
from kseg.games.gan import GAN
from kseg.games.schedules import Schedule
from kseg.games.segmentation import SegmentationGame
from kseg.games.self_training import SelfTraining
from kseg.games.semi_supervised import SemiSupervisedGame
from kseg.games.teacher import Teacher

__all__ = [
    "GAN",
    "AdversarialGame",
    "DomainGame",
    "Schedule",
    "SegmentationGame",
    "SelfTraining",
    "SemiSupervisedGame",
    "Teacher",
]
