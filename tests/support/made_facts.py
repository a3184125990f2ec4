"""Tables of facts for tests: a plain data set of equal photographs, of which each test changes what it is about."""

from typing import Any

import numpy as np

from imgrec.auditing.scan.facts import NUM_HASHES, FactsTable


def made_facts(count: int, *, num_classes: int = 2, **columns: Any) -> FactsTable:
    """Return the facts of `count` JPEG files of 640 x 480 px, classes in turn, with `columns` in place of some."""
    names = [f"class{number}" for number in range(num_classes)]
    labels = np.arange(count) % num_classes
    rng = np.random.default_rng(0)
    plain: dict[str, Any] = {
        "split": ["train"] * count,
        "name": [f"photos/{names[label]}/{row}.jpg" for row, label in enumerate(labels)],
        "label": labels,
        "class_names": names,
        "group": None,
        "code": [""] * count,
        "detail": [""] * count,
        "flags": [()] * count,
        "format": ["JPEG"] * count,
        "mode": ["RGB"] * count,
        "width": np.full(count, 640),
        "height": np.full(count, 480),
        "num_bytes": rng.normal(90_000, 9_000, count).astype(np.int64),
        "file_sha256": [""] * count,
        "pixel_hash": np.array([b"%d" % row for row in range(count)], dtype="S16"),
        "hashes": rng.integers(0, 2**63, (count, NUM_HASHES), dtype=np.uint64),
        "thumbnail": rng.integers(0, 256, (count, 32, 32), dtype=np.uint8),
        "brightness": rng.normal(120, 20, count),
        "contrast": rng.normal(55, 8, count),
        "sharpness": rng.lognormal(6, 0.5, count),
        "colorfulness": rng.normal(40, 8, count),
        "border": np.zeros(count),
    }
    return FactsTable(**{**plain, **columns})
