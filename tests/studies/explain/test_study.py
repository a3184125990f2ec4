"""`explain=...` of evaluate: which images, and what is left behind."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from command import composed
from imgrec.core.config.build import build
from imgrec.data.images.preprocess import Preprocess
from imgrec.data.samples import Samples
from imgrec.errors import ConfigError, MissingExtraError
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.models import make_small_cnn
from imgrec.studies.explain import ExplainStudy, GradCam, IntegratedGradients
from imgrec.studies.explain.study import _describe, chosen_images
from imgrec.studies.study import Subject, check_studies


def predictions(logits: list[list[float]], labels: list, task: str = "single") -> Predictions:
    kind = np.int64 if task == "single" else np.uint8
    names = [f"{place}.png" for place in range(len(logits))]
    return Predictions(names, np.array(labels, kind), np.array(logits, np.float32), ["a", "<b>"], task=task)


def test_the_most_confident_mistakes_come_first_then_correct_predictions_by_confidence():
    logits = [[1, 0], [5, 0], [3, 0], [0, 2], [0, 4], [0, 1]]
    labels = [1, 1, 0, 1, 1, 1]  # 0 and 1 are wrong
    made = predictions(logits, labels)
    assert chosen_images(made, 1, 0) == [1]
    assert chosen_images(made, 9, 2) == [1, 0, 4, 5]
    assert chosen_images(made, 0, 9) == [4, 2, 3, 5]


def test_where_all_are_correct_there_are_no_mistakes_to_show():
    assert chosen_images(predictions([[1, 0]], [0]), 8, 4) == [0]
    assert chosen_images(predictions([[1, 0]], [1]), 8, 4) == [0]


def test_with_several_labels_one_incorrect_label_makes_a_mistake():
    made = predictions([[1, 1], [2, -1], [-3, 1]], [[1, 0], [1, 0], [0, 1]], task="multilabel")
    assert chosen_images(made, 8, 0) == [0]


def test_with_several_labels_the_worst_mistake_is_that_of_the_report():
    logits = [[3, 0.1], [-2, 2], [4, -1]]  # a little wrong about one label, much, not at all
    made = predictions(logits, [[1, 0], [0, 0], [1, 0]], task="multilabel")
    assert chosen_images(made, 8, 1) == [1, 0, 2]


def test_with_several_labels_a_mistake_is_explained_for_the_label_that_is_a_false_positive():
    made = predictions([[3, 1], [3, 1]], [[1, 0], [1, 1]], task="multilabel")
    assert [_describe(made, place)[0].target for place in (0, 1)] == ["<b>", "a"]
    assert _describe(made, 0)[0].confidence == pytest.approx(1 / (1 + np.exp(-1)))


def test_the_curves_begin_at_the_probability_of_the_evaluation(tmp_path):
    torch.manual_seed(1)
    network = make_small_cnn(2).eval()
    images = np.random.default_rng(1).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    with torch.no_grad():
        logits = network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    made = Predictions(["0.png"], np.array([0]), logits, ["a", "<b>"], temperature=0.05)
    samples = Samples(made.names, images, made.labels)
    data = SimpleNamespace(
        split={"test": samples}.__getitem__, test_split="test", preprocess=Preprocess(size=16, mode="squash")
    )
    ExplainStudy(GradCam(), num_random=1)(Subject(network, data, "test", made, tmp_path, torch.device("cpu")))
    (row,) = json.loads((tmp_path / "explain.json").read_text())["images"]
    assert row["probability"] == row["confidence"] == round(float(made.probabilities.max()), 4)


@pytest.mark.parametrize("task", ["single", "multilabel"])
def test_a_study_leaves_a_file_and_a_panel_an_image(task, tmp_path):
    torch.manual_seed(1)
    images = np.random.default_rng(1).integers(0, 256, (3, 20, 20, 3), dtype=np.uint8)
    labels = [1, 0, 1] if task == "single" else [[1, 1], [0, 1], [1, 0]]
    logits = [[2, 1], [3, 1], [-1, 1]]
    made = predictions(logits, labels, task=task)
    samples = Samples(made.names, images, made.labels)
    data = SimpleNamespace(
        split=lambda name: {"test": samples}[name], test_split="test", preprocess=Preprocess(size=16, mode="squash")
    )
    network = make_small_cnn(2).eval()
    study = ExplainStudy(GradCam(), num_mistakes=2, num_correct=1, num_random=2)
    study(Subject(network, data, "test", made, tmp_path, torch.device("cpu")))
    content = json.loads((tmp_path / "explain.json").read_text())
    assert content["format"] == 1 and content["method"] == "gradcam" and content["layer"]
    assert (content["baseline"], content["num_random"], content["seed"]) == ("blurred", 2, 1)
    assert all((tmp_path / row["png"]).stat().st_size > 1000 for row in content["images"])
    expected = {"single": ("<b>", "a"), "multilabel": (["a", "<b>"], ["a", "<b>"])}[task]
    rows = {row["path"]: row for row in content["images"]}
    assert (rows["0.png"]["label"], rows["0.png"]["prediction"]) == expected
    assert rows["0.png"]["target"] == "a"


@pytest.mark.parametrize("name", ["gradcam", "integrated_gradients", "occlusion"])
def test_a_preset_builds_the_study_that_it_names(name, tmp_path):
    study = build(composed("evaluate", tmp_path, f"explain={name}").explain)
    assert isinstance(study, ExplainStudy)
    assert study.method.name == name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_mistakes": -1}, "explain.num_mistakes=-1"),
        ({"num_correct": -1}, "explain.num_correct=-1"),
        ({"num_mistakes": 0, "num_correct": 0}, r"explain.num_mistakes \+ explain.num_correct=0"),
        ({"baseline": "white"}, "explain.baseline=white"),
        ({"num_random": 0}, "explain.num_random=0"),
        ({"batch_size": 0}, "explain.batch_size=0"),
    ],
)
def test_a_value_that_cannot_be_is_refused_before_anything_runs(options, message):
    with pytest.raises(ConfigError, match=message):
        ExplainStudy(GradCam(), **options)


def test_a_missing_extra_is_reported_before_inference(monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    check_studies({"explain": ExplainStudy(GradCam())}, data=None)
    with pytest.raises(MissingExtraError, match="captum"):
        check_studies({"explain": ExplainStudy(IntegratedGradients())}, data=None)
