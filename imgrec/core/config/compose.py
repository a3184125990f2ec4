"""Compose a configuration from overrides, and explain what is wrong with them.

Hydra's errors describe its composition. Here the overrides are checked one by one, as the user wrote them, and the
first invalid one is named with what it could have been. Where none is found, Hydra's own first line is shown.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from imgrec.core.config.build import config_dir, explain_access, store_open_groups
from imgrec.core.config.overrides import CommandLine, check_are_text, quote, read_command_line
from imgrec.core.text import listed
from imgrec.errors import ConfigError, ImgrecError, did_you_mean

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

__all__ = ["compose_config", "explain_composition"]

# Hydra's state and the random states that a job sets are global: jobs of several threads run one after another.
_ONE_JOB = threading.RLock()
_OPTIONAL = ("logger", "experiment")  # groups that a run does without


@contextlib.contextmanager
def compose_config(config_name: str, overrides: Sequence[str]) -> Iterator[DictConfig]:
    """Compose conf/`config_name`.yaml with overrides; inside the block `is_overridden` knows them.

    Args:
        config_name: "train" or "evaluate".
        overrides: As on the command line, such as `"data.root=photos"`.

    Yields:
        The configuration without Hydra's own part. Hydra's global state is as before when the block ends.

    Raises:
        ConfigError: An override that is not valid, with the nearest valid ones.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.hydra_config import HydraConfig

    check_are_text(overrides)
    line = read_command_line(overrides)
    if line.flags or line.ours:
        raise ConfigError(f"{[*line.flags, *line.ours][0]} is a flag of the command line. Give overrides: key=value.")
    with _ONE_JOB, _hydra_set_aside():
        store_open_groups()
        try:
            with initialize_config_dir(str(config_dir()), version_base="1.3"):
                config = compose(config_name, list(line.overrides), return_hydra_config=True)
        except Exception as error:
            raise explain_composition(error, line=line, config_name=config_name) from error.__cause__
        HydraConfig().set_config(config)
        with flag_override(config, "struct", False):
            del config["hydra"]
        yield config


