"""A saliency map by occlusion: regions are covered one after another, and the drop in probability is measured.

It needs the outputs of the model only, no gradients, so any bundle can be explained.
"""

import base64
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgrec.data.samples import UInt8Array
from imgrec.serve.access.gate import Caller
from imgrec.serve.access.keys import Output
from imgrec.serve.engine.models import ServedModel
from imgrec.serve.engine.service import Service
from imgrec.serve.http.refusals import Refusal
from imgrec.serve.http.responses import describe

__all__ = ["explain_image"]

_WINDOW = 4  # windows side by side; each moves by half of itself: 7 x 7 places, 50 images to run
_CHUNK = 8  # images run at once, so that predictions get their turn between

Run = Callable[[UInt8Array], NDArray[np.floating]]


async def explain_image(
    service: Service, model: ServedModel, data: bytes, *, caller: Caller, output: Output
) -> dict[str, Any]:
    """Return the prediction for an image file and the saliency map of its most probable class.

    Returns:
        `prediction`, `explained_class`, and `saliency_map`: the preprocessed image with the map over it, PNG in base64.

    Raises:
        Refusal: What is wrong with the image, `not_finite`, or `busy`.
    """
    return await service.explain(model, data, lambda image, run: _explained(image, run, model, output), caller=caller)


def _explained(image: UInt8Array, run: Run, model: ServedModel, output: Output) -> dict[str, Any]:
    # Imported by the first explanation: OpenCV takes as long to load as all the rest of a server that only predicts.
    from imgrec.studies.explain.baseline import make_baseline
    from imgrec.studies.explain.occlusion import occlusion_map
    from imgrec.studies.explain.overlay import draw_overlay

    logits = run(image[None])
    if not np.isfinite(logits).all():
        raise Refusal("not_finite")
    (prediction,) = describe(logits, model.decisions, output=output, reject=model.reject)
    index = int(np.argmax(logits[0]))
    window_px = max(2, min(image.shape[:2]) // _WINDOW)
    heat = occlusion_map(
        image,
        baseline=make_baseline(image, "mean"),
        predict=lambda images: model.decisions.probabilities(run(images)),
        target=index,
        window_px=window_px,
        stride_px=window_px // 2,
        batch_size=_CHUNK,
    )
    buffer = BytesIO()
    Image.fromarray(draw_overlay(image, heat)).save(buffer, "PNG")
    return {
        "prediction": {"index": 0, **prediction},
        "explained_class": model.decisions.class_names[index],
        "saliency_map": base64.b64encode(buffer.getvalue()).decode(),
    }
