"""The confidence level of every interval. Imports no NumPy: the command line needs it before any work begins."""

from statistics import NormalDist

__all__ = ["LEVEL", "POWER_Z", "Z"]

LEVEL = 0.95  # two-sided
Z = NormalDist().inv_cdf((1 + LEVEL) / 2)
POWER_Z = Z + NormalDist().inv_cdf(0.8)  # standard errors between 0 and a difference that a test finds in 80 % of cases
