"""Decisions: to plain data and back, of earlier formats too, and applied to logits."""

import copy
import json
import subprocess
import sys

import numpy as np
import pytest

from decided import CLASSES, fitted, several, table
from imgrec.core.checkpoint.checkpoint import load_checkpoint
from imgrec.deploy.bundle.bundle import load_bundle
from imgrec.errors import DataError
from imgrec.evaluation import read_parquet
from imgrec.evaluation.decisions import Decisions, Plan
from imgrec.evaluation.decisions.outcome import measure_outcome
from imgrec.evaluation.fit_on_split import read_decisions
from project import PROJECT


def test_they_come_back_from_json_as_they_were():
    decisions = fitted()
    assert decisions.reject and decisions.conformal and decisions.operating_points and decisions.costs
    text = json.dumps(decisions.to_dict(), allow_nan=False)
    assert Decisions.from_dict(json.loads(text)) == decisions


def test_what_came_back_decides_the_same():
    decisions, (logits, _) = fitted(), table(2)
    again = Decisions.from_dict(json.loads(json.dumps(decisions.to_dict())))
    ours, theirs = decisions.decide(logits), again.decide(logits)
    np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)
    for kind in ("rejected", "prediction_sets", "operating_points", "lowest_cost"):
        assert getattr(ours, kind).keys() == getattr(theirs, kind).keys()
        for name, rows in getattr(ours, kind).items():
            np.testing.assert_array_equal(rows, getattr(theirs, kind)[name])


