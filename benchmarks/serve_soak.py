"""Claim: under load and misbehaving clients `imgrec serve` leaks nothing, loses nothing, and mixes up no predictions.

resnet18 at 64 px, photographs, on loopback.

    soak          many requests, 5 % of them bad: memory grows by at most 20 MB after warm-up, open files and threads
                  do not, and every prediction equals that of the bundle itself to 1e-6
    slow clients  500 clients that send headers or a body, or read a response, too slowly: closed within 10 s, other
                  requests are served, at most 50 MB more memory
    restarts      20 times SIGTERM under load: no request is lost, /health/ready responds "not ready" first, and the
                  server exits with 0 within 30 s
    swaps         another model under the same name, under load: every prediction is that of the model whose hash the
                  response names
    isolation     one bad image among 31 good ones fails alone

    python benchmarks/serve_soak.py --images ../shared/data/hymenoptera/val/ants    # results/serve_soak.json; 6 minutes
        [--requests 20000] [--slow 500] [--restarts 20] [--swaps 20]
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from load_client import Client, post
from machine import describe
from serve_load import free_port, imgrec_command, running

from imgrec.data.images.lazy_image import image_from_bytes
from imgrec.deploy.bundle import load_bundle

HERE = Path(__file__).resolve().parent
SIZE_PX = 64
BAD = (b"", b"nonsense", b"\xff\xd8\xff\xe0 cut", b"\x89PNG\r\n\x1a\n", b"<html>")
BAD_STATUSES = {400, 413, 415, 422}
TOLERANCE = 1e-6
_SLOW_S = 20.0
LIMITS = {"memory_growth_mb": 20.0, "slow_memory_mb": 50.0, "slow_closed_s": 10.0, "stop_s": 30.0}

Expected = dict[str, list[dict[str, float]]]  # hash -> for each image the probability of each class


def expected_predictions(models: list[Path], images: list[bytes]) -> Expected:
    """Return the predictions of the bundles themselves."""
    found: Expected = {}
    for model in models:
        bundle = load_bundle(model)
        rows = [bundle.run([bundle.prepare(image_from_bytes(image, name="image"))]) for image in images]
        probabilities = bundle.decisions.probabilities(np.concatenate(rows))
        found[bundle.sha256] = [dict(zip(bundle.class_names, row.tolist(), strict=True)) for row in probabilities]
    return found


class Clients:
    """Clients that send images and compare each prediction with the expected one."""

    def __init__(self, port: int, images: list[bytes], expected: Expected, *, bad_share: float = 0.0) -> None:
        self.port, self.images, self.expected = port, images, expected
        self.outcomes: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.models: Counter[str] = Counter()
        self.is_over = False
        self._count = 0
        self._every = round(1 / bad_share) if bad_share else 0

    async def run(self, clients: int, *, requests: int | None = None) -> None:
        """Send images until there were `requests`, or until `is_over`."""

        async def one() -> None:
            client = Client(self.port)
            while not self.is_over and (requests is None or self._count < requests):
                self._count += 1
                await self._send(client, self._count)
            client.close()

        await asyncio.gather(*(one() for _ in range(clients)))

    async def _send(self, client: Client, number: int) -> None:
        is_bad = bool(self._every) and number % self._every == 0
        index = number % len(self.images)
        data = BAD[number // self._every % len(BAD)] if is_bad else self.images[index]
        started = time.perf_counter()
        try:
            async with asyncio.timeout(60):
                status, _, body = await client.send(post("/v1/predict", data, {}))
        except ConnectionRefusedError:
            self.outcomes["connection refused"] += 1
            await asyncio.sleep(0.05)
        except (OSError, EOFError, TimeoutError) as error:
            self.outcomes[f"lost: {type(error).__name__}"] += 1
        else:
            self.seconds.append(time.perf_counter() - started)
            self.outcomes[self._judge(status, body, index, is_bad=is_bad)] += 1

    def _judge(self, status: int, body: bytes, index: int, *, is_bad: bool) -> str:
        if is_bad:
            return "refused" if status in BAD_STATUSES else f"bad image: {status}"
        if status != 200:
            return str(status)
        content = json.loads(body)
        sha256 = content["model"]["sha256"]
        self.models[sha256[:12]] += 1
        expected = self.expected[sha256][index]
        probabilities = content["predictions"][0]["probabilities"]
        difference = max(abs(value - expected[name]) for name, value in probabilities.items())
        return "correct" if len(probabilities) == len(expected) and difference <= TOLERANCE else "incorrect"


def state(pid: int) -> dict[str, float]:
    """Return memory in MB, open files and threads of a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = {"memory_mb": 0.0, "files": 0.0, "threads": 0.0}
    for one in (str(pid), *children):
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{one}/status").read_text().splitlines() if ":" in line
        )
        found["memory_mb"] += int(status["VmRSS"].split()[0]) / 1000
        found["threads"] += int(status["Threads"])
        found["files"] += len(list(Path(f"/proc/{one}/fd").iterdir()))
    return found


