"""One forward pass over every image of a split."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from imgrec.data.samples import Samples, Splits
from imgrec.errors import ConfigError
from imgrec.evaluation.predictions.collect import _gather, predict
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.predictions.scorer import Scorer
from imgrec.training.trainer import make_trainer
from small_run import Noise, noise, small_net


def predicted(net: nn.Module, data: Noise | None = None, split: str = "test", **provenance: str) -> Predictions:
    trainer = make_trainer(gpus=0, precision="32-true", logger=False, enable_progress_bar=False)
    data = data or Noise(eval_batch_size=8, num_workers=0)
    return predict(trainer, Scorer(net), data=data, split=split, provenance=provenance)


def test_every_image_has_the_logits_of_the_network_by_itself():
    net = small_net().eval()
    found = predicted(net)
    samples = noise("test", 21)
    assert found.names == samples.names
    assert found.labels.tolist() == samples.labels.tolist()
    images = torch.from_numpy(np.stack([samples.images[i] for i in range(21)])).permute(0, 3, 1, 2)
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found.logits), net(images), rtol=0, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 21, 64])
def test_the_size_of_batches_changes_nothing_of_note(batch_size):
    net = small_net().eval()
    found = predicted(net, Noise(eval_batch_size=batch_size, num_workers=0))
    np.testing.assert_allclose(found.logits, predicted(net).logits, rtol=0, atol=1e-6)


def test_classes_task_and_provenance_come_along():
    found = predicted(small_net(), checkpoint="best.ckpt")
    assert (found.class_names, found.task, found.provenance) == (["a", "b", "c"], "single", {"checkpoint": "best.ckpt"})


class Grouped(Noise):
    def read(self, class_names: Any) -> Splits:
        test = noise("test", 4)
        groups = ["p", "q", "p", "q"]
        return Splits(["a", "b", "c"], test=Samples(test.names, test.images, test.labels, groups))


def test_groups_come_along():
    assert predicted(small_net(), Grouped(num_workers=0)).groups == ["p", "q", "p", "q"]


def test_the_split_that_is_asked_for_is_scored():
    found = predicted(small_net(), Noise(num_workers=0), split="val")
    assert list(found.names) == [f"val/{i}" for i in range(20)]


def test_a_network_with_other_outputs_than_classes_is_refused():
    net = nn.Sequential(nn.Flatten(), nn.LazyLinear(5))
    net(torch.zeros(1, 192))

    class Float(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return net(images.float())

    with pytest.raises(ConfigError, match=r"The model has 5 outputs, the data 3 classes \(a, b, c"):
        predicted(Float())


def test_the_batches_of_one_process_are_joined():
    batches = [{"logits": torch.ones(2, 3), "indices": torch.tensor([4, 5])},
               {"logits": torch.zeros(1, 3), "indices": torch.tensor([6])}]  # fmt: skip
    rows = _gather(batches, world_size=1)
    assert rows["indices"].tolist() == [4, 5, 6]
    assert rows["logits"].shape == (3, 3)


def test_a_process_without_an_image_adds_nothing(monkeypatch):
    mine = {"logits": torch.ones(2, 3), "indices": torch.tensor([0, 1])}

    def gather(parts: list[Any], part: Any) -> None:
        parts[:] = [part, {}]

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    assert _gather([mine], world_size=2)["indices"].tolist() == [0, 1]
