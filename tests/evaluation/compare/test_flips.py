"""The images on which two runs differ."""

import csv
import io

import numpy as np

from compared import make_multilabel, make_run, make_table
from imgrec.evaluation.compare.flips import find_flips, to_csv

LABELS = np.array([0, 0, 0, 0, 1])
NAMES = ["=cmd.png", "b.png", "c.png", "d.png", "e.png"]


def says(*predicted):
    logits = 3 * np.eye(4, dtype=np.float32)[list(predicted)]
    return make_table(5, labels=LABELS, logits=logits, names=NAMES, class_names=["ant", "bee", "+wasp", "fly"])


def rows_of(*pairs):
    return list(csv.DictReader(io.StringIO(to_csv(pairs).decode("utf-8"))))


def test_gained_lost_and_changed_are_told_apart():
    a, b = says(1, 0, 2, 0, 1), says(0, 2, 1, 0, 1)
    flips = find_flips(a, make_run("a", a), make_run("b", b))
    assert [(flip.path, flip.change, flip.label, flip.a, flip.b) for flip in flips.rows] == [
        ("=cmd.png", "gained", "ant", "bee", "ant"),
        ("b.png", "lost", "ant", "ant", "+wasp"),
        ("c.png", "changed", "ant", "+wasp", "bee"),
    ]
    assert (flips.num_gained, flips.num_lost, flips.num_changed) == (1, 1, 1)
    assert flips.gained_by_class.tolist() == flips.lost_by_class.tolist() == [1, 0, 0, 0]
    assert flips.rows[0].confidence_a == a.probabilities[0, 1]


def test_of_several_trainings_the_majority_counts():
    a = says(1, 0, 0, 0, 1)
    b = make_run("b", says(0, 0, 0, 0, 1), says(0, 1, 0, 0, 1), says(1, 1, 0, 0, 1))
    flips = find_flips(a, make_run("a", a), b)
    shown = [(flip.path, flip.change, flip.b, round(flip.correct_b, 3)) for flip in flips.rows]
    assert shown == [("=cmd.png", "gained", "ant", 0.667), ("b.png", "lost", "bee", 0.333)]


def test_the_file_has_a_line_for_each_image_of_each_pair_and_no_formulas():
    a, b = says(1, 0, 2, 0, 1), says(0, 2, 1, 0, 1)
    flips = find_flips(a, make_run("a", a), make_run("b", b))
    rows = rows_of(("a", "=b", flips), ("a", "c", flips))
    assert len(rows) == 6
    assert rows[0] == {
        "run_a": "a", "run_b": "'=b", "path": "'=cmd.png", "label": "ant", "change": "gained", "prediction_a": "bee",
        "prediction_b": "ant", "confidence_a": f"{a.probabilities[0, 1]:.6g}",
        "confidence_b": f"{b.probabilities[0, 0]:.6g}", "correct_a": "0", "correct_b": "1",
    }  # fmt: skip
    assert rows[1]["prediction_b"] == "'+wasp"


def test_several_labels_are_correct_where_all_are():
    a, b = make_multilabel(30, noise=0.1), make_multilabel(30, noise=2)
    flips = find_flips(a, make_run("a", a), make_run("b", b))
    is_a, is_b = ((table.predicted == table.labels).all(axis=1) for table in (a, b))
    assert flips.num_lost == (is_a & ~is_b).sum() > 0
    row = rows_of(("a", "b", flips))[0]
    index = list(a.names).index(row["path"])
    assert row["label"] == " | ".join(f"class {k}" for k in np.flatnonzero(a.labels[index]))
    assert row["confidence_a"] == ""
