"""Whether the samples of a data set are those that a split file was made for, and what changed if they are not."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from imgrec.core.text import listed
from imgrec.data.samples import Samples
from imgrec.data.splits.join import common_folder

__all__ = ["BETWEEN", "Changes", "find_changes", "fingerprint", "label_texts", "relative_names"]

BETWEEN = "\x1f"  # divides several labels of a sample: the separator of units in ASCII, which no label holds
_SHOWN = 3
_TRIED = 200  # names by which the data's folder is found anew


def label_texts(samples: Samples, class_names: Sequence[str]) -> list[str]:
    """Return the label of each sample by name, so that another order of the classes changes nothing."""
    if samples.labels.ndim == 1:
        return [class_names[int(label)] for label in samples.labels]
    return [
        BETWEEN.join(sorted(name for name, has in zip(class_names, row, strict=True) if has)) for row in samples.labels
    ]


def fingerprint(names: Sequence[str], labels: Sequence[str], class_names: Sequence[str]) -> str:
    """Return a SHA-256 over names relative to the data's folder, labels and classes; their order counts for nothing."""
    digest = sha256("\0".join(sorted(class_names)).encode("utf-8", "surrogateescape"))
    for name, label in sorted(zip(names, labels, strict=True)):
        digest.update(f"\0\0{name}\0{label}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def relative_names(names: Sequence[str], known: Sequence[str] = ()) -> list[str]:
    """Return names relative to the data's folder: the one that makes them most like `known`, else the common one.

    The common folder alone would not do: one new file beside it, and every name would be another.
    """
    folder = common_folder(names)
    found = [name[len(folder) :] for name in names]
    if not known or found == list(known):
        return found
    folder = _folder_by(known, names)
    return [name.removeprefix(folder) for name in names]


def _folder_by(known: Sequence[str], names: Sequence[str]) -> str:
    """Return the folder that most of some `known` names count from, judged by names that end with them."""
    step = max(1, len(known) // _TRIED)
    by_last: dict[str, list[str]] = {}
    for name in names:
        by_last.setdefault(name.rpartition("/")[2], []).append(name)
    votes: Counter[str] = Counter()
    for entry in known[::step]:
        of_entry = by_last.get(entry.rpartition("/")[2], [])
        votes.update({name[: -len(entry)] for name in of_entry if name.endswith(f"/{entry}") or name == entry})
    return max(votes, key=lambda folder: (votes[folder], folder), default=common_folder(names))


@dataclass(frozen=True)
class Changes:
    """What changed since the file was made; names relative to the data's folder."""

    added: list[str]
    removed: list[str]
    relabelled: list[str]  # "name (cat, was dog)"
    new_classes: list[str]
    lost_classes: list[str]

    def __bool__(self) -> bool:
        return any((self.added, self.removed, self.relabelled, self.new_classes, self.lost_classes))

    def __str__(self) -> str:
        """Return each kind of change with its count and the first few names."""
        kinds = {
            "added": self.added,
            "removed": self.removed,
            "relabelled": self.relabelled,
            "new classes": self.new_classes,
            "classes gone": self.lost_classes,
        }
        return "; ".join(
            f"{len(names)} {kind}: {listed(names, limit=_SHOWN)}" for kind, names in kinds.items() if names
        )


def find_changes(
    before: Mapping[str, str], now: Mapping[str, str], *, classes_before: Sequence[str], classes_now: Sequence[str]
) -> Changes:
    """Compare two data sets, each as name -> label text, and their class lists."""
    both = sorted(before.keys() & now.keys())
    return Changes(
        added=sorted(now.keys() - before.keys()),
        removed=sorted(before.keys() - now.keys()),
        relabelled=[
            f"{name} ({_said(now[name])}, was {_said(before[name])})" for name in both if now[name] != before[name]
        ],
        new_classes=sorted(set(classes_now) - set(classes_before)),
        lost_classes=sorted(set(classes_before) - set(classes_now)),
    )


def _said(label: str) -> str:
    return label.replace(BETWEEN, " + ") or "no label"
