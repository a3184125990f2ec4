"""Who gets where: every route with every kind of key; starting; what leaks; what is recorded."""

import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from imgrec.errors import ConfigError
from imgrec.serve.access.audit_log import verify_log
from imgrec.serve.access.gate import Gate
from imgrec.serve.access.keys import SCOPES, add_key, revoke_key
from imgrec.serve.access.throttle import Throttle
from imgrec.serve.engine.service import Service
from imgrec.serve.http.app import OPEN_ROUTES, Guard, check_guards, make_routes
from imgrec.serve.settings import check_start, is_loopback, read_models
from serving import inside, make_settings
from signed_tokens import SECRET, claims, settings, signed
from small_bundle import sample_image

IMAGE = sample_image(250, 20, 30)
JPEG = {"content-type": "image/jpeg"}


@dataclass(frozen=True)
class Place:
    client: TestClient
    service: Service
    keys: Path
    audit: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("access")
    keys, audit = folder / "keys.json", folder / "audit.jsonl"
    add_key(keys, name="first", scopes=["predict"])
    with inside(make_settings(folder, keys=keys, audit_log=audit)) as (client, service):
        yield Place(client, service, keys, audit)


@pytest.fixture(autouse=True)
def patience(place: Place) -> None:
    """Let wrong keys be tried as often as the tests like: each try is 100 s after the last."""
    clock = itertools.count(step=100)
    place.service.gate = Gate(place.service.keys, wrong=Throttle(lambda: float(next(clock))))


def routes() -> list[tuple[str, str]]:
    """Return (method, path) of everything that the application responses."""
    service = Service(make_settings(Path(os.environ["IMGREC_CACHE"])))
    found = [(method, route.path) for route in make_routes(service).routes for method in sorted(route.methods)]  # type: ignore[attr-defined]
    return sorted(found)


ROUTES = [
    ("GET", "/"), ("GET", "/health/live"), ("GET", "/health/ready"), ("GET", "/metrics"), ("GET", "/page/{name}"),
    ("GET", "/v1/model"), ("GET", "/v1/models"), ("GET", "/v1/openapi.json"), ("GET", "/v1/status"),
    ("POST", "/v1/explain"), ("POST", "/v1/predict"),
]  # fmt: skip
GUARDED = [(method, path) for method, path in ROUTES if path not in OPEN_ROUTES]
SCOPE_OF = {
    "/metrics": "metrics",
    "/v1/model": "predict",
    "/v1/models": "predict",
    "/v1/openapi.json": "predict",
    "/v1/status": "admin",
    "/v1/explain": "explain",
    "/v1/predict": "predict",
}


def ask(place: Place, method: str, path: str, credential: str | None = None, **headers: str) -> Any:
    if credential is not None:
        headers["authorization"] = f"Bearer {credential}"
    options = {"content": IMAGE, "headers": {**JPEG, **headers}} if method == "POST" else {"headers": headers}
    return place.client.request(method, path.replace("{name}", "index.html"), **options)


def wrong_key(place: Place) -> str:
    _, secret = add_key(place.keys, name="x", scopes=["admin"])
    return secret[:-1] + ("a" if secret[-1] != "a" else "b")


def expired_key(place: Place) -> str:
    return add_key(place.keys, name="x", scopes=["admin"], expires=1.0)[1]


def revoked_key(place: Place) -> str:
    key, secret = add_key(place.keys, name="x", scopes=["admin"])
    assert ask(place, "GET", "/v1/status", secret).status_code == 200
    revoke_key(place.keys, key.id)
    return secret


BAD: dict[str, Callable[[Place], str | None]] = {
    "no key": lambda _: None,
    "an empty key": lambda _: "",
    "an unknown key": lambda _: "imgrec_00000000_" + "x" * 43,
    "a wrong key": wrong_key,
    "an expired key": expired_key,
    "a revoked key": revoked_key,
    "a token where none are believed": lambda _: signed(claims(scope="admin")),
}


def test_the_matrix_has_every_route_that_the_application_has():
    assert routes() == ROUTES
    assert {path for _, path in GUARDED} == set(SCOPE_OF)


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_no_route_serves_without_a_valid_key(place: Place, method: str, path: str, kind: str):
    response = ask(place, method, path, BAD[kind](place))
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (401, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"
    assert error["message"] == "A valid key is needed: Authorization: Bearer KEY."


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_no_route_serves_a_key_without_its_scope(place: Place, method: str, path: str):
    others = [scope for scope in SCOPES if scope not in (SCOPE_OF[path], "admin")]
    _, secret = add_key(place.keys, name="x", scopes=others)
    response = ask(place, method, path, secret)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize(("method", "path"), GUARDED)
@pytest.mark.parametrize("scope", [None, "admin"])
def test_every_route_serves_a_key_with_its_scope_and_an_admin(place: Place, method: str, path: str, scope: str | None):
    _, secret = add_key(place.keys, name="x", scopes=[scope or SCOPE_OF[path]])
    assert ask(place, method, path, secret).status_code == 200
    assert ask(place, method, path, **{"x-api-key": secret}).status_code == 200


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route not in GUARDED])
def test_health_and_the_page_are_open(place: Place, method: str, path: str):
    assert ask(place, method, path).status_code == 200


