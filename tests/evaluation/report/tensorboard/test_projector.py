"""The files of TensorBoard's projector: one point, one row of metadata and one tile of the sprite for each image."""

import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from imgrec.evaluation.report.tensorboard.projector import SPRITE_PX, write_projector


@pytest.fixture
def written(tmp_path):
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, SPRITE_PX, SPRITE_PX, 3), dtype=np.uint8)
    features = np.arange(10, dtype=np.float32).reshape(5, 2) / 3
    names = ["a", "b\tc", "d\ne", "<f>", "\udcff"]
    write_projector(
        tmp_path, features, images, columns=[("label", list("xyzxy")), ("path", names)], tag="test/features"
    )
    return tmp_path, features, images


def test_tensorboard_reads_the_configuration(written):
    config = text_format.Parse((written[0] / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (embedding,) = config.embeddings
    assert embedding.tensor_name == "test/features"
    assert list(embedding.sprite.single_image_dim) == [SPRITE_PX, SPRITE_PX]
    for path in (embedding.tensor_path, embedding.metadata_path, embedding.sprite.image_path):
        assert (written[0] / path).is_file()


def test_each_image_has_its_row_whatever_its_name(written):
    lines = (written[0] / "projector" / "metadata.tsv").read_text().splitlines()
    assert lines == ["label\tpath", "x\ta", "y\tb\\tc", "z\td\\ne", "x\t<f>", "y\t\\xff"]
    tensors = np.loadtxt(written[0] / "projector" / "tensors.tsv", delimiter="\t")
    assert tensors == pytest.approx(written[1], rel=1e-4)


def test_the_sprite_is_a_square_of_tiles_row_by_row(written):
    sprite = np.asarray(Image.open(written[0] / "projector" / "sprite.png"))
    assert sprite.shape == (3 * SPRITE_PX, 3 * SPRITE_PX, 3)
    tiles = sprite[::SPRITE_PX, ::SPRITE_PX, 0].ravel().tolist()
    assert tiles == [0, 1, 2, 3, 4, 0, 0, 0, 0]
