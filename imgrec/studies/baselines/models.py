"""Models of the baselines and the settings that are compared on validation data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from imgrec.core.system.hardware import num_processors

__all__ = ["MODELS", "TRIVIAL", "Case", "Family", "Scores"]

Scores = Literal["probabilities", "decision_values"]

TREES = 200
ITERATIONS = 100  # of gradient boosting, at most
LANDMARKS = 2000  # of the Nystroem approximation
EXACT_KERNEL = 5000  # training images, above which the kernel is approximated: its cost is quadratic
COMPONENTS = 64  # principal components for gradient boosting, where there are more features


@dataclass(frozen=True)
class Case:
    """Size of the training data, and the seed."""

    num_train: int
    num_features: int
    seed: int


@dataclass(frozen=True)
class Family:
    """A kind of model.

    Attributes:
        make: From a `Case` and settings by name to an unfitted scikit-learn estimator.
        candidates: Settings to choose from, the most regularised first, which wins a tie.
        scores: Kind of the output: probabilities, or decision values.
    """

    make: Callable[..., Any]
    candidates: Sequence[Mapping[str, Any]]
    scores: Scores


def _linear_svm(case: Case, *, C: float) -> Any:  # noqa: N803
    if case.num_train >= case.num_features:
        from imgrec.studies.baselines.svm import LinearSvm

        return LinearSvm(C)
    from sklearn.svm import LinearSVC

    # The same problem in its dual, which has num_train unknowns instead of num_features.
    return LinearSVC(C=C, tol=1e-2, max_iter=5000, random_state=case.seed)


def _kernel_svm(case: Case, *, C: float, gamma: float) -> Any:  # noqa: N803
    from sklearn.kernel_approximation import Nystroem
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    if case.num_train <= EXACT_KERNEL:
        return SVC(C=C, gamma=gamma, kernel="rbf", break_ties=True, random_state=case.seed)
    kernel = Nystroem(kernel="rbf", gamma=gamma, n_components=min(LANDMARKS, case.num_train), random_state=case.seed)
    linear = _linear_svm(replace(case, num_features=LANDMARKS), C=C)
    return make_pipeline(kernel, linear)


def _logistic_regression(case: Case, *, C: float) -> Any:  # noqa: N803
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=1000, random_state=case.seed))


def _knn(case: Case, *, k: int) -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    # Search trees do not help in many dimensions.
    return KNeighborsClassifier(min(k, case.num_train), weights="distance", algorithm="brute", n_jobs=num_processors())


def _random_forest(case: Case) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(TREES, random_state=case.seed, n_jobs=num_processors())


def _gradient_boosting(case: Case, *, learning_rate: float) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline

    boosting = HistGradientBoostingClassifier(
        learning_rate=learning_rate,
        max_iter=ITERATIONS,
        early_stopping=False,  # its own validation split would ignore groups
        random_state=case.seed,
    )
    # Its cost is trees x classes x features.
    components = min(COMPONENTS, case.num_train, case.num_features)
    return (
        make_pipeline(PCA(components, random_state=case.seed), boosting) if case.num_features > COMPONENTS else boosting
    )


def _dummy(case: Case, strategy: str) -> Any:
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy=strategy, random_state=case.seed)


# Features are scaled to a mean length of 1, so that C and gamma mean the same for all of them.
MODELS: dict[str, Family] = {
    "linear_svm": Family(_linear_svm, [{"C": c} for c in (0.1, 0.3, 1, 3, 10)], "decision_values"),
    "kernel_svm": Family(_kernel_svm, [{"C": c, "gamma": 1.0} for c in (1, 3, 10)], "decision_values"),
    "logistic_regression": Family(_logistic_regression, [{"C": c} for c in (0.001, 0.01, 0.1, 1)], "probabilities"),
    "knn": Family(_knn, [{"k": k} for k in (15, 9, 5, 3, 1)], "probabilities"),
    "random_forest": Family(_random_forest, [{}], "probabilities"),
    "gradient_boosting": Family(_gradient_boosting, [{"learning_rate": 0.1}], "probabilities"),
}

# Without features: the most frequent class, and draws with the class frequencies of training.
TRIVIAL: dict[str, Family] = {
    "majority": Family(partial(_dummy, strategy="most_frequent"), [{}], "probabilities"),
    "stratified": Family(partial(_dummy, strategy="stratified"), [{}], "probabilities"),
}
