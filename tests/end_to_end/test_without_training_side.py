"""The commands that ship, in a Python that has no torch, Lightning, Hydra or albumentations, from start to end."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imgrec.serve.access.audit_log import AuditLog
from imgrec.serve.http import page_files
from project import PROJECT
from serving import Server
from small_bundle import colour_bundle, sample_image

FORBIDDEN = ("torch", "torchvision", "torchmetrics", "pytorch_lightning", "lightning", "lightning_fabric", "hydra")
FORBIDDEN += ("omegaconf", "albumentations")

# Python runs this first in every process that is told of its folder, the decoding processes of a server too.
GUARD = f"""
import sys

class Guard:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {FORBIDDEN!r}:
            with open({{log!r}}, "a") as log:
                log.write(f"{{{{name}}}} by {{{{sys.argv}}}}\\n")
            raise ModuleNotFoundError(f"No module named {{{{name!r}}}}", name=name)

sys.meta_path.insert(0, Guard())
"""


class Bare:
    """Runs commands so, in a folder of their own, and tells what they tried to import."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder / "imports.log"
        (folder / "guard").mkdir()
        (folder / "guard" / "sitecustomize.py").write_text(GUARD.format(log=str(self._log)))
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(folder / "guard"), str(PROJECT)]),
            "OMP_NUM_THREADS": "1",
            "IMGREC_KEYS": str(folder / "keys.json"),
        }

    def run(self, *arguments: object, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-c", "from imgrec.cli import main; main()", *map(str, arguments)]
        done = subprocess.run(
            command, input=data, capture_output=True, cwd=self.folder, env=self.environment, timeout=120
        )
        assert done.returncode == 0, done.stderr.decode()
        return done

    @property
    def tried(self) -> str:
        return self._log.read_text() if self._log.exists() else ""


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Bare]:
    bare = Bare(tmp_path)
    colour_bundle(tmp_path / "m.onnx")
    yield bare
    assert bare.tried == ""


def test_the_guard_keeps_them_out_and_notices(tmp_path: Path):
    bare = Bare(tmp_path)
    program = "try:\n    import torch\nexcept ImportError:\n    print('no torch')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=bare.environment)
    assert done.stdout == "no torch\n"
    assert bare.tried.startswith("torch by")


def test_predict_takes_every_kind_of_input_and_writes_every_kind_of_table(bare: Bare):
    folder = bare.folder
    (folder / "photos").mkdir()
    (folder / "photos" / "a.png").write_bytes(sample_image(255, 0, 0))
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.writestr("b.png", sample_image(0, 255, 0))
    film = cv2.VideoWriter(str(folder / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5.0, (64, 48))
    for _ in range(5):
        film.write(np.full((48, 64, 3), (255, 0, 0), dtype=np.uint8))
    film.release()
    (folder / "list.txt").write_text("photos/a.png\n")
    (folder / "list.csv").write_text("path\nphotos/a.png\n")
    (folder / "list.jsonl").write_text('{"path": "photos/a.png"}\n')
    pq.write_table(pa.table({"path": ["photos/a.png"]}), folder / "list.parquet")
    lists = [argument for kind in ("txt", "csv", "jsonl", "parquet") for argument in ("--list", f"list.{kind}")]
    arguments = ["m.onnx", "photos", "photos/*.png", "more.zip", "film.avi", "-", *lists]
    for output in ("t.csv", "t.jsonl", "t.parquet"):
        bare.run("predict", *arguments, "--top-k", "2", "--output", output, data=sample_image(0, 0, 255))
    assert bare.run("predict", *arguments, data=sample_image(0, 0, 255)).stdout.count(b"\n") == 1 + 9
    predictions = [json.loads(line)["prediction"] for line in (folder / "t.jsonl").read_text().splitlines()]
    assert predictions == ["red", "red", "green", "blue", "blue", *["red"] * 4]


def test_keys_are_made_listed_and_revoked_and_a_log_is_checked(bare: Bare):
    bare.run("keys", "add", "--name", "x", "--scope", "predict", "--expires", "2d", "--rate", "3/s")
    number = bare.run("keys", "list").stdout.decode().splitlines()[1].split()[0]
    bare.run("keys", "revoke", number)
    with closing(AuditLog(bare.folder / "audit.jsonl")) as log:
        log.add({"who": "x"})
    bare.run("keys", "verify-log", "audit.jsonl")


def test_a_server_responds_on_every_route_serves_the_page_and_reloads(bare: Bare):
    arguments = [str(bare.folder / "m.onnx"), "--decoders", "1", "--threads", "1"]
    arguments += ["--audit-log", str(bare.folder / "audit.jsonl")]
    server = Server(bare.folder, arguments, variables=bare.environment)
    try:
        for method, path in (("POST", "/v1/predict"), ("POST", "/v1/explain")):
            assert asked(server, method, path)[0] == 200
        bad = asked(server, "POST", "/v1/predict", body=b"no image")
        assert bad[0] == 415
        facts = ["/v1/models", "/v1/model", "/v1/status", "/v1/openapi.json", "/metrics", "/health/live"]
        folder = Path(page_files.__file__).parents[1] / "page"
        page = [f"/page/{path.name}" for path in folder.iterdir() if path.is_file()]
        assert len(page) > 2
        for path in [*facts, "/health/ready", "/", *page]:
            assert asked(server, "GET", path)[0] == 200, path
        server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 30
        while "reloaded" not in server.text() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert asked(server, "POST", "/v1/predict")[0] == 200
    finally:
        assert server.stop() == 0
    assert "reloaded: m" in server.text()


def asked(server: Server, method: str, path: str, *, body: bytes = sample_image(250, 20, 30)) -> tuple[int, Any]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        headers = {"content-type": "image/png"} if method == "POST" else {}
        connection.request(method, path, body=body if method == "POST" else None, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
