"""The study of attacks: what it writes, its checks, and what it refuses."""

import json
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from imgrec.errors import ConfigError
from imgrec.studies.robustness import Attack, Corruptions, CorruptionsAndAttack
from imgrec.studies.robustness.attack_card import Trial, make_attack_card
from imgrec.studies.study import Subject, check_studies
from predicted import make_predictions
from small_run import Noise, small_net
from studied import evaluated

torch.manual_seed(0)
NET = small_net().eval()


def studied(folder, net: nn.Module = NET, **options: Any) -> dict[str, Any]:
    data = Noise(eval_batch_size=8, num_workers=0)
    labels = evaluated(net, data).predicted
    data.splits.test.labels[:] = labels  # as a network that is always right
    subject = Subject(net, data, "test", evaluated(net, data), folder, torch.device("cpu"))
    Attack(**{"linf_255": [2, 8, 64], "l2": [0.5], "steps": 4, "num_images": 12, "queries": 30, **options})(subject)
    card: dict[str, Any] = json.loads((folder / "attack.json").read_text())
    return card


def scores(card, norm, attack):
    cells = next(block["cells"] for block in card["norms"] if block["norm"] == norm)
    return [cell["score"] for cell in cells if cell["attack"] == attack]


def test_every_attack_is_there_at_every_size(tmp_path):
    card = studied(tmp_path)
    assert (card["format"], card["num_samples"], card["num_available"], card["clean"]["score"]) == (1, 12, 21, 1.0)
    assert [len(scores(card, "linf", name)) for name in ("noise", "fgsm", "pgd", "rays")] == [3, 3, 3, 3]
    assert [len(scores(card, "l2", name)) for name in ("noise", "fgsm", "pgd", "rays")] == [1, 1, 1, 0]
    for name in ("noise", "fgsm", "pgd", "rays"):
        sizes = [cell["eps_255"] for cell in card["norms"][0]["cells"] if cell["attack"] == name]
        assert sizes == pytest.approx([2, 8, 64])
    assert (card["max_queries"], 0 < card["mean_queries"] <= 30) == (30, True)


def test_accuracy_falls_with_the_size_of_the_change(tmp_path):
    card = studied(tmp_path)
    for name in ("noise", "fgsm", "pgd", "rays"):
        found = scores(card, "linf", name)
        assert found == sorted(found, reverse=True)
    assert scores(card, "linf", "pgd")[-1] < 1


def test_batches_change_nothing(tmp_path):
    whole = studied(tmp_path)
    data = Noise(eval_batch_size=5, num_workers=0)
    data.splits.test.labels[:] = evaluated(NET, data).predicted
    Attack(linf_255=[2, 8, 64], l2=[0.5], steps=4, num_images=12, queries=30)(
        Subject(NET, data, "test", evaluated(NET, data), tmp_path / "other", torch.device("cpu"))
    )
    assert json.loads((tmp_path / "other" / "attack.json").read_text())["norms"] == whole["norms"]


def test_a_real_network_passes_all_checks(tmp_path):
    checks = studied(tmp_path)["checks"]
    assert [check["passed"] for check in checks] == [True] * 5


def test_without_queries_or_sizes_of_its_norm_there_is_no_rays(tmp_path):
    for options in ({"queries": 0}, {"linf_255": []}):
        card = studied(tmp_path, **options)
        assert "rays" not in [cell["attack"] for norm in card["norms"] for cell in norm["cells"]]
        assert (len(card["checks"]), card["max_queries"], card["mean_queries"]) == (4, 0, 0.0)


def test_more_queries_leave_no_more(tmp_path):
    found = [scores(studied(tmp_path, queries=queries), "linf", "rays") for queries in (1, 20, 100)]
    assert all(after <= before for many, few in pairwise(found[::-1]) for after, before in zip(many, few, strict=True))
    assert sum(found[-1]) < sum(found[0])


def test_rays_counts_a_change_of_exactly_eps_and_none_beyond(tmp_path):
    """Whole gray values: what is found at 8 of 255 counts at 8 and not just below."""
    whole = studied(tmp_path, rounded=True, linf_255=list(range(1, 40)), queries=100)
    by_size = scores(whole, "linf", "rays")
    at = next(place for place in range(1, 39) if by_size[place] < by_size[place - 1]) + 1
    around = studied(tmp_path, rounded=True, linf_255=[1, at - 0.01, at], queries=100)
    assert scores(around, "linf", "rays") == [by_size[0], by_size[at - 2], by_size[at - 1]]


class Masked(nn.Module):
    """The small network behind a step: its slope is zero everywhere, and an attack by slopes finds nothing."""

    def forward(self, images):
        return NET((images / 32).round() * 32)


def test_hidden_gradients_raise_an_alarm(tmp_path, caplog):
    card = studied(tmp_path, Masked())
    failed = [check["name"] for check in card["checks"] if not check["passed"]]
    assert "gradients are not zero" in failed
    assert "not reliable" in caplog.text


