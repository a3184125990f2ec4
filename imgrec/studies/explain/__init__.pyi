from .examine import Examination, Examiner
from .methods import GradCam, IntegratedGradients, Occlusion
from .study import ExplainStudy

__all__ = ["Examination", "Examiner", "ExplainStudy", "GradCam", "IntegratedGradients", "Occlusion"]
