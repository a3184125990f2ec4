"""Groups on both sides of a split, and groups that file names give away."""

import re

import numpy as np
import pytest

from imgrec.auditing.dataset_checks.group_patterns import candidate_patterns, file_keys, match_pattern
from imgrec.auditing.dataset_checks.groups import crossing_groups, leaking_groups
from imgrec.auditing.duplicates.near import NearPair
from made_facts import made_facts


def scenes(count: int, *, per_scene: int, noise: int = 55, seed: int = 0) -> np.ndarray:
    """Return thumbnails uint8 (count, 32, 32): `per_scene` images in a row show one scene, with noise."""
    rng = np.random.default_rng(seed)
    scene = np.repeat(rng.integers(0, 256 - noise, (-(-count // per_scene), 32, 32)), per_scene, axis=0)[:count]
    return (scene + rng.integers(0, noise, (count, 32, 32))).astype(np.uint8)


def tracks(count: int = 240, *, name: str = "{label}/{track:05}_{frame:05}.ppm", **columns):
    """Return facts of two classes, each in tracks of 8 frames that look alike."""
    rows = np.arange(count)
    label = rows // (count // 2)
    track = rows % (count // 2) // 8
    values = zip(rows, label, track, strict=True)
    names = [f"data/{name.format(label=f'class{c}', track=t, frame=r % 8)}" for r, c, t in values]
    plain = {"label": label, "name": names, "thumbnail": scenes(count, per_scene=8)}
    return made_facts(count, **{**plain, **columns})


def pair(first: int, second: int) -> NearPair:
    return NearPair(first, second, "similar", 3, 0.9)


# Groups that the data names


def test_a_group_in_two_splits_is_told_with_its_numbers():
    facts = made_facts(5, group=["a", "a", "b", "a", ""], split=["train", "test", "train", "train", "test"])
    (found,) = crossing_groups(facts)
    assert (found.group, found.rows, found.counts) == ("a", (0, 1, 3), {"train": 2, "test": 1})
    assert (found.text, found.severity) == ("group a: 2 in train, 1 in test", "error")


def test_groups_on_one_side_and_images_without_group_cross_nothing():
    assert crossing_groups(made_facts(4, group=["a", "a", "", ""], split=["train", "train", "train", "test"])) == []
    assert crossing_groups(made_facts(4)) == []


# Groups that names give away


def test_tracks_in_file_names_are_proposed_class_by_class_where_each_class_counts_anew():
    (found,) = leaking_groups(tracks(), [])
    assert found.num_groups == 30
    assert found.same_group > 0.95
    assert found.chance < 0.1
    assert re.search(found.pattern, "class0/00001_00004.ppm")[1] == "class0/00001"
    assert found.pattern in found.text


def test_the_pattern_is_one_that_the_folder_source_takes(tmp_path):
    from PIL import Image

    from imgrec.data.sources.folder import read_folder

    facts = tracks(160)
    (found,) = leaking_groups(facts, [])
    for name in facts.name:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    splits = read_folder(root=str(tmp_path / "data"), group_pattern=found.pattern, val_fraction=0.0, test_fraction=0.0)
    assert len(set(splits.train.groups)) == found.num_groups == 20


def test_a_name_that_means_the_same_in_every_class_is_one_group():
    thumbnail = scenes(120, per_scene=8)
    (found,) = leaking_groups(tracks(thumbnail=np.concatenate([thumbnail, thumbnail + 1])), [])
    assert found.num_groups == 15
    assert "/" not in found.pattern


def test_few_names_in_two_classes_are_left_whole():
    (found,) = leaking_groups(tracks(64), [])  # 4 tracks in each class, of the same numbers
    assert found.num_groups == 4


@pytest.mark.parametrize(
    "name",
    [
        "{label}/P{track:02}L{frame}.png",
        "{label}/video{track}-{frame}.png",
        "{label}/site_a_{track}_{frame}.png",
        "{label}/scene {track} {frame}.png",
        "{label}/track{track}/{frame}.png",
        "{label}/{track}.{frame}.png",
    ],
)
def test_usual_ways_of_naming_are_known(name):
    (found,) = leaking_groups(tracks(name=name), [])
    assert found.num_groups == 30


def test_names_that_say_nothing_about_likeness_are_not_proposed():
    assert leaking_groups(tracks(thumbnail=scenes(240, per_scene=1)), []) == []


def test_a_little_more_likeness_than_chance_is_no_group():
    """The first half of each track is of one scene, all others are alone: significant, and not worth a split."""
    thumbnail = scenes(240, per_scene=1)
    for start in range(0, 240, 16):
        thumbnail[start + 1] = thumbnail[start]
    assert leaking_groups(tracks(thumbnail=thumbnail), []) == []


def test_few_images_that_are_alike_by_chance_are_no_evidence():
    names = [f"data/class{row % 2}/{row // 4}_{row}.png" for row in range(12)]
    thumbnail = scenes(12, per_scene=1)
    thumbnail[[2, 6, 10]] = thumbnail[[0, 4, 8]]
    assert leaking_groups(made_facts(12, name=names, thumbnail=thumbnail), []) == []


def test_classes_that_are_folders_of_like_images_are_no_groups():
    names = [f"data/s{row // 10}/{row % 10}.png" for row in range(200)]
    facts = made_facts(200, num_classes=20, label=np.arange(200) // 10, name=names, thumbnail=scenes(200, per_scene=10))
    assert leaking_groups(facts, []) == []


def test_names_that_repeat_the_class_are_no_groups():
    names = [f"data/class{row % 4}/class{row % 4}_{row}.png" for row in range(200)]
    facts = made_facts(200, num_classes=4, name=names, thumbnail=scenes(200, per_scene=5))
    assert leaking_groups(facts, []) == []


@pytest.mark.parametrize(("split", "number"), [("train", 0), ("test", 1)])
def test_an_image_without_group_forbids_the_pattern_in_training_alone(split, number):
    facts = tracks()
    columns = {"label": facts.label, "thumbnail": facts.thumbnail, "split": [split] + ["train"] * 239}
    found = leaking_groups(made_facts(240, name=["data/class0/cover.ppm", *facts.name[1:]], **columns), [])
    assert len(found) == number


def test_where_the_data_name_groups_nothing_is_proposed():
    assert leaking_groups(tracks(group=["a"] * 240), []) == []


def test_expected_tears_count_the_pairs_that_a_random_split_divides():
    pairs = [pair(0, 1), pair(2, 3), pair(7, 8), pair(8, 239)]  # the last two are of two tracks
    (found,) = leaking_groups(tracks(), pairs)
    assert found.num_pairs == 4
    assert found.leaking_before == pytest.approx(4 * 2 * 0.8 * 0.2)
    assert found.leaking_after == pytest.approx(2 * 2 * 0.8 * 0.2)


def test_pairs_with_an_image_of_a_given_test_are_not_counted():
    (found,) = leaking_groups(tracks(split=["test"] + ["train"] * 239), [pair(0, 1), pair(2, 3)])
    assert found.num_pairs == 1


def test_without_usable_images_there_is_no_proposal():
    assert leaking_groups(made_facts(0), []) == []
    assert leaking_groups(made_facts(6, code=["damaged"] * 6), []) == []


def test_keys_start_with_the_folder_of_the_class():
    facts = made_facts(3, name=["/class0/x/class0/p1/a.png", "C:\\data\\class1\\b.png", "elsewhere/c.png"])
    assert file_keys(facts) == ["class0/x/class0/p1/a.png", "class1/b.png", "class0/c.png"]


def test_two_patterns_that_find_the_same_groups_are_one_candidate():
    facts = made_facts(6, name=[f"data/class{row % 2}/a{row // 2}_b_{row}.png" for row in range(6)])
    found = [pattern.group.tolist() for pattern in candidate_patterns(facts, file_keys(facts))]
    assert len(found) == len({tuple(group) for group in found}) > 0


def test_a_pattern_without_a_slash_looks_at_the_name_alone():
    keys = ["cat_1/7_1.png", "cat_1/8_1.png"]
    assert match_pattern(r"^([^_]+)_", keys).group.tolist() == [0, 1]
    assert match_pattern(r"^([^/]+)/", keys).group.tolist() == [0, 0]
    assert match_pattern(r"^(\d+)-", keys).group.tolist() == [-1, -1]


# Real data


@pytest.fixture
def scanned(shared_data):
    from imgrec.auditing.scan.scan import scan
    from imgrec.data.sources.folder import read_folder

    def look(name: str, train: str):
        splits = read_folder(train=str(shared_data / name / train), val_fraction=0.0)
        return scan({"train": splits.train}, class_names=splits.class_names, workers=1)

    return look


def test_tracks_of_traffic_signs_are_found(scanned):
    from imgrec.auditing.duplicates.near import near_pairs

    facts = scanned("gtsrb32", "train")
    (found,) = leaking_groups(facts, near_pairs(facts))
    assert found.num_groups == 86  # two tracks of each of 43 signs
    assert found.leaking_before > 30
    assert found.leaking_after < 2


def test_origins_of_vehicle_patches_are_found(scanned):
    (found,) = leaking_groups(scanned("vehicles64", "."), [])
    assert set(found.examples) == {"GTI", "Extras", "KITTI"}


@pytest.mark.parametrize(("name", "train"), [("hymenoptera", "train"), ("flowers8", "train"), ("faces_att", ".")])
def test_data_sets_without_groups_get_no_proposal(scanned, name, train):
    assert leaking_groups(scanned(name, train), []) == []


@pytest.mark.slow
def test_names_of_kinds_within_a_class_are_no_groups(scanned):
    assert leaking_groups(scanned("cifar10", "train"), []) == []