async def soak(clients: Clients, pid: int, requests: int) -> dict[str, Any]:
    """Warm up with a tenth of the requests, then measure the growth of memory, files and threads."""
    await clients.run(16, requests=requests // 10)
    await asyncio.sleep(6.0)  # idle connections are closed
    before = state(pid)
    await clients.run(16, requests=requests)
    await asyncio.sleep(6.0)
    after = state(pid)
    growth = {name: round(after[name] - before[name], 2) for name in before}
    return {"requests": requests, "outcomes": clients.outcomes, "before": before, "growth": growth}


async def slow_clients(clients: Clients, pid: int, count: int) -> dict[str, Any]:
    """Headers that do not end, a body in chunks of one byte, a response that is not read."""
    await clients.run(4, requests=200)
    alone, clients.seconds = clients.seconds, []
    await asyncio.sleep(1.0)
    before = state(pid)
    others = asyncio.create_task(clients.run(4))
    started = time.monotonic()
    seen: list[tuple[float, dict[str, float]]] = []
    watch = asyncio.create_task(watch_state(pid, seen))
    closed = await asyncio.gather(*(slow_client(clients.port, number % 3) for number in range(count)))
    watch.cancel()
    clients.is_over = True
    await others
    # Counted by the files of the server: a client that reads nothing does not notice that it was disconnected.
    held = [when - started for when, one in seen if one["files"] > before["files"] + 4]
    return {
        "clients": count,
        "clients_noticed_after_s": round(statistics.median(closed), 2),
        "all_closed_after_s": round(max(held, default=0.0), 2),
        "memory_growth_mb": round(max(one["memory_mb"] for _, one in seen) - before["memory_mb"], 2),
        "others": {
            "outcomes": clients.outcomes,
            "p95_s_alone": round(float(np.percentile(alone, 95)), 4),
            "p95_s_beside_them": round(float(np.percentile(clients.seconds, 95)), 4),
        },
    }


async def watch_state(pid: int, found: list[tuple[float, dict[str, float]]]) -> None:
    """Record the state of the server twice a second, until cancelled."""
    while True:
        found.append((time.monotonic(), state(pid)))
        await asyncio.sleep(0.5)


async def slow_client(port: int, kind: int) -> float:
    """Be slow until the server disconnects, or for 20 s; return the seconds since the connection."""
    starts = (
        b"GET /v1/models HTTP/1.1\r\nhost: [::1]\r\nx-a: ",
        b"POST /v1/predict HTTP/1.1\r\nhost: [::1]\r\ncontent-type: image/png\r\ntransfer-encoding: chunked\r\n\r\n",
        b"GET /v1/openapi.json HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n" * 8,
    )
    drops = (b"x", b"1\r\nx\r\n", b"")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", port))
    started = time.monotonic()
    try:
        await loop.sock_sendall(connection, starts[kind])
        while time.monotonic() - started < _SLOW_S:
            await asyncio.sleep(0.25)
            await loop.sock_sendall(connection, drops[kind])
            if kind < 2:
                try:
                    if not connection.recv(1000):
                        break
                except BlockingIOError:
                    continue
    except OSError:
        pass
    finally:
        connection.close()
    return time.monotonic() - started


def restarts(model: Path, folder: Path, images: list[bytes], expected: Expected, count: int) -> dict[str, Any]:
    """SIGTERM under load, `count` times, on one port."""
    port = free_port()
    outcomes: Counter[str] = Counter()
    codes: list[int] = []
    seconds: list[float] = []
    num_not_ready = 0

    async def one(process: subprocess.Popen[bytes]) -> bool:
        clients = Clients(port, images, expected)
        work = asyncio.create_task(clients.run(8))
        await asyncio.sleep(1.0)
        process.send_signal(signal.SIGTERM)
        is_reported = False
        while process.poll() is None:
            try:
                status, _, _ = await Client(port).send(b"GET /health/ready HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
                is_reported = is_reported or status == 503
            except (OSError, EOFError):
                await asyncio.sleep(0.02)
        clients.is_over = True
        await work
        outcomes.update(clients.outcomes)
        return is_reported

    for _ in range(count):
        with running(
            imgrec_command(model, port, folder, "--output", "full"), port=port, path="/health/ready"
        ) as process:
            started = time.monotonic()
            num_not_ready += asyncio.run(one(process))
            seconds.append(time.monotonic() - started - 1.0)
            codes.append(process.returncode)
    return {
        "restarts": count,
        "outcomes": outcomes,
        "exit_codes": Counter(map(str, codes)),
        "longest_stop_s": round(max(seconds), 2),
        "reported_not_ready": num_not_ready,
    }


async def swaps(clients: Clients, pid: int, models: list[Path], served: Path, count: int) -> dict[str, Any]:
    """Another model under the same name, `count` times, under load."""
    work = asyncio.create_task(clients.run(8))
    for number in range(count):
        await asyncio.sleep(0.5)
        shutil.copy(models[(number + 1) % 2], served.with_suffix(".part"))
        os.replace(served.with_suffix(".part"), served)  # noqa: PTH105
        before = sum(clients.models.values())
        os.kill(pid, signal.SIGHUP)
        while sum(clients.models.values()) < before + 40 and not work.done():
            await asyncio.sleep(0.05)
    await asyncio.sleep(1.0)
    clients.is_over = True
    await work
    return {"swaps": count, "outcomes": clients.outcomes, "responses_by_model": clients.models}


async def isolation(port: int, images: list[bytes], expected: Expected) -> dict[str, Any]:
    """32 images at once, one of them bad."""
    outcomes: Counter[str] = Counter()
    for _ in range(10):
        clients = Clients(port, images, expected, bad_share=1 / 32)
        await clients.run(32, requests=32)
        outcomes.update(clients.outcomes)
    return {"batches": 10, "outcomes": outcomes}


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    models = [folder / "a.onnx", folder / "b.onnx"]
    for seed, model in enumerate(models, start=1):
        command = [sys.executable, str(HERE / "serving_bundle.py"), str(model), str(seed), str(SIZE_PX)]
        subprocess.run(command, check=True, capture_output=True)
    images = [path.read_bytes() for path in sorted(arguments.images.iterdir()) if path.is_file()][:64]
    expected = expected_predictions(models, images)
    served = folder / "served.onnx"
    shutil.copy(models[0], served)
    found: dict[str, Any] = {}
    port = free_port()
    command = imgrec_command(served, port, folder, "--output", "full")
    with running(command, port=port, path="/health/ready") as process:
        clients = Clients(port, images, expected, bad_share=0.05)
        found["soak"] = asyncio.run(soak(clients, process.pid, arguments.requests))
        print(found["soak"], flush=True)
        found["slow clients"] = asyncio.run(slow_clients(Clients(port, images, expected), process.pid, arguments.slow))
        print(found["slow clients"], flush=True)
        found["isolation"] = asyncio.run(isolation(port, images, expected))
        clients = Clients(port, images, expected)
        found["swaps"] = asyncio.run(swaps(clients, process.pid, models, served, arguments.swaps))
        print(found["isolation"], found["swaps"], flush=True)
    found["restarts"] = restarts(models[0], folder, images, expected, arguments.restarts)
    print(found["restarts"], flush=True)
    return found


def verdict(found: dict[str, Any]) -> dict[str, bool]:
    """Return what holds."""
    soaked, slow, stops = found["soak"], found["slow clients"], found["restarts"]
    growth = soaked["growth"]
    return {
        "soak: memory": growth["memory_mb"] <= LIMITS["memory_growth_mb"],
        "soak: files and threads": growth["files"] <= 0 and growth["threads"] <= 0,
        "soak: predictions": set(soaked["outcomes"]) == {"correct", "refused"},
        "slow clients: closed": slow["all_closed_after_s"] <= LIMITS["slow_closed_s"],
        "slow clients: memory": slow["memory_growth_mb"] <= LIMITS["slow_memory_mb"],
        "slow clients: others": set(slow["others"]["outcomes"]) == {"correct"},
        "restarts: nothing lost": set(stops["outcomes"]) <= {"correct", "connection refused"}
        and set(stops["exit_codes"]) == {"0"},
        "restarts: not ready first": stops["reported_not_ready"] == stops["restarts"],
        "restarts: in time": stops["longest_stop_s"] <= LIMITS["stop_s"],
        "swaps": set(found["swaps"]["outcomes"]) == {"correct"} and len(found["swaps"]["responses_by_model"]) == 2,
        "isolation": found["isolation"]["outcomes"] == {"correct": 310, "refused": 10},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder of image files")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--slow", type=int, default=500)
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--swaps", type=int, default=20)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "serve_soak.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = measure(arguments, Path(name))
    result = {"machine": describe(), **found, "limits": LIMITS, "holds": verdict(found)}
    print(json.dumps(result["holds"], indent=1))
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
