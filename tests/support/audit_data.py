"""A small audit whose facts are known: what the tests of the report, the plan and the table look at."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imgrec.auditing.duplicates.near import NearPair
from imgrec.auditing.findings import Audit, Case, Section
from imgrec.auditing.output.sections import broken_section, conflict_section, duplicate_sections, leak_sections
from imgrec.auditing.scan.facts import FactsTable, ImageFacts, facts_table
from imgrec.data.images.collections import FileImages
from imgrec.data.samples import Samples


def sample_image(seed: int, *, size: int = 24) -> np.ndarray:
    """Return a coloured image with something on it, another one for each seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))


def write_folders(root: Path, files: Mapping[str, np.ndarray]) -> Path:
    """Write images, named `split/class/file.png` or `class/file.png`, and return the folder."""
    for name, pixels in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return root


def write_leaking_photos(root: Path) -> Path:
    """Write photos/ with two splits of two classes, one image in both splits; return the folder."""
    files = {
        f"photos/{split}/{name}/{number}.png": sample_image(100 * place + 10 * label + number)
        for place, split in enumerate(("train", "test"))
        for label, name in enumerate(("cat", "dog"))
        for number in range(4)
    }
    files["photos/test/dog/leak.png"] = files["photos/train/dog/1.png"]
    return write_folders(root, files) / "photos"


def make_facts(
    rows: Sequence[tuple[str, str, int]], *, class_names: Sequence[str] = ("cat", "dog"), **facts: Any
) -> FactsTable:
    """Return facts of images given as (split, name, label); `facts` are columns, one value a row."""
    splits = list(dict.fromkeys(split for split, _, _ in rows))
    images = [
        ImageFacts(
            **{
                "width": 24,
                "height": 24,
                "num_bytes": 1000,
                "format": "PNG",
                "mode": "RGB",
                "pixel_hash": bytes([row + 1]) * 16,
                "file_sha256": f"{row:064x}",
            }
            | {name: values[row] for name, values in facts.items()}
        )
        for row in range(len(rows))
    ]
    parts = {}
    for split in splits:
        own = [(name, label) for of_split, name, label in rows if of_split == split]
        parts[split] = Samples(
            names=[name for name, _ in own],
            images=FileImages([Path(name) for name, _ in own]),
            labels=np.array([label for _, label in own], dtype=np.int64),
        )
    return facts_table(parts, images, class_names=class_names)


def make_audit(
    facts: FactsTable,
    *,
    groups: Sequence[Sequence[int]] = (),
    pairs: Sequence[NearPair] = (),
    more: Sequence[Section] = (),
    duplicates: Sequence[str] = (),
    not_run: Mapping[str, str] | None = None,
) -> Audit:
    """Return the audit of `facts` in which these duplicates, and `more`, were found."""
    paths = facts.name
    leaks = leak_sections(facts, paths, groups=groups, pairs=pairs)
    conflicts = conflict_section(facts, paths, groups=groups, pairs=pairs)
    sections = [
        broken_section(facts, paths),
        *leaks,
        conflicts,
        *duplicate_sections(paths, groups=groups, pairs=pairs),
        *more,
    ]
    return Audit(
        target="photos",
        facts=facts,
        paths=paths,
        sections=sections,
        duplicates=duplicates or [str(row) for row in range(len(facts))],
        not_run=not_run or {},
        settings={"seed": 1},
        versions={"imgrec": "0"},
    )


def suspect(row: int, *, label: int, confidence: float = 0.9) -> Section:
    """Return a section in which one label looks wrong."""
    case = Case(
        rows=(row,),
        severity="warning",
        text="labelled cat, looks like dog",
        entry={},
        confidence=confidence,
        suggestion=label,
    )
    return Section("suspected_labels", [case])
