"""Notes about undefined metrics, so that they are not read as 0."""

from collections.abc import Sequence

import numpy as np

from imgrec.evaluation.metrics.rates import name_some
from imgrec.evaluation.statistics.agreement import Counts

__all__ = ["class_notes", "sample_notes"]


def class_notes(class_names: Sequence[str], counts: Counts, *, num_samples: int, is_single: bool) -> list[str]:
    """Return notes on which metrics of which classes are undefined and excluded from the means."""
    is_absent, is_unpredicted = counts.actual == 0, counts.predicted == 0
    undefined = {
        "No image in this set: recall, AUROC and average precision are undefined": is_absent,
        "Never predicted: precision is undefined": is_unpredicted,
        "Neither in this set nor predicted: F1 is undefined": is_absent & is_unpredicted,
        "In every image of this set: AUROC is undefined": counts.actual == num_samples,
    }
    notes = [
        f"{what} and excluded from the mean for {name_some(class_names, chosen)}."
        for what, chosen in undefined.items()
        if chosen.any()
    ]
    return notes + (_agreement_notes(counts) if is_single else [])


def sample_notes(samples: Counts) -> list[str]:
    """Return notes on how many images are excluded from the means over samples."""
    undefined = {
        "no label: recall is undefined": samples.actual == 0,
        "no predicted label: precision is undefined": samples.predicted == 0,
        "neither: F1 is undefined": (samples.actual == 0) & (samples.predicted == 0),
    }
    return [
        f"{chosen.sum()} of {len(chosen)} images have {what} and excluded from the mean over samples."
        for what, chosen in undefined.items()
        if chosen.any()
    ]


def _agreement_notes(counts: Counts) -> list[str]:
    """Return the reason why Matthews correlation, and Cohen's kappa, are undefined."""
    if not np.isnan(counts.matthews()):
        return []
    which = "Matthews correlation" if not np.isnan(counts.cohen_kappa()) else "Matthews correlation and Cohen's kappa"
    one = "images" if (counts.actual > 0).sum() == 1 else "predictions"
    return [f"All {one} have the same class: {which} {'is' if which.endswith('correlation') else 'are'} undefined."]
