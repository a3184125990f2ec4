"""The data of the page's charts agrees with the metrics of all predictions."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score

from imgrec.evaluation.metrics.compute import compute_metrics
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.report.sections.payload import (
    CELL_IMAGES,
    CURVE_POINTS,
    THRESHOLDS,
    confusion_data,
    curve_data,
    label_threshold_data,
    threshold_data,
)
from report_data import make_predictions


def matrix_of(data):
    matrix = np.zeros((len(data["names"]),) * 2, dtype=int)
    for row, column, number in data["cells"]:
        matrix[row, column] = number
    return matrix.tolist()


def test_the_confusion_matrix_is_that_of_the_metrics():
    predictions = make_predictions(200, sure=1.0)
    assert matrix_of(confusion_data(predictions, {})) == compute_metrics(predictions)["confusion_matrix"]


def test_a_cell_lists_its_images_mistakes_by_falling_confidence():
    predictions = make_predictions(200, sure=1.0)
    data = confusion_data(predictions, {})
    counts = {f"{row},{column}": number for row, column, number in data["cells"]}
    assert {key: len(entries) for key, entries in data["images"].items()} == {
        key: min(number, CELL_IMAGES) for key, number in counts.items()
    }
    by_name = dict(zip(predictions.names, range(len(predictions)), strict=True))
    for key, entries in data["images"].items():
        label, prediction = map(int, key.split(","))
        rows = [by_name[entry["path"]] for entry in entries]
        assert all(predictions.labels[rows] == label) and all(predictions.predicted[rows] == prediction)
        confidences = [entry["confidence"] for entry in entries]
        assert confidences == sorted(confidences, reverse=label != prediction)


def test_thumbnails_are_in_the_data_once_and_only_those_that_are_used():
    predictions = make_predictions(60)
    thumbnails = {name: f"data:{place}" for place, name in enumerate(predictions.names[:5])} | {"other": "data:x"}
    data = confusion_data(predictions, thumbnails)
    assert sorted(data["thumbnails"]) == [f"data:{place}" for place in range(5)]
    used = {entry["thumbnail"] for entries in data["images"].values() for entry in entries} - {-1}
    assert used == set(range(len(data["thumbnails"])))


def at_threshold(data, step):
    """Count as assets/threshold.js does: {class: [num_predicted, num_correct]}."""
    accepted = {index: [0, 0] for index in range(len(data["names"]))}
    for index, place, number, correct in data["counts"]:
        if place >= step:
            accepted[index][0] += number
            accepted[index][1] += correct
    return accepted


@pytest.mark.parametrize("threshold", [0.0, 0.42, 0.8, 0.985, 1.0])
def test_predictions_accepted_at_a_threshold_are_counted_exactly(threshold):
    predictions = make_predictions(500, sure=1.5)
    step = int(np.flatnonzero(threshold == THRESHOLDS)[0])
    is_accepted = predictions.probabilities.max(axis=1) >= threshold
    for index, (number, correct) in at_threshold(threshold_data(predictions), step).items():
        chosen = is_accepted & (predictions.predicted == index)
        assert number == chosen.sum()
        assert correct == (chosen & (predictions.labels == index)).sum()


def test_at_threshold_0_precision_and_recall_are_those_of_the_metrics():
    predictions = make_predictions(300, sure=1.0)
    data = threshold_data(predictions)
    accepted = at_threshold(data, 0)
    for index, row in enumerate(compute_metrics(predictions)["per_class"]):
        number, correct = accepted[index]
        assert row["precision"] == correct / number
        assert row["recall"] == correct / data["support"][index]


@pytest.mark.parametrize("several", [True, False])
def test_an_operating_point_has_the_precision_and_recall_of_scikit_learn(several):
    predictions = make_predictions(400, ("a", "b"), several=several, sure=0.7)
    data = label_threshold_data(predictions)
    step = int(np.flatnonzero(THRESHOLDS == 0.37)[0])
    chosen = [0, 1] if several else [1]
    assert data["names"] == [predictions.class_names[index] for index in chosen]
    for place, index in enumerate(chosen):
        called = predictions.probabilities[:, index] >= 0.37
        actual = predictions.labels[:, index] == 1 if several else predictions.labels == index
        rows = [row for row in data["counts"] if row[0] == place and row[1] >= step]
        named, found = sum(row[2] for row in rows), sum(row[3] for row in rows)
        assert found / named == pytest.approx(precision_score(actual, called), abs=1e-12)
        assert found / data["support"][place] == pytest.approx(recall_score(actual, called), abs=1e-12)


def test_curves_are_short_and_enclose_nearly_the_areas_of_scikit_learn():
    predictions = make_predictions(3000, sure=1.0)
    for index, curve in enumerate(curve_data(predictions)):
        actual, scores = predictions.labels == index, predictions.probabilities[:, index]
        assert max(len(curve["pr"]["x"]), len(curve["roc"]["x"])) <= CURVE_POINTS + 2
        assert np.trapezoid(curve["roc"]["y"], curve["roc"]["x"]) == pytest.approx(
            roc_auc_score(actual, scores), abs=0.01
        )
        steps = np.diff(curve["pr"]["x"]) @ np.array(curve["pr"]["y"])[1:]
        assert steps == pytest.approx(average_precision_score(actual, scores), abs=0.01)


def test_a_class_without_images_has_no_curve():
    predictions = make_predictions(40, ("a", "b", "c"))
    predictions.labels[predictions.labels == 2] = 1
    assert curve_data(predictions)[2]["pr"] == {"x": [], "y": []}


def test_a_confidence_on_the_threshold_is_accepted():
    labels = np.array([0, 1, 0], dtype=np.int64)
    logits = np.zeros((3, 2), dtype=np.float32)  # both classes have exactly 0.5
    predictions = Predictions(["a", "b", "c"], labels, logits, ["no", "yes"])
    step = int(np.flatnonzero(THRESHOLDS == 0.5)[0])
    assert at_threshold(threshold_data(predictions), step)[0] == [3, 2]
    assert at_threshold(threshold_data(predictions), step + 1)[0] == [0, 0]
    assert label_threshold_data(predictions)["counts"] == [[0, step, 3, 1]]
