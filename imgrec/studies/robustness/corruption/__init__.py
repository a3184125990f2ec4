"""The 15 common corruptions of Hendrycks and Dietterich 2019, for images of any size."""

from imgrec.studies.robustness.corruption.corrupt import CORRUPTIONS, SEVERITIES, Corruption, corrupt

__all__ = ["CORRUPTIONS", "SEVERITIES", "Corruption", "corrupt"]
