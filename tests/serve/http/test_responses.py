"""How much of what the network said a caller sees."""

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


def answer(output: Output, decisions: Decisions | None = None, reject: str | None = None) -> dict[str, Any]:
    decisions = decisions or Decisions(task="single", class_names=NAMES, temperature=2.0)
    (one,) = describe(LOGITS, decisions, output=output, reject=reject)
    return json.loads(json.dumps(one, allow_nan=False))


def test_label_says_the_label_and_nothing_else():
    assert answer("label") == {"label": "b", "is_unknown": False}


def test_topk_names_five_classes_without_numbers():
    assert answer("topk")["classes"] == ["b", "d", "c", "a", "g"]
    assert not any(character in json.dumps(answer("topk")) for character in "0123456789")


def test_rounded_gives_two_digits_of_the_best_five():
    scaled = np.exp(LOGITS[0] / 2.0)
    expected = np.round(scaled / scaled.sum(), 2)
    classes = answer("rounded")["classes"]
    assert [one["label"] for one in classes] == ["b", "d", "c", "a", "g"]
    assert [one["probability"] for one in classes] == [expected[NAMES.index(one["label"])] for one in classes]
    assert "confidence" not in answer("rounded")


def test_full_gives_every_class_and_every_digit():
    scaled = np.exp(LOGITS[0] / 2.0)
    got = {one["label"]: one["probability"] for one in answer("full")["classes"]}
    assert list(got) == ["b", "d", "c", "a", "g", "e", "f"]
    assert np.allclose([got[name] for name in NAMES], scaled / scaled.sum(), rtol=0, atol=1e-15)
    assert answer("full")["confidence"] == max(got.values())


def test_each_kind_says_what_the_smaller_one_says():
    keys = [set(answer(output)) for output in OUTPUTS]
    assert all(smaller <= larger for smaller, larger in itertools.pairwise(keys))


@pytest.mark.parametrize("allowed", OUTPUTS)
def test_nobody_gets_more_than_is_allowed_by_asking(allowed: Output):
    place = OUTPUTS.index(allowed)
    assert [narrower(allowed, asked) for asked in OUTPUTS[: place + 1]] == list(OUTPUTS[: place + 1])
    assert {narrower(allowed, asked) for asked in [*OUTPUTS[place:], None, "nonsense"]} == {allowed}


def test_several_labels_are_a_list():
    decisions = Decisions(task="multilabel", class_names=NAMES)
    assert answer("label", decisions) == {"label": ["a", "b", "c", "d"], "is_unknown": False}


def test_an_answer_that_a_reject_rule_does_not_accept_is_unknown():
    rules = {"strict": _rule(0.99), "loose": _rule(0.01)}
    decisions = Decisions(task="single", class_names=NAMES, reject=rules)
    assert answer("label", decisions, "strict")["is_unknown"] is True
    assert answer("label", decisions, "loose")["is_unknown"] is False
    assert answer("rounded", decisions, "loose")["accepted"] == {"strict": False, "loose": True}


def _rule(threshold: float) -> RejectRule:
    return RejectRule(threshold, risk=0.05, delta=0.1, accepted=9, wrong=0, num_samples=9, upper_bound=0.04)
