"""Made-up runs for the tests of compare: what several networks said about the same images."""

from pathlib import Path

import numpy as np

from imgrec.evaluation.compare.runs import Run
from imgrec.evaluation.predictions.predictions import Predictions


def make_table(num_samples=300, num_classes=4, *, noise=0.3, seed=1, **changes):
    """What a network said: the images are those of every other call, its own noise is by `noise` and `seed`."""
    random = np.random.default_rng(0)
    labels = random.integers(0, num_classes, num_samples)
    logits = random.normal(size=(num_samples, num_classes))
    logits[np.arange(num_samples), labels] += 2
    logits += noise * np.random.default_rng(seed).normal(size=logits.shape)
    columns = {
        "names": [f"photos/test/{i:04d}.png" for i in range(num_samples)],
        "labels": labels,
        "logits": logits.astype(np.float32),
        "class_names": [f"class {k}" for k in range(num_classes)],
    }
    return Predictions(**{**columns, **changes})


def make_multilabel(num_samples=300, *, noise=0.3, seed=1, **changes):
    random = np.random.default_rng(0)
    labels = (random.random((num_samples, 3)) < 0.4).astype(np.uint8)
    logits = random.normal(size=labels.shape) + 2.0 * labels - 1
    logits += noise * np.random.default_rng(seed).normal(size=logits.shape)
    columns = {"labels": labels, "logits": logits.astype(np.float32), "task": "multilabel"}
    return make_table(num_samples, 3, **{**columns, **changes})


def make_run(name, *tables):
    return Run(name, list(tables), [Path(f"{name}/{i}/predictions.parquet") for i in range(len(tables))])


def take(table, rows):
    """Some rows of a table, in that order."""
    rows = np.asarray(rows)
    return Predictions(
        names=[table.names[i] for i in rows],
        labels=table.labels[rows],
        logits=table.logits[rows],
        class_names=table.class_names,
        task=table.task,
        groups=None if table.groups is None else [table.groups[i] for i in rows],
    )
