"""LinearSVC's optimisation problem solved with matrix products, for many images.

With 10,000 images and 3,136 features it takes 3.9 s and LinearSVC 18.3 s, one core each, for accuracies of 0.9004 and
0.9006 (HOG, Fashion-MNIST).
"""

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning

from imgrec.studies.baselines.pixels import FloatArray

__all__ = ["LinearSvm"]

ROUNDING = 1e-7  # relative error of float32 sums of squares: keeps the matrix positive definite


class LinearSvm(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """One-vs-rest linear SVM with squared hinge loss: minimises w'w / 2 + C sum max(0, 1 - y f(x))^2 in the primal.

    Each step minimises a quadratic upper bound of the loss that has the same matrix for every step and class: one
    Cholesky factor and some tens of products with the features. Steps have momentum (Nesterov 1983) with adaptive
    restart (O'Donoghue and Candes 2015, doi:10.1007/s10208-013-9150-3). As in LinearSVC, the intercept is penalised.
    With two classes each has a weight vector, one the negative of the other.

    Args:
        C: Inverse regularisation strength.
        tol: Stop when the next step would decrease the loss by less than this share of it.
        max_iter: Steps, after which a ConvergenceWarning is issued.
    """

    def __init__(self, C: float = 1.0, *, tol: float = 1e-4, max_iter: int = 300) -> None:  # noqa: N803
        self.C = C
        self.tol = tol
        self.max_iter = max_iter

    def fit(self, features: FloatArray, labels: NDArray[np.int64]) -> "LinearSvm":
        """Fit float32 (N, D) features with a label each."""
        self.classes_ = np.unique(labels)
        signs = np.where(labels[:, None] == self.classes_, 1, -1).astype(np.float32)
        products = _gram(features)
        products += (1 / (2 * self.C) + ROUNDING * np.trace(products)) * np.eye(len(products))
        factor = cho_factor(products, overwrite_a=True)
        weights = np.zeros((features.shape[1] + 1, len(self.classes_)), dtype=np.float32)
        extrapolated, pace = weights, np.ones(len(self.classes_))
        for _ in range(self.max_iter):
            gradient, loss = self._gradient(features, signs, extrapolated)
            step = cho_solve(factor, gradient).astype(np.float32)
            if ((gradient * step).sum(axis=0) <= self.tol * loss).all():
                break
            moved = extrapolated - step
            pace = np.where((gradient * (moved - weights)).sum(axis=0) > 0, 1, pace)  # restart
            faster = (1 + np.sqrt(1 + 4 * pace**2)) / 2
            extrapolated = (moved + (pace - 1) / faster * (moved - weights)).astype(np.float32)
            weights, pace = moved, faster
        else:
            warnings.warn("Support vector machine: stopped before it had converged.", ConvergenceWarning, stacklevel=2)
        self.coef_, self.intercept_ = extrapolated[:-1].T.copy(), extrapolated[-1].copy()
        return self

    def _gradient(self, features: FloatArray, signs: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return gradient (D + 1, C) and value (C,) of the loss, both divided by 2C."""
        missing = np.maximum(1 - signs * (features @ weights[:-1] + weights[-1]), 0)
        pull = signs * missing
        data = np.vstack([features.T @ pull, pull.sum(axis=0)])
        return weights / (2 * self.C) - data, ((weights**2).sum(axis=0) / (2 * self.C) + (missing**2).sum(axis=0)) / 2

    def decision_function(self, features: FloatArray) -> FloatArray:
        """Return the signed distance to each class's plane: (N, C), not of unit scale."""
        scores: FloatArray = features @ self.coef_.T + self.intercept_
        return scores

    def predict(self, features: FloatArray) -> NDArray[np.int64]:
        """Return the label with the largest decision value: (N,)."""
        return np.asarray(self.classes_[self.decision_function(features).argmax(axis=1)])


def _gram(features: FloatArray) -> NDArray[np.float64]:
    """Return the Gram matrix of the columns and of a column of ones, (D + 1, D + 1)."""
    sums = features.sum(axis=0)
    return np.block([[features.T @ features, sums[:, None]], [sums, np.float32(len(features))]]).astype(np.float64)
