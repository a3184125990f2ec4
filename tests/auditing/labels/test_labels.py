"""Labels that are probably wrong."""

import dataclasses
import sys

import numpy as np
import pytest

from imgrec.auditing.labels.labels import HANDCRAFTED, rank_labels, suspected_labels
from imgrec.auditing.scan.facts import FactsTable
from imgrec.auditing.scan.scan import scan
from imgrec.data.images.collections import ArrayImages
from imgrec.data.samples import Samples
from imgrec.data.sources.digits import read_digits
from imgrec.errors import ConfigError, MissingExtraError

pytest.importorskip("cleanlab")

Data = tuple[FactsTable, dict[str, Samples]]


@pytest.fixture(scope="module")
def digits() -> Data:
    splits = read_digits(val_fraction=0.2, test_fraction=0.0)
    parts = {"train": splits.train, "val": splits.val}
    return scan(parts, class_names=splits.class_names, workers=1), parts


def flipped(facts: FactsTable, share: float, seed: int = 1) -> tuple[FactsTable, set[int]]:
    """Return the facts with a share of the labels changed to another class, and the rows of these."""
    rng = np.random.default_rng(seed)
    labels, num_classes = facts.label.copy(), len(facts.class_names)
    rows = rng.permutation(len(labels))[: round(share * len(labels))]
    labels[rows] = (labels[rows] + rng.integers(1, num_classes, len(rows))) % num_classes
    return dataclasses.replace(facts, label=labels), set(rows.tolist())


