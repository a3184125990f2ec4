"""Compare a data set with the one that a split file was made for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imgrec.core.text import listed
from imgrec.data.fingerprint import fingerprint
from imgrec.data.samples import Samples

__all__ = ["BETWEEN", "Changes", "common_folder", "find_changes", "label_texts", "labels_fingerprint", "relative_names"]

BETWEEN = "\x1f"  # between several labels of a sample: the unit separator of ASCII, which occurs in no label
_SHOWN = 3
_TRIED = 200  # names by which the data's folder is found again


def label_texts(samples: Samples, class_names: Sequence[str]) -> list[str]:
    """Return the label of each sample by name, so that another order of the classes changes nothing."""
    if samples.labels.ndim == 1:
        return [class_names[int(label)] for label in samples.labels]
    return [
        BETWEEN.join(sorted(name for name, has in zip(class_names, row, strict=True) if has)) for row in samples.labels
    ]


def labels_fingerprint(names: Sequence[str], labels: Sequence[str], class_names: Sequence[str]) -> str:
    """Return the fingerprint of relative names, labels and classes, whatever their order."""
    rows = sorted(zip(names, labels, strict=True))
    return fingerprint(sorted(class_names), (f"\0\0{name}\0{label}" for name, label in rows))


def common_folder(paths: Sequence[str]) -> str:
    """Return the folder, with its slash, that all paths begin with; "" where there is none."""
    low, high = min(paths), max(paths)  # what these two share at the start, all paths share
    shared = next((place for place, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[: low[:shared].rfind("/") + 1]


def relative_names(names: Sequence[str], known: Sequence[str] = ()) -> list[str]:
    """Return names relative to the data's folder: the one that makes them most like `known`, else the common one.

    The common folder alone would not do: one new file beside it would change every name.
    """
    folder = common_folder(names)
    found = [name[len(folder) :] for name in names]
    if not known or found == list(known):
        return found
    folder = _folder_by(known, names)
    return [name.removeprefix(folder) for name in names]


def _folder_by(known: Sequence[str], names: Sequence[str]) -> str:
    """Return the folder that most of the `known` names are relative to, by names that end with them."""
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
    """What changed since the file was made; names are relative to the data's folder."""

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
            f"{name} ({_shown(now[name])}, was {_shown(before[name])})" for name in both if now[name] != before[name]
        ],
        new_classes=sorted(set(classes_now) - set(classes_before)),
        lost_classes=sorted(set(classes_before) - set(classes_now)),
    )


def _shown(label: str) -> str:
    return label.replace(BETWEEN, " + ") or "no label"
