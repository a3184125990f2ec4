"""The study `robustness`: accuracy under common corruptions and under adversarial attacks."""

from imgrec.studies.robustness.attack_study import Attack
from imgrec.studies.robustness.corruptions import Corruptions
from imgrec.studies.robustness.full import CorruptionsAndAttack

__all__ = ["Attack", "Corruptions", "CorruptionsAndAttack"]
