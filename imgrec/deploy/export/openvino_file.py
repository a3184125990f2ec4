"""Export for OpenVINO: `model.xml` and `model.bin`, in float32 or in 8 bits by NNCF.

import openvino
model = openvino.Core().compile_model("model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
logits = model([images])["logits"]      # uint8 (N, height, width, 3), as for a bundle
"""

import io
import logging
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from imgrec.core.files.atomic_write import write_bytes
from imgrec.data.samples import UInt8Array
from imgrec.deploy.bundle import BundleInfo
from imgrec.deploy.bundle.document import DOCUMENT_KEY
from imgrec.deploy.export.gate import judge, run_reference, stop_if_failed, write_report
from imgrec.deploy.export.graph import make_graph
from imgrec.deploy.export.outputs import ImageSet, Progress, logits_by, prepared
from imgrec.deploy.export.write import Settings
from imgrec.deploy.predict.openvino_model import import_openvino, runner
from imgrec.errors import ConfigError, MissingExtraError

__all__ = ["export_openvino"]


def export_openvino(
    network: nn.Module,
    info: BundleInfo,
    path: Path,
    *,
    images: ImageSet,
    settings: Settings,
    say: Callable[[str], None],
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write `path` (.xml) and its .bin if they pass the check; arguments and result as for `export_bundle`.

    The check of a float32 model runs in float32; by default OpenVINO takes bfloat16 where the processor has it.

    Raises:
        ConfigError: An input or precision that only bundles have.
        MissingExtraError: OpenVINO or NNCF is not installed.
        ParityError: The outputs differ, or the network is not trained.
    """
    openvino = import_openvino()
    if settings.input == "image" or settings.precision == "float16":
        raise ConfigError("OpenVINO files take pixels, in float32 or int8: input=image and float16 do not apply.")
    info = replace(info, precision=settings.precision)
    reference = run_reference(network, info, images, say=say, progress=progress)
    say("Building the graph")
    height, width = info.preprocess.height_width or (None, None)
    model = openvino.Core().read_model(make_graph(network, height=height, width=width).SerializeToString())
    if settings.precision == "int8":
        assert settings.calibration is not None
        say(f"Calibrating with {len(settings.calibration):,} images")
        model = _to_int8(model, prepared(info.preprocess, settings.calibration))
    say("Running the export on the same images")
    outputs = logits_by(runner(model), info.preprocess.from_lazy_image, images, progress=progress)
    gate = judge(images, reference, outputs, info=info, max_drop=settings.max_drop)
    stop_if_failed(gate, path)
    model.set_rt_info(replace(info, parity=gate.to_dict(names=False)).to_json().decode(), [DOCUMENT_KEY])
    size = _save(model, path)
    report = {**gate.to_dict(), "size_bytes": size}
    write_report(path, report)
    return report


def _to_int8(model: Any, calibration: Sequence[UInt8Array]) -> Any:
    try:
        import nncf
    except ImportError:
        raise MissingExtraError("nncf", "openvino") from None
    nncf.set_log_level(logging.ERROR)
    batches = nncf.Dataset([image[None] for image in calibration])
    with redirect_stdout(io.StringIO()):  # its own progress bars
        return nncf.quantize(model, batches, subset_size=len(calibration), preset=nncf.QuantizationPreset.MIXED)


def _save(model: Any, path: Path) -> int:
    """Write both files, the .xml last since it refers to the .bin; return their size in bytes."""
    openvino = import_openvino()
    with tempfile.TemporaryDirectory(prefix="imgrec-") as folder:
        made = Path(folder) / path.name
        openvino.save_model(model, made, compress_to_fp16=False)
        parts = {target: made.with_suffix(target.suffix).read_bytes() for target in (path.with_suffix(".bin"), path)}
    for target, data in parts.items():
        write_bytes(target, data)
    return sum(map(len, parts.values()))
