"""Clients of an HTTP server, many in one process: each sends whole requests and reads whole responses.

Started as a process of its own, so that it does not share the server's interpreter; about 0.1 ms per request.

    python benchmarks/load_client.py '{"port": 8000, "clients": 64, "seconds": 10, "images": "FOLDER"}'

Prints JSON: for each response [start, seconds, status, Retry-After or null], and the errors of lost requests. Options:

    rate           requests per second in total (an open loop: no client waits for an earlier response)
    path, headers  of the requests
    form           name of the form field in which each image is sent
    live           also request /health/live ten times per second; use 0 clients, as a busy client delays the request
    models         also list the hashes of models in responses
"""

import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

TIMEOUT_S = 60.0


class Client:
    """One connection, opened again when the server has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of the response.

        Raises:
            OSError: No connection.
            EOFError: The server closed the connection.
        """
        if self._streams is not None and self._streams[0].at_eof():  # closed as idle: every HTTP client checks first
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        reader, writer = self._streams
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await reader.readexactly(int(headers["content-length"]))
        except BaseException:
            self.close()
            raise
        if headers.get("connection") == "close":
            self.close()
        return int(head[0].split(" ")[1]), headers, body

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def post(path: str, body: bytes, headers: dict[str, str], *, form: str | None = None) -> bytes:
    """Return the bytes of a request."""
    if form is not None:
        head = f'--edge\r\ncontent-disposition: form-data; name="{form}"; filename="a.jpg"\r\n\r\n'
        body = head.encode() + body + b"\r\n--edge--\r\n"
        headers = {"content-type": "multipart/form-data; boundary=edge", **headers}
    lines = {"host": "127.0.0.1", "content-type": "image/jpeg", "content-length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


class Load:
    """All clients, and the responses they got."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.port, self.options = options["port"], options
        files = sorted(path for path in Path(options["images"]).iterdir() if path.is_file())
        path, headers = options.get("path", "/v1/predict"), options.get("headers", {})
        self.requests = [post(path, file.read_bytes(), headers, form=options.get("form")) for file in files]
        self.responses: list[tuple[float, float, int, str | None]] = []
        self.models: set[str] = set()
        self.lost: list[str] = []
        self.live_s: list[float] = []
        self.started = time.perf_counter()
        self._next = 0

    async def run(self) -> None:
        """Send requests for `seconds`."""
        end = self.started + self.options["seconds"]
        work = self._open(end) if "rate" in self.options else self._closed(end)
        watch = asyncio.create_task(self._watch())
        await work
        await asyncio.sleep(max(0.0, end - time.perf_counter()))
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch

    async def _closed(self, end: float) -> None:
        async def one() -> None:
            client = Client(self.port)
            while time.perf_counter() < end:
                await self._send(client)
            client.close()

        await asyncio.gather(*(one() for _ in range(self.options["clients"])))

    async def _open(self, end: float) -> None:
        """Start a request every 1/rate seconds on a free connection, or on a new one where none is free."""
        free: list[Client] = [Client(self.port) for _ in range(self.options["clients"])]
        tasks: set[asyncio.Task[None]] = set()

        async def one(client: Client) -> None:
            await self._send(client)
            free.append(client)

        due = time.perf_counter()
        while due < end:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            due += 1 / self.options["rate"]
            task = asyncio.create_task(one(free.pop() if free else Client(self.port)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
        for client in free:
            client.close()

    async def _send(self, client: Client) -> None:
        request = self.requests[self._next % len(self.requests)]
        self._next += 1
        started = time.perf_counter()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status, headers, body = await client.send(request)
        except (OSError, EOFError, TimeoutError) as error:
            self.lost.append(type(error).__name__)
            await asyncio.sleep(0.05)
            return
        self.responses.append(
            (started - self.started, time.perf_counter() - started, status, headers.get("retry-after"))
        )
        if status == 200 and self.options.get("models"):
            self.models.add(json.loads(body)["model"]["sha256"])

    async def _watch(self) -> None:
        if not self.options.get("live"):
            return
        client = Client(self.port)
        while True:
            started = time.perf_counter()
            await client.send(b"GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
            self.live_s.append(time.perf_counter() - started)
            await asyncio.sleep(0.1)


def main() -> None:
    load = Load(json.loads(sys.argv[1]))
    asyncio.run(load.run())
    result = {"responses": load.responses, "lost": load.lost, "live_s": load.live_s, "models": sorted(load.models)}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
