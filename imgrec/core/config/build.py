"""Build objects from the configuration, and check it before anything is built.

Hydra composes the configuration (conf/train.yaml, conf/evaluate.yaml) and builds the objects. A user's own
configuration is code: it may name any class. The one inside a checkpoint is data, built by
`imgrec.core.config.allow_list`.
"""

import functools
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from imgrec.core.config.signature import check_arguments, explain_call, layers_of, locate
from imgrec.core.config.value_kinds import check_kinds
from imgrec.errors import ConfigError, did_you_mean

__all__ = [
    "build",
    "build_all",
    "build_from_checkpoint",
    "check",
    "check_complete",
    "check_sweep_of_several_processes",
    "config_dir",
    "explain_access",
    "is_overridden",
    "run_folder",
    "store_open_groups",
    "to_plain",
]

# Lightning's name for "these two exclude each other"; compared by name, because importing Lightning takes seconds.
_REFUSALS_BY_NAME = frozenset({"MisconfigurationException"})
_OPEN_GROUPS = ("data", "model", "preprocess")


def config_dir() -> Path:
    """Return the folder of the configuration: inside an installed package, or beside it in a checkout.

    Raises:
        ConfigError: Neither exists.
    """
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise ConfigError(f"No configuration: {package.parent / 'conf' / 'train.yaml'} is missing. Install imgrec again.")


def store_open_groups() -> None:
    """Give evaluate.yaml groups that accept any key, such as `data.root=...` on top of a checkpoint's data settings.

    YAML cannot express "any key", so this part of the configuration is written in Python. `build_from_checkpoint`
    checks the keys against the checkpoint's.
    """
    from hydra.core.config_store import ConfigStore

    groups = {name: DictConfig({}, flags={"struct": False}) for name in _OPEN_GROUPS}
    ConfigStore.instance().store(name="from_checkpoint", node=DictConfig(groups), provider="imgrec")


def run_folder() -> Path:
    """Return the folder of the run in progress, relative to the working folder where it lies inside."""
    from hydra.core.hydra_config import HydraConfig

    folder = Path(HydraConfig.get().runtime.output_dir)
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def is_overridden(key: str) -> bool:
    """Return whether an override sets `key` or a key below it; a preset, as data=digits, may set it too.

    True where the configuration was not composed from overrides: then all of it was written on purpose.
    """
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized():
        return True
    pattern = rf"[+~]*{re.escape(key)}(?:[.@=]|$)"
    return any(re.match(pattern, override) for override in HydraConfig.get().overrides.task)


def check_complete(config: DictConfig) -> None:
    """Check that every `???` has been given a value.

    Raises:
        ConfigError: It names the keys without one.
    """
    missing = sorted(_missing(config))
    if missing:
        raise ConfigError(f"{' and '.join(missing)} must be given. Add {' '.join(f'{key}=...' for key in missing)}")


def _missing(config: Any, prefix: str = "") -> Iterator[str]:
    """Yield the keys whose value is `???`. Interpolations are not resolved: what they refer to may come later."""
    for name in config if OmegaConf.is_dict(config) else range(len(config)):
        node = config._get_node(name)
        if node._is_missing():
            yield f"{prefix}{name}"
        elif OmegaConf.is_config(node) and not node._is_none() and not node._is_interpolation():
            yield from _missing(node, f"{prefix}{name}.")


def check_sweep_of_several_processes(num_processes: int) -> None:
    """Refuse a job of several processes in a sweep whose launcher runs the jobs in this process.

    Lightning starts the other processes with this command line. With -m in it they would draw other parameters than
    this job, silently.

    Raises:
        ConfigError: More than one process in such a sweep.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    in_process = HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
    if num_processes > 1 and in_process:
        choice = HydraConfig.get().runtime.choices.get("hydra/launcher")
        raise ConfigError(
            f"hydra/launcher={choice} runs jobs in one process, which cannot give {num_processes} processes the same "
            "parameters. Remove it: imgrec's own launcher can."
        )


def to_plain(config: DictConfig, *, resolve: bool = True) -> dict[str, Any]:
    """Return the configuration as dict, list, str, numbers and None, the form in which checkpoints keep it.

    Args:
        config: The configuration.
        resolve: Resolve interpolations. False for an evaluation, whose interpolations may refer to the checkpoint's
            configuration.

    Raises:
        ConfigError: An interpolation refers to nothing, or a value is missing.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=resolve, throw_on_missing=resolve)
    except OmegaConfBaseException as error:
        raise explain_access(error) from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def explain_access(error: OmegaConfBaseException) -> ConfigError:
    """Return OmegaConf's error about a value as one line that names the key."""
    key = (error.full_key or str(error.key)).replace("hydra.run.dir", "run_dir")
    nowhere = re.search(r"Interpolation key '([\w.]+)' not found", str(error))
    if nowhere is not None:
        return ConfigError(f"{key} refers to {nowhere[1]!r}, which does not exist. Set {nowhere[1]}=..., or {key}=...")
    return ConfigError(f"{key}: {str(error).splitlines()[0].rstrip('.')}. Set {key}=...")


def build(node: DictConfig | Mapping[str, Any] | None, /, **given: Any) -> Any:
    """Build the object that `node` names in `_target_`, from its keys and from `given`.

    Args:
        node: A part of the configuration.
        **given: Passed to the object as they are (Hydra would turn a dataclass into a dict), in place of keys of the
            same name.

    Returns:
        The object; None if `node` is empty; with `_partial_: true` a callable that takes the remaining arguments.

    Raises:
        ConfigError: A class or a key that does not exist, with the nearest ones; a value that is missing or not
            accepted. An ImgrecError of the object itself passes unchanged.
    """
    if not node:
        return None
    config = node if isinstance(node, DictConfig) else OmegaConf.create(dict(node))
    try:
        check(config, **given)
        made = _instantiate(config, instead=given)
    except OmegaConfBaseException as error:
        raise explain_access(error) from error
    if config.get("_partial_", False):
        return functools.partial(made, **given)
    return _call(made, given, key=_key_of(config))


