"""The verdict of a comparison."""

import numpy as np
import pytest

from compared import make_multilabel, make_run, make_table
from imgrec.evaluation.compare.align import align
from imgrec.evaluation.compare.engine import compare_runs
from imgrec.evaluation.compare.verdict import show_difference


def verdicts(*runs):
    comparison = compare_runs(align(runs))
    return [comparison.judge(pair) for pair in comparison.pairs], comparison


def flip(count, *, of=1000, lost=0):
    """Two runs on `of` images of two classes: the second gains `count` of them and loses `lost`."""
    labels = np.arange(of) % 2
    first = labels.copy()
    second = labels.copy()
    first[:count] = 1 - first[:count]
    second[count : count + lost] = 1 - second[count : count + lost]
    tables = [
        make_table(of, 2, labels=labels, logits=3 * np.eye(2, dtype=np.float32)[predicted])
        for predicted in (first, second)
    ]
    return [make_run("A", tables[0]), make_run("B", tables[1])]


def test_a_clear_winner_is_told_with_its_interval_in_points():
    (verdict,), comparison = verdicts(*flip(60, lost=20))
    main = comparison.pairs[0].main
    assert verdict.better == "B"
    assert verdict.text == (
        f"B is better than A by 4.0 points of accuracy ({100 * main.low:.1f} to {100 * main.high:.1f})."
    )


def test_the_better_one_is_named_whichever_comes_first():
    runs = flip(60, lost=20)
    (verdict,), _ = verdicts(*reversed(runs))
    assert verdict.text.startswith("B is better than A by 4.0 points of accuracy (")


def test_what_cannot_be_told_says_how_many_images_would_tell():
    (verdict,), comparison = verdicts(*flip(30, lost=25, of=500))
    main = comparison.pairs[0].main
    needed = 500 * main.variance * ((1.959964 + 0.841621) / main.value) ** 2
    assert verdict.better is None
    assert verdict.needed == pytest.approx(needed, rel=0.1)
    assert verdict.text == (
        "A and B are not distinguishable with 500 images: the difference is +1.0 points of accuracy "
        f"({100 * main.low:+.1f} to {100 * main.high:+.1f}). About {verdict.needed:,} would be needed to detect a "
        "difference of this size."
    )


def test_with_as_many_images_as_were_said_to_be_needed_four_of_five_comparisons_tell():
    """For the numbers of gained and lost images that a difference of 2 points in 10 % discordant ones would give."""
    from imgrec.evaluation.statistics.paired import mcnemar

    needed = 0.1 - 0.02**2
    count = round(needed * ((1.959964 + 0.841621) / 0.02) ** 2)
    random = np.random.default_rng(0)
    drawn = random.multinomial(count, [0.06, 0.04, 0.9], size=2000)
    told = np.mean([mcnemar(int(lost), int(gained)).p < 0.05 for gained, lost, _ in drawn])
    assert told == pytest.approx(0.8, abs=0.03)


def test_no_number_of_images_is_given_that_there_are_already():
    (verdict,), _ = verdicts(*flip(3, of=4))
    assert verdict.needed is None
    assert "would be needed" not in verdict.text


def test_runs_of_equal_accuracy_need_no_number_of_images():
    (verdict,), _ = verdicts(*flip(30, lost=30))
    assert verdict.needed is None
    assert verdict.text.startswith("A and B are not distinguishable with 1,000 images: the difference is 0.0 points")
    assert "would be needed" not in verdict.text


def test_a_narrow_interval_is_told_with_two_decimals_and_nothing_has_no_sign():
    (verdict,), comparison = verdicts(*flip(51, lost=37, of=10_000))
    main = comparison.pairs[0].main
    assert verdict.text.startswith(
        "A and B are not distinguishable with 10,000 images: the difference is +0.14 points of accuracy "
        f"({100 * main.low:+.2f} to {100 * main.high:+.2f}). "
    )
    (verdict,), _ = verdicts(*flip(100, of=10_000))
    assert verdict.text.startswith("B is better than A by 1.00 point of accuracy (0.8")


def test_runs_with_the_same_predictions_are_called_the_same():
    (verdict,), _ = verdicts(*flip(0))
    assert (verdict.kind, verdict.text) == ("same", "A and B give the same predictions on all 1,000 images.")


def test_among_many_pairs_a_lucky_one_is_not_called_better():
    a, b = flip(22, lost=8)
    others = [make_run(name, a.tables[0]) for name in "CDEFG"]
    found, comparison = verdicts(a, b, *others)
    pair = comparison.pairs[0]
    assert pair.p < 0.05 < pair.p_holm
    assert found[0].better is None
    assert found[0].text.endswith("after correction for the number of pairs.")


def test_trainings_that_differ_too_much_ask_for_more_trainings():
    tables = [make_table(300, noise=noise, seed=seed) for noise, seed in ((0, 1), (2.5, 2), (0.1, 3), (2.4, 4))]
    (verdict,), _ = verdicts(make_run("A", *tables[:2]), make_run("B", *tables[2:]))
    assert verdict.better is None and verdict.needed is None
    assert verdict.text.endswith("Give more trainings of each.")


def test_several_labels_are_judged_by_average_precision_in_its_own_unit():
    (verdict,), _ = verdicts(make_run("A", make_multilabel(noise=3)), make_run("B", make_multilabel(noise=0.1)))
    assert verdict.text.startswith("B is better than A by 0.")
    assert " in average precision (macro) (0." in verdict.text


def test_a_loss_is_shown_as_it_is_and_a_share_in_points():
    assert show_difference("accuracy", 0.012) == "+1.20 points"
    assert show_difference("log_loss", -0.012) == "-0.0120"
    assert (show_difference("accuracy", -1e-9), show_difference("brier", -1e-9)) == ("0.00 points", "0.0000")
    assert show_difference("f1.macro", float("nan")) == "undefined"