def test_a_new_route_without_a_guard_keeps_the_server_from_starting(place: Place):
    app = make_routes(place.service)
    check_guards(app)
    app.add_api_route("/v1/new", lambda: None)
    with pytest.raises(AssertionError, match="/v1/new has 0 guards"):
        check_guards(app)


def test_a_route_of_another_kind_keeps_the_server_from_starting(place: Place):
    app = make_routes(place.service)
    app.mount("/files", app=lambda *_: None)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="/files has 0 guards"):
        check_guards(app)


def test_each_route_has_the_scope_that_the_matrix_says(place: Place):
    for route in make_routes(place.service).routes:
        found = [one.call.scope for one in route.dependant.dependencies if isinstance(one.call, Guard)]  # type: ignore[attr-defined]
        assert found == ([SCOPE_OF[route.path]] if route.path in SCOPE_OF else [])  # type: ignore[attr-defined]


def test_ten_wrong_keys_then_429_and_the_right_key_still_passes(place: Place):
    place.service.gate = Gate(place.service.keys)
    _, right = add_key(place.keys, name="x", scopes=["predict"])
    responses = [ask(place, "GET", "/v1/models", f"imgrec_{number:08}_x") for number in range(12)]
    assert [response.status_code for response in responses] == [401] * 10 + [429] * 2
    assert 0 < int(responses[-1].headers["retry-after"]) <= 60
    assert ask(place, "GET", "/v1/models", right).status_code == 200


def test_a_body_is_not_read_for_who_may_not_send_it(place: Place):
    _, secret = add_key(place.keys, name="x", scopes=["metrics"])
    for credential in (None, secret):
        headers = {**JPEG, "authorization": f"Bearer {credential}"}
        response = place.client.post("/v1/predict", content=b"x" * 50_000_000, headers=headers)
        assert response.status_code in (401, 403)
    assert place.service.admission.bytes == 0


def test_tokens_are_let_in_by_their_scopes_and_models(tmp_path: Path):
    path = settings(tmp_path, algorithm="HS256", key=SECRET)
    with inside(make_settings(tmp_path, jwt=path)) as (client, _):

        def status(token: str, method: str = "GET", where: str = "/v1/models") -> int:
            headers = {**JPEG, "authorization": f"Bearer {token}"}
            return client.request(
                method, where, headers=headers, content=IMAGE if method == "POST" else None
            ).status_code

        assert client.get("/v1/models").status_code == 401
        assert status(signed(claims())) == 200
        assert status(signed(claims()), "POST", "/v1/predict") == 200
        assert status(signed(claims()), "POST", "/v1/explain") == 403
        assert status(signed(claims(models=["other"])), "POST", "/v1/predict") == 404
        bad = [claims(exp=1), claims(aud="x"), claims(iss="x"), claims(nbf=2**33)]
        assert [status(signed(content)) for content in bad] == [401] * 4
        assert [status(signed(claims(), kid=kid)) for kid in ("../key", "k2", None)] == [401] * 3
        assert status(signed(claims(), key="", algorithm="none")) == 401


# Nothing leaks


def test_a_key_is_nowhere_in_logs_metrics_errors_or_the_audit_log(place: Place, capfd: pytest.CaptureFixture[str]):
    _, canary = add_key(place.keys, name="canary", scopes=list(SCOPES))
    random_part = canary.split("_", 2)[2]
    good = {"authorization": f"Bearer {canary}"}
    said: list[str] = []
    for method, path in ROUTES:
        said.append(ask(place, method, path, canary).text)
        said.append(ask(place, method, f"{path}?key={canary}").text)
        said.append(ask(place, method, path, canary + "x").text)
        said.append(ask(place, method, f"/{canary}").text)
        said.append(ask(place, method, path, cookie=f"key={canary}").text)
    form = {"image": (f"{canary}.png", IMAGE, f"image/{canary}")}
    said.append(place.client.post("/v1/predict", files=form, headers=good).text)
    said.append(place.client.post("/v1/predict", content=canary.encode(), headers={**good, **JPEG}).text)
    said.append(place.client.post(f"/v1/predict?model={canary}&output={canary}", content=IMAGE, headers=good).text)
    output = capfd.readouterr()
    said += [output.out, output.err, place.audit.read_text(), place.keys.read_text()]
    assert not [text for text in said if random_part in text]
    assert verify_log(place.audit).lines > 40


# The audit log


def lines_of(place: Place) -> list[dict[str, Any]]:
    return [json.loads(line) for line in place.audit.read_text().splitlines()]


