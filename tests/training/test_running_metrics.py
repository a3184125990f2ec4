"""Buffered metrics are those of an update per batch, and survive a restart."""

import math

import pytest
import torch
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MulticlassPrecision

from imgrec.training import running_metrics as running
from imgrec.training.running_metrics import RunningMetrics

BATCHES = [
    (torch.tensor(float(i)), torch.randint(5, (n,), generator=torch.Generator().manual_seed(i)), torch.arange(n) % 5)
    for i, n in enumerate([4, 7, 1, 9, 3, 6])
]


def collection() -> MetricCollection:
    return MetricCollection(
        {
            "accuracy": MulticlassAccuracy(5, average="micro"),
            "precision": MulticlassPrecision(5, average="macro"),
            "f1_per_class": MulticlassF1Score(5, average="none"),
        }
    )


def new_metrics() -> RunningMetrics:
    return RunningMetrics(collection()).to("cpu")  # as Lightning does: torchmetrics forgets its float64 in a move


def counted(batches: list) -> RunningMetrics:
    running = new_metrics()
    for batch in batches:
        running.add(*batch)
    return running


@pytest.mark.parametrize("flush_every", [1, 2, 100])
def test_metrics_do_not_depend_on_how_often_the_buffer_is_emptied(flush_every: int, monkeypatch) -> None:
    monkeypatch.setattr(running, "FLUSH_EVERY", flush_every)
    reference = collection()
    for _, predictions, labels in BATCHES:
        reference.update(predictions, labels)
    found = counted(BATCHES).compute()
    for name, value in reference.compute().items():
        assert torch.equal(found[name], value), name


def test_the_loss_is_the_mean_over_samples_not_over_batches() -> None:
    sizes = [len(labels) for _, _, labels in BATCHES]
    expected = sum(float(loss) * size for (loss, _, _), size in zip(BATCHES, sizes, strict=True)) / sum(sizes)
    assert float(counted(BATCHES).compute()["loss"]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("cut", [0, 1, 3, 6])
def test_a_count_goes_on_after_a_restart(cut: int) -> None:
    resumed = new_metrics()
    resumed.load_state(counted(BATCHES[:cut]).state())
    for batch in BATCHES[cut:]:
        resumed.add(*batch)
    expected = counted(BATCHES).compute()
    for name, value in resumed.compute().items():
        assert torch.equal(value, expected[name]), name


def test_the_loss_is_the_same_to_its_last_bit_wherever_partial_sums_end() -> None:
    draws = torch.Generator().manual_seed(3)
    losses = (torch.randn(70, generator=draws) * 2).exp()  # 0.01 to 130
    sizes = torch.randint(1, 33, (70,), generator=draws).tolist()
    labels = [torch.arange(size) % 5 for size in sizes]
    exact = math.fsum(float(loss) * size for loss, size in zip(losses, sizes, strict=True)) / sum(sizes)
    for every in [2, 5, 7, 64, 100]:
        running = new_metrics()
        for i, loss in enumerate(losses):
            running.add(loss, labels[i], labels[i])
            if i % every == 0:  # a checkpoint, or a stop and a restart
                going_on = new_metrics()
                going_on.load_state(running.state())
                running = going_on
        assert torch.equal(running.compute()["loss"], torch.tensor(exact, dtype=torch.float32)), every


def test_a_loss_that_is_not_a_number_is_not_hidden() -> None:
    assert counted([*BATCHES, (torch.tensor(float("nan")), *BATCHES[0][1:])]).compute()["loss"].isnan()


def test_reset_forgets_everything() -> None:
    running = counted(BATCHES)
    running.reset()
    running.add(*BATCHES[0])
    assert torch.equal(running.compute()["accuracy"], counted(BATCHES[:1]).compute()["accuracy"])


def test_nothing_of_it_is_in_the_state_dict() -> None:
    assert counted(BATCHES).state_dict() == {}
