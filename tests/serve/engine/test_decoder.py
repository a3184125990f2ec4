"""Images decoded in processes that may die."""

import asyncio
import csv
import io
import json
import os
import struct
import sys
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgrec.data.images.image import read_image
from imgrec.data.images.preprocess import Preprocess
from imgrec.errors import ImgrecError
from imgrec.serve.engine.decoder import DecodeLimits, DecodePool
from imgrec.serve.http.refusals import REFUSALS, Refusal

PREPROCESS = Preprocess(size=32)
SPEC = json.dumps(PREPROCESS.to_dict()).encode()


def encoded(width: int, height: int, kind: str = "PNG") -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


def with_pool(work: Callable[[DecodePool], Awaitable[None]], **options: object) -> None:
    async def run() -> None:
        pool = DecodePool(**{"workers": 1, **options})  # type: ignore[arg-type]
        pool.launch()
        try:
            await pool.connect()
            await work(pool)
        finally:
            await pool.close()

    asyncio.run(asyncio.wait_for(run(), 60))


async def outcome(pool: DecodePool, data: bytes, spec: bytes = SPEC) -> str | np.ndarray:
    try:
        return await pool.decode(data, spec)
    except Refusal as refusal:
        return refusal.code


def worker(tmp_path: Path, body: str) -> list[str]:
    """Return the command of a process that says it is ready and then does `body` with each request."""
    script = tmp_path / "worker.py"
    script.write_text(
        "import os, socket, sys, time\n"
        "connection = socket.socket(fileno=int(sys.argv[1]))\n"
        "connection.sendall(b'R')\n"
        "while connection.recv(1 << 20):\n"
        f"    {body}\n"
    )
    return [sys.executable, str(script)]


def test_every_nasty_file_is_answered_as_its_index_says_and_no_process_is_lost(shared_data: Path):
    folder = shared_data / "nasty"
    rows = list(csv.DictReader((folder / "index.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 100

    async def work(pool: DecodePool) -> None:
        wrong = []
        for row in rows:
            got = await outcome(pool, (folder / "files" / row["file"]).read_bytes())
            is_tiny = bool(row["stored_w"]) and min(int(row["stored_w"]), int(row["stored_h"])) < 8
            expected = "too_small" if is_tiny and row["verdict"] == "accept" else row["verdict"]
            said = "accept" if isinstance(got, np.ndarray) else got
            fits = said != "accept" if expected in ("reject", "unsupported") else said == expected
            if expected != "policy" and not fits:
                wrong.append((row["file"], row["verdict"], said))
            if isinstance(got, np.ndarray):
                assert np.array_equal(got, PREPROCESS(read_image(folder / "files" / row["file"]))), row["file"]
        assert wrong == []
        assert pool.restarts == 0

    with_pool(work)


def test_each_model_brings_its_own_preprocessing():
    async def work(pool: DecodePool) -> None:
        data = encoded(40, 30)
        for preprocess in (Preprocess(size=16), Preprocess(size=(8, 24), mode="letterbox"), Preprocess(size=16)):
            got = await pool.decode(data, json.dumps(preprocess.to_dict()).encode())
            assert np.array_equal(got, preprocess(np.array(Image.open(io.BytesIO(data)))))

    with_pool(work)


def test_an_image_of_another_size_than_a_model_takes_as_it_is_is_refused():
    async def work(pool: DecodePool) -> None:
        spec = json.dumps(Preprocess(size=16, mode="none").to_dict()).encode()
        assert await outcome(pool, encoded(17, 16), spec) == "wrong_size"
        assert isinstance(await outcome(pool, encoded(16, 16), spec), np.ndarray)

    with_pool(work)


def test_more_pixels_than_allowed_are_refused_by_the_header():
    async def work(pool: DecodePool) -> None:
        assert await outcome(pool, encoded(50, 21)) == "too_large"
        assert isinstance(await outcome(pool, encoded(50, 20)), np.ndarray)

    with_pool(work, limits=DecodeLimits(max_pixels=1000))


def test_an_image_that_takes_more_memory_than_allowed_is_refused_and_the_process_lives():
    async def work(pool: DecodePool) -> None:
        header = struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0)
        pixels = zlib.compress(bytes(9000 * (1 + 3 * 9000)), 1)
        chunks = [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]
        data = b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
            for name, body in chunks
        )
        assert await outcome(pool, data) in ("too_large", "damaged", "undecodable")
        assert isinstance(await outcome(pool, encoded(40, 30)), np.ndarray)

    with_pool(work, limits=DecodeLimits(memory_mb=100))


def test_a_process_that_hangs_is_killed_and_replaced(tmp_path: Path):
    async def work(pool: DecodePool) -> None:
        first = pool.pids
        assert await outcome(pool, b"x") == "undecodable"
        assert not Path(f"/proc/{first[0]}").exists()
        assert await outcome(pool, b"x") == "undecodable"
        assert pool.restarts == 2

    with_pool(work, limits=DecodeLimits(timeout_s=0.2), command=worker(tmp_path, "time.sleep(60)"))


def test_an_image_whose_process_dies_is_tried_once_more_and_then_refused(tmp_path: Path):
    async def work(pool: DecodePool) -> None:
        assert await outcome(pool, b"x") == "undecodable"
        assert pool.restarts == 2

    with_pool(work, command=worker(tmp_path, "os.kill(os.getpid(), 11)"))


def test_an_image_whose_process_was_killed_by_something_else_is_answered():
    async def work(pool: DecodePool) -> None:
        os.kill(pool.pids[0], 9)
        assert isinstance(await outcome(pool, encoded(40, 30)), np.ndarray)
        assert pool.restarts == 1

    with_pool(work)


def test_a_process_that_cannot_start_is_said(tmp_path: Path):
    script = tmp_path / "worker.py"
    script.write_text("raise SystemExit(3)")
    with pytest.raises(ImgrecError, match="could not start"):
        with_pool(lambda _: asyncio.sleep(0), command=[sys.executable, str(script)])


def test_closing_leaves_no_process_behind():
    pids: list[int] = []

    async def work(pool: DecodePool) -> None:
        assert len(pool.pids) == 1  # the second comes once the first is ready
        async with asyncio.timeout(10):
            while len(pool.pids) < 2:
                await asyncio.sleep(0.001)
        pids.extend(pool.pids)

    with_pool(work, workers=2)
    assert len(pids) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_decoding_process_knows_no_secret_of_the_server_and_can_write_no_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_PASSWORD", "canary")

    async def work(pool: DecodePool) -> None:
        process = Path(f"/proc/{pool.pids[0]}")
        assert b"canary" not in (process / "environ").read_bytes()
        limits = {line[:25].strip(): line[25:].split()[0] for line in (process / "limits").read_text().splitlines()}
        assert limits["Max file size"] == limits["Max core file size"] == "0"
        assert limits["Max address space"] != "unlimited"
        modules = (process / "maps").read_text()
        assert not any(name in modules for name in ("libtorch", "onnxruntime", "_ssl"))

    with_pool(work)


def test_every_code_of_an_image_has_a_status_and_a_sentence():
    from imgrec.serve.engine.decode_worker import CODES

    assert all(400 <= REFUSALS[code][0] < 500 for code in CODES)
