"""What a server is told at its start, and which combinations it refuses to start with."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imgrec.core.system.hardware import num_processors
from imgrec.errors import ConfigError
from imgrec.serve.access.keys import Output
from imgrec.serve.engine.decoder import DecodeLimits
from imgrec.serve.http.upload import UploadLimits

__all__ = ["Settings", "check_start", "is_loopback", "read_models"]


@dataclass(frozen=True)
class Settings:
    """All of it; one object a server.

    models: (name, file) in order; the first serves requests that name none.
    keys: the file of `imgrec keys`; it need not be there on a loopback address. jwt: settings of signed tokens.
    behind_proxy: whether a proxy in front does TLS; then, and only then, the addresses of clients are taken from the
        X-Forwarded-For that `trusted_proxies` send.
    audit_log: None = none is kept. audit_fail_open: serve also what could not be recorded.
    output: how much of a prediction callers see whose key does not say.
    reject: the reject rule that every response reports: a name, "" = the last reject rule of each model, "none" = no rule.
    max_batch: images run at once by a thread. queue_batches: under way or waiting, decoding too.
    threads: of inference: under load each is a worker with batches of its own (see `Batcher`).
    drain_delay_s: from "not ready" to closing, for load balancers.
    """

    models: Sequence[tuple[str, Path]]
    keys: Path
    host: str = "127.0.0.1"
    port: int = 8000
    jwt: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False
    trusted_proxies: Sequence[str] = ("127.0.0.1", "::1")
    audit_log: Path | None = None
    audit_fail_open: bool = False
    output: Output = "rounded"
    reject: str = ""
    max_batch: int = 16
    queue_batches: int = 4
    threads: int = field(default_factory=num_processors)
    decode_workers: int = field(default_factory=lambda: min(4, num_processors()))
    decode: DecodeLimits = field(default_factory=DecodeLimits)
    upload: UploadLimits = field(default_factory=UploadLimits)
    max_upload_memory: int = 256_000_000
    max_connections: int = 2000
    slow_s: float = 7.0
    min_bytes_a_second: int = 4000
    drain_delay_s: float = 0.5
    stop_s: float = 20.0

    @property
    def budgets(self) -> Path:
        """Where the daily numbers of images are kept."""
        return self.keys.with_name(f"{self.keys.name}.used")

    @property
    def has_tls(self) -> bool:
        """Whether the server itself does TLS."""
        return self.tls_cert is not None and self.tls_key is not None


def check_start(settings: Settings, *, has_credentials: bool) -> None:
    """Refuse what would let strangers in or let them listen.

    has_credentials: whether there is a valid key, or settings of signed tokens.
    Raises: ConfigError: beyond loopback without keys, or without TLS of its own or of a proxy; half of a TLS pair.
    """
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise ConfigError("--tls-cert and --tls-key go together: give both or neither.")
    for path in (settings.tls_cert, settings.tls_key):
        if path is not None and not path.is_file():
            raise ConfigError(f"{path} is not a file. --tls-cert and --tls-key are files in PEM.")
    if is_loopback(settings.host):
        return
    where = f"--host {settings.host} can be reached from other machines"
    if not has_credentials:
        raise ConfigError(
            f"{where}, but {settings.keys} has no valid key. Add one (imgrec keys add --name NAME --scope predict), "
            "give --jwt FILE, or stay on --host 127.0.0.1."
        )
    if not settings.has_tls and not settings.behind_proxy:
        raise ConfigError(
            f"{where}, and keys would travel in the open. Give --tls-cert and --tls-key, or --behind-proxy if a proxy "
            "in front of it does TLS, or stay on --host 127.0.0.1."
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address; of names, `localhost` alone is believed."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_models(arguments: Sequence[str]) -> list[tuple[str, Path]]:
    """Return (name, file) of `model.onnx` or `name=model.onnx`; without a name it is that of the file.

    Raises: ConfigError: no model, or one name for two.
    """
    models = []
    for argument in arguments:
        name, separator, path = argument.partition("=")
        models.append((name, Path(path)) if separator else (Path(argument).stem, Path(argument)))
    names = [name for name, _ in models]
    if not models:
        raise ConfigError("Name a model: imgrec serve model.onnx")
    if len(set(names)) < len(names):
        raise ConfigError(f"Two models with one name ({', '.join(names)}). Give names: a=one.onnx b=two.onnx")
    odd = [name for name in names if not (name.isprintable() and 0 < len(name) <= 100)]
    if odd:
        raise ConfigError(f"The name {odd[0]!r} of a model: 1 to 100 printable characters.")
    return models
