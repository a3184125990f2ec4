from . import errors as errors
from .auditing.audit import audit
from .auditing.findings import Audit
from .evaluate_job import evaluate
from .evaluation.compare.comparison import Comparison
from .evaluation.compare.engine import compare
from .evaluation.decisions.prediction import Prediction
from .evaluation.evaluation import Evaluation
from .model import Model, load
from .studies.explain.explanation import Explanation
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
