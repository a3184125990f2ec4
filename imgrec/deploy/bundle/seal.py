"""The digest at the end of a bundle: SHA-256 over every byte before it.

It stands in the last field of the file, a metadata entry of fixed length, so that ONNX readers of every kind take the
file as it is. It tells a file that was cut, damaged or changed; it does not tell who made it: who can change a file
can write its digest anew. For that, sign the file.
"""

import hashlib

from imgrec.deploy.bundle.wire import encode_text_field
from imgrec.errors import BundleError

__all__ = ["DIGEST_KEY", "METADATA_PROPS", "metadata_entry", "seal", "verify_seal"]

METADATA_PROPS = 14  # the number of the field `metadata_props` in ModelProto
DIGEST_KEY = "imgrec_sha256"


def metadata_entry(key: str, value: bytes) -> bytes:
    """Return a metadata entry as it stands in an ONNX file."""
    return encode_text_field(METADATA_PROPS, encode_text_field(1, key.encode()) + encode_text_field(2, value))


def seal(body: bytes) -> bytes:
    """Return an ONNX file with its digest behind it."""
    return body + metadata_entry(DIGEST_KEY, hashlib.sha256(body).hexdigest().encode())


def verify_seal(data: memoryview) -> str:
    """Return the digest of a bundle. Raises: BundleError: there is none at the end, or the bytes before differ."""
    length = len(metadata_entry(DIGEST_KEY, b"0" * 64))
    body, entry = data[:-length], bytes(data[-length:])
    digest = hashlib.sha256(body).hexdigest()
    if entry == metadata_entry(DIGEST_KEY, digest.encode()):
        return digest
    if entry[:-64] == metadata_entry(DIGEST_KEY, b"0" * 64)[:-64]:
        raise BundleError("changed since it was exported: its content does not match its SHA-256")
    raise BundleError("cut short, changed, or not written by imgrec: no SHA-256 stands at its end")