class Saturated(nn.Module):
    """The small network behind a sigmoid so steep that float32 rounds almost all of its slope away."""

    def forward(self, images):
        logits = NET(images)
        return torch.sigmoid(1e5 * (logits - logits.mean(dim=1, keepdim=True)))


@pytest.mark.parametrize("net", [Masked, Saturated])
def test_what_breaks_by_labels_and_not_by_gradients_is_said_to_hide_them(net, tmp_path, caplog):
    card = studied(tmp_path, net(), queries=100)
    assert sum(scores(card, "linf", "rays")) < sum(scores(card, "linf", "pgd"))
    check = next(check for check in card["checks"] if "RayS" in check["name"])
    assert not check["passed"]
    assert "gradients may be masked" in check["detail"]
    assert "gradients may be masked" in caplog.text


def trials(noise, fgsm, pgd, **more):
    counts = {"noise": noise, "fgsm": fgsm, "pgd": pgd, **more}
    return [Trial("linf", name, 0.1, 1, 1, np.arange(100) < right) for name, right in counts.items()]


@pytest.mark.parametrize(
    ("counts", "failed"),
    [
        ((90, 50, 20), []),
        ((90, 20, 50), ["PGD is at least as strong as FGSM"]),
        ((30, 90, 50), ["PGD is at least as strong as random noise"]),
        ((90, 49, 50), []),
    ],
)
def test_a_weak_attack_that_breaks_more_than_a_strong_one_is_an_alarm(counts, failed):
    nobody = np.zeros(10, dtype=bool)
    card = make_attack_card(
        trials(*counts),
        clean_correct=np.ones(100, dtype=bool),
        num_classes=4,
        unbounded_correct=nobody,
        num_zero_gradients=0,
    )
    assert [check["name"] for check in card["checks"] if not check["passed"]] == failed


@pytest.mark.parametrize(("rays", "passed"), [(80, True), (49, True), (48, False)])
def test_labels_alone_that_break_clearly_more_than_gradients_are_an_alarm(rays, passed):
    nobody = np.zeros(10, dtype=bool)
    card = make_attack_card(
        trials(90, 55, 50, rays=rays),
        clean_correct=np.ones(100, dtype=bool),
        num_classes=4,
        unbounded_correct=nobody,
        num_zero_gradients=0,
    )
    assert [check["passed"] for check in card["checks"]] == [True, True, passed, True, True]
    assert card["norms"][0]["cells"][3]["low"] < rays / 100 < card["norms"][0]["cells"][3]["high"]


def test_being_right_without_bounds_is_an_alarm():
    card = make_attack_card(
        trials(90, 50, 20),
        clean_correct=np.ones(100, dtype=bool),
        num_classes=4,
        unbounded_correct=np.arange(10) < 3,
        num_zero_gradients=0,
    )
    assert [check["passed"] for check in card["checks"]] == [True, True, False, True]


def test_rounded_images_are_no_easier(tmp_path):
    plain, rounded = studied(tmp_path), studied(tmp_path, rounded=True)
    assert rounded["is_rounded"]
    assert sum(scores(rounded, "linf", "pgd")) >= sum(scores(plain, "linf", "pgd")) - 1e-9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, r"robustness\.steps=0"),
        ({"restarts": 0}, r"robustness\.restarts=0"),
        ({"queries": -1}, r"robustness\.queries=-1"),
        ({"num_images": 1}, r"robustness\.num_images=1"),
        ({"linf_255": [0]}, r"robustness\.linf_255=0"),
        ({"linf_255": [], "l2": []}, "are both empty"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Attack(**options)


def test_several_labels_are_refused(tmp_path):
    data = Noise(num_workers=0)
    several = make_predictions(np.zeros((21, 3)), np.zeros((21, 3), dtype=np.uint8), task="multilabel")
    with pytest.raises(ConfigError, match="one label per image"):
        Attack()(Subject(NET, data, "test", several, tmp_path, torch.device("cpu")))


def test_several_studies_run_in_turn():
    seen = []
    CorruptionsAndAttack(
        lambda subject: seen.append(("first", subject)), lambda subject: seen.append(("second", subject))
    )(None)
    assert seen == [("first", None), ("second", None)]


def test_what_cannot_be_attacked_is_told_before_the_network_is_evaluated(tmp_path):
    data = SimpleNamespace(splits=SimpleNamespace(task="multilabel"))
    study = CorruptionsAndAttack(Corruptions(), Attack())
    with pytest.raises(ConfigError, match="robustness=attack is for one label per image"):
        check_studies({"robustness": study}, data)
    missing = Corruptions(baseline=str(tmp_path / "other.json"))
    with pytest.raises(ConfigError, match=r"robustness\.baseline=.* cannot be read"):
        check_studies({"robustness": missing}, data)
