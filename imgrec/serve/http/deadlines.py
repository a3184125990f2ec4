"""Connections that are too slow, or too many, are closed before they cost anything.

uvicorn has one such limit, for idle connections. Here a connection is looked at about once a second, and closed when
its request's headers, its body or the reading of its answer take too long.
"""

import socket
import struct
import time
from asyncio import Transport
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

__all__ = ["DeadlineProtocol", "limited", "sweep"]

_MAX_HEADER_BYTES = 32_768
_MAX_PIPELINED = 8  # no browser sends a second request before the answer; who sends hundreds wants our time
_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class DeadlineProtocol(HttpToolsProtocol):
    """One connection. The limits are set by `limited`.

    slow_s: for headers to be complete; for a body or a reader to make no progress. min_bytes_a_second: of a body, on
        average after `slow_s`. max_connections: beyond it new ones are closed at once.
    """

    slow_s = 7.0
    min_bytes_a_second = 4000
    max_connections = 2000

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._since = time.monotonic()  # when the headers began, or the body
        self._header_bytes = 0
        self._body_bytes = 0
        self._in_headers = True
        self._unsent_bytes, self._unsent_since = 0, self._since
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Take a connection, or close it where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Count what comes before it is parsed, and refuse headers without end."""
        if self._in_headers:
            if self._header_bytes == 0:
                self._since = time.monotonic()
            self._header_bytes += len(data)
            if self._header_bytes > _MAX_HEADER_BYTES and not self._may_hold_body(data):
                self._close(_TOO_LARGE)
                return
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """Start the clock of the body. Raises: ValueError: too many requests before the first answer was read."""
        if len(self.pipeline) >= _MAX_PIPELINED:
            raise ValueError("too many requests at once on one connection")  # uvicorn makes it a 400 and closes
        self._in_headers, self._header_bytes, self._body_bytes = False, 0, 0
        self._since = time.monotonic()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the next request; its clock starts with its first byte."""
        self._in_headers, self._since = True, float("inf")
        super().on_message_complete()

    def close_if_slow(self, now: float) -> bool:
        """Close the connection if it is too slow; return whether it was."""
        if self._is_unread(now):
            self._hang_up()
            return True
        if now - self._since <= self.slow_s or self._is_answering() or self.transport.is_closing():
            return False
        if not self._in_headers and self._body_bytes >= (now - self._since) * self.min_bytes_a_second:
            return False
        self._close(_TIMEOUT)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request under way; uvicorn tells the last one of a pipeline alone."""
        self._tell_running()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _tell_running(self) -> None:
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def _hang_up(self) -> None:
        """Drop the connection and all that waits to be sent, in the kernel too, which else waits for the other side."""
        self._tell_running()
        one = self.transport.get_extra_info("socket")
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _is_unread(self, now: float) -> bool:
        """Whether an answer waits in our memory and none of it was taken for too long; also while we hang up."""
        size = self.transport.get_write_buffer_size()
        if size == 0 or size < self._unsent_bytes:
            self._unsent_since = now
        self._unsent_bytes = size
        return size > 0 and now - self._unsent_since > self.slow_s

    def _is_answering(self) -> bool:
        """Whether it is we who make the other side wait: its request is here, or we have stopped reading."""
        return self.flow.read_paused or (self.cycle is not None and self.cycle.response_started)

    def _may_hold_body(self, data: bytes) -> bool:
        """Whether a large first piece is headers and the beginning of a body."""
        return self._header_bytes == len(data) and b"\r\n\r\n" in data[:_MAX_HEADER_BYTES]

    def _close(self, last_bytes: bytes) -> None:
        if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
            self.transport.write(last_bytes)
        self.transport.close()


def limited(*, slow_s: float, min_bytes_a_second: int, max_connections: int) -> type[DeadlineProtocol]:
    """Return the protocol with these limits, as uvicorn wants it: a class."""
    limits = {"slow_s": slow_s, "min_bytes_a_second": min_bytes_a_second, "max_connections": max_connections}
    return type("LimitedProtocol", (DeadlineProtocol,), limits)


def sweep(connections: Any) -> int:
    """Close the slow ones of a server's connections; return how many."""
    now = time.monotonic()
    return sum(one.close_if_slow(now) for one in list(connections) if isinstance(one, DeadlineProtocol))
