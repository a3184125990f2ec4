"""What is around every request: an id, headers for browsers, the audit line, and errors that give nothing away."""

import asyncio
import json
import math
import secrets
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from imgrec.serve.engine.service import Service
from imgrec.serve.http.refusals import Refusal
from imgrec.serve.settings import is_loopback

__all__ = ["Shell", "error_body", "error_headers"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_HEADERS = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(self), geolocation=(), microphone=()",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
}
_TLS_HEADERS = {b"strict-transport-security": b"max-age=31536000"}
_UNRECORDED = ("/", "/page/{name}", "/health/live", "/health/ready")  # unless something was refused
_REST_S = 2.0  # for the rest of a body whose request is refused, so that the client gets to read why
_UNKNOWN_ROUTE = "unknown"


def error_body(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """Return what is said instead of an answer."""
    return {"error": {"code": refusal.code, "message": refusal.message, "id": request_id}}


def error_headers(refusal: Refusal) -> dict[str, str]:
    """Return the headers that go with a refusal: when to try again, how to say who one is."""
    headers = {}
    if refusal.retry_after_s is not None:
        headers["retry-after"] = str(max(1, math.ceil(refusal.retry_after_s)))
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    return headers


class Shell:
    """The outermost ASGI application of a service."""

    def __init__(self, app: App, service: Service) -> None:
        self._app = app
        self._service = service
        self._headers = dict(_HEADERS)
        if service.settings.has_tls or service.settings.behind_proxy:
            self._headers |= _TLS_HEADERS

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Exchange(self._app, self._service, self._headers, scope, receive, send).run()


class _Exchange:
    """One request and its answer."""

    def __init__(
        self, app: App, service: Service, headers: dict[bytes, bytes], scope: Message, receive: Receive, send: Send
    ) -> None:
        self._app, self._service, self._headers = app, service, headers
        self._scope, self._receive, self._send = scope, receive, send
        self._id = secrets.token_hex(8)
        self._started = time.perf_counter()
        self._is_body_read = scope["method"] in ("GET", "HEAD")
        self._has_answered = False
        self._is_replaced = False  # by a refusal, as the request could not be recorded
        scope["state"] = {**scope.get("state", {}), "id": self._id, "audit": {}}

    async def run(self) -> None:
        """Let the application answer; whatever it fails with becomes an answer too."""
        try:
            self._check_origin()
            await self._app(self._scope, self._take, self._give)
        except Refusal as refusal:
            await self._refuse(refusal)
        except Exception as error:
            # Types and places alone: a message may hold what the request brought.
            frames = "".join(traceback.format_tb(error.__traceback__))
            sys.stderr.write(f"imgrec: request {self._id} failed: {type(error).__name__}\n{frames}")
            if not self._has_answered:
                await self._refuse(Refusal("internal"))

    def _check_origin(self) -> None:
        """Refuse what pages of other sites send through a visitor's browser. Raises: Refusal."""
        headers = dict(self._scope["headers"])
        if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin") and self._scope["method"] != "GET":
            raise Refusal("cross_site")
        # A name that an attacker's DNS points at 127.0.0.1 reaches an open server, but brings itself along.
        if self._service.gate.is_open and not is_loopback(_host(headers.get(b"host", b""))):
            raise Refusal("wrong_host")

    async def _take(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._is_body_read = True
        return message

    async def _give(self, message: Message) -> None:
        if self._is_replaced:
            return
        if message["type"] == "http.response.start":
            self._has_answered = True
            await self._read_rest()
            if not self._record(message["status"]):
                self._is_replaced = True
                await self._say(Refusal("audit_failed"))
                return
            message["headers"] = self._with_headers(message.get("headers", []))
            self._count(message["status"])
        await self._send(message)

    async def _refuse(self, refusal: Refusal) -> None:
        self._scope["state"]["audit"]["outcome"] = refusal.code
        self._has_answered = True
        await self._read_rest()
        await self._say(refusal if self._record(refusal.status) else Refusal("audit_failed"))

    async def _say(self, refusal: Refusal) -> None:
        body = json.dumps(error_body(refusal, self._id)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        headers += [(name.encode(), value.encode()) for name, value in error_headers(refusal).items()]
        self._count(refusal.status)
        start = {"type": "http.response.start", "status": refusal.status, "headers": self._with_headers(headers)}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})

    async def _read_rest(self) -> None:
        """Read and drop a body that nobody wanted, as far as it is short and quick."""
        left = self._service.settings.upload.max_bytes if not self._is_over_limit() else 0
        with suppress(TimeoutError):
            async with asyncio.timeout(_REST_S):
                while not self._is_body_read and left > 0:
                    left -= len((await self._take()).get("body", b""))

    def _is_over_limit(self) -> bool:
        return bool(self._scope["state"]["audit"].get("outcome") == "body_too_large")

    def _with_headers(self, headers: Any) -> list[tuple[bytes, bytes]]:
        given = {name.lower() for name, _ in headers}
        ours = [(name, value) for name, value in self._headers.items() if name not in given]
        ours.append((b"x-request-id", self._id.encode()))
        if not self._is_body_read or self._service.is_stopping:
            ours.append((b"connection", b"close"))
        return [*headers, *ours]

    def _record(self, status: int) -> bool:
        """Write the audit line; return whether the request may be answered."""
        log, settings = self._service.audit, self._service.settings
        if log is None or (status < 400 and self._route in _UNRECORDED):
            return True
        client = self._scope.get("client")
        audit = self._scope["state"]["audit"]
        fields = {
            "id": self._id,
            "who": audit.get("who", "unknown"),
            "address": client[0] if client else "unknown",
            "route": self._route,
            "model": audit.get("model"),
            "inputs": audit.get("inputs", []),
            "status": status,
            "outcome": audit.get("outcome", "ok" if status < 400 else "refused"),
        }
        try:
            log.add(fields)
        except OSError as error:
            self._service.metrics.note_audit_failure()
            sys.stderr.write(f"imgrec: request {self._id} could not be recorded: {error.strerror or error}\n")
            return bool(settings.audit_fail_open)
        return True

    def _count(self, status: int) -> None:
        self._service.metrics.note_request(self._route, status, time.perf_counter() - self._started)

    @property
    def _route(self) -> str:
        return getattr(self._scope.get("route"), "path", _UNKNOWN_ROUTE)


def _host(header: bytes) -> str:
    """Return the host of a Host header, without port and brackets; "" where it is none."""
    try:
        return urlsplit(f"//{header.decode('ascii')}").hostname or ""
    except (ValueError, UnicodeDecodeError):
        return ""
