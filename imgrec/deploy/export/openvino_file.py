"""A network for OpenVINO: `model.xml` and `model.bin`, in float32 or in 8 bits by NNCF.

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
from imgrec.deploy.export.gate import judge, stop_if_failed, write_report
from imgrec.deploy.export.graph import make_graph
from imgrec.deploy.export.outputs import ImageSet, Progress, logits_by, logits_of_network, prepared
from imgrec.deploy.export.parity import refuse_untrained
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
    """Write `path` (.xml) and its .bin once they answer alike; otherwise as `export_bundle`.

    In float32 the check runs in float32; by itself OpenVINO takes bfloat16 where the processor has it.
    Raises: ConfigError: a form that is for bundles alone. MissingExtraError.
    """
    openvino = import_openvino()
    if settings.input == "image" or settings.precision == "float16":
        raise ConfigError(
            "OpenVINO files take pixels, in float32 or with --int8. Leave out --input image and --float16."
        )
    info = replace(info, precision=settings.precision)
    say(f"Asking the checkpoint about {len(images):,} images")
    reference = logits_of_network(network, info.preprocess, images, progress=progress)
    refuse_untrained(reference, task=info.task)
    say("Making the graph")
    height, width = info.preprocess.height_width or (None, None)
    model = openvino.Core().read_model(make_graph(network, height=height, width=width).SerializeToString())
    if settings.precision == "int8":
        assert settings.calibration is not None
        say(f"Calibrating with {len(settings.calibration):,} images")
        model = _to_int8(model, prepared(info.preprocess, settings.calibration))
    say("Asking the export about the same images")
    answers = logits_by(runner(model), info.preprocess.from_lazy_image, images, progress=progress)
    gate = judge(images, reference, answers, info=info, max_drop=settings.max_drop)
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
    """Write both files, the one that names the other last; return their size in bytes."""
    openvino = import_openvino()
    with tempfile.TemporaryDirectory(prefix="imgrec-") as folder:
        made = Path(folder) / path.name
        openvino.save_model(model, made, compress_to_fp16=False)
        parts = {target: made.with_suffix(target.suffix).read_bytes() for target in (path.with_suffix(".bin"), path)}
    for target, data in parts.items():
        write_bytes(target, data)
    return sum(map(len, parts.values()))
