"""A web server on this machine that counts what is asked of it and fails as it is told; and small shards to serve."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from imgrec.data.images.collections import ArrayImages
from imgrec.data.samples import Samples
from imgrec.data.shards.tar_writer import write_tar_shards

CLASSES = ["a", "b", "c"]


class Server:
    """gets: how often each file was sent. faults: what to do instead, by file, one after the other."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.gets: Counter[str] = Counter()
        self.faults: dict[str, list[str]] = {}


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *arguments: Any, server_state: Server, **options: Any) -> None:
        self.state = server_state
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].rpartition("/")[2]
        self.state.gets[name] += 1
        waiting = self.state.faults.get(name)
        fault = waiting.pop(0) if waiting else ""
        if fault.isdigit():
            self.send_error(int(fault))
        elif fault:
            self._send_wrongly(name, fault)
        else:
            super().do_GET()

    def _send_wrongly(self, name: str, fault: str) -> None:
        """Send half ("cut": announced as whole; "short": announced as half), or as many other bytes ("other")."""
        data = Path(self.translate_path(self.path)).read_bytes()
        sent = {"cut": data[: len(data) // 2], "short": data[: len(data) // 2], "other": data[::-1]}[fault]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data if fault == "cut" else sent)))
        self.end_headers()
        self.wfile.write(sent)
        self.close_connection = True

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Serve the files of a folder."""
    state = Server("")
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(_Handler, server_state=state, directory=str(folder))
    ) as http:  # fmt: skip
        state.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield state
        finally:
            http.shutdown()
            thread.join()


def noise_samples(count: int, *, seed: int = 0, side: int = 12) -> Samples:
    """Return images of noise in memory, with three classes in turn and a group for every four."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return Samples(
        names=[f"noise/{seed}/{i:04d}" for i in range(count)],
        images=ArrayImages(pixels),
        labels=np.arange(count, dtype=np.int64) % 3,
        groups=[f"g{i // 4}" for i in range(count)],
    )


def write_noise(folder: Path, **sizes: int) -> dict[str, Samples]:
    """Write shards of about eight images each into a folder; return what is in them."""
    parts = {part: noise_samples(size, seed=seed) for seed, (part, size) in enumerate(sizes.items(), start=1)}
    write_tar_shards(parts, class_names=CLASSES, output=folder, shard_mb=0.035)
    return parts
