"""The folder of an evaluation for the tests of its report: synthetic predictions, and a small file of each study."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from imgrec.data.images.collections import ArrayImages
from imgrec.data.samples import Samples
from imgrec.evaluation.figures.thumbnails import write_thumbnails
from imgrec.evaluation.metrics.metric_files import write_evaluation
from imgrec.evaluation.predictions.predictions import Predictions

EVIL = "<script>alert(1)</script>"
EVIL_NAMES = [EVIL, "a</script><img src=x onerror=alert(2)>", "line\u2028sep & 'quote\"", "{{ 7 * 7 }}"]


def make_predictions(
    num: int = 120, class_names: Any = ("ant", "bee", "cat"), *, several: bool = False, sure: float = 2.0
) -> Predictions:
    """Return predictions, most of them correct."""
    random = np.random.default_rng(3)
    width = len(class_names)
    logits = random.normal(size=(num, width)).astype(np.float32)
    if several:
        labels = (random.random((num, width)) < 0.4).astype(np.uint8)
        logits += sure * (2 * labels.astype(np.float32) - 1)
    else:
        labels = (np.arange(num) % width).astype(np.int64)
        logits[np.arange(num), labels] += sure
    names = [f"/data/photos/{'sub' if row % 2 else 'main'}/image-{row:04d}.png" for row in range(num)]
    return Predictions(names, labels, logits, list(class_names), task="multilabel" if several else "single")


def write_folder(folder: Path, predictions: Predictions, *, parts: bool = True, images: bool = True) -> Path:
    """Write an evaluation with the files of all studies, and a history.csv above it; return its folder."""
    write_evaluation(predictions, folder)
    if images:
        pixels = np.random.default_rng(4).integers(0, 256, (len(predictions), 12, 12, 3), dtype=np.uint8)
        write_thumbnails(predictions, Samples(predictions.names, ArrayImages(pixels), predictions.labels), folder)
    rows = ["epoch,step,lr/all,val/loss,val/accuracy,train/loss,train/accuracy"]
    rows += [
        f"{epoch},{9 * epoch},{0.1 / (epoch + 1)},{1 / (epoch + 1)},{0.5 + epoch / 9},{0.9},{0.4}" for epoch in range(4)
    ]
    (folder.parent / "history.csv").write_text("\n".join(rows) + "\n")
    for name, content in (PARTS if parts else {}).items():
        (folder / name).write_text(json.dumps(content))
    if parts:
        from PIL import Image

        (folder / "explain").mkdir(exist_ok=True)
        Image.new("RGB", (1500, 420), "#8899aa").save(folder / "explain" / "0.png")
    return folder


def _score(value: float) -> dict[str, float]:
    return {"score": value, "low": value - 0.02, "high": value + 0.02}


_BIN = {"lower": 0.3, "upper": 0.6, "count": 40, "confidence": 0.5, "accuracy": 0.4, "accuracy_low": 0.3}
_BINS = [{**_BIN, "accuracy_high": 0.5}, {**_BIN, "confidence": 0.9, "accuracy": 0.8, "accuracy_high": 0.9}]
_CALIBRATED = {
    "ece_width": 0.05, "ece_mass": 0.05, "ece_by_chance": 0.01, "ece_classwise": 0.02, "log_loss": 0.4, "brier": 0.2,
    "mean_confidence": 0.9, "accuracy": 0.8, "bins_width": _BINS, "bins_mass": _BINS,
}  # fmt: skip
_HERE = {"coverage": 0.9, "coverage_low": 0.85, "coverage_high": 0.95}
_RATES = {
    f"{name}{end}": value
    for name in ("sensitivity", "specificity", "ppv", "npv")
    for end, value in (("", 0.9), ("_low", 0.8), ("_high", 0.95))
}
_SLICE = {
    "low": None, "high": None, "num_samples": 60, "score": 0.7, "score_low": 0.6, "score_high": 0.8,
    "rest_score": 0.9, "difference": -0.2, "difference_low": -0.3, "difference_high": -0.1, "p_value": 0.001,
    "p_holm": 0.01, "detectable_difference": 0.1,
}  # fmt: skip
_CORRUPTIONS = ("gaussian_noise", "fog")
_HEAD = {"format": 1, "task": "single", "split": "test", "score": "accuracy", "num_samples": 120, "num_available": 120}
_FITTED = {"fitted_on": {"split": "val", "num_samples": 50}, "is_optimistic": False, "notes": []}

PARTS: dict[str, dict[str, Any]] = {
    "calibration.json": {
        "format": 1, "task": "single", **_FITTED, "temperature": 2.0, "before": _CALIBRATED, "after": _CALIBRATED,
        "scored_on": {"split": "test", "num_samples": 120},
    },
    "decisions.json": {
        "format": 1, "task": "single", **_FITTED, "class_names": ["ant"], "temperature": 2.0,
        "reject": [{
            "name": "risk_5", "threshold": 0.7, "risk": 0.05, "delta": 0.05, "accepted": 90, "wrong": 3,
            "num_samples": 120, "upper_bound": 0.049,
            "here": {"num_samples": 120, "accepted": 100, "wrong": 2, **_HERE, "risk": 0.02, "risk_low": 0.0,
                     "risk_high": 0.07, "is_refuted": False},
        }],
        "conformal": [{
            "name": "lac_90", "method": "lac", "coverage": 0.9, "limit": 0.4, "num_samples": 50,
            "here": {**_HERE, "expected_low": 0.85, "expected_high": 0.95, "is_refuted": True, "mean_size": 1.1},
        }],
        "operating_points": [{
            "name": "sensitivity_95", "measure": "sensitivity", "target": 0.95, "num_samples": 50,
            "here": [{"class": EVIL, "threshold": 0.2, **_RATES}],
        }],
        "costs": [{"name": "triage", "costs": [[0, 1], [5, 0]],
                   "here": {"mean_cost": 0.2, "mean_cost_of_most_probable": 0.3, "changed": 7}}],
        "refused": {"risk_1": "too few images"},
    },
    "ood.json": {
        "format": 1, "notes": [],
        "ood": {"folder": f"/data/{EVIL}", "num_samples": 9, "num_broken": 1, "broken": []},
        "in_distribution": {"split": "test", "num_samples": 120, "num_broken": 0},
        "scores": [{
            "name": "energy", "auroc": 0.9, "auroc_low": 0.8, "auroc_high": 0.95, "fpr_at_95_tpr": 0.3,
            "threshold": 1.5,
            "histogram": {"edges": [0.0, 1.0, 2.0], "in_distribution": [20, 100], "ood": [8, 1]},
        }],
    },
    "slices.json": {
        "format": 1, "task": "single", "score": "accuracy", "num_samples": 120, "overall": _score(0.8),
        "columns": [{"name": "meta:site", "title": f"site {EVIL}"}],
        "slices": [
            {**_SLICE, "column": "meta:site", "label": EVIL, "verdict": "worse"},
            {**_SLICE, "column": "meta:site", "label": "B", "verdict": "too small"},
        ],
        "by_confidence": [{**_SLICE, "column": "confidence", "label": "0.2 to 0.5", "verdict": None}],
        "excluded": [{"column": "image:height", "reason": "the same value everywhere: 12"}], "notes": [],
    },
    "tta.json": {
        **_HEAD, "views": [{}, {}], "plain": _score(0.8), "tta": _score(0.82), "num_mended": 5, "num_spoiled": 2,
        "difference": {"difference": 0.02, "low": -0.01, "high": 0.05}, "verdict": "no difference found", "notes": [],
        "cost": {"forward_passes": 2, "plain_s": 1.0, "tta_s": 2.0, "time_ratio": 2.0},
    },
    "robustness.json": {
        **_HEAD, "clean": _score(0.8), "mean_relative_drop": 0.3, "mce": None, "notes": [],
        "cells": [
            {"corruption": name, "family": "noise", "severity": severity, **_score(0.8 - 0.1 * severity)}
            for name in _CORRUPTIONS for severity in range(1, 6)
        ],
        "corruptions": [{"corruption": name, "family": "noise", "score": 0.5} for name in _CORRUPTIONS],
    },
    "attack.json": {
        **_HEAD, "chance": 0.33, "clean": _score(0.8), "notes": [],
        "norms": [{"norm": "linf", "title": "every pixel by at most eps", "cells": [
            {"attack": "pgd", "eps": 4 / 255, "eps_255": 4.0, **_score(0.1)},
            {"attack": "rays", "eps": 2 / 255, "eps_255": 2.0, **_score(0.3)},
            {"attack": "rays", "eps": 4 / 255, "eps_255": 4.0, **_score(0.2)}]}],
        "checks": [{"name": "gradients are stronger than noise", "passed": False, "detail": "0.9 against 0.1"}],
    },
    "explain.json": {
        "format": 1, "method": "gradcam", "failed": [], "notes": [],
        "images": [{
            "path": f"photos/{EVIL}.png", "png": "explain/0.png", "label": "ant", "prediction": "bee",
            "target": "bee", "verdict": "bad", "reason": "it stays the same when the network is randomised",
            "deletion_auc": 0.4,
            "random_deletion_auc": 0.4, "insertion_auc": None, "random_insertion_auc": 0.5,
        }],
    },
    "baselines.json": {
        "format": 1, "num_train": 100, "num_test": 120, "num_cores": 2, "notes": [],
        "baselines": [{
            "name": "hog-linear_svm", "is_majority_class": False, "accuracy": 0.7, "accuracy_interval": [0.6, 0.8],
            "num_errors": 36, "macro_f1": 0.69, "fit_s": 2.0, "predict_ms_per_image": 0.5, "size_bytes": 1234,
            "note": None,
        }],
        "network": {"name": "small_cnn", "accuracy": 0.8, "accuracy_interval": [0.7, 0.9], "num_errors": 24,
                    "macro_f1": 0.79, "fit_s": None, "predict_ms_per_image": None, "size_bytes": None},
    },
    "provenance.json": {
        "format": 1, "job": "evaluate", "command": ["evaluate.py", "checkpoint=best.ckpt"], "imgrec": "0.1.0",
        "started": "2026-01-02T03:04:05+00:00", "finished": "2026-01-02T03:05:05+00:00", "seed": 1, "split": "test",
        "seconds": {"total": 60.0, "predict": 50.0}, "source": {"checkpoint": "best.ckpt"},
        "config": {"seed": 1, "name": EVIL}, "model": {"name": "small_cnn", "num_parameters": 1234},
        "data": {"fingerprint": "ab12", "class_names": ["ant", "bee", "cat"], "target": "imgrec.data.sources.Folder",
                 "splits": {"train": [4, 5, 6], "test": [40, 40, 40]}, "num_images": {"train": 15, "test": 120}},
        "code": {"commit": "abc", "has_changes": True}, "versions": {"python": "3.12"},
        "hardware": {"processor": "a processor", "cores": 2, "memory_gib": 8.0, "gpus": []},
        "energy": {"cpu_j": 3600.0, "gpu_j": None, "note": "no NVIDIA GPU"},
    },
}  # fmt: skip
