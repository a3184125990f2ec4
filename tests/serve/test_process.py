"""A server as its user starts it: a process, signals, sockets."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from imgrec.deploy.bundle import load_bundle
from imgrec.serve.access.keys import add_key, revoke_key
from project import PROJECT
from serving import Server, started
from small_bundle import colour_bundle, sample_image

RED = sample_image(250, 20, 30)
HEADERS = {"content-type": "image/png"}
LOOPBACK = "0100007F"  # as /proc/net/tcp writes it


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("process")


def arguments(folder: Path, *more: str) -> list[str]:
    return [f"colours={folder / 'colours.onnx'}", "--keys", str(folder / "keys.json"), "--decoders", "1", *more]


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    colour_bundle(folder / "colours.onnx")
    with started(folder, arguments(folder, "--max-body-mb", "1")) as server:
        yield server


def ask(
    server: Server, method: str = "POST", path: str = "/v1/predict", *, body: bytes | None = RED, **headers: str
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path, body=body if method == "POST" else None, headers={**HEADERS, **headers})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


class Load:
    """Clients that ask without a pause, each on a connection that it keeps as long as it may."""

    def __init__(self, server: Server, clients: int = 6) -> None:
        self.outcomes: Counter[str] = Counter()
        self.models: list[tuple[str, str]] = []  # (hash, label)
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(server.port,)) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(60)

    def wait_for(self, responses: int) -> None:
        deadline = time.monotonic() + 60
        while len(self.models) < responses and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(self.models) >= responses, self.outcomes

    def _run(self, port: int) -> None:
        connection = None
        while not self._is_over.is_set():
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                try:
                    connection.connect()
                except OSError:
                    self.outcomes["nobody listens"] += 1
                    return
            try:
                connection.request("POST", "/v1/predict", body=RED, headers=HEADERS)
                response = connection.getresponse()
                body = json.loads(response.read())
            except (OSError, http.client.HTTPException) as error:
                self.outcomes[f"lost: {type(error).__name__}"] += 1
                connection = None
                continue
            self.outcomes[str(response.status)] += 1
            if response.status == 200:
                self.models.append((body["model"]["sha256"], body["predictions"][0]["prediction"]))
            if response.will_close:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()


def listening(pid: int) -> set[str]:
    """Return the addresses on which a process listens."""
    inodes = {link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes}


def test_it_serves_and_listens_to_this_machine_alone(server: Server):
    status, body = ask(server)
    assert (status, body["predictions"][0]["prediction"]) == (200, "red")
    assert listening(server.process.pid) == {LOOPBACK}


def test_nothing_of_the_training_side_is_in_the_process(server: Server):
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "onnxruntime" in maps
    assert not any(name in maps for name in ("libtorch", "/scipy/", "/pandas/", "/sklearn/", "/pyarrow/"))


def test_a_lost_decoding_process_costs_nothing(server: Server):
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    assert ask(server)[0] == 200


def test_a_body_is_cut_off_at_its_limit_while_it_comes(server: Server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(
            b"POST /v1/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/png\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        piece = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        sent = 0
        with pytest.raises(
            (ConnectionError, TimeoutError)
        ):  # the server hangs up in the middle of a stream without end
            while sent < 200_000_000:
                client.sendall(piece)
                sent += len(piece)
    assert sent < 20_000_000  # 1 MB, and what lay in the buffers of two sockets
    assert ask(server)[0] == 200


def test_slow_clients_are_hung_up_on_and_others_do_not_notice(server: Server):
    head = b"POST /v1/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/png\r\n"
    starts = [b"", b"GET / HT", head, head + b"content-length: 3000\r\n\r\n" + b"x" * 10]
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(40)]
    began = time.monotonic()
    for number, client in enumerate(slow):
        client.sendall(starts[number % 4])
        client.setblocking(False)
    open_ones = set(slow)
    responses = 0
    while open_ones and time.monotonic() - began < 30:
        for client in list(open_ones):
            try:
                if not client.recv(1000):
                    open_ones.discard(client)
                    client.close()
                elif client in slow[1::4] + slow[2::4] + slow[3::4]:
                    client.send(b"x")  # one more byte now and then is still too slow
            except BlockingIOError:
                continue
            except ConnectionError:
                open_ones.discard(client)
                client.close()
        assert ask(server)[0] == 200
        responses += 1
        time.sleep(0.2)
    assert not open_ones
    assert responses > 5


def test_many_requests_before_the_first_response_are_refused(server: Server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n" * 300)
        received = b""
        with suppress(ConnectionError):
            while piece := client.recv(65_536):
                received += piece
    assert received.count(b"HTTP/1.1 200") < 20
    assert ask(server)[0] == 200


def test_headers_without_end_are_refused(server: Server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        with pytest.raises(ConnectionError):
            while True:
                client.sendall(b"a: " + b"b" * 1000 + b"\r\n")
                time.sleep(0.001)


def test_a_reload_loses_no_request_and_mixes_no_two_models(server: Server, folder: Path):
    first = load_bundle(folder / "colours.onnx").sha256
    other = colour_bundle(folder / "other.onnx", names=("rot", "gelb", "blau"))
    second = load_bundle(other).sha256
    with Load(server) as load:
        load.wait_for(30)
        os.replace(other, folder / "colours.onnx")  # noqa: PTH105
        server.process.send_signal(signal.SIGHUP)
        wait_for_text(server, "reloaded: colours " + second[:12])
        load.wait_for(len(load.models) + 60)
    assert set(load.outcomes) == {"200"}
    assert set(load.models) == {(first, "red"), (second, "rot")}


def test_a_reload_of_a_damaged_file_changes_nothing(server: Server, folder: Path):
    good = (folder / "colours.onnx").read_bytes()
    before = ask(server)[1]["model"]
    (folder / "colours.onnx").write_bytes(good[:-10])
    server.process.send_signal(signal.SIGHUP)
    wait_for_text(server, "nothing was reloaded")
    assert ask(server)[1]["model"] == before
    (folder / "colours.onnx").write_bytes(good)


def test_a_revoked_key_fails_at_the_next_request(folder: Path):
    colour_bundle(folder / "colours.onnx")
    keys = folder / "own-keys.json"
    key, secret = add_key(keys, name="x", scopes=["predict"])
    with started(folder, [*arguments(folder), "--keys", str(keys)], tag="keys") as server:
        assert ask(server, "GET", "/v1/models")[0] == 401
        assert ask(server, "GET", "/v1/models", authorization=f"Bearer {secret}")[0] == 200
        revoke_key(keys, key.id)
        assert ask(server, "GET", "/v1/models", authorization=f"Bearer {secret}")[0] == 401
        assert secret.split("_", 2)[2] not in server.text()


def test_told_to_stop_it_says_so_serves_what_it_has_and_ends_with_0(folder: Path):
    colour_bundle(folder / "colours.onnx")
    ready: list[int] = []
    with started(folder, arguments(folder), tag="stop") as server, Load(server) as load:
        load.wait_for(30)
        server.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 30
        while server.process.poll() is None and time.monotonic() < deadline:
            try:
                ready.append(ask(server, "GET", "/health/ready")[0])
            except OSError:
                break
        assert server.process.wait(timeout=40) == 0
    assert 503 in ready, "not ready before it is gone"
    assert set(load.outcomes) == {"200", "nobody listens"}
    assert "Traceback" not in server.text()


def test_a_second_signal_ends_it_at_once(folder: Path):
    colour_bundle(folder / "colours.onnx")
    with started(folder, arguments(folder), tag="twice") as server:
        server.process.send_signal(signal.SIGINT)
        wait_for_text(server, "stopping")
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(timeout=20) == 0


def test_it_stops_also_when_nobody_reads_what_it_says(folder: Path):
    colour_bundle(folder / "colours.onnx")
    command = [sys.executable, "-c", "from imgrec.cli import main; main()", "serve", *arguments(folder), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, cwd=PROJECT, start_new_session=True) as process:
        assert process.stderr is not None
        assert b"serving" in process.stderr.readline()
        process.stderr.close()
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()


def refused(*arguments: str) -> str:
    program = "from imgrec.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "serve", *arguments], capture_output=True, text=True, cwd=PROJECT, timeout=60
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_what_keeps_it_from_starting_is_said(folder: Path, server: Server):
    colour_bundle(folder / "colours.onnx")
    path = folder / "colours.onnx"
    none = ["--keys", str(folder / "none.json")]
    assert "has no valid key" in refused(str(path), "--host", "0.0.0.0", *none)
    assert "Address already in use" in refused(str(path), "--port", str(server.port), *none)
    assert "cannot be read" in refused(str(folder / "absent.onnx"), "--port", "0", *none)
    assert "has no reject rule 'risk_6'. Did you mean 'risk_5'?" in refused(str(path), "--reject", "risk_6", *none)
    assert "is not a whole number of 1 to 1024" in refused(str(path), "--max-batch", "0")


def test_a_missing_package_is_named_with_its_extra_and_nothing_stays_behind(folder: Path):
    path = colour_bundle(folder / "colours.onnx")
    arguments = ["imgrec", "serve", str(path), "--port", "0", "--keys", str(folder / "none.json")]
    program = (
        f"import sys; sys.modules['fastapi'] = None; sys.argv = {arguments!r}\nfrom imgrec.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=PROJECT, timeout=60)
    assert done.returncode == 2
    assert "fastapi" in done.stderr and 'pip install "imgrec[serve]"' in done.stderr
    assert "Traceback" not in done.stderr


def wait_for_text(server: Server, text: str) -> None:
    deadline = time.monotonic() + 30
    while text not in server.text():
        assert time.monotonic() < deadline, server.text()
        time.sleep(0.01)
