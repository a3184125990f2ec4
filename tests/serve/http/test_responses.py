"""How much of a prediction a caller sees."""

import itertools
import json
from typing import Any

import numpy as np
import pytest

from imgrec.evaluation.decisions import Decisions
from imgrec.evaluation.decisions.reject import RejectRule
from imgrec.serve.access.keys import Output
from imgrec.serve.http.responses import OUTPUTS, describe, narrower

NAMES = ("a", "b", "c", "d", "e", "f", "g")
LOGITS = np.array([[0.1, 3.0, 0.2, 1.5, -1.0, -2.0, 0.0]])


def response(output: Output, decisions: Decisions | None = None, reject: str | None = None) -> dict[str, Any]:
    decisions = decisions or Decisions(task="single", class_names=NAMES, temperature=2.0)
    (one,) = describe(LOGITS, decisions, output=output, reject=reject)
    return json.loads(json.dumps(one, allow_nan=False))


def test_label_returns_the_prediction_and_nothing_else():
    assert response("label") == {"prediction": "b"}


def test_topk_names_five_classes_without_numbers():
    assert response("topk")["top_classes"] == ["b", "d", "c", "a", "g"]
    assert not any(character in json.dumps(response("topk")) for character in "0123456789")


def test_rounded_gives_two_digits_of_the_best_five():
    scaled = np.exp(LOGITS[0] / 2.0)
    expected = np.round(scaled / scaled.sum(), 2)
    probabilities = response("rounded")["probabilities"]
    assert list(probabilities) == response("rounded")["top_classes"] == ["b", "d", "c", "a", "g"]
    assert list(probabilities.values()) == [expected[NAMES.index(name)] for name in probabilities]
    assert response("rounded")["confidence"] == probabilities["b"]


def test_full_gives_every_class_and_every_digit():
    scaled = np.exp(LOGITS[0] / 2.0)
    got = response("full")["probabilities"]
    assert list(got) == response("full")["top_classes"] == ["b", "d", "c", "a", "g", "e", "f"]
    assert np.allclose([got[name] for name in NAMES], scaled / scaled.sum(), rtol=0, atol=1e-15)
    assert response("full")["confidence"] == max(got.values())


def test_each_kind_says_what_the_smaller_one_says():
    keys = [set(response(output)) for output in OUTPUTS]
    assert all(smaller <= larger for smaller, larger in itertools.pairwise(keys))


@pytest.mark.parametrize("allowed", OUTPUTS)
def test_nobody_gets_more_than_is_allowed_by_asking(allowed: Output):
    place = OUTPUTS.index(allowed)
    assert [narrower(allowed, asked) for asked in OUTPUTS[: place + 1]] == list(OUTPUTS[: place + 1])
    assert {narrower(allowed, asked) for asked in [*OUTPUTS[place:], None, "nonsense"]} == {allowed}


def test_several_labels_are_a_list():
    decisions = Decisions(task="multilabel", class_names=NAMES)
    assert response("label", decisions) == {"prediction": ["a", "b", "c", "d"]}


def test_an_response_that_a_reject_rule_does_not_accept_is_rejected():
    rules = {"strict": _rule(0.99), "loose": _rule(0.01)}
    decisions = Decisions(task="single", class_names=NAMES, reject=rules)
    assert response("label", decisions, "strict")["rejected"] == {"strict": True}
    assert response("label", decisions, "loose")["rejected"] == {"loose": False}
    assert response("rounded", decisions, "loose")["rejected"] == {"strict": True, "loose": False}


def _rule(threshold: float) -> RejectRule:
    return RejectRule(threshold, risk=0.05, delta=0.1, num_accepted=9, num_errors=0, num_samples=9, upper_bound=0.04)
