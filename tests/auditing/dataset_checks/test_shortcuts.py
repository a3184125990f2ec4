"""Classes that can be told by what is no content."""

import numpy as np
import pytest

from imgrec.auditing.dataset_checks.shortcuts import NUM_FOLDS, held_out_accuracies, shortcuts
from made_facts import made_facts

COUNT = 200  # class0 in even rows, class1 in odd ones
IS_FIRST = np.arange(COUNT) % 2 == 0


def with_share(inside: float, others: float) -> np.ndarray:
    """Return for which rows something holds: for a share of class0 and a share of the others."""
    rank = np.arange(COUNT) // 2 / (COUNT / 2)
    return np.where(IS_FIRST, rank < inside, rank < others)


def test_a_data_set_without_shortcuts_has_none():
    assert shortcuts(made_facts(COUNT)) == []
    assert shortcuts(made_facts(2000, num_classes=20)) == []


def test_a_class_of_one_size_is_described():
    width = np.where(IS_FIRST, 225, 640)
    (found,) = shortcuts(made_facts(COUNT, width=width))
    assert (found.label, found.accuracy, found.severity) == (0, 1.0, "warning")
    assert (found.share_in_class, found.share_in_others) == (1.0, 0.0)
    assert found.text.startswith("all 100 images of class0 ")
    assert found.text.endswith("; of the others none")
    assert found.p_value < 1e-6
    assert all(IS_FIRST[list(found.rows)])


@pytest.mark.parametrize(
    ("columns", "name", "rule"),
    [
        ({"format": np.where(IS_FIRST, "PNG", "JPEG").tolist()}, "format", "are of the format"),
        ({"mode": np.where(IS_FIRST, "L", "RGB").tolist()}, "mode", "are of the mode"),
        ({"flags": [("icc_profile",) if first else () for first in IS_FIRST]}, "icc_profile", "marked icc_profile"),
        ({"border": np.where(IS_FIRST, 0.2, 0.0) * (np.arange(COUNT) % 40 < 38)}, "border", "an empty border of"),
    ],
)
def test_format_mode_flags_and_frames_are_warnings(columns, name, rule):
    (found,) = shortcuts(made_facts(COUNT, **columns))
    assert (found.property, found.severity) == (name, "warning")
    assert rule in found.text


def test_name_endings_are_a_hint_that_no_network_sees():
    names = [f"photos/{row}.{'JPG' if first else 'jpg'}" for row, first in enumerate(IS_FIRST)]
    (found,) = shortcuts(made_facts(COUNT, name=names))
    assert (found.property, found.severity) == ("extension", "info")


def test_half_of_a_class_is_enough_and_little_more_than_chance_is_not():
    strong, weak = with_share(0.5, 0.05), with_share(0.3, 0.2)
    (found,) = shortcuts(made_facts(COUNT, format=np.where(strong, "PNG", "JPEG").tolist()))
    assert found.accuracy == pytest.approx(0.725)
    assert found.text == "50% of the 100 images of class0 are of the format PNG; of the others 5%"
    assert shortcuts(made_facts(COUNT, format=np.where(weak, "PNG", "JPEG").tolist())) == []


@pytest.mark.parametrize("label", [0, 1])
def test_the_class_that_has_it_is_named_not_the_one_that_lacks_it(label):
    shares = (0.6, 0.0) if label == 0 else (0.0, 0.6)
    (found,) = shortcuts(made_facts(COUNT, mode=np.where(with_share(*shares), "L", "RGB").tolist()))
    assert found.text == f"60% of the 100 images of class{label} are of the mode L; of the others none"
    assert found.label == label


def test_brightness_may_be_the_content_and_is_information_when_it_tells_nearly_all():
    brightness = np.where(IS_FIRST, 200.0, 100.0) + np.arange(COUNT) % 7
    (found,) = shortcuts(made_facts(COUNT, brightness=brightness))
    assert (found.property, found.severity) == ("brightness", "info")
    overlapping = np.random.default_rng(0).normal(np.where(IS_FIRST, 130, 110), 10)  # 84 % can be told
    assert shortcuts(made_facts(COUNT, brightness=overlapping)) == []


def test_a_border_that_most_images_have_is_the_background():
    border = np.where(IS_FIRST, 0.5, 0.2)
    (found,) = shortcuts(made_facts(COUNT, border=border))
    assert found.severity == "info"


def test_only_one_of_many_classes_has_it():
    count, label = 600, np.arange(600) % 6
    (found,) = shortcuts(made_facts(count, num_classes=6, format=np.where(label == 3, "PNG", "JPEG").tolist()))
    assert (found.label, found.accuracy) == (3, 1.0)


def test_properties_that_say_the_same_are_told_once_and_file_sizes_follow_from_them():
    width, height = np.where(IS_FIRST, 225, 640), np.where(IS_FIRST, 300, 480)
    assert len(shortcuts(made_facts(COUNT, width=width, height=height))) == 1


def test_classes_with_few_images_prove_nothing():
    label = (np.arange(COUNT) < 19).astype(int)
    assert shortcuts(made_facts(COUNT, label=label, format=np.where(label, "PNG", "JPEG").tolist())) == []


def test_broken_and_unlabelled_images_are_left_out():
    code = np.where(IS_FIRST, "damaged", "").tolist()
    assert shortcuts(made_facts(COUNT, code=code, format=np.where(IS_FIRST, "", "JPEG").tolist())) == []
    assert shortcuts(made_facts(COUNT, label=np.full(COUNT, -1))) == []


def test_noise_passes_by_its_p_value_not_by_luck():
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        noise = {
            "width": rng.integers(200, 900, 44),
            "height": rng.integers(200, 900, 44),
            "border": rng.random(44) / 60,
        }
        found += shortcuts(made_facts(44, **noise))
    assert found == []


def test_accuracies_are_those_of_a_rule_that_was_learnt_from_other_images():
    rng = np.random.default_rng(0)
    bins, labels, fold = rng.integers(0, 6, 90), rng.integers(0, 3, 90), np.arange(90) % NUM_FOLDS
    expected = []
    for label in range(3):
        says_yes, is_class = np.zeros(90, dtype=bool), labels == label
        for row in range(90):
            other = fold != fold[row]
            same_bin = bins == bins[row]
            says_yes[row] = same_bin[other & is_class].mean() > same_bin[other & ~is_class].mean()
        expected.append((says_yes[is_class].mean() + (~says_yes[~is_class]).mean()) / 2)
    np.testing.assert_allclose(held_out_accuracies(bins, labels, fold, num_classes=3), expected)


def test_the_same_data_gives_the_same_result():
    facts = made_facts(COUNT, width=np.where(with_share(0.7, 0.1), 225, 640))
    assert shortcuts(facts) == shortcuts(facts)


def test_brain_scans_can_be_told_by_their_size(shared_data):
    from imgrec.auditing.scan.scan import scan
    from imgrec.data.sources.folder import read_folder

    splits = read_folder(train=str(shared_data / "brain_mri"), val_fraction=0.0)
    found = shortcuts(scan({"train": splits.train}, class_names=splits.class_names, workers=1))
    assert [(one.property, one.severity) for one in found] == [("pixels", "warning"), ("extension", "info")]
