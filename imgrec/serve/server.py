"""The process: starts, says where it listens, reloads on SIGHUP, and stops without losing what it has taken on."""

import asyncio
import contextlib
import logging
import resource
import signal
import sys
from collections.abc import Iterator

import uvicorn

from imgrec.errors import ConfigError, ImgrecError
from imgrec.serve.app import make_app
from imgrec.serve.deadlines import limited, sweep
from imgrec.serve.service import Service
from imgrec.serve.settings import Settings

__all__ = ["run"]

_TICKS_A_SECOND = 10  # of uvicorn's main loop


def run(service: Service) -> None:
    """Serve until told to stop by SIGTERM or SIGINT; a second one ends at once. Raises: ImgrecError."""
    _raise_file_limit()
    for name in ("uvicorn.error", "python_multipart"):  # else every malformed request of a stranger is a line
        logging.getLogger(name).setLevel(logging.ERROR)
    settings = service.settings
    config = uvicorn.Config(
        make_app(service),
        host=settings.host,
        port=settings.port,
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
        backlog=2048,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    server = _Server(config, service)
    try:
        server.run()
    except SystemExit:  # uvicorn's way of saying that the address cannot be had
        raise ConfigError(
            f"Cannot listen on {settings.host} port {settings.port}: it is in use, or not an address of this machine. "
            "Give another --port or --host."
        ) from None
    if server.error is not None:
        raise server.error


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.error: ImgrecError | None = None
        self._service = service
        self._tasks: set[asyncio.Task[bool]] = set()

    async def startup(self, sockets: object = None) -> None:
        """Get ready, then listen, then say so."""
        try:
            await self._service.start()
        except ImgrecError as error:
            self.error = error
            self.should_exit = True
            return
        await super().startup()
        _announce(self, self._service.settings)

    async def shutdown(self, sockets: object = None) -> None:
        """Stop listening, wait for the answers, end the processes."""
        await super().shutdown()
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

    def _stop(self) -> None:
        if self._service.is_stopping:
            self.should_exit = self.force_exit = True
            return
        self._service.is_stopping = True  # "not ready" from now on, while requests are still answered
        sys.stderr.write("imgrec: stopping\n")
        asyncio.get_running_loop().call_later(self._service.settings.drain_delay_s, self._close)

    def _close(self) -> None:
        self.should_exit = True

    def _reload(self) -> None:
        task = asyncio.get_running_loop().create_task(self._service.reload())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _announce(server: uvicorn.Server, settings: Settings) -> None:
    port = server.servers[0].sockets[0].getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    names = ", ".join(name for name, _ in settings.models)
    scheme = "https" if settings.has_tls else "http"
    sys.stderr.write(f"imgrec: serving {names} at {scheme}://{host}:{port}\n")
    sys.stderr.flush()


def _raise_file_limit() -> None:
    """Take as many open files as the system lets us have: each connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
