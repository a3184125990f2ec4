"""Which images the projector shows, and what it says of them."""

import numpy as np
import pytest
import torch
from torch import nn

from imgrec.data.images.collections import ArrayImages
from imgrec.data.samples import Samples, Splits
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.report.tensorboard import embedding
from imgrec.evaluation.report.tensorboard.embedding import write_embedding
from imgrec.models import make_small_cnn


class Data:
    """Stands for a data module: a test split, and no preprocessing."""

    test_split = "test"

    def __init__(self, num: int = 9, side: int = 32) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (num, side, side, 3), dtype=np.uint8)
        labels = np.arange(num) % 3
        self.samples = Samples([f"p/{row}" for row in range(num)], ArrayImages(pixels), labels)
        self.splits = Splits(class_names=["a", "b", "c"], test=self.samples)

    def split(self, name: str) -> Samples:
        return self.samples

    def preprocess(self, image: np.ndarray) -> np.ndarray:
        return image


def predictions_of(data: Data) -> Predictions:
    logits = np.random.default_rng(1).normal(size=(len(data.samples), 3)).astype(np.float32)
    return Predictions(data.samples.names, data.samples.labels, logits, ["a", "b", "c"])


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return make_small_cnn(num_classes=3, channels=(4,), hidden=5, dropout=0.5)


def test_points_are_what_enters_the_head(network, tmp_path):
    data = Data()
    assert write_embedding(network, data, predictions_of(data), tmp_path, tag="test/features") == 9
    found = np.loadtxt(tmp_path / "projector" / "tensors.tsv", delimiter="\t")
    network.eval()
    seen: list[torch.Tensor] = []
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    last.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    network(torch.from_numpy(np.stack([data.samples.images[row] for row in range(9)]).transpose(0, 3, 1, 2).copy()))
    assert found == pytest.approx(seen[0].detach().numpy(), rel=1e-3, abs=1e-4)


def test_a_network_goes_on_in_the_mode_it_was_in(network, tmp_path):
    data = Data()
    network.train()
    write_embedding(network, data, predictions_of(data), tmp_path, tag="test/features")
    assert network.training


def test_each_point_has_its_label_and_what_was_said_of_it(network, tmp_path):
    data = Data()
    table = predictions_of(data)
    write_embedding(network, data, table, tmp_path, tag="test/features")
    rows = [line.split("\t") for line in (tmp_path / "projector" / "metadata.tsv").read_text().splitlines()[1:]]
    assert [row[0] for row in rows] == ["abc"[label] for label in table.labels]
    assert [row[1] for row in rows] == ["abc"[label] for label in table.predicted]
    assert [row[2] == "yes" for row in rows] == (table.labels == table.predicted).tolist()
    assert [row[4] for row in rows] == list(table.names)


def test_of_many_images_some_are_taken_evenly(network, tmp_path, monkeypatch):
    monkeypatch.setattr(embedding, "NUM_IMAGES", 4)
    data = Data(num=10)
    assert write_embedding(network, data, predictions_of(data), tmp_path, tag="t") == 4
    lines = (tmp_path / "projector" / "metadata.tsv").read_text().splitlines()[1:]
    assert [line.rpartition("/")[2] for line in lines] == ["0", "3", "6", "9"]


def test_a_foreign_or_a_huge_network_is_left_alone(network, tmp_path, monkeypatch):
    data = Data()
    assert write_embedding(nn.Linear(2, 3), data, predictions_of(data), tmp_path, tag="t") == 0
    monkeypatch.setattr(embedding, "MOST_BYTES", 10)
    assert write_embedding(network, data, predictions_of(data), tmp_path, tag="t") == 0
    assert list(tmp_path.iterdir()) == []
