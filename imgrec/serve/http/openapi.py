"""The OpenAPI document: request bodies, responses and errors, each with an example."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from imgrec import __version__
from imgrec.serve.http.refusals import REFUSALS

__all__ = [
    "EXPLAIN", "IMAGES", "LIVE", "METRICS", "MODEL", "MODELS", "OPENAPI", "PREDICT", "READY", "STATUS", "schema_of",
]  # fmt: skip

Responses = dict[int | str, dict[str, Any]]

_SHA256 = "9f2c4e0d7b1a5c3e8f60b2d4a7c91e3f5d8b0a2c4e6f81a3b5c7d9e0f1a2b3c4"
_ID = "5f0c9a7d2e4b8136"
_MODEL = {"name": "flowers", "sha256": _SHA256}
_PREDICTION = {
    "index": 0,
    "prediction": "daisy",
    "confidence": 0.97,
    "probabilities": {"daisy": 0.97, "aster": 0.02},
    "top_classes": ["daisy", "aster"],
    "rejected": {"risk_5": False},
    "prediction_sets": {"lac_90": ["daisy"]},
}
_BAD_IMAGE = {"index": 1, "error": "truncated", "detail": REFUSALS["truncated"][1]}
_DESCRIPTION = {
    **_MODEL,
    "task": "single",
    "class_names": ["aster", "daisy"],
    "reject_rule": "risk_5",
    "prediction_sets": {"lac_90": 0.9},
    "output": "rounded",
    "max_images": 16,
    "max_bytes": 10_000_000,
}


def _response(description: str, example: Any, kind: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": {kind: {"example": example}}}


def _errors(*codes: str) -> Responses:
    """Return the responses for error codes; of several with one status the first is the example."""
    found: Responses = {}
    for code in codes:
        status, message = REFUSALS[code]
        example = {"error": {"code": code, "message": message, "id": _ID}}
        found.setdefault(status, _response(", ".join(one for one in codes if REFUSALS[one][0] == status), example))
    return found


_GUARDED = _errors("unauthorized", "forbidden", "rate_limited", "too_many_wrong_keys", "budget_used_up")
_WITH_IMAGES = _errors(
    "bad_request", "no_image", "unknown_model", "slow_body", "body_too_large", "too_many_images", "too_large",
    "unsupported_media", "not_an_image", "unsupported", "truncated", "damaged", "too_small", "undecodable", "busy",
    "not_finite",
)  # fmt: skip

IMAGES = {
    "requestBody": {
        "required": True,
        "description": "One image file as it is, or several as the files of a form.",
        "content": {
            "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
            "image/png": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"image": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            },
        },
    }
}
PREDICT: Responses = {
    200: _response(
        "One prediction for each image, in their order. An image of several that cannot be used has an error instead.",
        {"model": _MODEL, "predictions": [_PREDICTION, _BAD_IMAGE], "id": _ID},
    ),
    **_GUARDED,
    **_WITH_IMAGES,
}
EXPLAIN: Responses = {
    200: _response(
        "The prediction, and a saliency map of `explained_class`: a PNG in base64, warm where a region counts most.",
        {
            "prediction": _PREDICTION,
            "saliency_map": "iVBORw0KGgo...",
            "explained_class": "daisy",
            "model": _MODEL,
            "id": _ID,
        },
    ),
    **_GUARDED,
    **_WITH_IMAGES,
}
MODELS: Responses = {200: _response("The models that this key may use.", {"models": [_DESCRIPTION]}), **_GUARDED}
MODEL: Responses = {200: _response("One model.", _DESCRIPTION), **_GUARDED, **_errors("unknown_model")}
STATUS: Responses = {
    200: _response(
        "State of the server.",
        {
            "ready": True,
            "images_in_progress": 3,
            "waiting_images": 2,
            "decoder_restarts": 0,
            "models": [{**_MODEL, "loaded": 1.8e9}],
            "time": 1.8e9,
        },
    ),
    **_GUARDED,
}
METRICS: Responses = {
    200: _response("Metrics for Prometheus.", 'imgrec_images_total{outcome="ok"} 7.0\n', "text/plain"),
    **_GUARDED,
}
OPENAPI: Responses = {200: _response("This document.", {"openapi": "3.1.0"}), **_GUARDED}
LIVE: Responses = {200: _response("The process is running.", {"status": "live"})}
READY: Responses = {
    200: _response("Ready for requests.", {"status": "ready"}),
    503: _response("Starting or stopping: send no requests.", {"status": "not ready"}),
}


def schema_of(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of the routes, made once."""
    if app.openapi_schema is None:
        document = get_openapi(title="imgrec", version=__version__, routes=app.routes)
        schemes = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        document.setdefault("components", {})["securitySchemes"] = schemes
        document["security"] = [{"bearer": []}, {"key": []}]
        app.openapi_schema = document
    return app.openapi_schema
