"""The routes, and who may use which."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from imgrec.serve.access.gate import Caller
from imgrec.serve.access.keys import Output
from imgrec.serve.engine.batcher import Batcher
from imgrec.serve.engine.models import ServedModel
from imgrec.serve.engine.saliency_map import explain_image
from imgrec.serve.engine.service import Result, Service
from imgrec.serve.http import openapi
from imgrec.serve.http.middleware import Shell, error_body, error_headers
from imgrec.serve.http.page_files import page_file
from imgrec.serve.http.refusals import IMAGE_CODES, Refusal
from imgrec.serve.http.responses import narrower
from imgrec.serve.http.upload import UploadLimits, read_images

__all__ = ["OPEN_ROUTES", "Guard", "check_guards", "make_app", "make_routes"]

# What needs no key. Everything else has a Guard; `check_guards` refuses to start otherwise.
OPEN_ROUTES = ("/", "/page/{name}", "/health/live", "/health/ready")

ModelName = Annotated[str | None, Query(description="Name of a model; the first one of the key if not given.")]
OutputKind = Annotated[Output | None, Query(description="How much is shown; never more than the key allows.")]


@dataclass(frozen=True)
class Asked:
    """A request whose caller is known. batcher: of the model. output: how much of an answer is shown."""

    request: Request
    caller: Caller
    model: ServedModel
    batcher: Batcher
    output: Output


Work = Callable[[Service, Asked, Sequence[bytes]], Awaitable[dict[str, Any]]]  # images -> what is said of them


class Guard:
    """A dependency that lets a caller with one scope through, counts the request, and tells the audit log who it is."""

    def __init__(self, service: Service, scope: str) -> None:
        self.scope = scope
        self._service = service

    async def __call__(self, request: Request) -> Caller:
        """Return the caller. Raises: Refusal."""
        address = request.client.host if request.client else ""
        caller = self._service.gate.identify(_credential(request), address=address)
        request.state.audit["who"] = caller.id
        if not caller.may(self.scope):
            raise Refusal("forbidden")
        self._service.check_rate(caller)
        return caller


def make_app(service: Service) -> Shell:
    """Return the whole ASGI application of a service."""
    return Shell(make_routes(service), service)


def make_routes(service: Service) -> FastAPI:
    """Return the routes without what is around them (`Shell`)."""
    app = FastAPI(title="imgrec", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    for kind in (Refusal, HTTPException, RequestValidationError, ClientDisconnect, Exception):
        app.add_exception_handler(kind, _on_error)
    _add_open_routes(app, service)
    _add_inference(app, service)
    _add_facts(app, service)
    check_guards(app)
    return app


def check_guards(app: FastAPI) -> None:
    """Refuse to build an application with a route that needs no key and is not in OPEN_ROUTES."""
    for route in app.routes:
        path = getattr(route, "path", "?")
        guards = [
            one.call
            for one in (route.dependant.dependencies if isinstance(route, APIRoute) else [])
            if isinstance(one.call, Guard)
        ]
        if (len(guards) == 1) == (path in OPEN_ROUTES):
            raise AssertionError(f"{path} has {len(guards)} guards")  # not `assert`, which python -O skips


def _add_open_routes(app: FastAPI, service: Service) -> None:
    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return page_file("index.html")

    @app.get("/page/{name}", include_in_schema=False)
    async def page(name: str) -> Response:
        return page_file(name)

    @app.get("/health/live", summary="Whether the process is running", responses=openapi.LIVE)
    async def live() -> Response:
        return JSONResponse({"status": "live"})

    @app.get("/health/ready", summary="Whether the server takes requests", responses=openapi.READY)
    async def ready() -> Response:
        is_ready = service.is_ready and not service.is_stopping
        return JSONResponse({"status": "ready" if is_ready else "not ready"}, status_code=200 if is_ready else 503)


def _add_inference(app: FastAPI, service: Service) -> None:
    upload = service.settings.upload
    _add_job(
        app,
        service,
        "predict",
        summary="Classify one image or several",
        responses=openapi.PREDICT,
        limits=upload,
        work=_predictions,
    )
    _add_job(
        app,
        service,
        "explain",
        summary="A saliency map for one image",
        responses=openapi.EXPLAIN,
        limits=UploadLimits(upload.max_bytes, max_images=1),
        work=_explanation,
    )


def _add_job(
    app: FastAPI,
    service: Service,
    name: str,
    *,
    summary: str,
    responses: openapi.Responses,
    limits: UploadLimits,
    work: Work,
) -> None:
    """Add `POST /v1/NAME`, for callers with the scope NAME: images in, what `work` returns out."""
    guard = Guard(service, name)

    @app.post(f"/v1/{name}", name=name, summary=summary, responses=responses, openapi_extra=openapi.IMAGES)
    async def infer(
        request: Request,
        caller: Annotated[Caller, Depends(guard)],
        model: ModelName = None,
        output: OutputKind = None,
    ) -> Response:
        served, batcher = service.model_for(caller, model)
        images = await _read(request, service, limits=limits, model_sha256=served.sha256)
        with service.admission.enter(len(images)):
            asked = Asked(request, caller, served, batcher, narrower(caller.output or service.settings.output, output))
            content = await work(service, asked, images)
        named = {"model": {"name": served.name, "sha256": served.sha256}}
        return JSONResponse({**named, **content, "id": request.state.id})


async def _predictions(service: Service, asked: Asked, images: Sequence[bytes]) -> dict[str, Any]:
    """Return a prediction or an error for each image; of a single image the error is that of the request."""
    results = await service.predict(asked.model, asked.batcher, images, caller=asked.caller, output=asked.output)
    outcomes = [result.outcome for result in results]
    asked.request.state.audit["outcome"] = outcomes[0] if len(set(outcomes)) == 1 else outcomes
    if len(results) == 1 and results[0].refusal is not None:
        raise results[0].refusal
    return {"predictions": _contents(results)}


async def _explanation(service: Service, asked: Asked, images: Sequence[bytes]) -> dict[str, Any]:
    """Return the prediction for the one image, and its saliency map."""
    try:
        content = await explain_image(service, asked.model, images[0], caller=asked.caller, output=asked.output)
    except Refusal as refusal:
        if refusal.code in IMAGE_CODES:
            service.metrics.note_image(refusal.code)
        raise
    service.metrics.note_image("ok")
    return content


def _add_facts(app: FastAPI, service: Service) -> None:
    predict_guard, metrics_guard, admin_guard = (Guard(service, scope) for scope in ("predict", "metrics", "admin"))

    @app.get("/v1/models", summary="The models that this key may use", responses=openapi.MODELS)
    async def models(caller: Annotated[Caller, Depends(predict_guard)]) -> Response:
        usable = [one for one in service.models.all if caller.may_use(one.name)]
        return JSONResponse({"models": [_describe(one.name, service, caller) for one in usable]})

    @app.get("/v1/model", summary="One model", responses=openapi.MODEL)
    async def model(caller: Annotated[Caller, Depends(predict_guard)], model: ModelName = None) -> Response:
        served, _ = service.model_for(caller, model)
        return JSONResponse(_describe(served.name, service, caller))

    @app.get("/v1/status", summary="State of the server", responses=openapi.STATUS, dependencies=[Depends(admin_guard)])
    async def status() -> Response:
        loaded = [{"name": one.name, "sha256": one.sha256, "loaded": one.loaded} for one in service.models.all]
        return JSONResponse(
            {
                "ready": service.is_ready and not service.is_stopping,
                "images_in_progress": service.admission.images,
                "waiting_images": service.models.waiting,
                "decoder_restarts": service.pool.restarts,
                "models": loaded,
                "time": time.time(),
            }
        )

    @app.get(
        "/v1/openapi.json", summary="This document", responses=openapi.OPENAPI, dependencies=[Depends(predict_guard)]
    )
    async def schema() -> Response:
        return JSONResponse(openapi.schema_of(app))

    @app.get(
        "/metrics", summary="Metrics for Prometheus", responses=openapi.METRICS, dependencies=[Depends(metrics_guard)]
    )
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


async def _read(request: Request, service: Service, *, limits: UploadLimits, model_sha256: str) -> list[bytes]:
    """Return the image files of a request. Raises: Refusal."""
    request.state.audit["model"] = model_sha256
    service.admission.check()  # before the body: who is refused need not be read
    images = await read_images(
        request.stream(),
        content_type=request.headers.get("content-type", ""),
        length=request.headers.get("content-length"),
        limits=limits,
        admission=service.admission,
    )
    if service.audit is not None:
        request.state.audit["inputs"] = [service.input_hash(image) for image in images]
    return images


def _contents(results: Sequence[Result]) -> list[dict[str, Any]]:
    contents = []
    for index, result in enumerate(results):
        if result.refusal is None:
            contents.append({"index": index, **(result.content or {})})
        else:
            contents.append({"index": index, "error": result.refusal.code, "detail": result.refusal.message})
    return contents


def _describe(name: str, service: Service, caller: Caller) -> dict[str, Any]:
    served, _ = service.model_for(caller, name)
    return {
        "name": served.name,
        "sha256": served.sha256,
        "task": served.decisions.task,
        "class_names": list(served.decisions.class_names),
        "reject_rule": served.reject,
        "prediction_sets": {name: rule.coverage for name, rule in served.decisions.conformal.items()},
        "output": caller.output or service.settings.output,
        "max_images": service.settings.upload.max_images,
        "max_bytes": service.settings.upload.max_bytes,
    }


def _credential(request: Request) -> str | None:
    """Return the key or token that a request carries: `Authorization: Bearer ...`, or `X-API-Key: ...`."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    return request.headers.get("x-api-key")


async def _on_error(request: Request, error: Exception) -> Response:
    """Turn every error into one of our refusals; one that is not expected goes on to `Shell`, which logs it."""
    refusal = _as_refusal(error)
    request.state.audit.setdefault("outcome", refusal.code)
    return JSONResponse(error_body(refusal, request.state.id), refusal.status, headers=error_headers(refusal))


def _as_refusal(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, ClientDisconnect):
        return Refusal("slow_body")
    if isinstance(error, HTTPException):
        return Refusal({404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "bad_request"))
    return Refusal("bad_request" if isinstance(error, RequestValidationError) else "internal")
