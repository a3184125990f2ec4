"""The process: starts, says where it listens, reloads on SIGHUP, and stops without losing what it has taken on."""

import asyncio
import contextlib
import logging
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator

import uvicorn

from imgrec.errors import ConfigError, ImgrecError
from imgrec.serve.engine.service import Service
from imgrec.serve.http.app import make_app
from imgrec.serve.http.deadlines import limited, sweep
from imgrec.serve.settings import Settings

__all__ = ["run"]

_TICKS_A_SECOND = 10  # of uvicorn's main loop
_BACKLOG = 2048
_SEND_BUFFER_BYTES = 262_144  # more than nearly every answer
_LAST_REQUEST_S = 1.0  # for connections without a request when the server stops


def run(service: Service) -> None:
    """Serve until told to stop by SIGTERM or SIGINT; a second one ends at once. Raises: ImgrecError."""
    _raise_file_limit()
    for name in ("uvicorn.error", "python_multipart"):  # else every malformed request of a stranger is a line
        logging.getLogger(name).setLevel(logging.ERROR)
    with _listen(service.settings) as listener:
        server = _Server(_config(service), service, listener)
        server.run(sockets=[listener])
    if server.error is not None:
        raise server.error


def _config(service: Service) -> uvicorn.Config:
    settings = service.settings
    return uvicorn.Config(
        make_app(service),
        http=limited(
            slow_s=settings.slow_s,
            min_bytes_a_second=settings.min_bytes_a_second,
            max_connections=settings.max_connections,
        ),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=settings.behind_proxy,
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=5,
        timeout_graceful_shutdown=round(settings.stop_s),
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )


def _listen(settings: Settings) -> socket.socket:
    """Return the socket that clients connect to. Raises: ConfigError: it is not available."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
        # What connections inherit: else the kernel keeps up to some MB of answers for each client that does not read.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        return listener
    except OSError as error:
        where = f"{settings.host} port {settings.port}"
        raise ConfigError(f"Cannot listen on {where}: {error.strerror}. Give another --port or --host.") from None


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: Service, listener: socket.socket) -> None:
        super().__init__(config)
        self.error: ImgrecError | None = None
        self._service = service
        self._listener = listener.dup()
        self._tasks: set[asyncio.Task[bool]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Get ready, then take connections, then say so."""
        try:
            await self._service.start()
        except ImgrecError as error:
            self.error = error
            self.should_exit = True
            return
        await super().startup(sockets)
        _announce(self._listener, self._service.settings)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, answer those that are there, end the processes."""
        await self._take_last_connections()
        deadline = time.monotonic() + _LAST_REQUEST_S
        while not self.force_exit and time.monotonic() < deadline and any(map(_is_idle, self.server_state.connections)):
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)
        await self._service.stop()

    async def on_tick(self, counter: int) -> bool:
        """Look after slow connections."""
        if counter % _TICKS_A_SECOND == 0:
            sweep(self.server_state.connections)
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals ourselves: uvicorn would end the process by the same signal, not with 0."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        yield

    async def _take_last_connections(self) -> None:
        """Stop listening, but first take those whose clients already believe that they are connected.

        Closing a listening socket resets what waits in its queue; so a second handle keeps it open until that is empty.
        """
        for server in self.servers:
            server.close()
        with self._listener as listener:
            listener.setblocking(False)
            listener.listen(0)  # no more in the queue than there are
            with contextlib.suppress(BlockingIOError):
                while True:
                    connection, _ = listener.accept()
                    await self._take(connection)
            listener.close()

    async def _take(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client has gone again, or does not speak TLS
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection, ssl=self.config.ssl)

    def _protocol(self) -> asyncio.Protocol:
        make: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return make(config=self.config, server_state=self.server_state, app_state={})

    def _stop(self) -> None:
        if self._service.is_stopping:
            self.should_exit = self.force_exit = True
            return
        self._service.is_stopping = True  # "not ready" from now on, while requests are still answered
        asyncio.get_running_loop().call_later(self._service.settings.drain_delay_s, self._close)
        with contextlib.suppress(OSError):  # whoever read our output may have gone
            sys.stderr.write("imgrec: stopping\n")

    def _close(self) -> None:
        self.should_exit = True

    def _reload(self) -> None:
        task = asyncio.get_running_loop().create_task(self._service.reload())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _is_idle(connection: object) -> bool:
    """Whether a connection has no request under way; its client may be sending one."""
    cycle = getattr(connection, "cycle", None)
    return cycle is None or cycle.response_complete


def _announce(listener: socket.socket, settings: Settings) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    names = ", ".join(name for name, _ in settings.models)
    scheme = "https" if settings.has_tls else "http"
    sys.stderr.write(f"imgrec: serving {names} at {scheme}://{host}:{listener.getsockname()[1]}\n")
    sys.stderr.flush()


def _raise_file_limit() -> None:
    """Take as many open files as the system lets us have: each connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
