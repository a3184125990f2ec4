"""The words after `python train.py`: Hydra's flags, `key=value` overrides, and the two flags that are ours."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgrec.core.config.build import config_dir
from imgrec.errors import ConfigError, did_you_mean

__all__ = ["CommandLine", "quote", "read_command_line"]

_WITH_VALUE = {"--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"}
_WITH_OPTIONAL_VALUE = {"--info", "-i"}
_WITHOUT_VALUE = {"--help", "-h", "--hydra-help", "--resolve", "--run", "-r", "--multirun", "-m", "-sc"}
_WITHOUT_VALUE |= {"--shell-completion"}
_OURS = frozenset({"--version", "--debug"})


@dataclass(frozen=True)
class CommandLine:
    """flags: Hydra's, each before its value. overrides: `key=value` and its like. ours: --version, --debug, if given.

    config_dir, config_name, config_path: what the flags of that name say, or None.
    """

    flags: tuple[str, ...]
    overrides: tuple[str, ...]
    ours: frozenset[str]
    config_dir: str | None
    config_name: str | None
    config_path: str | None

    @property
    def config_folders(self) -> list[Path]:
        """Where presets lie: the folder of the configuration, and the one that --config-dir adds, if it is there."""
        first = Path(self.config_path).resolve() if self.config_path else config_dir()
        more = Path(self.config_dir).resolve() if self.config_dir else None
        return [first, more] if more is not None and more.is_dir() else [first]

    @property
    def config_flags(self) -> list[str]:
        """The flags that say where the configuration lies: what a job of a sweep needs too."""
        options = {
            "--config-dir": self.config_dir,
            "--config-name": self.config_name,
            "--config-path": self.config_path,
        }
        return [word for flag, value in options.items() if value is not None for word in (flag, value)]


def read_command_line(words: Sequence[str]) -> CommandLine:
    """Sort the words into flags and overrides.

    Flags may stand anywhere: Hydra wants them before the overrides, and Lightning adds overrides at the end.
    Raises: ConfigError: an unknown flag, with the nearest ones, or one without its value.
    """
    flags, overrides = _sort(words)
    from hydra._internal.utils import get_args_parser

    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            known = get_args_parser().parse_args([flag for flag in flags if flag not in _OURS])
    except SystemExit:
        raise ConfigError(f"{complaint.getvalue().strip().rpartition('error: ')[2]}. See --help.") from None
    rest = tuple(flag for flag in flags if flag not in _OURS)
    ours = frozenset(flags) & _OURS
    return CommandLine(rest, tuple(overrides), ours, known.config_dir, known.config_name, known.config_path)


def quote(value: object) -> str:
    """Return `value` as a string that an override takes literally, whatever characters it has."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(str(value), Quote.single).with_quotes()


def _sort(words: Sequence[str]) -> tuple[list[str], list[str]]:
    flags: list[str] = []
    overrides: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            overrides.append(word)
            continue
        flags.append(word)
        name, has_value, _ = word.partition("=")
        _check_flag(name)
        is_next_free = bool(rest) and not rest[0].startswith("-")
        if not has_value and is_next_free and (name in _WITH_VALUE or _takes(name, rest[0])):
            flags.append(rest.pop(0))
    return flags, overrides


def _takes(name: str, word: str) -> bool:
    return name in _WITH_OPTIONAL_VALUE and "=" not in word


def _check_flag(name: str) -> None:
    known = _WITH_VALUE | _WITH_OPTIONAL_VALUE | _WITHOUT_VALUE | _OURS
    if name not in known:
        near = did_you_mean(name, sorted(flag for flag in known if flag.startswith("--")))
        raise ConfigError(f"There is no flag {name}.{near} Options are given as key=value; --help lists them.")
