"""Images that stand out, and images with nothing on them."""

import numpy as np
import pytest

from imgrec.auditing.dataset_checks.outliers import THRESHOLD, outliers, robust_distance
from made_facts import made_facts


def changed(column: str, value: float, *, row: int = 7, count: int = 200) -> dict[str, np.ndarray]:
    values = np.array(getattr(made_facts(count), column), dtype=float)
    values[row] = value
    return {column: values}


def test_a_plain_data_set_has_no_outliers():
    assert outliers(made_facts(2000)) == []


@pytest.mark.parametrize(
    ("column", "value", "name"),
    [
        ("width", 20_000, "aspect"),
        ("brightness", 250, "brightness"),
        ("contrast", 8, "contrast"),
        ("sharpness", 1, "sharpness"),
    ],
)
def test_what_is_far_from_all_others_is_found_and_nothing_else(column, value, name):
    (found,) = outliers(made_facts(200, **changed(column, value)))
    assert (found.row, found.property, found.severity) == (7, name, "info")
    assert abs(found.distance) > THRESHOLD


def test_size_is_the_shorter_side():
    facts = made_facts(200, **changed("width", 64), **changed("height", 48))
    (found,) = outliers(facts)
    assert (found.property, found.value, found.usual) == ("size", 48, (480, 480))
    assert found.text == "size 48 px, usual range 480 to 480"
    assert found.distance < 0


def test_a_trifle_is_no_outlier_where_all_others_are_equal():
    assert outliers(made_facts(200, **changed("height", 540))) == []


@pytest.mark.parametrize(
    ("brightness", "contrast", "kind"), [(2, 3, "black"), (253, 3, "white"), (128, 1, "blank"), (3, 1, "black")]
)
def test_images_with_nothing_on_them_are_found_by_themselves(brightness, contrast, kind):
    facts = made_facts(
        3, **changed("brightness", brightness, row=1, count=3), **changed("contrast", contrast, row=1, count=3)
    )
    (found,) = outliers(facts)
    assert (found.row, found.property, found.severity) == (1, kind, "warning")


def test_a_night_scene_is_not_black():
    facts = made_facts(3, **changed("brightness", 6, row=1, count=3), **changed("contrast", 20, row=1, count=3))
    assert outliers(facts) == []


def test_an_empty_image_is_told_once_and_first():
    columns = {**changed("brightness", 0), **changed("contrast", 0)}
    columns["brightness"][9] = 255
    found = outliers(made_facts(200, **columns))
    assert [(one.row, one.property) for one in found] == [(7, "black"), (9, "brightness")]


def test_fewer_than_twenty_images_are_not_compared():
    assert outliers(made_facts(19, **changed("brightness", 255, count=19))) == []
    assert len(outliers(made_facts(20, **changed("brightness", 255, count=20)))) == 1


def test_broken_files_are_neither_outliers_nor_usual():
    code = [""] * 200
    code[7] = "damaged"
    assert outliers(made_facts(200, code=code, **changed("contrast", 0))) == []


def test_the_distance_is_that_of_a_normal_distribution_for_normal_values():
    values = np.random.default_rng(0).normal(10, 3, 20_000)
    assert robust_distance(values, least=0.0) == pytest.approx((values - 10) / 3, abs=0.2)


def test_a_long_tail_is_no_row_of_outliers():
    values = np.random.default_rng(0).exponential(1.0, 10_000)
    assert (np.abs(robust_distance(values, least=0.1)) > THRESHOLD).mean() < 0.001


def test_five_percent_of_wild_values_do_not_hide_themselves():
    values = np.random.default_rng(0).normal(0, 1, 1000)
    values[:45] = 50
    assert (robust_distance(values, least=0.1)[:45] > THRESHOLD).all()