@contextlib.contextmanager
def _hydra_set_aside() -> Iterator[None]:
    """Give back Hydra's global state when the block ends: a program may be inside a Hydra application of its own."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

    before = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = before


def explain_composition(error: Exception, *, line: CommandLine, config_name: str) -> Exception:
    """Return a ConfigError for what Hydra raised; errors that are not about the configuration unchanged."""
    from hydra.errors import HydraException
    from yaml import YAMLError  # type: ignore[import-untyped]

    if isinstance(error, ImgrecError):
        return error
    message = _find_problem(line, config_name=line.config_name or config_name)
    if message is None and isinstance(error, YAMLError):
        message = f"A configuration file cannot be read: {' '.join(str(error).split())}"
    if message is None and isinstance(error, OmegaConfBaseException):
        message = str(explain_access(error))
    if message is None and isinstance(error, HydraException):
        message = _compact(error)
    if message is None:
        return error
    explained = ConfigError(message)
    explained.__cause__ = error
    return explained


def _compact(error: Exception) -> str:
    """Return Hydra's message without its search path and links, with OmegaConf's reason, if any."""
    parts = [part for part in (error, error.__cause__) if part is not None and str(part)]
    lines = [str(part).strip().splitlines()[0].strip() for part in parts]
    return ": ".join(lines) or type(error).__name__


@dataclass(frozen=True)
class _Presets:
    """The groups of the configuration and the presets in them."""

    loader: Any
    search: list[str]

    def groups(self) -> list[str]:
        return [name for name in self._options("", of_groups=True) if name != "hydra"]

    def of(self, group: str) -> list[str]:
        return [name for name in self._options(group, of_groups=False) if not name.startswith("_")]

    def _options(self, group: str, *, of_groups: bool) -> list[str]:
        from hydra.core.object_type import ObjectType

        kind = ObjectType.GROUP if of_groups else ObjectType.CONFIG
        found: list[str] = self.loader.get_group_options(group, kind, overrides=self.search)
        return found


@contextlib.contextmanager
def _presets(line: CommandLine) -> Iterator[_Presets]:
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    folder, *more = line.config_folders
    search = [f"hydra.searchpath=[{quote(f'file://{path}')}]" for path in more]
    with initialize_config_dir(str(folder), version_base="1.3"):
        yield _Presets(GlobalHydra.instance().config_loader(), search)


def _find_problem(line: CommandLine, *, config_name: str) -> str | None:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    with _presets(line) as presets:
        parser = OverridesParser.create(config_loader=presets.loader)
        overrides: list[Override] = []
        for text in line.overrides:
            try:
                overrides += parser.parse_overrides([text])
            except HydraException as error:
                return _syntax_problem(text, error, presets=presets)
        is_sweep = "-m" in line.flags or "--multirun" in line.flags
        for override in overrides:
            problem = _value_problem(override, presets=presets, is_sweep=is_sweep)
            if problem is not None:
                return problem
        return _first_key_problem(overrides, presets=presets, config_name=config_name)


def _syntax_problem(override: str, error: Exception, *, presets: _Presets) -> str:
    if "=" not in override:
        homes = [f"{group}={override}" for group in presets.groups() if override in presets.of(group)]
        hint = f" Did you mean {' or '.join(homes)}?" if homes else " Options are given as key=value."
        return f"{override!r} is not key=value.{hint}"
    key, _, value = override.partition("=")
    reason = str(error).splitlines()[0]
    hint = f'If the value has special characters, quote it: "{key}={quote(value)}"'
    return f"{override!r} cannot be read ({reason}). {hint}"


def _value_problem(override: "Override", *, presets: _Presets, is_sweep: bool) -> str | None:
    """Return what is wrong with a choice of a preset, or with a list of values outside a sweep."""
    text = override.input_line or ""
    if override.is_sweep_override() and not is_sweep:
        key, _, value = text.partition("=")
        return f"{text!r} gives several values. Add -m (in Python: imgrec.sweep), or write a list: {key}=[{value}]"
    options = presets.of(override.key_or_group)
    if not options or override.is_delete() or isinstance(override.value(), dict):
        return None
    return next(filter(None, (_choice_problem(override, value, options) for value in _values(override))), None)


def _values(override: "Override") -> list[Any]:
    if override.is_discrete_sweep():
        return list(override.sweep_string_iterator())
    value = override.value()
    return value if isinstance(value, list) else [value]


def _choice_problem(override: "Override", value: Any, options: list[str]) -> str | None:
    group = override.key_or_group
    choices = f"{group} is one of: {listed(sorted(options), limit=30)}."
    if value is None:
        removal = f" ~{group} removes it." if group in _OPTIONAL else ""
        return f"{override.input_line}: a preset is chosen by its name.{removal} {choices}"
    if str(value) not in options:
        return f"There is no {group} {str(value)!r}.{did_you_mean(str(value), options)} {choices}"
    return None


def _first_key_problem(overrides: list["Override"], *, presets: _Presets, config_name: str) -> str | None:
    from hydra import compose
    from hydra.errors import HydraException
    from yaml import YAMLError

    choices = [override for override in overrides if presets.of(override.key_or_group)]
    lines = [str(override.input_line) for override in choices if not override.is_sweep_override()]
    try:
        config = compose(config_name, [*presets.search, *lines], return_hydra_config=True)
    except (HydraException, YAMLError, ValueError):
        return None  # a preset is invalid, or the choices exclude each other: Hydra's own message says more
    for override in overrides:
        if override not in choices:
            problem = _key_problem(override, config, presets=presets)
            if problem is not None:
                return problem
    return None


def _key_problem(override: "Override", config: DictConfig, *, presets: _Presets) -> str | None:
    key = override.key_or_group
    exists = _exists(config, key)
    if override.is_add() and exists:
        return f"{key} exists already; + is for new keys. Write {str(override.input_line).removeprefix('+')}"
    if override.is_add() or override.is_force_add():
        OmegaConf.update(config, key, override.value(), force_add=True)
        return None
    if exists:
        return None
    if override.is_delete():
        return f"~{key}: there is no {key!r} to remove.{_suggest(key, config, presets=presets)}"
    return f"There is no key {key!r}.{_suggest(key, config, presets=presets)}{_way_in(override, config)}"


def _exists(config: DictConfig, key: str) -> bool:
    """Return whether a value can be set at `key`: it exists, or its group accepts any key."""
    parent_key, _, name = key.rpartition(".")
    parent = OmegaConf.select(config, parent_key) if parent_key else config
    if not isinstance(parent, DictConfig):
        return OmegaConf.is_list(parent)
    return name in list(parent) or not OmegaConf.is_struct(parent)


def _suggest(key: str, config: DictConfig, *, presets: _Presets) -> str:
    """Return the valid keys nearest to `key`: of its group, else with the same ending (optimizer.lr for lr)."""
    known = dict.fromkeys(_keys(config.hydra, "hydra.") if key.startswith("hydra.") else _keys(config))
    known |= dict.fromkeys(presets.groups())
    group, dot, name = key.rpartition(".")
    siblings = [candidate.rpartition(".")[2] for candidate in known if candidate.rpartition(".")[0] == group]
    near = [f"{group}{dot}{sibling}" for sibling in get_close_matches(name, siblings)]
    near = near or [candidate for candidate in known if candidate.rpartition(".")[2] == name][:3]
    near = near or get_close_matches(key, known)
    return f" Did you mean {' or '.join(repr(candidate) for candidate in near)}?" if near else ""


def _keys(config: DictConfig, prefix: str = "") -> Iterator[str]:
    """Yield every key that can be set, in dotted form, except Hydra's own."""
    for name in config:
        if str(name).startswith("_") or (not prefix and name == "hydra"):
            continue
        yield f"{prefix}{name!s}"
        node = config._get_node(name)
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_interpolation():
            yield from _keys(node, f"{prefix}{name!s}.")


def _way_in(override: "Override", config: DictConfig) -> str:
    """Return the keys of the group, and how to add one that is passed on to what the group builds."""
    group = override.key_or_group.rpartition(".")[0]
    node = OmegaConf.select(config, group) if group else None
    if not isinstance(node, DictConfig) or "_target_" not in node:
        return ""
    names = [str(name) for name in node if not str(name).startswith("_")]
    return (
        f" {group} has: {listed(names, limit=12)}. +{override.input_line} passes it to {node['_target_']} all the same."
    )
