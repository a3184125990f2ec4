"""`imgrec serve`: from arguments to settings."""

import sys
from pathlib import Path
from typing import Any

import pytest

from imgrec.cli.verbs import serve
from imgrec.errors import ConfigError
from imgrec.serve import start
from imgrec.serve.settings import Settings


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    found: list[Settings] = []
    monkeypatch.setattr(start, "prepare", lambda settings: lambda: found.append(settings))

    def run(*arguments: str) -> Settings:
        monkeypatch.setattr(sys, "argv", ["serve", *arguments])
        serve.main()
        return found[-1]

    return run


def test_without_options_it_serves_this_machine_with_the_keys_of_this_user(settings_of, monkeypatch, tmp_path):
    monkeypatch.setenv("IMGREC_KEYS", str(tmp_path / "k.json"))
    settings = settings_of("model.onnx")
    assert settings == Settings(models=[("model", Path("model.onnx"))], keys=tmp_path / "k.json")
    assert (settings.host, settings.output, settings.decode.max_pixels) == ("127.0.0.1", "rounded", 89_478_485)


def test_options_become_settings(settings_of):
    settings = settings_of(
        "a=one.onnx", "two.onnx", "--keys", "k", "--behind-proxy", "--trusted-proxy", "10.0.0.9",
        "--max-megapixels", "20", "--max-body-mb", "3",
        "--max-images", "2", "--decoders", "3", "--queue", "7", "--decode-seconds", "4",
    )  # fmt: skip
    assert settings.models == [("a", Path("one.onnx")), ("two", Path("two.onnx"))]
    assert settings.behind_proxy
    assert settings.trusted_proxies == ("10.0.0.9",)
    assert (settings.decode.max_pixels, settings.decode.timeout_s) == (20_000_000, 4)
    assert (settings.upload.max_bytes, settings.upload.max_images) == (3_000_000, 2)
    assert (settings.decode_workers, settings.queue_batches) == (3, 7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name a model"),
        (["m.onnx", "--port", "65536"], "'65536' is not a whole number of 0 to 65535"),
        (["m.onnx", "--max-images", "-1"], "expected one argument|not a whole number"),
        (["m.onnx", "--output", "all"], "invalid choice"),
        (["m.onnx", "--trusted-proxy", "10.0.0.9"], "add --behind-proxy"),
        (["m.onnx", "--behind-proxy", "--trusted-proxy", "10.0.0.300"], "'10.0.0.300' does not appear to be"),
        (["m.onnx", "--behind-proxy", "--trusted-proxy", "10.0.0.9/24"], "has host bits set: give an address such"),
        (["m.onnx", "--audit-fail-open"], "add --audit-log FILE"),
        (["m.onnx", "--debug-me"], "imgrec serve --help lists the arguments"),
    ],
)
def test_invalid_arguments_are_refused(settings_of, arguments, message):
    with pytest.raises(ConfigError, match=message):
        settings_of(*arguments)
