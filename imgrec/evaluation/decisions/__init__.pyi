from .decisions import Decided, Decisions
from .plan import Plan
from .prediction import Prediction
from .probabilities import to_probabilities

__all__ = ["Decided", "Decisions", "Plan", "Prediction", "to_probabilities"]
