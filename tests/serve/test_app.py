"""The HTTP interface: what a request gets."""

import base64
import csv
import io
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from imgrec.data.images.lazy_image import image_from_bytes
from imgrec.deploy.bundle import load_bundle
from imgrec.serve.access.keys import add_key
from imgrec.serve.engine.service import Service
from imgrec.serve.http.upload import UploadLimits
from serving import inside, make_settings
from small_bundle import COLOURS, RULE, SIZE_PX, colour_bundle, sample_image

RED, GREEN, GRAY = sample_image(250, 20, 30), sample_image(20, 250, 30), sample_image(90, 90, 90)
JPEG = {"content-type": "image/jpeg"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("serve")


@pytest.fixture(scope="module")
def pair(folder: Path) -> Iterator[tuple[TestClient, Service]]:
    second = colour_bundle(folder / "second.onnx", names=("rot", "grün", "<b>"), sharpness=0.2)
    models = [("colours", colour_bundle(folder / "colours.onnx")), ("farben", second)]
    upload = UploadLimits(max_bytes=1_000_000, max_images=4)
    with inside(make_settings(folder, models=models, output="full", upload=upload)) as pair:
        yield pair


@pytest.fixture
def client(pair: tuple[TestClient, Service]) -> TestClient:
    return pair[0]


def predict(client: TestClient, data: bytes, **parameters: str) -> dict[str, Any]:
    response = client.post("/v1/predict", content=data, headers=JPEG, params=parameters)
    assert response.status_code == 200, response.text
    return response.json()  # type: ignore[no-any-return]


def files(*images: bytes) -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("image", ("x.png", image, "image/png")) for image in images]


# Predictions


def test_an_image_as_it_is_gets_one_prediction(client: TestClient):
    body = predict(client, RED)
    assert body["model"]["name"] == "colours"
    (one,) = body["predictions"]
    assert (one["index"], one["prediction"], one["rejected"]) == (0, "red", {RULE: False})
    assert re.fullmatch("[0-9a-f]{16}", body["id"])


def test_the_response_is_that_of_the_bundle_itself(client: TestClient, folder: Path):
    rng = np.random.default_rng(1)
    bundle = load_bundle(folder / "colours.onnx")
    for kind in ("PNG", "JPEG", "WEBP"):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (77, 53, 3), dtype=np.uint8)).save(buffer, kind)
        data = buffer.getvalue()
        expected = bundle.decisions.probabilities(bundle.run([bundle.prepare(image_from_bytes(data, name="x"))]))[0]
        got = predict(client, data)["predictions"][0]["probabilities"]
        assert np.allclose([got[name] for name in COLOURS], expected, rtol=0, atol=1e-6)


def test_several_images_are_answered_in_their_order(client: TestClient):
    response = client.post("/v1/predict", files=files(GREEN, RED, GRAY))
    found = [(one["index"], one["prediction"], one["rejected"][RULE]) for one in response.json()["predictions"]]
    assert found[:2] == [(0, "green", False), (1, "red", False)]
    assert found[2][2] is True, "no colour of gray is likely"


def test_one_bad_image_of_several_has_an_error_and_the_others_their_predictions(client: TestClient):
    response = client.post("/v1/predict", files=files(RED, b"nonsense", GREEN))
    assert response.status_code == 200
    first, second, third = response.json()["predictions"]
    assert (first["prediction"], third["prediction"]) == ("red", "green")
    assert second == {"index": 1, "error": "not_an_image", "detail": "This is not an image file."}


def test_a_model_is_asked_by_name_and_named_with_its_hash(client: TestClient, folder: Path):
    body = predict(client, RED, model="farben")
    assert body["predictions"][0]["prediction"] == "rot"
    assert body["model"] == {"name": "farben", "sha256": load_bundle(folder / "second.onnx").sha256}
    response = client.post("/v1/predict", content=RED, headers=JPEG, params={"model": "lung"})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "unknown_model")


def test_less_of_an_response_can_be_asked_for(client: TestClient):
    assert predict(client, RED, output="label")["predictions"] == [
        {"index": 0, "prediction": "red", "rejected": {RULE: False}}
    ]
    assert predict(client, RED, output="topk")["predictions"][0]["top_classes"] == ["red", "blue", "green"]


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/explain"])
def test_a_kind_of_response_that_is_none_is_refused_and_not_taken_for_the_most(client: TestClient, path: str):
    response = client.post(path, content=RED, headers=JPEG, params={"output": "lable"})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "bad_request")


def test_many_clients_at_once_get_each_their_own_response(client: TestClient):
    colours = [np.random.default_rng(number).permutation([250, 120, 10]).tolist() for number in range(60)]
    images = [sample_image(*colour) for colour in colours]
    with ThreadPoolExecutor(12) as pool:
        labels = list(pool.map(lambda image: predict(client, image)["predictions"][0]["prediction"], images))
    assert labels == [COLOURS[int(np.argmax(colour))] for colour in colours]


