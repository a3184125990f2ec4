"""OOD images: scores against the papers' formulas, separation against scikit-learn, the study on real files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.distance import cdist
from scipy.special import logsumexp, softmax
from sklearn.metrics import roc_auc_score, roc_curve
from torch import nn

from imgrec.data.images.preprocess import Preprocess
from imgrec.data.sources.folder import FolderData
from imgrec.errors import ConfigError, DataError
from imgrec.models import make_small_cnn
from imgrec.studies.ood import OodFolder
from imgrec.studies.ood.scores import Gaussians, Neighbours, energy, max_probability
from imgrec.studies.ood.separation import measure_separation
from imgrec.studies.study import Subject, check_studies
from predicted import make_predictions

RANDOM = np.random.default_rng(0)


def test_the_largest_probability_is_softmaxs():
    logits = RANDOM.normal(size=(50, 4)) * 20
    found = max_probability(logits, is_multilabel=False)
    np.testing.assert_allclose(found, softmax(logits, axis=1).max(axis=1), atol=1e-12)
    several = max_probability(logits, is_multilabel=True)
    np.testing.assert_allclose(several, (1 / (1 + np.exp(-logits))).max(axis=1), atol=1e-12)


def test_the_energy_is_the_log_of_the_sum_of_powers():
    logits = RANDOM.normal(size=(50, 4)) * 400
    np.testing.assert_allclose(energy(logits, is_multilabel=False), logsumexp(logits, axis=1))
    small = logits / 400
    np.testing.assert_allclose(energy(small, is_multilabel=True), np.log1p(np.exp(small)).sum(axis=1))


@pytest.mark.parametrize("k", [1, 7, 500])
def test_the_neighbour_that_counts_is_the_kth_nearest_on_the_sphere(k):
    reference, features = RANDOM.normal(size=(120, 9)), RANDOM.normal(size=(1500, 9))
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (features, reference)]
    expected = -np.sort(cdist(*unit), axis=1)[:, min(k, 120) - 1]
    np.testing.assert_allclose(Neighbours.of(reference, k=k).score(features), expected, atol=1e-7)


def test_a_feature_of_only_zeros_is_no_fault():
    assert np.isfinite(Neighbours.of(np.eye(3), k=1).score(np.zeros((1, 3)))).all()


def test_mahalanobis_is_the_least_distance_to_a_mean_by_the_common_precision():
    features, labels = RANDOM.normal(size=(200, 5)), RANDOM.integers(0, 3, 200)
    fitted = Gaussians.of(features, labels)
    means = [features[labels == label].mean(axis=0) for label in range(3)]
    probes = RANDOM.normal(size=(20, 5))
    expected = [-min(float((x - m) @ fitted.precision @ (x - m)) for m in means) for x in probes]
    np.testing.assert_allclose(fitted.score(probes), expected)
    centred = features - np.array(means)[labels]
    plain = np.linalg.inv(centred.T @ centred / 200)  # the shrinkage of so many is small
    np.testing.assert_allclose(fitted.precision, plain, atol=0.25)


def test_fewer_references_than_features_and_a_class_without_any_are_no_fault():
    fitted = Gaussians.of(RANDOM.normal(size=(10, 40)), np.array([0, 2] * 5))
    assert fitted.means.shape == (2, 40)
    assert np.isfinite(fitted.score(RANDOM.normal(size=(3, 40)))).all()


@pytest.mark.parametrize("digits", [1, 6])
def test_auroc_and_false_positives_are_scikit_learns(digits):
    own, ood = RANDOM.normal(1, 1, 400).round(digits), RANDOM.normal(0, 1, 300).round(digits)
    is_own, scores = np.repeat([1, 0], [400, 300]), np.concatenate([own, ood])
    found = measure_separation(own, ood)
    assert found["auroc"] == pytest.approx(roc_auc_score(is_own, scores), abs=1e-12)
    fpr, tpr, _ = roc_curve(is_own, scores, drop_intermediate=False)
    assert found["fpr_at_95_tpr"] == pytest.approx(fpr[tpr >= 0.95].min())
    assert (own >= found["threshold"]).mean() >= 0.95


def test_the_interval_of_the_auroc_is_delongs_and_covers_the_true_value():
    auroc, inside = 0.7602499389065233, 0  # Phi(1 / sqrt(2))
    for seed in range(300):
        rng = np.random.default_rng(seed)
        found = measure_separation(rng.normal(1, 1, 80), rng.normal(0, 1, 60))
        inside += found["auroc_low"] <= auroc <= found["auroc_high"]
    assert 0.91 < inside / 300 < 0.985


def test_what_is_wholly_apart_has_no_interval():
    found = measure_separation(np.arange(30.0) + 100, np.arange(30.0))
    assert (found["auroc"], found["fpr_at_95_tpr"], found["auroc_low"]) == (1, 0, None)


def test_a_histogram_counts_everything_once_whatever_lies_far_out():
    own, ood = RANDOM.normal(size=500), np.append(RANDOM.normal(size=99), 1e9)
    histogram = measure_separation(own, ood)["histogram"]
    assert (sum(histogram["in_distribution"]), sum(histogram["ood"])) == (500, 100)
    assert len(histogram["edges"]) == 41
    same = measure_separation(np.ones(30), np.ones(30))["histogram"]
    assert sum(same["in_distribution"]) == 30


# The study


def paint(folder: Path, count: int, *, colour: tuple[int, int, int], seed: int) -> None:
    """Write images of noise around a colour."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for i in range(count):
        noise = rng.normal(0, 12, (24, 24, 3))
        Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8)).save(folder / f"{i:02}.png")


