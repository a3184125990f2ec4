"""Export a checkpoint to the format that the suffix of the output names, checked on real images of its own data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgrec.core.config.checks import check_choice, check_count, check_number
from imgrec.core.files.digest import sha256_of
from imgrec.deploy.bundle.document import Input, Precision
from imgrec.errors import ConfigError, DataError

if TYPE_CHECKING:
    from torch import nn

    from imgrec.data.loading.datamodule import ImageDataModule
    from imgrec.data.samples import Samples
    from imgrec.deploy.export.outputs import ImageSet, Progress

__all__ = ["SUFFIXES", "ExportOptions", "export_checkpoint"]

SUFFIXES = (".onnx", ".xml", ".pt2", ".safetensors")
_TORCH = (".pt2", ".safetensors")
_ORDER = ("val", "test", "train")


@dataclass(frozen=True)
class ExportOptions:
    """How a checkpoint is exported, and with which images the result is checked.

    Attributes:
        input: "pixels": the graph takes images resized to the input size; "image": images of any size.
        int8: 8-bit weights and activations.
        float16: 16-bit weights and activations.
        calibration: Folder of images for `int8`; None for the training split.
        calibration_images: How many of them, at most.
        max_drop: Percentage points of accuracy that `int8` and `float16` may lose.
        images: Folder of images for the check; None for the validation split.
        limit: How many of them, at most.
        overwrite: Replace an existing file.

    Raises:
        ConfigError: A value out of range, or options that exclude each other.
    """

    input: Input = "pixels"
    int8: bool = False
    float16: bool = False
    calibration: str | Path | None = None
    calibration_images: int = 128
    max_drop: float = 1.0
    images: str | Path | None = None
    limit: int = 1000
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_choice("input", self.input, ["pixels", "image"])
        check_count("limit", self.limit, at_least=2)
        check_count("calibration_images", self.calibration_images, at_least=1)
        check_number("max_drop", self.max_drop, at_least=0, at_most=100)
        if self.int8 and self.float16:
            raise ConfigError("int8 and float16 exclude each other.")
        if self.calibration is not None and not self.int8:
            raise ConfigError("calibration is for int8.")

    @property
    def precision(self) -> Precision:
        """Of weights and activations."""
        return "int8" if self.int8 else "float16" if self.float16 else "float32"

    def check_output(self, output: Path) -> None:
        """Check that `output` can be written with these options.

        Raises:
            ConfigError: Another suffix than `SUFFIXES`, or options that its format does not have.
            DataError: The file exists, and `overwrite` is not set.
        """
        if output.suffix not in SUFFIXES:
            raise ConfigError(f"{output}: the output ends in {', '.join(SUFFIXES)}.")
        if output.suffix in _TORCH and (self.precision != "float32" or self.input == "image"):
            raise ConfigError("Files for PyTorch are float32 and take pixels: int8, float16, input=image do not apply.")
        if output.exists() and not self.overwrite:
            raise DataError(f"{output} exists. Give another name, or --overwrite (overwrite=True).")


def export_checkpoint(
    path: str | Path,
    output: Path,
    *,
    overrides: Sequence[str] = (),
    network: "nn.Module | None" = None,
    say: Callable[[str], None] = lambda _: None,
    progress: "Progress | None" = None,
    **options: Any,
) -> dict[str, Any]:
    """Write a checkpoint as `output`, once the file gives the checkpoint's outputs on real images.

    Args:
        path: The checkpoint, or the folder of its run.
        output: File to write; its suffix names the format: .onnx, .xml (OpenVINO), .pt2, .safetensors.
        overrides: Changes of the checkpoint's data, such as `"data.root=/mnt/photos"`.
        network: For a checkpoint whose network was an object from Python: an equal one, which gets the weights.
        say: Called with the name of each step.
        progress: Called with the images done and their number.
        **options: See `ExportOptions`.

    Returns:
        The report that is written beside the file.

    Raises:
        ConfigError, DataError: An option or override that is not valid; the data is not there.
        CheckpointError: The checkpoint cannot be read.
        ParityError: The file does not give the checkpoint's outputs; nothing but the report is written.
    """
    chosen = ExportOptions(**options)
    chosen.check_output(output)
    from imgrec.core.system.lean_imports import lean_imports

    with lean_imports():
        from imgrec.core.checkpoint.checkpoint import checkpoint_file
        from imgrec.evaluation.restore import load_classifier
    from imgrec.deploy.export.describe import describe
    from imgrec.deploy.export.write import Settings, export_bundle

    path = checkpoint_file(path)
    loaded = load_classifier(path, network=network)
    if output.suffix == ".safetensors" and network is not None and "_target_" not in loaded.info.config["model"]:
        raise ConfigError("A .safetensors file is built again by its configuration, which an object lacks: use .pt2.")
    images, calibration = _image_sets(str(path), overrides, chosen, network)
    settings = Settings(chosen.input, chosen.precision, chosen.max_drop, calibration)
    info = describe(loaded.network, loaded.preprocess, loaded.info, name=path.name, sha256=sha256_of(path))
    rest: Mapping[str, Any] = {"images": images, "say": say, "progress": progress}
    if output.suffix in _TORCH:
        from imgrec.deploy.export.torch_file import export_torch

        return export_torch(loaded.network, info, output, model=loaded.info.config["model"], **rest)
    if output.suffix == ".xml":
        from imgrec.deploy.export.openvino_file import export_openvino

        return export_openvino(loaded.network, info, output, settings=settings, **rest)
    return export_bundle(loaded.network, info, output, settings=settings, **rest)


def _image_sets(
    path: str, overrides: Sequence[str], chosen: ExportOptions, network: "nn.Module | None"
) -> "tuple[ImageSet, ImageSet | None]":
    """Return the images for the check and those for calibration; the checkpoint's data is read only where needed."""
    from imgrec.deploy.export.outputs import images_of_folder, some_of

    needs_data = chosen.images is None or (chosen.int8 and chosen.calibration is None)
    data = _read_data(path, overrides, network) if needs_data else None
    if chosen.images is not None:
        images = images_of_folder(Path(chosen.images), limit=chosen.limit)
    else:
        assert data is not None
        images = some_of(_check_split(data), chosen.limit)
    if not chosen.int8:
        return images, None
    if chosen.calibration is not None:
        return images, images_of_folder(Path(chosen.calibration), limit=chosen.calibration_images)
    assert data is not None
    return images, some_of(data.split("train"), chosen.calibration_images)


def _read_data(path: str, overrides: Sequence[str], network: "nn.Module | None") -> "ImageDataModule":
    """Read the data of a checkpoint with changes on top.

    Raises:
        ConfigError: An override that is not valid.
        DataError: The data is not there.
    """
    from imgrec.core.checkpoint.checkpoint import load_checkpoint
    from imgrec.core.config.compose import compose_config
    from imgrec.core.config.overrides import quote
    from imgrec.evaluation.restore import from_checkpoint

    with compose_config("evaluate", [f"checkpoint={quote(path)}", *overrides]) as config:
        return from_checkpoint(load_checkpoint(path), config, network=network)[1]


def _check_split(data: "ImageDataModule") -> "Samples":
    """Return the first split that exists of validation, test and training."""
    return data.split(next((split for split in _ORDER if data.has_split(split)), "val"))