# What cannot be answered


def test_each_of_the_nasty_files_is_answered_or_refused_as_its_index_says(client: TestClient, shared_data: Path):
    folder = shared_data / "nasty"
    rows = list(csv.DictReader((folder / "index.csv").read_text(encoding="utf-8").splitlines()))
    wrong = []
    for row in rows:
        response = client.post("/v1/predict", content=(folder / "files" / row["file"]).read_bytes(), headers=JPEG)
        is_tiny = bool(row["stored_w"]) and min(int(row["stored_w"]), int(row["stored_h"])) < 8
        if row["verdict"] == "accept":
            fits = response.status_code == (422 if is_tiny else 200)
        elif row["verdict"] == "policy":
            fits = response.status_code in (200, 422)
        else:
            fits = response.status_code in (400, 413, 415, 422)
        if not fits:
            wrong.append((row["file"], row["verdict"], response.status_code))
    assert len(rows) == 100
    assert wrong == []
    assert client.get("/health/live").status_code == 200


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"<html>", 415, "not_an_image"),
        (b"%PDF-1.7", 415, "unsupported"),
        (sample_image(1, 2, 3, size=(300, 300), kind="JPEG")[:-900], 422, "truncated"),
        (sample_image(1, 2, 3)[:30], 422, "damaged"),
        (sample_image(1, 2, 3, size=(1, 1)), 422, "too_small"),
        (sample_image(1, 2, 3, size=(1, 20_000)), 422, "too_small"),
        (b"", 400, "no_image"),
    ],
)
def test_a_bad_image_is_refused_by_status_and_code(client: TestClient, data: bytes, status: int, code: str):
    response = client.post("/v1/predict", content=data, headers=JPEG)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/explain"])
@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"content": b"x" * 1_000_001, "headers": JPEG}, 413, "body_too_large"),
        ({"content": iter([b"x" * 100_000] * 20), "headers": JPEG}, 413, "body_too_large"),
        ({"files": files(RED, RED, RED, RED, RED)}, 413, "too_many_images"),
        ({"json": {"url": "http://127.0.0.1/x.png"}}, 415, "unsupported_media"),
        ({"content": b"x"}, 415, "unsupported_media"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=a"}}, 400, "bad_request"),
        ({"data": {"image": "x"}}, 415, "unsupported_media"),
    ],
)
def test_a_bad_request_is_refused_by_status_and_code(
    client: TestClient, path: str, options: dict[str, Any], status: int, code: str
):
    if isinstance(options.get("content"), Iterator):
        options = {**options, "content": iter([b"x" * 100_000] * 20)}
    response = client.post(path, **options)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_paths_and_methods_that_are_not_there_are_refused_alike(client: TestClient):
    assert client.get("/v1/nothing").json()["error"]["code"] == "not_found"
    assert client.get("/v1/predict").json()["error"]["code"] == "method_not_allowed"
    for path in ("/docs", "/redoc", "/openapi.json", "/page/../app.py", "/page/%2e%2e%2fapp.py", "/page/none.js"):
        assert client.get(path).status_code == 404


