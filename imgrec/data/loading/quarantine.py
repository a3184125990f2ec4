"""Images that cannot be read: excluded from the run, listed in a report with the reason, and limited in number."""

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
MAX_LOGGED = 10  # images named in the log; the report has all


def check_max_bad(value: float) -> None:
    """Check `data.max_bad`.

    Raises:
        ConfigError: Neither a fraction below 1 nor a whole number.
    """
    check_number("data.max_bad", value, at_least=0)
    if value >= 1 and value != int(value):
        raise ConfigError(f"data.max_bad={value}: a fraction of the images, below 1, or a whole number of them.")


class Quarantine:
    """The excluded images of a run. No other image takes their place, and no file is changed.

    Args:
        sizes: Images per split.
        max_bad: Images of a split that may be excluded: a fraction below 1, or a number. None of the test split may
            be: its metrics would be those of other images.
        folder: Where `data_report.json` is written, again for each excluded image; None: nowhere.
    """

    def __init__(self, sizes: Mapping[str, int], *, max_bad: float, folder: Path | None = None) -> None:
        self.sizes = dict(sizes)
        self.max_bad = max_bad
        self.folder = folder
        self._found: dict[tuple[str, str], ImageError] = {}  # by split and path

    def __len__(self) -> int:
        return len(self._found)

    def add(self, split: str, errors: Iterable[ImageError]) -> None:
        """Add excluded images of a split; each path counts once, however often it is met.

        Raises:
            DataError: Too many now, or one of the test split.
        """
        new = {(split, error.path): error for error in errors if (split, error.path) not in self._found}
        if not new:
            return
        before = len(self._found)
        self._found |= new
        self.write()
        for error in list(new.values())[: max(0, MAX_LOGGED - before)]:
            log.warning("Excluded from %s: %s", split, error)
        if len(self._found) > MAX_LOGGED >= before:
            log.warning("More images are excluded; %s lists them all.", REPORT_NAME)
        self._check(split)

    def allowed(self, split: str) -> int:
        """Return how many images of a split may be excluded."""
        if split == "test":
            return 0
        return int(self.max_bad if self.max_bad >= 1 else self.max_bad * self.sizes[split])

    def write(self) -> None:
        """Write `data_report.json`: the number of images, and the excluded ones with path, reason and digest."""
        if self.folder is None:
            return
        entries = [
            {"split": split, "path": path, "code": error.code, "detail": error.detail, "sha256": _digest(path)}
            for (split, path), error in sorted(self._found.items())
        ]
        report = {"num_files": self.sizes, "max_bad": self.max_bad, "num_excluded": len(entries), "excluded": entries}
        write_json(self.folder / REPORT_NAME, report)

    def _check(self, split: str) -> None:
        found = [error for (of_split, _), error in self._found.items() if of_split == split]
        allowed = self.allowed(split)
        if len(found) <= allowed:
            return
        where = f" All are in {self.folder / REPORT_NAME}." if self.folder is not None and len(found) > 1 else ""
        rule = "none of the test split may be excluded" if split == "test" else f"at most {allowed} may be excluded"
        remedy = "" if split == "test" else f" (data.max_bad={self.max_bad:g})"
        raise DataError(
            f"{len(found)} of {self.sizes[split]} {split} images cannot be used, {rule}{remedy}. First: {found[0]}."
            f"{where} `imgrec audit` checks all of the data and proposes what to remove; data.exclude excludes by name."
        )


def _digest(path: str) -> str | None:
    """Return the SHA-256 of a file, or None for one that cannot be read or is no regular file."""
    try:
        file = Path(path)
        return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None
    except (OSError, ValueError):
        return None
