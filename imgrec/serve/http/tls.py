"""The files of TLS, tried at the start: what is wrong with them is said before a model is read."""

import ssl
from pathlib import Path

from imgrec.errors import ConfigError

__all__ = ["check_tls"]


def check_tls(cert: Path, key: Path) -> None:
    """Check that a certificate chain and its private key can be used. Raises: ConfigError."""

    def refuse_passphrase() -> str:
        raise ConfigError(f"--tls-key {key} has a passphrase, and nobody is there to type it. Give a key without one.")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, refuse_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"--tls-key {key} is not the private key of --tls-cert {cert}.") from None
        raise ConfigError(
            f"--tls-cert {cert} and --tls-key {key} cannot be used ({error.reason or error}). They are files in PEM: "
            "the certificate with those that signed it, and its private key."
        ) from None
    except OSError as error:
        raise ConfigError(f"--tls-cert {cert} or --tls-key {key} cannot be read: {error.strerror}.") from None
