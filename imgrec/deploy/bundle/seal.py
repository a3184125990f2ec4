"""The digest at the end of a bundle: SHA-256 over every byte before it.

It is the last field of the file, a metadata entry of fixed length, so that any ONNX reader can read the file. It
detects a truncated, damaged or changed file. It does not authenticate it: whoever changes a file can also replace its
digest. For that, sign the file.
"""

import hashlib

from imgrec.deploy.bundle.wire import encode_text_field
from imgrec.errors import BundleError

__all__ = ["DIGEST_KEY", "METADATA_PROPS", "metadata_entry", "seal", "verify_seal"]

METADATA_PROPS = 14  # the number of the field `metadata_props` in ModelProto
DIGEST_KEY = "imgrec_sha256"


def metadata_entry(key: str, value: bytes) -> bytes:
    """Return the encoded metadata entry of an ONNX file."""
    return encode_text_field(METADATA_PROPS, encode_text_field(1, key.encode()) + encode_text_field(2, value))


def seal(body: bytes) -> bytes:
    """Return an ONNX file with its digest appended."""
    return body + metadata_entry(DIGEST_KEY, hashlib.sha256(body).hexdigest().encode())


def verify_seal(data: memoryview) -> str:
    """Return the digest of a bundle.

    Raises:
        BundleError: There is none at the end, or it does not match the content.
    """
    length = len(metadata_entry(DIGEST_KEY, b"0" * 64))
    body, entry = data[:-length], bytes(data[-length:])
    digest = hashlib.sha256(body).hexdigest()
    if entry == metadata_entry(DIGEST_KEY, digest.encode()):
        return digest
    if entry[:-64] == metadata_entry(DIGEST_KEY, b"0" * 64)[:-64]:
        raise BundleError("changed since it was exported: its content does not match its SHA-256")
    raise BundleError("truncated, changed, or not written by imgrec: it does not end with a SHA-256")
