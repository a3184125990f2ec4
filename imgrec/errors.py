"""Every error that a user can cause, as one tree.

ImgrecError                 exit code 2
├── ConfigError             a wrong key, a wrong value, or two that exclude each other
├── DataError               a folder, table, label or split that cannot be used
│   └── ImageError          one image that cannot be used; carries `path` and a reason `code`
├── WeightsError            weights that do not fit, or are not available
├── CheckpointError         a checkpoint that is damaged, of another program, or made for other data
├── BundleError             an exported model that is damaged, changed, unsafe, or made for another version
│   └── ParityError         exit code 1: an export whose predictions differ from its checkpoint's; nothing was written
├── RunFolderError          a run folder in use, read-only, or full
├── MissingExtraError       an optional package that is not installed; ends with the pip command
├── JobError                jobs of a sweep that failed
├── NonFiniteError          exit code 3: the loss or a gradient became NaN or infinite
└── StopRequestedError      exit code 128 + n: told to stop by signal n, and saved before stopping

Each message says what is wrong, the value seen, and what to do. The command line prints the message alone.
"""

import difflib
from collections.abc import Iterable

__all__ = [
    "BundleError",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "ImageError",
    "ImgrecError",
    "JobError",
    "MissingExtraError",
    "NonFiniteError",
    "ParityError",
    "RunFolderError",
    "StopRequestedError",
    "WeightsError",
    "did_you_mean",
]


class ImgrecError(Exception):
    """Base of all errors that a user can cause and fix.

    Attributes:
        exit_code: What the command line returns.
    """

    exit_code = 2


class ConfigError(ImgrecError):
    """A wrong key, a wrong value, or two that exclude each other."""


class DataError(ImgrecError):
    """A folder, table, label or split that cannot be used."""


class ImageError(DataError):
    """One image that cannot be used.

    Attributes:
        path: The file, or its name in messages.
        code: A stable reason: not_an_image, truncated, damaged, too_large, too_small, unsupported, unreadable,
            not_a_file, float_range.
        detail: A sentence for people.
    """

    def __init__(self, path: str, code: str, detail: str) -> None:
        super().__init__(f"{path}: {detail} [{code}]")
        self.path = path
        self.code = code
        self.detail = detail

    def __reduce__(self) -> tuple[type["ImageError"], tuple[str, str, str]]:
        """Pickle by the three arguments: the error crosses from a worker to the main process."""
        return type(self), (self.path, self.code, self.detail)


class WeightsError(ImgrecError):
    """Weights that do not fit the model, or are not available."""


class CheckpointError(ImgrecError):
    """A checkpoint that is damaged, of another program, or made for other data."""


class BundleError(ImgrecError):
    """An exported model that is damaged, changed, unsafe, or made for another version."""


class ParityError(BundleError):
    """An export whose predictions differ from its checkpoint's; nothing was written."""

    exit_code = 1


class RunFolderError(ImgrecError):
    """A run folder that is in use, read-only, or full."""


class MissingExtraError(ImgrecError):
    """An optional package that is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f'{package} is not installed. Run: pip install "imgrec[{extra}]"')


class JobError(ImgrecError):
    """Jobs of a sweep that failed; the others ran."""

    exit_code = 1


class NonFiniteError(ImgrecError):
    """The loss or a gradient became NaN or infinite; training stopped before the optimizer step."""

    exit_code = 3


class StopRequestedError(ImgrecError):
    """The run was told to stop by a signal, saved, and stopped."""

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def did_you_mean(name: str, options: Iterable[str], *, limit: int = 3) -> str:
    """Return " Did you mean 'a' or 'b'?" with the options nearest to `name`, or "" when none is near."""
    near = difflib.get_close_matches(name, list(options), n=limit, cutoff=0.6)
    if not near:
        return ""
    return f" Did you mean {' or '.join(repr(option) for option in near)}?"
