"""Which files are models, and what is said of the others."""

from pathlib import Path

import pytest

from imgrec.deploy.predict.open_model import open_model
from imgrec.errors import BundleError, CheckpointError
from small_bundle import sample_image


@pytest.mark.parametrize(("name", "data"), [("x.png", sample_image(1, 2, 3)), ("x.csv", b"path,label"), ("x.bin", b"")])
def test_a_file_that_is_no_model_is_told_what_is_one(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BundleError) as error:
        open_model(tmp_path / name)
    assert str(error.value) == (
        f"{tmp_path / name} is not a model file. Give a checkpoint (.ckpt, .pt, .pth), a file that `imgrec export` "
        "wrote (.onnx, .safetensors, .pt2, .xml), or the folder of a run."
    )


def test_the_suffix_of_a_model_file_says_what_is_expected(tmp_path: Path) -> None:
    for name in ("x.onnx", "x.ckpt"):
        (tmp_path / name).write_bytes(b"hello")
    with pytest.raises(BundleError, match="not an ONNX file, which is what `imgrec export` writes"):
        open_model(tmp_path / "x.onnx")
    with pytest.raises(CheckpointError, match="truncated, or not a checkpoint"):
        open_model(tmp_path / "x.ckpt")
