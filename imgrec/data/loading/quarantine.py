"""Images that cannot be used: each left out, counted once, listed with its reason, and bounded in number."""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from imgrec.core.config.checks import check_number
from imgrec.core.files.json_file import write_json
from imgrec.errors import ConfigError, DataError, ImageError

__all__ = ["REPORT_NAME", "Quarantine", "check_max_bad"]

log = logging.getLogger("imgrec")

REPORT_NAME = "data_report.json"
MAX_SAID = 10  # images that messages name; the report names all


def check_max_bad(value: float) -> None:
    """Check `data.max_bad`: a share below 1, or a whole number of images. Raises: ConfigError."""
    check_number("data.max_bad", value, at_least=0)
    if value >= 1 and value != int(value):
        raise ConfigError(f"data.max_bad={value}: a share of the images, below 1, or a whole number of them.")


class Quarantine:
    """The images of a run that were left out.

    sizes: images per split, of which `max_bad` may be left out: a share below 1, or a number. None of the test split
        may: its scores would be of other images than its name says.
    folder: where `data_report.json` is written, anew with every image that is added; None = nowhere.

    Nothing takes the place of an image that is left out, and no file is changed.
    """

    def __init__(self, sizes: Mapping[str, int], *, max_bad: float, folder: Path | None = None) -> None:
        self.sizes = dict(sizes)
        self.max_bad = max_bad
        self.folder = folder
        self._found: dict[tuple[str, str], ImageError] = {}  # by split and path

    def __len__(self) -> int:
        return len(self._found)

    def add(self, split: str, errors: Iterable[ImageError]) -> None:
        """Count images of a split as left out; each path counts once, however often it is met.

        Raises: DataError: too many now, or one of the test split.
        """
        new = {(split, error.path): error for error in errors if (split, error.path) not in self._found}
        if not new:
            return
        said = len(self._found)
        self._found |= new
        self.write()
        for error in list(new.values())[: max(0, MAX_SAID - said)]:
            log.warning("Left out of %s: %s", split, error)
        if len(self._found) > MAX_SAID >= said:
            log.warning("More images are left out; %s lists them all.", REPORT_NAME)
        self._check(split)

    def allowed(self, split: str) -> int:
        """Return how many images of a split may be left out."""
        if split == "test":
            return 0
        return int(self.max_bad if self.max_bad >= 1 else self.max_bad * self.sizes[split])

    def write(self) -> None:
        """Write `data_report.json`: how many images there are, and those left out, with path, reason and digest."""
        if self.folder is None:
            return
        entries = [
            {"split": split, "path": path, "code": error.code, "detail": error.detail, "sha256": _digest(path)}
            for (split, path), error in sorted(self._found.items())
        ]
        report = {"num_files": self.sizes, "max_bad": self.max_bad, "num_left_out": len(entries), "left_out": entries}
        write_json(self.folder / REPORT_NAME, report)

    def _check(self, split: str) -> None:
        found = [error for (of_split, _), error in self._found.items() if of_split == split]
        allowed = self.allowed(split)
        if len(found) <= allowed:
            return
        where = f" All are in {self.folder / REPORT_NAME}." if self.folder is not None and len(found) > 1 else ""
        rule = "none of the test split may be left out" if split == "test" else f"at most {allowed} may be left out"
        remedy = "" if split == "test" else f" (data.max_bad={self.max_bad:g})"
        raise DataError(
            f"{len(found)} of {self.sizes[split]} {split} images cannot be used, {rule}{remedy}. First: {found[0]}."
            f"{where} `imgrec audit` looks at all of the data and proposes what to remove; data.exclude leaves out by "
            "name."
        )


def _digest(path: str) -> str | None:
    """Return the SHA-256 of a file, or None for one that cannot be read or is no regular file."""
    try:
        file = Path(path)
        return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None
    except (OSError, ValueError):
        return None