@pytest.fixture(scope="module")
def sample_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of red and green, and OOD images in blue, two of them broken."""
    root = tmp_path_factory.mktemp("images")
    for seed, (name, colour) in enumerate([("red", (200, 40, 40)), ("green", (40, 200, 40))]):
        paint(root / "data" / "train" / name, 25, colour=colour, seed=seed)
        paint(root / "data" / "test" / name, 15, colour=colour, seed=seed + 10)
    paint(root / "ood" / "deep" / "down", 24, colour=(40, 40, 220), seed=30)
    (root / "ood" / "cut.png").write_bytes((root / "ood/deep/down/00.png").read_bytes()[:60])
    (root / "ood" / "empty.jpg").write_bytes(b"")
    (root / "ood" / "notes.txt").write_text("no image")
    return root


def subject(sample_images: Path, folder: Path, *, network: nn.Module | None = None, **splits: str) -> Subject:
    where = splits or {"root": str(sample_images / "data")}
    data = FolderData(**where, val_fraction=0.0, preprocess=Preprocess(size=24, mode="squash"), batch_size=8)
    torch.manual_seed(0)
    made = network or make_small_cnn(num_classes=2)
    predictions = make_predictions(np.random.default_rng(0).normal(size=(30, 2)))
    return Subject(made.eval(), data, "test", predictions, folder, torch.device("cpu"))


def studied(made: Subject, ood: Path, **options: Any) -> dict[str, Any]:
    OodFolder(str(ood), **options)(made)
    return json.loads((made.folder / "ood.json").read_text())


def test_ood_images_are_separated_and_broken_ones_listed(sample_images: Path, tmp_path: Path) -> None:
    found = studied(subject(sample_images, tmp_path), sample_images / "ood")
    assert [score["name"] for score in found["scores"]] == ["max_softmax", "energy", "knn", "mahalanobis"]
    by_name = {score["name"]: score["auroc"] for score in found["scores"]}
    assert by_name["knn"] > 0.95  # of random weights: colours are enough
    assert by_name["mahalanobis"] > 0.95
    assert (found["in_distribution"]["num_samples"], found["reference"]["num_samples"]) == (30, 50)
    assert (found["ood"]["num_samples"], found["ood"]["num_broken"]) == (24, 2)
    assert {(Path(one["path"]).name, one["code"]) for one in found["ood"]["broken"]} == {
        ("cut.png", "truncated"), ("empty.jpg", "not_an_image"),
    }  # fmt: skip
    assert "Excluded 1 entry (not a supported image)" in found["notes"][0]
    assert (tmp_path / "ood" / "histograms.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_seed_draws_the_same_images(sample_images: Path, tmp_path: Path) -> None:
    made = subject(sample_images, tmp_path)
    one, two, other = (studied(made, sample_images / "ood", limit=22, seed=seed) for seed in (1, 1, 2))
    assert one == two != other
    assert one["in_distribution"]["num_samples"] == one["reference"]["num_samples"] == 22
    assert one["ood"]["num_samples"] + one["ood"]["num_broken"] == 22


def test_without_training_images_there_are_two_scores_and_a_note(sample_images: Path, tmp_path: Path) -> None:
    found = studied(subject(sample_images, tmp_path, test=str(sample_images / "data/test")), sample_images / "ood")
    assert [score["name"] for score in found["scores"]] == ["max_softmax", "energy"]
    assert found["reference"] is None
    assert found["notes"][-1].endswith("the data has no train split to compare with.")


def test_a_network_whose_head_is_unknown_has_two_scores_and_a_note(sample_images: Path, tmp_path: Path) -> None:
    class Means(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(len(images))
            return images.float().mean(dim=(2, 3))[:, :2]

    seen: list[int] = []
    found = studied(subject(sample_images, tmp_path, network=Means()), sample_images / "ood")
    assert len(found["scores"]) == 2
    assert sum(seen) == 24  # the evaluated split has its logits already
    assert found["notes"][-1].endswith("the head of the model is not known.")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", "ood.folder=.*absent is not a folder. Name one with out-of-distribution images"),
        ("bare", "ood.folder=.*bare holds no image"),
        ("few", "few: 3 images, OOD scores need 20 or more"),
    ],
)
def test_a_folder_without_enough_images_is_refused(
    name: str, message: str, sample_images: Path, tmp_path: Path
) -> None:
    (tmp_path / "bare").mkdir()
    paint(tmp_path / "few", 3, colour=(0, 0, 0), seed=1)
    with pytest.raises(DataError, match=message):
        studied(subject(sample_images, tmp_path), tmp_path / name)


@pytest.mark.parametrize(("options", "key"), [({"limit": 5}, "ood.limit=5"), ({"neighbours": 0}, "ood.neighbours=0")])
def test_counts_that_cannot_be_are_refused(options: dict[str, int], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        OodFolder("x", **options)


def test_a_folder_that_is_not_there_is_reported_before_inference(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ood\.folder=.*void is not a folder"):
        check_studies({"ood": OodFolder(str(tmp_path / "void"))}, data=None)
