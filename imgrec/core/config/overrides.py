"""The arguments after `python train.py`: Hydra's flags, `key=value` overrides, and imgrec's two flags."""

import contextlib
import functools
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgrec.core.config.build import config_dir
from imgrec.errors import ConfigError, did_you_mean

__all__ = ["CommandLine", "check_are_text", "quote", "read_command_line"]

log = logging.getLogger("imgrec")

_WITH_VALUE = {"--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"}
_WITH_OPTIONAL_VALUE = {"--info", "-i"}
_WITHOUT_VALUE = {"--help", "-h", "--hydra-help", "--resolve", "--run", "-r", "--multirun", "-m", "-sc"}
_WITHOUT_VALUE |= {"--shell-completion"}
_OURS = frozenset({"--version", "--debug"})


@dataclass(frozen=True)
class CommandLine:
    """A command line, sorted.

    Attributes:
        flags: Hydra's flags, each followed by its value.
        overrides: `key=value` and similar.
        ours: --version, --debug, if given.
        config_dir: Value of --config-dir, or None; likewise the next two.
        config_name: Value of --config-name.
        config_path: Value of --config-path.
    """

    flags: tuple[str, ...]
    overrides: tuple[str, ...]
    ours: frozenset[str]
    config_dir: str | None
    config_name: str | None
    config_path: str | None

    @property
    def config_folders(self) -> list[Path]:
        """The folders of presets: that of the configuration, and that of --config-dir, if it exists."""
        first = Path(self.config_path).resolve() if self.config_path else config_dir()
        more = Path(self.config_dir).resolve() if self.config_dir else None
        return [first, more] if more is not None and more.is_dir() else [first]

    @property
    def config_flags(self) -> list[str]:
        """The flags that locate the configuration; a job of a sweep gets them too."""
        options = {
            "--config-dir": self.config_dir,
            "--config-name": self.config_name,
            "--config-path": self.config_path,
        }
        return [part for flag, value in options.items() if value is not None for part in (flag, value)]


def check_are_text(overrides: Sequence[object]) -> None:
    """Refuse an override from Python that is not text.

    Raises:
        ConfigError: One is of another type.
    """
    for override in overrides:
        if not isinstance(override, str):
            raise ConfigError(f'{override!r} is of type {type(override).__name__}. Overrides are text: "key=value".')


def read_command_line(arguments: Sequence[str]) -> CommandLine:
    """Sort the arguments into flags and overrides.

    Flags may stand anywhere: Hydra wants them before the overrides, and Lightning adds overrides at the end.

    Raises:
        ConfigError: An unknown flag, with the nearest ones, or one without its value; an override with spaces around
            its `=`.
    """
    flags, overrides = _sort(arguments)
    for override in overrides:
        key, sign, value = override.partition("=")
        if (sign and key != key.rstrip()) or override == "=":
            example = f"{key.strip()}={value.strip()}" if key.strip() else "key=value"
            raise ConfigError(f"{override!r}: remove the spaces around =, {example}.")
    for note in _given_twice(overrides):
        _warn_once(note)
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
    """Return `value` quoted, so that an override takes it literally, whatever characters it has."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(str(value), Quote.single).with_quotes()


def _sort(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    flags: list[str] = []
    overrides: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("-"):
            overrides.append(argument)
            continue
        flags.append(argument)
        name, has_value, _ = argument.partition("=")
        _check_flag(name)
        is_next_free = bool(rest) and not rest[0].startswith("-")
        if not has_value and is_next_free and (name in _WITH_VALUE or _takes(name, rest[0])):
            flags.append(rest.pop(0))
    return flags, overrides


def _given_twice(overrides: Sequence[str]) -> Iterator[str]:
    """Yield a note for each key with two values. Hydra takes the last one, so that scripts can pass defaults."""
    given: dict[str, str] = {}
    for override in overrides:
        key, sign, value = override.partition("=")
        if not sign or key.startswith(("+", "~", "hydra.")) or value.startswith("{"):
            continue
        if given.setdefault(key, value) != value:
            yield f"{key} is given twice: {given[key]} and {value}. The last one applies."
        given[key] = value


@functools.cache  # a sweep reads its command line again for each job
def _warn_once(note: str) -> None:
    log.warning(note)


def _takes(name: str, argument: str) -> bool:
    return name in _WITH_OPTIONAL_VALUE and "=" not in argument


def _check_flag(name: str) -> None:
    known = _WITH_VALUE | _WITH_OPTIONAL_VALUE | _WITHOUT_VALUE | _OURS
    if name not in known:
        near = did_you_mean(name, sorted(flag for flag in known if flag.startswith("--")))
        raise ConfigError(f"There is no flag {name}.{near} Options are given as key=value; --help lists them.")
