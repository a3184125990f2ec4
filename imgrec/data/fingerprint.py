"""Digests that tell whether two data sets are the same."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

import numpy as np

from imgrec.data.samples import Samples

__all__ = ["fingerprint", "samples_fingerprint"]


def fingerprint(class_names: Sequence[str], content: Iterable[str | bytes]) -> str:
    """Return the SHA-256, in hexadecimal, of class names and of what else identifies a data set."""
    digest = sha256("\0".join(class_names).encode("utf-8", "surrogateescape"))
    for part in content:
        digest.update(part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part)
    return digest.hexdigest()


def samples_fingerprint(splits: Mapping[str, Samples], class_names: Sequence[str]) -> str:
    """Return the fingerprint of the names and labels of all splits, in their order."""
    content = (
        part
        for split, samples in splits.items()
        for part in (f"\0{split}\0", "\0".join(samples.names), np.ascontiguousarray(samples.labels).tobytes())
    )
    return fingerprint(class_names, content)
