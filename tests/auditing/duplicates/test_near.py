"""Exact and near-duplicates."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from imgrec.auditing.duplicates.near import MAX_DUPLICATES, NearPair, duplicate_groups, exact_groups, near_pairs
from imgrec.auditing.scan.scan import scan
from imgrec.data.images.collections import FileImages
from imgrec.data.samples import Samples
from planted import jpeg, photograph, table_of

CLEAN = [photograph(seed) for seed in range(40)]


def recompressed(image):
    return Image.open(BytesIO(jpeg(image, 50))).convert("RGB")


CHANGES = {
    "resized": lambda image: image.resize((90, 70), Image.Resampling.LANCZOS),
    "recompressed": recompressed,
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "cropped in a corner": lambda image: image.crop((10, 7, 200, 150)),
    "cropped all around": lambda image: image.crop((10, 7, 190, 143)),
    "cropped at one side": lambda image: image.crop((0, 0, 190, 150)),
    "brightened": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "darkened": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "mirrored, cropped, brightened, resized and recompressed": lambda image: recompressed(
        ImageEnhance.Brightness(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).crop((10, 7, 200, 150)))
        .enhance(1.2)
        .resize((120, 90))
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_and_nothing_else(change):
    copies = [CHANGES[change](image) for image in CLEAN[:20]]
    pairs = {(pair.first, pair.second) for pair in near_pairs(table_of([*CLEAN, *copies]))}
    planted = {(row, len(CLEAN) + row) for row in range(20)}
    assert len(pairs & planted) >= 19
    assert pairs <= planted


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("resized", "similar"),
        ("mirrored", "mirrored"),
        ("cropped all around", "cropped"),
        ("mirrored, cropped, brightened, resized and recompressed", "mirrored and cropped"),
    ],
)
def test_a_pair_says_what_was_done(change, kind):
    pairs = near_pairs(table_of([CLEAN[0], CHANGES[change](CLEAN[0])]))
    assert [(pair.first, pair.second, pair.kind) for pair in pairs] == [(0, 1, kind)]


def test_the_most_alike_come_first():
    copies = [CHANGES["cropped all around"](CLEAN[0]), CHANGES["recompressed"](CLEAN[1])]
    pairs = near_pairs(table_of([*CLEAN[:2], *copies]))
    assert [(pair.first, pair.second) for pair in pairs] == [(1, 3), (0, 2)]
    assert 0.75 <= pairs[1].similarity < pairs[0].similarity <= 1


def test_equal_images_are_exact_duplicates_whatever_their_files():
    assert exact_groups(table_of([CLEAN[0], CLEAN[1], CLEAN[0].copy(), CLEAN[2], CLEAN[0].copy()])) == [[0, 2, 4]]


def test_equal_bytes_of_another_shape_are_no_duplicates():
    pixels = np.arange(24 * 12 * 3, dtype=np.uint8).reshape(24, 12, 3)
    assert exact_groups(table_of([pixels, pixels.reshape(12, 24, 3)])) == []


def test_exact_duplicates_are_no_near_duplicates():
    assert near_pairs(table_of([CLEAN[0], CLEAN[0].copy()])) == []


def test_a_near_duplicate_of_two_equal_images_in_two_splits_is_found_across_the_splits():
    facts = table_of([CLEAN[0], CLEAN[0].copy(), recompressed(CLEAN[0])], split=["train", "test", "test"])
    assert {(pair.first, pair.second) for pair in near_pairs(facts)} == {(0, 2), (1, 2)}


def test_of_many_equal_images_one_stands_for_all():
    facts = table_of([CLEAN[0]] * 50 + [recompressed(CLEAN[0])])
    assert [(pair.first, pair.second) for pair in near_pairs(facts)] == [(0, 50)]


def test_blank_images_are_no_near_duplicates_but_may_be_equal():
    random = np.random.default_rng(0)
    blank = [(200 + random.integers(0, 3, (60, 80, 3))).astype(np.uint8) for _ in range(20)]
    facts = table_of([*blank, blank[3]])
    assert near_pairs(facts) == []
    assert exact_groups(facts) == [[3, 20]]


def test_images_that_cannot_be_used_have_no_duplicates(tmp_path):
    paths = [tmp_path / name for name in ("a.jpg", "b.jpg")]
    for path in paths:
        path.write_bytes(b"")
    part = Samples([str(path) for path in paths], FileImages(paths), np.zeros(2, np.int64))
    facts = scan({"train": part}, class_names=["ant"], workers=1)
    assert facts.code == ["not_an_image"] * 2
    assert exact_groups(facts) == [] and near_pairs(facts) == []
    assert duplicate_groups(facts) == facts.name


def test_no_images_have_no_duplicates():
    facts = table_of([])
    assert (exact_groups(facts), near_pairs(facts), duplicate_groups(facts)) == ([], [], [])


def test_the_order_of_the_images_does_not_matter():
    images = [*CLEAN, *(CHANGES["cropped in a corner"](image) for image in CLEAN[:10])]
    order = np.random.default_rng(0).permutation(len(images))
    straight = {frozenset((pair.first, pair.second)) for pair in near_pairs(table_of(images))}
    shuffled = near_pairs(table_of([images[row] for row in order]))
    assert {frozenset((int(order[pair.first]), int(order[pair.second]))) for pair in shuffled} == straight


def test_duplicates_of_duplicates_share_one_group():
    images = [CLEAN[0], CLEAN[1], recompressed(CLEAN[0]), CLEAN[1].copy(), CHANGES["resized"](CLEAN[0])]
    groups = duplicate_groups(table_of(images))
    assert groups[0] == groups[2] == groups[4]
    assert groups[1] == groups[3]
    assert groups[0] != groups[1]


def test_a_long_chain_of_look_alikes_does_not_become_one_group():
    facts = table_of([CLEAN[0]])
    many = 5 * MAX_DUPLICATES
    facts = table_of([photograph(seed, width=9, height=9) for seed in range(many)])
    chain = [NearPair(row, row + 1, "similar", 4, 0.8) for row in range(many - 1)]
    groups = duplicate_groups(facts, chain)
    assert max(groups.count(group) for group in set(groups)) <= MAX_DUPLICATES
    assert len(set(groups)) <= 10


def test_equal_images_stay_together_however_many():
    groups = duplicate_groups(table_of([CLEAN[0]] * (MAX_DUPLICATES + 5)), [])
    assert len(set(groups)) == 1


def test_equal_names_in_two_splits_do_not_make_a_group():
    facts = table_of([CLEAN[0], CLEAN[1]], split=["train", "test"])
    facts.name[:] = ["0001", "0001"]
    assert len(set(duplicate_groups(facts))) == 2


def facts_of_folder(folder: Path):
    parts = {}
    for split in ("train", "val", "test") if (folder / "train").is_dir() else (".",):
        paths = sorted(path for path in (folder / split).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        parts[split] = Samples([str(path) for path in paths], FileImages(paths), np.zeros(len(paths), np.int64))
    return scan(parts, class_names=["any"], workers=2)


def test_the_copies_in_a_brain_scan_set_are_found(shared_data):
    groups = exact_groups(facts_of_folder(shared_data / "brain_mri"))
    assert (len(groups), sum(len(group) - 1 for group in groups)) == (22, 25)


def test_the_one_pair_across_train_and_test_of_the_flowers_is_found_and_no_other(shared_data):
    facts = facts_of_folder(shared_data / "flowers8")
    (group,) = exact_groups(facts)
    assert [(facts.split[row], Path(facts.name[row]).stem) for row in group] == [
        ("train", "image_08067"),
        ("test", "image_08077"),
    ]
    assert near_pairs(facts) == []
