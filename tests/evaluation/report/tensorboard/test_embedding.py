"""The embedding of evaluated images in TensorBoard's projector."""

from pathlib import Path

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from imgrec.data.images.collections import ArrayImages
from imgrec.data.samples import Samples, Splits
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.report.tensorboard import embedding
from imgrec.evaluation.report.tensorboard.embedding import SPRITE_PX, write_embedding
from imgrec.models import make_small_cnn

FOLDER = Path("00000/default")


class Data:
    """Stands for a data module: a test split, and no preprocessing."""

    def __init__(self, num: int = 9, side: int = 32) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (num, side, side, 3), dtype=np.uint8)
        labels = np.arange(num) % 3
        self.samples = Samples([f"p\t{row}" for row in range(num)], ArrayImages(pixels), labels)
        self.splits = Splits(class_names=["a", "b", "c"], test=self.samples)

    def split(self, name: str) -> Samples:
        return self.samples

    def preprocess(self, image: np.ndarray) -> np.ndarray:
        return image


def written(network: nn.Module, data: Data, folder: Path) -> int:
    """Write the embedding into `folder`; return its number of images."""
    with SummaryWriter(str(folder)) as writer:
        return write_embedding(network, data, "test", predictions_of(data), writer, tag="default")


def predictions_of(data: Data) -> Predictions:
    logits = np.random.default_rng(1).normal(size=(len(data.samples), 3)).astype(np.float32)
    return Predictions(data.samples.names, data.samples.labels, logits, ["a", "b", "c"])


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return make_small_cnn(num_classes=3, channels=(4,), hidden=5, dropout=0.5)


def test_points_are_the_inputs_of_the_head(network, tmp_path):
    data = Data()
    assert written(network, data, tmp_path) == 9
    found = np.loadtxt(tmp_path / FOLDER / "tensors.tsv", delimiter="\t")
    network.eval()
    seen: list[torch.Tensor] = []
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    last.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    network(torch.from_numpy(np.stack([data.samples.images[row] for row in range(9)]).transpose(0, 3, 1, 2).copy()))
    assert found == pytest.approx(seen[0].detach().numpy(), rel=1e-3, abs=1e-4)


def test_the_mode_of_the_network_is_restored(network, tmp_path):
    data = Data()
    network.train()
    written(network, data, tmp_path)
    assert network.training


def test_each_point_has_its_label_prediction_and_path(network, tmp_path):
    data = Data()
    table = predictions_of(data)
    written(network, data, tmp_path)
    rows = [line.split("\t") for line in (tmp_path / FOLDER / "metadata.tsv").read_text().splitlines()]
    assert rows.pop(0) == ["label", "prediction", "correct", "confidence", "path"]
    assert [row[0] for row in rows] == ["abc"[label] for label in table.labels]
    assert [row[1] for row in rows] == ["abc"[label] for label in table.predicted]
    assert [row[2] == "yes" for row in rows] == (table.labels == table.predicted).tolist()
    assert [row[4] for row in rows] == [name.replace("\t", "\\t") for name in table.names]


def test_of_many_images_some_are_taken_evenly(network, tmp_path, monkeypatch):
    monkeypatch.setattr(embedding, "NUM_IMAGES", 4)
    data = Data(num=10)
    assert written(network, data, tmp_path) == 4
    lines = (tmp_path / FOLDER / "metadata.tsv").read_text().splitlines()[1:]
    assert [line.rpartition("\\t")[2] for line in lines] == ["0", "3", "6", "9"]


def test_a_network_without_features_or_a_huge_one_is_skipped(network, tmp_path, monkeypatch):
    data = Data()
    assert written(nn.Linear(2, 3), data, tmp_path) == 0
    monkeypatch.setattr(embedding, "MOST_BYTES", 10)
    assert written(network, data, tmp_path) == 0
    assert not (tmp_path / FOLDER).exists()


def test_a_second_evaluation_replaces_the_first_without_a_warning(network, tmp_path, capsys):
    for _ in range(2):
        written(network, Data(), tmp_path)
    assert capsys.readouterr().out == ""
    config = text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (embedding,) = config.embeddings
    for path in (embedding.tensor_path, embedding.metadata_path, embedding.sprite.image_path):
        assert (tmp_path / path).is_file()
    with Image.open(tmp_path / embedding.sprite.image_path) as sprite:
        assert sprite.size == (3 * SPRITE_PX, 3 * SPRITE_PX)