def blobs(count: int = 120, num_classes: int = 3, side: int = 16) -> tuple[FactsTable, dict[str, Samples]]:
    """Return images of which each class has a bright spot of its own."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % num_classes
    images = rng.integers(0, 60, (count, side, side), dtype=np.uint8)
    for row, label in enumerate(labels):
        images[row, 4 * label : 4 * label + 4, 4 * label : 4 * label + 4] += 150
    parts = {"all": Samples([f"{row}" for row in range(count)], ArrayImages(images), labels)}
    return scan(parts, class_names=[f"class{i}" for i in range(num_classes)], workers=1), parts


def test_flipped_digits_are_in_the_top_tenth_and_with_the_right_suggestion(digits):
    facts, parts = digits
    wrong, rows = flipped(facts, 0.05)
    ranking = suspected_labels(wrong, parts)
    top = set(ranking.rows[: len(ranking.rows) // 10].tolist())
    assert len(top & rows) >= 0.95 * len(rows)
    assert ranking.accuracy > 0.85
    assert ranking.severity == "warning"
    found = [one for one in ranking.suspects if one.row in rows]
    assert len(found) >= 0.8 * len(rows)
    assert np.mean([one.suggested == facts.label[one.row] for one in found]) > 0.95
    assert all(one.given == wrong.label[one.row] for one in found)


def test_hardly_any_label_of_the_clean_digits_is_suspected(digits):
    ranking = suspected_labels(*digits)
    assert len(ranking.suspects) < 0.02 * len(ranking.rows)


def test_the_ranking_holds_every_row_once_from_doubtful_to_sure(digits):
    ranking = suspected_labels(*digits)
    assert sorted(ranking.rows.tolist()) == list(range(len(digits[0])))
    assert (np.diff(ranking.scores) >= 0).all()
    places = [ranking.rows.tolist().index(one.row) for one in ranking.suspects]
    assert places == sorted(places)


def test_the_same_seed_gives_the_same_ranking():
    first, again = (suspected_labels(*blobs()) for _ in range(2))
    assert first.rows.tolist() == again.rows.tolist()
    assert (first.scores == again.scores).all()


def test_probabilities_are_out_of_fold_as_by_scikit_learn():
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import PredefinedSplit, cross_val_predict

    rng = np.random.default_rng(0)
    labels, fold = np.arange(90) % 3, np.arange(90) // 3 % 5
    described = (rng.normal(size=(90, 4)) + labels[:, None]).astype(np.float32)
    ranking = rank_labels(described, labels, fold, rows=np.arange(90))
    scaled = (described - described.mean(axis=0)) / described.std()
    reference = cross_val_predict(
        LogisticRegression(C=0.1), scaled, labels, cv=PredefinedSplit(fold), method="predict_proba"
    )[np.arange(90), labels]
    np.testing.assert_allclose(ranking.scores, np.sort(reference), atol=0.01)


def test_accuracy_is_the_mean_over_classes_and_skill_is_zero_for_guessing():
    rng = np.random.default_rng(0)
    labels = (np.arange(400) % 10 == 0).astype(np.int64)
    ranking = rank_labels(
        rng.normal(size=(400, 5)).astype(np.float32), labels, np.arange(400) // 10 % 5, rows=np.arange(400)
    )
    assert ranking.accuracy == pytest.approx(0.5, abs=0.05)
    assert ranking.skill == pytest.approx(0, abs=0.1)
    assert ranking.severity == "info"


def test_class_numbers_may_have_gaps():
    facts, parts = blobs()
    gaps = dataclasses.replace(facts, label=facts.label * 2, class_names=["a", "none", "b", "nor here", "c"])
    labels = gaps.label.copy()
    labels[1] = 0
    ranking = suspected_labels(dataclasses.replace(gaps, label=labels), parts)
    first = ranking.suspects[0]
    assert (first.row, first.given, first.suggested) == (1, 0, 2)


def test_duplicates_do_not_vouch_for_each_other():
    """Two copies with the same wrong label would confirm it if they were in different folds."""
    facts, parts = blobs()
    images = np.stack([parts["all"].images[row] for row in range(120)])
    copies = 12
    images = np.concatenate([images, np.repeat(images[:1], copies, axis=0)])
    labels = np.concatenate([facts.label, np.full(copies, 1)])
    labels[0] = 1
    parts = {"all": Samples([f"{row}" for row in range(120 + copies)], ArrayImages(images), labels)}
    facts = scan(parts, class_names=facts.class_names, workers=1)
    duplicates = [f"{row}" for row in range(120)] + ["0"] * copies
    with_duplicates, without = suspected_labels(facts, parts, duplicates=duplicates), suspected_labels(facts, parts)
    score = [float(ranking.scores[ranking.rows.tolist().index(0)]) for ranking in (with_duplicates, without)]
    assert score[0] < 0.3 < score[1]


def test_groups_of_the_data_are_in_one_fold_as_duplicates_are():
    facts, parts = blobs()
    grouped = dataclasses.replace(facts, group=["patient"] * 117 + ["", "", ""])
    ranking = suspected_labels(grouped, parts)
    assert len(ranking.rows) == 0
    assert any("fewer than 5 images that are not duplicates" in note for note in ranking.notes)


def test_broken_images_are_never_opened():
    facts, parts = blobs()
    images = parts["all"].images

    class Traps:
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> np.ndarray:
            assert index != 5, "a decoder that crashes"
            return images[index]

    code = ["crashed" if row == 5 else "" for row in range(120)]
    trapped = {"all": Samples(parts["all"].names, Traps(), parts["all"].labels)}
    ranking = suspected_labels(dataclasses.replace(facts, code=code), trapped)
    assert 5 not in ranking.rows
    assert len(ranking.rows) == 119


def test_several_labels_per_image_are_not_judged_with_a_note():
    facts, parts = blobs()
    several = {"all": Samples(parts["all"].names, parts["all"].images, np.ones((120, 3), dtype=np.uint8))}
    ranking = suspected_labels(dataclasses.replace(facts, label=np.full(120, -1)), several)
    assert (ranking.suspects, ranking.accuracy, ranking.severity) == ([], None, "info")
    assert ranking.notes == ["Several labels per image: suspected labels are found for one label per image only."]


def test_without_cleanlab_the_error_says_what_to_install(monkeypatch):
    data = blobs(30)
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    with pytest.raises(MissingExtraError, match=r'cleanlab is not installed.*pip install "imgrec\[clean\]"'):
        suspected_labels(*data)


# Features of a model


def test_without_weights_handcrafted_features_are_used_with_a_note(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    ranking = suspected_labels(*blobs(30), features="resnet18")
    assert ranking.features == HANDCRAFTED
    assert any(note.startswith("No weights of resnet18 on this machine") for note in ranking.notes)


def test_an_unknown_model_is_an_error_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"no classifier 'resnet19'.*Did you mean"):
        suspected_labels(*blobs(30), features="resnet19")


def test_features_of_a_model_are_the_input_of_its_last_layer(tmp_path):
    import torch

    from imgrec.auditing.labels.backbone_features import backbone_features
    from imgrec.models import make_backbone

    torch.manual_seed(0)
    network = make_backbone("squeezenet1_1", num_classes=2).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    _, parts = blobs(12)
    described = backbone_features(
        parts["all"].images, np.arange(12), name="squeezenet1_1", weights=tmp_path / "weights.pth", seed=1
    )
    assert described.shape == (12, 12)
    assert np.isfinite(described).all()
    ranking = suspected_labels(*blobs(30), features="squeezenet1_1", weights=tmp_path / "weights.pth")
    assert ranking.features == f"squeezenet1_1 ({tmp_path / 'weights.pth'})"


@pytest.mark.guard
def test_pretrained_features_find_flipped_photographs(shared_data):
    from imgrec.data.sources.folder import read_folder

    folder = shared_data / "hymenoptera" / "train"
    splits = read_folder(train=str(folder), val_fraction=0.0, exclude=("*.gif",))
    parts = {"train": splits.train.subset(np.arange(0, len(splits.train), 2))}
    facts, rows = flipped(scan(parts, class_names=splits.class_names, workers=1), 0.05)
    weights = shared_data / "weights" / "mobilenet_v2_imagenet_fp16.pth"
    ranking = suspected_labels(facts, parts, features="mobilenet_v2", weights=weights)
    assert len(set(ranking.rows[: len(ranking.rows) // 10].tolist()) & rows) >= 0.8 * len(rows)
    assert ranking.severity == "warning"