def test_a_fault_of_ours_says_an_id_and_nothing_else(
    client: TestClient,
    pair: tuple[TestClient, Service],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    async def fail(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("".join(["sec", "ret of /etc/passwd (1, 3, 224, 224)"]))

    monkeypatch.setattr(pair[1], "predict", fail)
    response = client.post("/v1/predict", content=RED, headers=JPEG)
    assert response.status_code == 500
    error = response.json()["error"]
    assert error == {"code": "internal", "message": "Something went wrong. Report the id.", "id": error["id"]}
    log = capfd.readouterr().err
    assert f"request {error['id']} failed: RuntimeError" in log
    assert "secret" not in log


def test_no_refusal_tells_a_path_a_trace_a_shape_or_a_version(client: TestClient):
    requests: list[dict[str, Any]] = [
        {"content": data, "headers": JPEG}
        for data in (b"x", sample_image(1, 2, 3)[:40], sample_image(1, 2, 3, size=(1, 9)))
    ]
    requests += [
        {"content": bytes([number]) * 50, "headers": {"content-type": f"multipart/form-data; boundary={number}"}}
        for number in range(60)
    ]
    requests += [{"files": files(b"x")}, {"json": {}}, {"params": {"model": "../x"}, "content": RED, "headers": JPEG}]
    for request in requests:
        response = client.post("/v1/predict", **request)
        assert response.status_code >= 400
        assert set(response.json()["error"]) == {"code", "message", "id"}
        said = response.text.replace(response.json()["error"]["id"], "").replace("multipart/form-data", "")
        assert not re.search(
            r"/|\\\\|Traceback|\.py|line \d|\d+\.\d+|[(\[]\d|python|uvicorn|fastapi|onnx|pillow", said, re.I
        ), said
        assert "server" not in response.headers


# Limits


def test_when_there_is_no_room_requests_are_told_when_to_try_again(
    client: TestClient, pair: tuple[TestClient, Service]
):
    admission = pair[1].admission
    with admission.enter(1000):
        response = client.post("/v1/predict", content=RED, headers=JPEG)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "busy")
    assert int(response.headers["retry-after"]) >= 1
    assert client.post("/v1/predict", content=RED, headers=JPEG).status_code == 200


def test_a_key_has_its_own_rate_budget_output_and_models(tmp_path: Path):
    keys = tmp_path / "keys.json"
    second = colour_bundle(tmp_path / "second.onnx", sharpness=0.3)
    models = [("colours", colour_bundle(tmp_path / "colours.onnx")), ("second", second)]
    _, slow = add_key(keys, name="slow", scopes=["predict"], rate=(2, 3600.0))
    _, poor = add_key(keys, name="poor", scopes=["predict", "explain"], daily=3, output="label", models=["second"])
    with inside(make_settings(tmp_path, models=models)) as (client, _):

        def ask(secret: str, count: int = 1, **parameters: str) -> Any:
            headers = {"authorization": f"Bearer {secret}"}
            return client.post("/v1/predict", files=files(*[RED] * count), headers=headers, params=parameters)

        responses = [ask(slow) for _ in range(3)]
        assert [response.status_code for response in responses] == [200, 200, 429]
        assert responses[2].json()["error"]["code"] == "rate_limited"
        assert 3500 < int(responses[2].headers["retry-after"]) <= 3600

        assert ask(poor, 2, output="full").json()["predictions"][0] == {
            "index": 0,
            "prediction": "red",
            "rejected": {RULE: False},
        }
        assert ask(poor, 2).json()["error"]["code"] == "budget_used_up"
        assert ask(poor, model="colours").json()["error"]["code"] == "unknown_model"
        shown = client.get("/v1/models", headers={"x-api-key": poor}).json()["models"]
        assert [(one["name"], one["output"]) for one in shown] == [("second", "label")]
        explained = client.post("/v1/explain", content=RED, headers={**JPEG, "x-api-key": poor}).json()
        assert explained["prediction"] == {"index": 0, "prediction": "red", "rejected": {RULE: False}}
        assert ask(poor).json()["error"]["code"] == "budget_used_up"
    with inside(make_settings(tmp_path, models=models)) as (client, _):
        assert ask(poor).json()["error"]["code"] == "budget_used_up", "a restart gives nothing back"


# Explanations


def test_an_explanation_is_the_prediction_and_an_image_of_what_the_network_saw(client: TestClient):
    halves = Image.new("RGB", (160, 160), (90, 90, 90))
    halves.paste((255, 40, 40), (0, 0, 80, 160))
    buffer = io.BytesIO()
    halves.save(buffer, "PNG")
    body = client.post("/v1/explain", content=buffer.getvalue(), headers=JPEG).json()
    assert body["explained_class"] == body["prediction"]["prediction"] == "red"
    heat = np.array(Image.open(io.BytesIO(base64.b64decode(body["saliency_map"]))).convert("RGB"), dtype=float)
    assert heat.shape == (SIZE_PX, SIZE_PX, 3)
    warmth = heat[..., 0] - heat[..., 2]
    assert warmth[:, : SIZE_PX // 2].mean() > 5 * abs(warmth[:, SIZE_PX // 2 + 2 :].mean())


def test_what_the_network_cannot_predict_is_not_explained_and_explanations_are_counted_as_images(tmp_path: Path):
    wild = colour_bundle(tmp_path / "colours.onnx", sharpness=3e37)  # what is not black is infinite
    with inside(make_settings(tmp_path, models=[("colours", wild)])) as (client, _):
        refused = client.post("/v1/explain", content=RED, headers=JPEG)
        assert (refused.status_code, refused.json()["error"]["code"]) == (500, "not_finite")
        assert client.post("/v1/explain", content=sample_image(0, 0, 0), headers=JPEG).status_code == 200
        assert client.post("/v1/explain", content=b"text", headers=JPEG).status_code == 415
        counted = client.get("/metrics").text
    for outcome in ("not_finite", "ok", "not_an_image"):
        assert f'imgrec_images_total{{outcome="{outcome}"}} 1.0' in counted


def test_one_explanation_at_a_time(
    client: TestClient, pair: tuple[TestClient, Service], monkeypatch: pytest.MonkeyPatch
):
    go, under_way = threading.Event(), threading.Event()
    real = pair[1]._aside

    async def held(work: Any) -> Any:
        def wait() -> Any:
            under_way.set()
            assert go.wait(20)
            return work()

        return await real(wait)

    charged: list[int] = []
    monkeypatch.setattr(pair[1], "_aside", held)
    monkeypatch.setattr(pair[1], "charge", lambda _caller, images: charged.append(images))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/v1/explain", content=RED, headers=JPEG)
        assert under_way.wait(20)
        second = client.post("/v1/explain", content=RED, headers=JPEG)
        assert predict(client, GREEN)["predictions"][0]["prediction"] == "green", "predictions go on meanwhile"
        go.set()
        assert first.result().status_code == 200
    assert (second.status_code, second.json()["error"]["code"]) == (503, "busy")
    assert charged == [1, 1], "what is refused costs nothing"


# Facts


def test_models_say_what_they_are(client: TestClient, folder: Path):
    first, second = client.get("/v1/models").json()["models"]
    assert (first["name"], first["class_names"], first["task"], first["reject_rule"]) == (
        "colours",
        list(COLOURS),
        "single",
        RULE,
    )
    assert second["class_names"] == ["rot", "grün", "<b>"]
    assert first["prediction_sets"] == {}
    assert client.get("/v1/model", params={"model": "farben"}).json() == second


def test_health_says_ready_until_the_server_stops(
    client: TestClient, pair: tuple[TestClient, Service], monkeypatch: pytest.MonkeyPatch
):
    assert client.get("/health/ready").json() == {"status": "ready"}
    monkeypatch.setattr(pair[1], "is_stopping", True)
    response = client.get("/health/ready")
    assert (response.status_code, response.headers["connection"]) == (503, "close")
    assert client.get("/health/live").status_code == 200
    assert client.post("/v1/predict", content=RED, headers=JPEG).status_code == 200, "until it closes it responses"


def test_metrics_count_requests_images_and_batches(client: TestClient):
    predict(client, RED)
    client.post("/v1/predict", content=b"x", headers=JPEG)
    client.get("/v1/<script>")
    text = client.get("/metrics").text
    assert re.search(r'imgrec_requests_total\{route="/v1/predict",status="200"\} [1-9]', text)
    assert re.search(r'imgrec_requests_total\{route="unknown",status="404"\} [1-9]', text)
    assert re.search(r'imgrec_images_total\{outcome="not_an_image"\} [1-9]', text)
    assert "imgrec_batch_images_bucket" in text
    assert "<script>" not in text


def test_the_interface_is_described_with_an_example_of_every_response(client: TestClient):
    document = client.get("/v1/openapi.json").json()
    assert set(document["paths"]) == {
        "/v1/predict", "/v1/explain", "/v1/models", "/v1/model", "/v1/status", "/v1/openapi.json", "/metrics",
        "/health/live", "/health/ready",
    }  # fmt: skip
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if status != "422" or path in ("/v1/predict", "/v1/explain"):  # else one that FastAPI adds
                    assert any("example" in content for content in response.get("content", {}).values()), (path, status)
    body = document["paths"]["/v1/predict"]["post"]["requestBody"]["content"]
    assert set(body) == {"image/jpeg", "image/png", "application/octet-stream", "multipart/form-data"}


def test_every_response_tells_browsers_to_run_nothing_and_keep_nothing(client: TestClient):
    responses = [
        client.get("/v1/models"),
        client.get("/v1/nothing"),
        client.post("/v1/predict", content=b"", headers=JPEG),
    ]
    for response in responses:
        assert response.headers["content-security-policy"].startswith("default-src 'none'; frame-ancestors 'none'")
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["x-frame-options"] == "DENY"
        assert response.headers["referrer-policy"] == "no-referrer"
    page = client.get("/")
    policy = page.headers["content-security-policy"]
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_pages_of_other_sites_get_nothing_through_a_visitors_browser(client: TestClient):
    response = client.post("/v1/predict", content=RED, headers={**JPEG, "sec-fetch-site": "cross-site"})
    assert response.json()["error"]["code"] == "cross_site"
    for site in ("same-origin", "none"):
        assert client.post("/v1/predict", content=RED, headers={**JPEG, "sec-fetch-site": site}).status_code == 200
    for host in (b"evil.example", b"evil.example:8000", b"", b"[", b"\x80"):
        response = client.get("/v1/models", headers={"host": host})
        assert response.json()["error"]["code"] == "wrong_host"
    for host in ("localhost:8000", "127.0.0.1", "[::1]:80"):
        assert client.get("/v1/models", headers={"host": host}).status_code == 200


def test_a_name_of_a_class_is_data_in_an_response(client: TestClient):
    body = predict(client, sample_image(0, 0, 250), model="farben")
    assert body["predictions"][0]["prediction"] == "<b>"
    response = client.post("/v1/predict", content=sample_image(0, 0, 250), headers=JPEG, params={"model": "farben"})
    assert response.headers["content-type"] == "application/json"
    json.loads(response.text)
