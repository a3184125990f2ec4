"""The robustness card against its formulas, written naively; and the study that writes it."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from imgrec.data.images.preprocess import Preprocess
from imgrec.data.sources import FolderData
from imgrec.errors import ConfigError
from imgrec.models import make_cifar_resnet
from imgrec.studies.robustness import Corruptions
from imgrec.studies.robustness.card import against_baseline, make_card, read_baseline
from imgrec.studies.robustness.corruption import CORRUPTIONS, SEVERITIES
from imgrec.studies.study import Subject
from small_run import Noise, small_net
from studied import evaluated

torch.manual_seed(0)
NET = small_net().eval()
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, 120)


def predictions(share):
    return np.where(RNG.random(120) < share, LABELS, (LABELS + 1) % 4)


CLEAN = predictions(0.9)
CORRUPTED = np.stack([predictions(0.9 - 0.1 * severity) for _ in CORRUPTIONS for severity in SEVERITIES])
CARD = make_card(LABELS, CLEAN, CORRUPTED)


def test_each_cell_has_its_accuracy_and_wilsons_interval():
    for cell, found in zip(CARD["cells"], CORRUPTED, strict=True):
        right = int((found == LABELS).sum())
        interval = binomtest(right, 120).proportion_ci(method="wilson")
        assert cell["score"] == right / 120
        assert (cell["low"], cell["high"]) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_cells_are_in_order():
    names = [(cell["corruption"], cell["severity"]) for cell in CARD["cells"]]
    assert names == [(corruption.name, severity) for corruption in CORRUPTIONS for severity in SEVERITIES]


def test_means_and_drops_follow_their_formulas():
    clean = (CLEAN == LABELS).mean()
    scores = (CORRUPTED == LABELS).mean(axis=1)
    assert CARD["mean_score"] == pytest.approx(scores.mean())
    assert CARD["mean_relative_drop"] == pytest.approx(np.mean([(clean - score) / clean for score in scores]))
    assert CARD["corruptions"][1]["score"] == pytest.approx(scores[5:10].mean())
    assert CARD["severities"][4]["score"] == pytest.approx(scores[4::5].mean())


def test_the_interval_of_the_mean_is_over_images():
    of_images = (CORRUPTED == LABELS).mean(axis=0)
    means = of_images[RNG.integers(0, 120, (4000, 120))].mean(axis=1)
    interval = CARD["mean_score_low"], CARD["mean_score_high"]
    assert interval == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.005)


def test_a_card_against_itself_has_errors_of_one():
    found = against_baseline(CARD, CARD)
    assert (found["mce"], found["relative_mce"]) == (pytest.approx(1), pytest.approx(1))


def test_errors_against_a_baseline_follow_the_paper():
    other = make_card(LABELS, predictions(0.95), np.stack([predictions(0.5) for _ in range(75)]))
    found = against_baseline(CARD, other)
    mine, theirs = (
        [1 - cell["score"] for cell in card["cells"] if cell["corruption"] == "fog"] for card in (CARD, other)
    )
    row = next(row for row in found["corruptions"] if row["corruption"] == "fog")
    assert row["corruption_error"] == pytest.approx(sum(mine) / sum(theirs))
    assert found["mce"] == pytest.approx(np.mean([row["corruption_error"] for row in found["corruptions"]]))


def test_several_labels_have_f1_and_no_interval_of_the_mean():
    labels = (RNG.random((30, 3)) < 0.5).astype(np.uint8)
    card = make_card(labels, labels, np.stack([1 - labels] * 75))
    assert (card["score"], card["clean"]["score"], card["mean_score"]) == ("micro_f1", 1.0, 0.0)
    assert np.isnan(card["mean_score_low"])


def test_a_model_that_was_never_right_has_no_relative_drop():
    card = make_card(LABELS, (LABELS + 1) % 4, CORRUPTED)
    assert np.isnan(card["mean_relative_drop"])


def subject(folder, data: Any = None) -> Subject:
    data = data or Noise(eval_batch_size=8, num_workers=0)
    return Subject(NET, data, "test", evaluated(NET, data), folder, torch.device("cpu"))


def test_the_study_writes_a_card_of_all_cells(tmp_path):
    Corruptions(num_images=9)(subject(tmp_path))
    card = json.loads((tmp_path / "robustness.json").read_text())
    assert (card["format"], len(card["cells"]), card["num_samples"], card["num_available"]) == (1, 75, 9, 21)
    assert (card["split"], card["parameters"], card["height_px"]) == ("test", "CIFAR-10-C", 8)


def test_the_same_seed_gives_the_same_card(tmp_path):
    cards = []
    for place, seed in enumerate((1, 1, 2)):
        Corruptions(num_images=9, seed=seed)(subject(tmp_path / str(place)))
        card = json.loads((tmp_path / str(place) / "robustness.json").read_text())
        cards.append([cell["score"] for cell in card["cells"]])
    assert cards[0] == cards[1] != cards[2]


def test_the_study_takes_a_card_as_its_baseline(tmp_path):
    Corruptions(num_images=9)(subject(tmp_path))
    Corruptions(num_images=9, baseline=str(tmp_path / "robustness.json"))(subject(tmp_path / "again"))
    card = json.loads((tmp_path / "again" / "robustness.json").read_text())
    assert card["mce"] == pytest.approx(1)
    assert card["baseline"].endswith("robustness.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is not a robustness.json"),
        ("{}", "is not a robustness.json"),
        ('{"format": 1, "cells": [], "score": "accuracy", "clean": {"score": 1}}', "has 0 cells"),
    ],
)
def test_what_is_no_baseline_is_refused(tmp_path, content, message):
    path = tmp_path / "base.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_baseline(path, metric="accuracy")


def test_a_number_of_images_below_two_is_refused():
    with pytest.raises(ConfigError, match=r"robustness\.num_images=1"):
        Corruptions(num_images=1)


@pytest.mark.guard
def test_a_real_network_gets_worse_with_each_severity(shared_data, tmp_path):
    """CIFAR-10, ResNet-20: the mean over corruptions falls; clean is what it is without corruption."""
    weights = shared_data / "weights" / "akamaster_resnet20-12fca82f.th"
    net = make_cifar_resnet(depth=20, weights=str(weights), num_classes=10).eval()
    preprocess = Preprocess(size=32, mode="none")
    data = FolderData(test=str(shared_data / "cifar10" / "test"), preprocess=preprocess, num_workers=0)
    chosen = np.arange(0, 10_000, 100)
    data._splits = replace(data.splits, test=data.split("test").subset(chosen))
    Corruptions(num_images=None)(Subject(net, data, "test", evaluated(net, data), tmp_path, torch.device("cpu")))
    card = json.loads((tmp_path / "robustness.json").read_text())
    means = [card["clean"]["score"], *(row["score"] for row in card["severities"])]
    assert means == sorted(means, reverse=True)
    assert means[0] > 0.85
    assert means[-1] < 0.6
