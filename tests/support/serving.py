"""Servers for tests: one within the test's process, and one as a process of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from starlette.testclient import TestClient

from imgrec.serve.engine.service import Service
from imgrec.serve.http.app import make_app
from imgrec.serve.settings import Settings
from project import PROJECT
from small_bundle import colour_bundle

START_S = 60.0


def make_settings(folder: Path, **changes: object) -> Settings:
    """Return settings for a server with one model, `colours`, and two decoding processes."""
    path = folder / "colours.onnx"
    models = [("colours", path if path.exists() else colour_bundle(path))]
    values = {"models": models, "keys": folder / "keys.json", "port": 0, "decode_workers": 1, "threads": 1, **changes}
    return Settings(**values)  # type: ignore[arg-type]


@contextmanager
def inside(settings: Settings) -> Iterator[tuple[TestClient, Service]]:
    """Give a client of a server in this process, and the server."""
    service = Service(settings)
    service.launch()
    try:
        service.load()
        with TestClient(make_app(service), base_url="http://127.0.0.1", client=("10.0.0.1", 1)) as client:
            assert client.portal is not None
            client.portal.call(service.start)
            try:
                yield client, service
            finally:
                client.portal.call(service.stop)
    finally:
        service.pool.kill()


class Server:
    """A server as its user starts it: `imgrec serve ...` on a free port. variables: of its environment."""

    def __init__(
        self, folder: Path, arguments: Sequence[str], *, tag: str = "server", variables: Mapping[str, str] | None = None
    ) -> None:
        self.log = folder / f"{tag}.log"
        environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", **(variables or {})}
        command = [sys.executable, "-c", "from imgrec.cli import main; main()", "serve", *arguments, "--port", "0"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=PROJECT, env=environment, start_new_session=True
            )
        self.port = self._wait()

    def _wait(self) -> int:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(r"imgrec: serving .* at https?://\S+:(\d+)", self.text()):
                return int(found[1])
            time.sleep(0.02)
        self.process.kill()
        raise AssertionError(f"the server did not start:\n{self.text()}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def text(self) -> str:
        """Return what the server has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=40)
        finally:
            self.process.kill()


@contextmanager
def started(folder: Path, arguments: Sequence[str], *, tag: str = "server") -> Iterator[Server]:
    """Give a running server, and stop it."""
    server = Server(folder, arguments, tag=tag)
    try:
        yield server
    finally:
        server.stop()
