"""A server that does TLS itself: with the right files, with wrong ones, and for clients of every kind."""

import http.client
import ipaddress
import json
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from imgrec.errors import ConfigError
from imgrec.serve.http.tls import check_tls
from serving import Server, started
from small_bundle import colour_bundle, sample_image

RED = sample_image(250, 20, 30)


def pem_of(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> bytes:
    hidden = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)


def certificate_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a certificate of this machine's own addresses, signed by itself, in PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "imgrec test")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    (folder / "cert.pem").write_bytes(certificate_of(key))
    (folder / "key.pem").write_bytes(pem_of(key))
    (folder / "other.pem").write_bytes(pem_of(other))
    (folder / "hidden.pem").write_bytes(pem_of(key, b"swordfish"))
    (folder / "text.pem").write_text("no key at all\n")
    colour_bundle(folder / "colours.onnx")
    return folder


def arguments(folder: Path, key: str = "key.pem") -> list[str]:
    files = ["--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / key)]
    return [f"colours={folder / 'colours.onnx'}", "--keys", str(folder / "keys.json"), "--decoders", "1", *files]


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with started(folder, arguments(folder)) as server:
        yield server


def trusting(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(folder / "cert.pem"))


def test_a_client_that_checks_the_certificate_is_answered(server: Server, folder: Path):
    with closing(http.client.HTTPSConnection("localhost", server.port, context=trusting(folder), timeout=30)) as client:
        client.request("POST", "/v1/predict", body=RED, headers={"content-type": "image/png"})
        response = client.getresponse()
        body = json.loads(response.read())
    assert (response.status, body["predictions"][0]["prediction"]) == (200, "red")
    assert response.getheader("strict-transport-security") == "max-age=31536000"
    assert f"at https://127.0.0.1:{server.port}" in server.text()


def test_a_client_that_does_not_know_the_certificate_hangs_up(server: Server):
    context = ssl.create_default_context()
    plain = socket.create_connection(("localhost", server.port), timeout=30)
    with plain, pytest.raises(ssl.SSLCertVerificationError):
        context.wrap_socket(plain, server_hostname="localhost")


def test_plain_http_gets_nothing(server: Server):
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with closing(client), pytest.raises((http.client.BadStatusLine, ConnectionError)):
        client.request("GET", "/health/live")
        client.getresponse()


def test_old_versions_of_tls_are_refused(server: Server, folder: Path):
    context = trusting(folder)
    context.set_ciphers("DEFAULT@SECLEVEL=0")  # else it would be this side that refuses
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    plain = socket.create_connection(("localhost", server.port), timeout=30)
    with plain, pytest.raises(ssl.SSLError, match=r"UNEXPECTED_EOF|PROTOCOL_VERSION"):
        context.wrap_socket(plain, server_hostname="localhost")


def test_told_to_stop_it_serves_who_is_connected_and_ends_with_0(folder: Path):
    with started(folder, arguments(folder), tag="stop") as server:
        client = http.client.HTTPSConnection("localhost", server.port, context=trusting(folder), timeout=30)
        with closing(client), socket.create_connection(("localhost", server.port)):  # the second never says a word
            client.connect()
            server.process.send_signal(signal.SIGTERM)
            client.request("POST", "/v1/predict", body=RED, headers={"content-type": "image/png"})
            assert client.getresponse().status == 200
            assert server.process.wait(timeout=40) == 0
        assert "Traceback" not in server.text()


@pytest.mark.parametrize(
    ("cert", "key", "message"),
    [
        ("cert.pem", "other.pem", "other.pem is not the private key of --tls-cert .*cert.pem"),
        ("cert.pem", "hidden.pem", "hidden.pem has a passphrase, and nobody is there to type it"),
        ("text.pem", "key.pem", "cannot be used .* They are files in PEM"),
        ("cert.pem", "text.pem", "cannot be used .* They are files in PEM"),
        ("cert.pem", "absent.pem", "cannot be read: No such file"),
    ],
)
def test_files_that_do_not_fit_are_told_before_anything_starts(folder: Path, cert: str, key: str, message: str):
    with pytest.raises(ConfigError, match=message):
        check_tls(folder / cert, folder / key)


def test_a_command_with_the_wrong_key_ends_with_a_sentence(folder: Path):
    with pytest.raises(AssertionError, match="is not the private key of") as failure:
        Server(folder, arguments(folder, "other.pem"), tag="wrong")
    assert "Traceback" not in str(failure.value)