def test_they_can_be_applied_without_torch_pandas_and_scipy():
    program = (
        "import json, sys, numpy as np\n"
        "from imgrec.evaluation.decisions import Decisions\n"
        f"decisions = Decisions.from_dict(json.loads({json.dumps(fitted().to_dict())!r}))\n"
        "decisions.decide(np.zeros((4, 3), dtype=np.float32)).prediction(0).to_dict()\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert not set(done.stdout.split()) & {"torch", "pandas", "scipy", "sklearn", "matplotlib", "hydra"}


def test_each_part_of_a_decision_follows_from_the_probabilities():
    decisions, (logits, _) = fitted(), table(3)
    decided = decisions.decide(logits)
    scaled = logits.astype(np.float64) / decisions.temperature
    by_hand = np.exp(scaled) / np.exp(scaled).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(decided.probabilities, by_hand, atol=1e-12)
    np.testing.assert_array_equal(decided.predictions, by_hand.argmax(axis=1))
    np.testing.assert_array_equal(decided.confidence, decided.probabilities.max(axis=1))
    rule = decisions.reject["risk_30"]
    np.testing.assert_array_equal(~decided.rejected["risk_30"], decided.confidence > rule.threshold)
    assert decided.prediction_sets["lac_90"].shape == decided.operating_points["sensitive"].shape == (600, 3)
    assert not decided.operating_points["specific"][:, [0, 2]].any()


def test_a_prediction_names_the_classes():
    decisions = fitted()
    logits = np.array([[9, 0, -9], [0, 0, 0.1]], dtype=np.float32)
    found = decisions.decide(logits).prediction(0, path="a.png")
    assert (found.path, found.prediction) == ("a.png", "ant")
    assert found.confidence > 0.9
    assert list(found.probabilities) == ["ant", "bee", "wasp"]
    assert found.rejected == {"risk_30": False}
    assert found.prediction_sets == {"lac_90": ["ant"], "aps_90": ["ant"]}
    assert found.lowest_cost == {"triage": "ant"}
    assert json.loads(json.dumps(found.to_dict()))["path"] == "a.png"
    assert decisions.decide(logits).prediction(1).prediction_sets["aps_90"] == list(CLASSES)


def test_top_k_keeps_the_most_probable_classes():
    found = fitted().decide(np.array([[0, 1, 9]], dtype=np.float32)).prediction(0, top_k=2)
    assert list(found.probabilities) == ["wasp", "bee"]
    assert found.top(1) == [("wasp", found.confidence)]


def test_several_labels_are_a_list_with_the_lowest_confidence_of_any():
    logits, labels = several(1)
    plan = Plan(risks=[0.6], conformal=["lac"], coverages=[0.9])
    decisions = plan.fit(logits, labels, task="multilabel", class_names=CLASSES, split="val")
    decided = decisions.decide(np.array([[20.0, -20.0, 1.0]]))
    assert decided.prediction(0).prediction == ["ant", "wasp"]
    assert decided.confidence[0] == pytest.approx(1 / (1 + np.exp(-1 / decisions.temperature)))
    assert Decisions.from_dict(decisions.to_dict()) == decisions


def test_no_images_are_no_decisions_and_a_batch_of_one_is_as_in_a_batch_of_many():
    decisions, (logits, _) = fitted(), table(4)
    assert len(decisions.decide(logits[:0])) == 0
    many = decisions.decide(logits)
    alone = [decisions.decide(logits[i : i + 1]).prediction(0) for i in range(20)]
    assert alone == [many.prediction(i) for i in range(20)]


def test_without_rules_the_probabilities_are_the_softmax():
    decided = Decisions("single", CLASSES).decide(np.array([[0.0, 1.0, 2.0]]))
    assert decided.probabilities[0] == pytest.approx(np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum())
    assert decided.prediction(0).rejected == {}


@pytest.mark.parametrize("shape", [(4, 2), (3,), (2, 3, 1)])
def test_logits_of_another_shape_are_refused(shape):
    with pytest.raises(DataError, match=r"Logits of shape .*expected \(N, 3\)"):
        fitted().decide(np.zeros(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_refused(value):
    with pytest.raises(DataError, match="NaN or infinite"):
        fitted().decide(np.array([[0.0, value, 1.0]]))


def changed(path, value):
    data = copy.deepcopy(fitted().to_dict())
    *parents, last = path
    place = data
    for name in parents:
        place = place[name]
    place[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["format"], 3, "Decisions of format 3; this imgrec reads 1 to 2"),
        (["task"], "many", "decisions.task is damaged: 'many'"),
        (["class_names"], "ant", "decisions.class_names is damaged"),
        (["class_names"], ["ant", "bee"], r"decisions.operating_points.sensitive is damaged: it is not for 2 classes"),
        (["temperature"], 0, "decisions.temperature is damaged: 0"),
        (["temperature"], float("nan"), "decisions.temperature is damaged: nan"),
        (["temperature"], "1", "decisions.temperature is damaged: '1'"),
        (["fitted_on"], {"split": "val"}, "decisions.fitted_on is damaged: it holds split, not split, num_samples"),
        (["reject"], [], r"decisions.reject is damaged: \[\]"),
        (["reject", "risk_30"], 3, "decisions.reject.risk_30 is damaged: it holds int, not threshold, risk"),
        (["reject", "risk_30", "threshold"], "high", "risk_30.threshold is damaged: 'high' is not float"),
        (["reject", "risk_30", "threshold"], float("inf"), "risk_30.threshold is damaged: inf"),
        (["reject", "risk_30", "num_accepted"], 1.5, "risk_30.num_accepted is damaged: 1.5 is not int"),
        (["conformal", "lac_90", "method"], "raps", "lac_90.method is damaged: 'raps'"),
        (["operating_points", "sensitive", "thresholds"], [0.1, "x", None], "sensitive.thresholds is damaged"),
        (["costs", "triage", "costs"], [[0, 1, 1], [1, 0, 1], [1, 0]], "decisions.costs.triage is damaged"),
        (["costs", "triage", "costs"], [0, 1, 1], "triage.costs is damaged"),
        (["refused"], {"x": 1}, "decisions.refused is damaged"),
        (["notes"], None, "decisions.notes is damaged: None"),
    ],
)
def test_damaged_decisions_are_refused_with_the_name_of_the_field(path, value, message):
    with pytest.raises(DataError, match=message):
        Decisions.from_dict(changed(path, value))


def test_data_that_is_not_a_mapping_is_refused():
    with pytest.raises(DataError, match="Decisions of format 'list'"):
        Decisions.from_dict([])  # type: ignore[arg-type]


def as_format_1(data):
    """Return the data of `to_dict` as format 1 had it."""
    for rule in data["reject"].values():
        rule["accepted"], rule["wrong"] = rule.pop("num_accepted"), rule.pop("num_errors")
    for rule in data["conformal"].values():
        rule["limit"] = rule.pop("threshold")
    return {**data, "format": 1}


def test_format_1_is_read_as_it_was_meant():
    decisions = fitted()
    assert Decisions.from_dict(as_format_1(decisions.to_dict())) == decisions


@pytest.mark.parametrize("kind", ["reject", "conformal"])
def test_damaged_decisions_of_format_1_are_refused(kind):
    with pytest.raises(DataError, match=f"decisions.{kind} is damaged"):
        Decisions.from_dict({**as_format_1(fitted().to_dict()), kind: 3})


BEFORE = PROJECT / "tests" / "fixtures" / "before_layout"
WRITTEN = json.loads((BEFORE / "run" / "evaluation" / "decisions.json").read_text())


def of_checkpoint() -> Decisions:
    return read_decisions(load_checkpoint(BEFORE / "best.ckpt"), name="best.ckpt")


def of_bundle() -> Decisions:
    return load_bundle(BEFORE / "model.onnx").decisions


@pytest.mark.parametrize("read", [of_checkpoint, of_bundle])
def test_files_of_format_1_give_the_predictions_that_they_gave(read):
    decisions, table = read(), read_parquet(BEFORE / "predictions.parquet")
    assert decisions.temperature == WRITTEN["temperature"]
    assert {name: rule.threshold for name, rule in decisions.conformal.items()} == {
        rule["name"]: rule["limit"] for rule in WRITTEN["conformal"]
    }
    np.testing.assert_array_equal(decisions.probabilities(table.logits), table.probabilities)
    found = measure_outcome(decisions, table.logits, table.labels)
    results = [{rule["name"]: rule["here"] for rule in outcome["conformal"]} for outcome in (found, WRITTEN)]
    assert results[0] == results[1]
    assert Decisions.from_dict(decisions.to_dict()) == decisions