def test_the_record_says_who_which_model_which_input_and_what_came_of_it(place: Place):
    key, secret = add_key(place.keys, name="x", scopes=["predict"])
    before = len(lines_of(place))
    body = ask(place, "POST", "/v1/predict", secret).json()
    form = [("a", ("a", IMAGE, "")), ("a", ("b", b"nonsense", ""))]
    place.client.post("/v1/predict", files=form, headers={"x-api-key": secret})
    first, second = lines_of(place)[before:]
    assert (first["who"], first["model"], first["status"], first["outcome"]) == (
        f"key:{key.id}",
        body["model"]["sha256"],
        200,
        "ok",
    )
    assert first["id"] == body["id"]
    assert first["inputs"][0] == second["inputs"][0], "the same image is known again within one run"
    assert second["outcome"] == ["ok", "not_an_image"]
    assert len(first["inputs"][0]) == 64
    import hashlib

    assert first["inputs"][0] != hashlib.sha256(IMAGE).hexdigest(), "and by nobody who has the image"


def test_every_refused_request_has_a_line_and_healthy_ones_that_matter_to_nobody_have_none(place: Place):
    before = len(lines_of(place))
    _, secret = add_key(place.keys, name="x", scopes=["predict"])
    place.client.get("/health/live")
    place.client.get("/")
    refused = [
        ask(place, "GET", "/v1/models"),
        ask(place, "GET", "/v1/models", "imgrec_x_y"),
        ask(place, "GET", "/metrics", secret),
        ask(place, "GET", "/etc/passwd"),
        place.client.post("/v1/predict", content=b"x" * 20_000_000, headers={**JPEG, "x-api-key": secret}),
        place.client.post("/v1/predict", content=IMAGE, headers={"sec-fetch-site": "cross-site"}),
    ]
    new = lines_of(place)[before:]
    assert (
        [line["status"] for line in new]
        == [response.status_code for response in refused]
        == [401, 401, 403, 404, 413, 403]
    )
    assert [line["id"] for line in new] == [response.json()["error"]["id"] for response in refused]
    assert [line["outcome"] for line in new][-1] == "cross_site"
    assert verify_log(place.audit).lines == len(lines_of(place))


@pytest.mark.parametrize("is_open", [False, True])
def test_what_cannot_be_recorded_is_not_answered_unless_told_so(
    place: Place, is_open: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(place.service, "settings", replace(place.service.settings, audit_fail_open=is_open))
    _, secret = add_key(place.keys, name="x", scopes=["predict"])

    def full(fields: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(place.service.audit, "add", full)
    response = ask(place, "POST", "/v1/predict", secret)
    refused = ask(place, "GET", "/v1/models")
    assert (response.status_code, refused.status_code) == ((200, 401) if is_open else (503, 503))
    if not is_open:
        assert response.json()["error"]["code"] == "audit_failed"
    assert place.client.get("/health/live").status_code == 200


# Starting


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("has_keys", [False, True])
@pytest.mark.parametrize("is_secure", [False, True])
@pytest.mark.parametrize("how", ["proxy", "tls"])
def test_beyond_this_machine_only_with_keys_and_tls(
    tmp_path: Path, host: str, has_keys: bool, is_secure: bool, how: str
):
    changes: dict[str, object] = {"host": host}
    if is_secure and how == "proxy":
        changes["behind_proxy"] = True
    elif is_secure:
        for name in ("tls_cert", "tls_key"):
            changes[name] = tmp_path / name
            (tmp_path / name).touch()
    chosen = make_settings(tmp_path, **changes)
    if host == "127.0.0.1" or (has_keys and is_secure):
        check_start(chosen, has_credentials=has_keys)
        return
    with pytest.raises(ConfigError) as caught:
        check_start(chosen, has_credentials=has_keys)
    assert ("has no valid key" if not has_keys else "keys would travel in the open") in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_these_addresses_are_of_this_machine(host: str):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "localhost.example.com", "example.com", "", "127.1", "::ffff:10.0.0.1"]
)
def test_these_addresses_may_be_reached_by_others(host: str):
    assert not is_loopback(host)


def test_half_a_tls_pair_or_a_file_that_is_not_there_is_said(tmp_path: Path):
    cert = tmp_path / "cert.pem"
    cert.touch()
    with pytest.raises(ConfigError, match="go together"):
        check_start(make_settings(tmp_path, tls_cert=cert), has_credentials=True)
    with pytest.raises(ConfigError, match="is not a file"):
        check_start(make_settings(tmp_path, tls_cert=cert, tls_key=tmp_path / "none"), has_credentials=True)


def test_models_are_named_by_their_file_or_as_they_are_told():
    assert read_models(["a/lung.onnx", "skin=b.onnx"]) == [("lung", Path("a/lung.onnx")), ("skin", Path("b.onnx"))]
    for arguments, message in (
        ([], "Name a model"),
        (["a.onnx", "b/a.onnx"], "one name"),
        (["=a.onnx"], "The name ''"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_models(arguments)
