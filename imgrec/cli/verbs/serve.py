"""`imgrec serve`: models behind HTTP, with keys and limits."""

import argparse
import ipaddress
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgrec.cli.parser import Parser
from imgrec.core.system.lean_imports import resting_collector
from imgrec.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from imgrec.serve.settings import Settings

__all__ = ["main", "make_parser"]

_EPILOG = """\
Without keys it serves only this machine, and requires none. From the first key on (imgrec keys add) every
request needs one. Beyond this machine it starts only with keys, and with TLS of its own or of a proxy.

signals: TERM or INT stops after the requests under way; HUP reads the model files again.

examples:
  imgrec serve model.onnx
  imgrec serve lung=lung.onnx skin=skin.onnx --audit-log audit.jsonl
  imgrec serve model.onnx --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem
"""


def main() -> None:
    """Read the command line and serve until told to stop. Raises: ImgrecError."""
    settings = _settings(make_parser().parse_args(sys.argv[1:]))
    with resting_collector():
        try:
            from imgrec.serve.start import prepare
        except ImportError as error:
            raise MissingExtraError(str(error.name), "serve") from error
        run = prepare(settings)
    run()


def make_parser() -> argparse.ArgumentParser:
    """Return what reads the command line; its errors are ConfigErrors."""
    parser = Parser(
        prog="imgrec serve",
        description="Serve one or several exported models over HTTP.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "models", nargs="*", metavar="[NAME=]MODEL", help="files of imgrec export; the first is default"
    )
    add = parser.add_argument_group("where").add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=_Count(0, 65535), default=8000, help="0 takes a free one (default: %(default)s)")
    add("--tls-cert", type=Path, metavar="FILE", help="certificate chain in PEM")
    add("--tls-key", type=Path, metavar="FILE", help="its private key in PEM")
    add("--behind-proxy", action="store_true", help="a proxy in front does TLS and says who the client is")
    add(
        "--trusted-proxy",
        action="append",
        type=_address,
        metavar="ADDRESS",
        help="of that proxy, or its network (default: this machine)",
    )
    add = parser.add_argument_group("who").add_argument
    add("--keys", type=Path, metavar="FILE", help="keys made by imgrec keys (default: those of this user)")
    add("--jwt", type=Path, metavar="FILE", help="JSON that says whose signed tokens are believed")
    add("--audit-log", type=Path, metavar="FILE", help="record who asked what, each line with the hash of the last")
    add("--audit-fail-open", action="store_true", help="serve also what cannot be recorded")
    add(
        "--output",
        choices=("label", "topk", "rounded", "full"),
        default="rounded",
        help="how much of a prediction is returned",
    )
    add(
        "--reject",
        default="",
        metavar="RULE",
        help="reject rule reported as `rejected` (default: the model's last rule)",
    )
    add = parser.add_argument_group("how much").add_argument
    add(
        "--max-batch",
        type=_Count(1, 1024),
        default=16,
        metavar="N",
        help="images run at once by a thread (default: %(default)s)",
    )
    add(
        "--queue",
        type=_Count(1, 1000),
        default=4,
        metavar="N",
        help="batches under way or waiting (default: %(default)s)",
    )
    add("--max-body-mb", type=_Count(1, 1000), default=10, metavar="N", help="of a request (default: %(default)s)")
    add("--max-images", type=_Count(1, 1000), default=16, metavar="N", help="of a request (default: %(default)s)")
    add("--max-megapixels", type=_Count(1, 89), default=89, metavar="N", help="of an image (default: %(default)s)")
    add("--decode-seconds", type=_Count(1, 600), default=10, metavar="N", help="for an image (default: %(default)s)")
    add(
        "--decode-memory-mb",
        type=_Count(100, 100_000),
        default=1500,
        metavar="N",
        help="for an image (default: %(default)s)",
    )
    add(
        "--decoders",
        type=_Count(1, 256),
        metavar="N",
        help="processes that decode (default: one a processor, at most 4)",
    )
    add(
        "--threads",
        type=_Count(1, 1024),
        metavar="N",
        help="that run inference, each with a batch of its own (default: one per processor)",
    )
    return parser


class _Count:
    """A whole number within bounds, for argparse."""

    def __init__(self, lowest: int, highest: int) -> None:
        self._lowest, self._highest = lowest, highest

    def __call__(self, text: str) -> int:
        if not text.isdecimal() or not self._lowest <= int(text) <= self._highest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {self._lowest} to {self._highest}")
        return int(text)


def _address(text: str) -> str:
    """Return an IP address or network as it is, for argparse: one that is mistyped would be nobody's."""
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}: give an address such as 10.0.0.2, or 10.0.0.0/24") from None
    return text


def _settings(given: argparse.Namespace) -> "Settings":
    from imgrec.serve.access.keys import default_keys_path
    from imgrec.serve.engine.decoder import DecodeLimits
    from imgrec.serve.http.upload import UploadLimits
    from imgrec.serve.settings import Settings, read_models

    if given.trusted_proxy and not given.behind_proxy:
        raise ConfigError("--trusted-proxy says which proxy is believed: add --behind-proxy.")
    if given.audit_fail_open and given.audit_log is None:
        raise ConfigError("--audit-fail-open is about a record that is kept: add --audit-log FILE.")
    pixels = DecodeLimits.max_pixels if given.max_megapixels == 89 else given.max_megapixels * 1_000_000
    proxies = tuple(given.trusted_proxy or ())
    told = {"decode_workers": given.decoders, "threads": given.threads, "trusted_proxies": proxies}
    options: dict[str, Any] = {name: value for name, value in told.items() if value}
    return Settings(
        models=read_models(given.models),
        keys=given.keys or default_keys_path(),
        host=given.host,
        port=given.port,
        jwt=given.jwt,
        tls_cert=given.tls_cert,
        tls_key=given.tls_key,
        behind_proxy=given.behind_proxy,
        audit_log=given.audit_log,
        audit_fail_open=given.audit_fail_open,
        output=given.output,
        reject=given.reject,
        max_batch=given.max_batch,
        queue_batches=given.queue,
        decode=DecodeLimits(given.decode_seconds, given.decode_memory_mb, pixels),
        upload=UploadLimits(given.max_body_mb * 1_000_000, given.max_images),
        **options,
    )
