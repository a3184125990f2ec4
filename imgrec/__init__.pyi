from . import errors as errors
from .auditing.audit import audit
from .auditing.findings import Audit
from .evaluate_job import Evaluation, evaluate
from .evaluation.compare.comparison import Comparison
from .evaluation.compare.engine import compare
from .evaluation.decisions.prediction import Prediction
from .model import Explanation, Model, load
from .train_job import TrainingRun, train
from .training.sweep.run_sweep import Sweep, sweep

__all__ = [
    "Audit",
    "Comparison",
    "Evaluation",
    "Explanation",
    "Model",
    "Prediction",
    "Sweep",
    "TrainingRun",
    "audit",
    "compare",
    "errors",
    "evaluate",
    "load",
    "sweep",
    "train",
]

__version__: str
