"""How a network fares with spoiled images: common corruptions, and attacks by gradients."""

from imgrec.studies.robustness.attack_study import Attack
from imgrec.studies.robustness.corruptions import Corruptions
from imgrec.studies.robustness.in_turn import InTurn

__all__ = ["Attack", "Corruptions", "InTurn"]
