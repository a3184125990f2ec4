from .decisions import Decided, Decisions
from .plan import Plan
from .probabilities import to_probabilities

__all__ = ["Decided", "Decisions", "Plan", "to_probabilities"]
