"""How a network fares with spoiled pictures: common corruptions, and attacks by gradients."""

from imgrec.robustness.attack_study import Attack
from imgrec.robustness.corruptions import Corruptions
from imgrec.robustness.in_turn import InTurn

__all__ = ["Attack", "Corruptions", "InTurn"]
