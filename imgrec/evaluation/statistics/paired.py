"""Tests of two classifiers on the same images, and intervals of their difference."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from imgrec.evaluation.statistics.level import LEVEL

__all__ = [
    "FEW_PAIRS",
    "McNemar",
    "combine_errors",
    "mcnemar",
    "paired_shares",
    "student_interval",
    "two_sided",
]

FEW_PAIRS = 25  # discordant pairs below which the exact test is used (McNemar's own advice, and the usual one)


@dataclass(frozen=True)
class McNemar:
    """Result of McNemar's test.

    Attributes:
        a_only: Images that only the first classifier predicts correctly.
        b_only: Images that only the second predicts correctly.
        p: Two-sided p-value.
        method: Variant of the test.
    """

    a_only: int
    b_only: int
    p: float
    method: Literal["exact", "mid-p"]


def mcnemar(a_only: int, b_only: int) -> McNemar:
    """Test that two classifiers have equal accuracy: of the discordant images each should win half.

    Below 25 discordant images the exact binomial test, which is conservative; from 25 on its mid-p variant, which keeps
    its level without a continuity correction. Fagerland, Lydersen and Laake 2013 (BMC Med Res Methodol 13:91).
    """
    from scipy.special import bdtr, gammaln

    total, fewer = a_only + b_only, min(a_only, b_only)
    if not total:
        return McNemar(a_only, b_only, 1.0, "exact")
    tail = 2 * float(bdtr(fewer, total, 0.5))
    if total < FEW_PAIRS:
        return McNemar(a_only, b_only, min(tail, 1.0), "exact")
    log_observed = gammaln(total + 1) - gammaln(fewer + 1) - gammaln(total - fewer + 1) - total * math.log(2)
    is_even = a_only == b_only  # then the observation lies in both tails
    p = 1.0 if is_even else tail - math.exp(float(log_observed))
    return McNemar(a_only, b_only, min(max(p, 0.0), 1.0), "mid-p")


def paired_shares(a_only: int, b_only: int, total: int, *, level: float = LEVEL) -> tuple[float, float]:
    """Return the interval of (b_only - a_only) / total for few discordant pairs; it has a width even without any.

    Half an image is added to each cell of the 2 x 2 table. Agresti and Min 2005 (Statistics in Medicine 24), sec. 3.
    """
    from scipy.special import ndtri

    a, b, n = a_only + 0.5, b_only + 0.5, total + 2.0
    share = (b - a) / n
    half = float(ndtri((1 + level) / 2)) * math.sqrt(max((a + b) / n - share**2, 0.0) / n)
    return max(share - half, -1.0), min(share + half, 1.0)


def combine_errors(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the variance of a sum of independent parts (variance, degrees of freedom), and its degrees of freedom.

    Satterthwaite 1946 (Biometrics Bulletin 2), eq. 17. Degrees may be infinite.
    """
    variance = math.fsum(part for part, _ in parts)
    spread = math.fsum(part**2 / degrees for part, degrees in parts)
    return variance, variance**2 / spread if spread > 0 else math.inf


def student_interval(value: float, variance: float, degrees: float, *, level: float = LEVEL) -> tuple[float, float]:
    """Return value minus and plus Student's t times the standard error."""
    from scipy.special import ndtri, stdtrit

    upper = (1 + level) / 2
    quantile = float(ndtri(upper) if math.isinf(degrees) else stdtrit(degrees, upper))
    half = quantile * math.sqrt(variance)
    return value - half, value + half


def two_sided(value: float, variance: float, degrees: float) -> float:
    """Return the two-sided p-value of `value` = 0: Student's t, or the normal where degrees are infinite."""
    from scipy.special import ndtr, stdtr

    if variance == 0:
        return 1.0 if value == 0 else 0.0
    ratio = -abs(value) / math.sqrt(variance)
    return 2 * float(ndtr(ratio) if math.isinf(degrees) else stdtr(degrees, ratio))