def build_all(node: DictConfig | None) -> list[Any]:
    """Build every object of a group that holds several by name (callbacks, loggers), except those set to null."""
    return [] if not node else [build(node[name]) for name in node if node[name]]


def build_from_checkpoint(
    saved: Mapping[str, Any] | None, changes: DictConfig | None, *, key: str, **given: Any
) -> Any:
    """Build the part `key` of the configuration inside a checkpoint, with the user's overrides on top.

    A part that the user replaced (`data=folder`) is built as the user's own; the checkpoint's by the allow-list.

    Args:
        saved: The checkpoint's part.
        changes: The user's overrides of it.
        key: Its name, such as "data".
        **given: As in `build`.

    Raises:
        ConfigError: An override of a key that the checkpoint's part does not have.
        CheckpointError: The checkpoint has no such part, or names something outside the allow-list.
    """
    from imgrec.core.config.allow_list import build_trusted_only

    if changes and "_target_" in changes:
        return build(changes, **given)
    wanted = to_plain(changes) if changes else {}
    unknown = [name for name in wanted if name not in (saved or {})]
    if unknown:
        raise ConfigError(
            f"{key}.{unknown[0]} is no key of this checkpoint's {key}.{did_you_mean(unknown[0], saved or {})} "
            f"It has: {', '.join(saved or {}) or 'none'}. Or choose a preset: {key}=NAME."
        )
    return build_trusted_only({**(saved or {}), **wanted}, key=key, **given)


def check(node: DictConfig, /, **given: Any) -> None:
    """Check what can be known of `node` before anything is built: its classes, keys and values, nested ones too.

    Args:
        node: A part of the configuration.
        **given: What `build` will be given.

    Raises:
        ConfigError: As in `build`.
    """
    if "_target_" not in node:
        raise ConfigError(f"{_key_of(node)} names no class. Choose a preset: {_key_of(node)}=NAME.")
    _check_nested(node, given=given)


def _key_of(node: Any) -> str:
    """Return the key for messages: that of the group, where another part refers to it by interpolation."""
    return node._get_full_key(None) or str(node.get("_target_"))


def _check_nested(node: Any, *, given: Mapping[str, Any]) -> None:
    if OmegaConf.is_dict(node) and "_target_" in node:
        _check_target(node, key=_key_of(node), given=given)
    for name in node if OmegaConf.is_dict(node) else range(len(node)):
        if name not in given and not OmegaConf.is_missing(node, name) and OmegaConf.is_config(node[name]):
            _check_nested(node[name], given={})


def _check_target(node: DictConfig, *, key: str, given: Mapping[str, Any]) -> None:
    missing = [str(name) for name in node if OmegaConf.is_missing(node, name) and name not in given]
    if missing:
        raise ConfigError(f"{key}.{missing[0]} must be given. Add {key}.{missing[0]}=...")
    target = locate(str(node["_target_"]), key=f"{key}._target_")
    configured = [str(name) for name in node if not re.fullmatch(r"_\w+_", str(name))]
    partial = bool(node.get("_partial_", False)) or "_args_" in node
    check_arguments(target, configured=configured, given=list(given), key=key, partial=partial)
    if str(getattr(target, "__module__", "")).startswith("imgrec."):  # others may annotate loosely
        values = {name: node[name] for name in configured if name not in given}
        for layer in layers_of(target):
            check_kinds(layer, values, key=key)


def _instantiate(config: DictConfig, *, instead: Collection[str]) -> functools.partial[Any]:
    """Return the object as a call that takes more arguments; what is nested in it is built.

    Args:
        config: A part of the configuration.
        instead: Keys that get another value; what the configuration has there is not built.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        made = instantiate(config, _partial_=True, _convert_="all", **dict.fromkeys(instead))
    except InstantiationException as error:
        failure = _cause(error, config)
    else:
        assert isinstance(made, functools.partial)
        return made
    raise failure


def _cause(error: Exception, config: DictConfig) -> Exception:
    """Return the error that Hydra wrapped; a ConfigError where the configuration caused it."""
    cause = error.__cause__
    found = re.search(r"full_key: (\S+)", str(error))
    where = _group_key(config, found[1]) if found else _key_of(config)
    if cause is None:
        return ConfigError(f"{where}: {str(error).splitlines()[0]}")
    assert isinstance(cause, Exception)
    target = re.search(r"target '([\w.]+)'", str(error))
    if not _is_refusal(cause) or target is None:
        return cause
    explained = explain_call(cause, target=locate(target[1], key=where), key=where)
    explained.__cause__ = cause
    return explained


def _group_key(config: DictConfig, key: str) -> str:
    """Return `key` as `_key_of` does: model.name for classifier.net.name, where classifier.net is ${model}."""
    found: Any = OmegaConf.select(config._get_root(), key)
    return _key_of(found) if OmegaConf.is_config(found) else key


def _call(made: functools.partial[Any], given: Mapping[str, Any], *, key: str) -> Any:
    try:
        return made(**given)
    except Exception as error:
        if not _is_refusal(error):
            raise
        raise explain_call(error, target=made.func, key=key) from error


def _is_refusal(error: Exception) -> bool:
    """Return whether an error is about the values given rather than a bug or the machine."""
    return isinstance(error, TypeError | ValueError) or type(error).__name__ in _REFUSALS_BY_NAME
