"""Where on a picture a decision comes from, and whether that can be trusted. Names are imported when first used.

`occlusion`, `faithfulness`, `baseline`, `cells`, `similarity`, `overlay` and `verdict` need no torch: they take the
network as a function from pictures to probabilities, whatever runs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgrec.explain.examine import Examination, Examiner
    from imgrec.explain.methods import GradCam, IntegratedGradients, Occlusion
    from imgrec.explain.study import ExplainStudy

__all__ = ["Examination", "Examiner", "ExplainStudy", "GradCam", "IntegratedGradients", "Occlusion"]

_HOMES = {
    "Examination": "examine",
    "Examiner": "examine",
    "ExplainStudy": "study",
    "GradCam": "methods",
    "IntegratedGradients": "methods",
    "Occlusion": "methods",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
