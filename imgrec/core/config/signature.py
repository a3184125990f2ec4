"""Find a class or function by its dotted name, and check the arguments that a configuration calls it with."""

import inspect
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from imgrec.errors import ConfigError, did_you_mean

__all__ = ["Parameters", "check_arguments", "explain_call", "layers_of", "locate", "parameters_of"]


@dataclass(frozen=True)
class Parameters:
    """The parameters of a callable.

    Attributes:
        names: Those that may be given by name.
        required: Those without a default.
        takes_others: It has `**kwargs`.
    """

    names: tuple[str, ...]
    required: tuple[str, ...]
    takes_others: bool


def locate(path: str, *, key: str) -> Any:
    """Return the object at a dotted `path`, importing modules on the way; `key` is where the configuration names it.

    Raises:
        ConfigError: There is none; the message has the nearest names, or the package that is missing.
    """
    parts = path.split(".")
    found: Any = _import(parts[0], path=path, key=key, options=())
    for index, part in enumerate(parts[1:], start=1):
        try:
            found = getattr(found, part)
        except AttributeError:
            options = dir(found) if index == len(parts) - 1 else ()
            found = _import(".".join(parts[: index + 1]), path=path, key=key, options=options)
    return found


def _import(name: str, *, path: str, key: str, options: Collection[str]) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and not f"{name}.".startswith(f"{error.name}."):
            raise ConfigError(f"{key}={path} needs the package {error.name!r}, which is not installed.") from error
        last = path.rpartition(".")[2]
        hint = did_you_mean(last, [option for option in options if not option.startswith("_")])
        raise ConfigError(f"{key}={path}: there is no {name!r} to import.{hint}") from error


def parameters_of(target: Callable[..., Any]) -> Parameters | None:
    """Return the parameters of `target`, or None where Python cannot tell.

    A class of imgrec hands `**others` on to the class it derives from, so their parameters count as its own.
    """
    names: dict[str, bool] = {}
    for layer in layers_of(target):
        try:
            parameters = list(inspect.signature(layer).parameters.values())
        except (TypeError, ValueError):
            return None
        for parameter in parameters:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY) and parameter.name != "self":
                names.setdefault(parameter.name, parameter.default is parameter.empty)
        takes_others = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        if not takes_others:
            break
    return Parameters(tuple(names), tuple(name for name, required in names.items() if required), takes_others)


def layers_of(target: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Yield the callables that a keyword may reach, outermost first."""
    if inspect.isclass(target) and target.__module__.startswith("imgrec."):
        yield from (vars(base)["__init__"] for base in target.__mro__ if "__init__" in vars(base))
    else:
        yield target


def check_arguments(
    target: Callable[..., Any], *, configured: Collection[str], given: Collection[str], key: str, partial: bool
) -> None:
    """Check the argument names of a call before it is made.

    Args:
        target: The class or function.
        configured: Names in the configuration at `key`.
        given: Names added by imgrec.
        key: Where the configuration names `target`.
        partial: More arguments will be added later.

    Raises:
        ConfigError: A name that it does not accept, with the nearest ones, or a required one that is missing.
    """
    parameters = parameters_of(target)
    if parameters is None:
        return
    for name in () if parameters.takes_others else [*configured, *given]:
        if name not in parameters.names:
            where = f"{key}.{name} is not" if name in configured else f"{key}: imgrec passes {name!r}, which is not"
            raise ConfigError(
                f"{where} a parameter of {name_of(target)}.{did_you_mean(name, parameters.names)} "
                f"It takes: {', '.join(parameters.names) or 'nothing'}."
            )
    missing = [name for name in parameters.required if name not in configured and name not in given]
    if missing and not partial:
        raise ConfigError(f"{key}: {name_of(target)} needs {missing[0]!r}. Add +{key}.{missing[0]}=...")


def explain_call(error: Exception, *, target: Callable[..., Any], key: str) -> ConfigError:
    """Return the ConfigError for a `target` that did not accept its arguments, such as an unknown keyword."""
    unknown = re.search(r"(\w+)(?:\.\w+)?\(\) got an unexpected keyword argument '(\w+)'", str(error))
    if unknown is None:
        return ConfigError(f"{key}: {name_of(target)} does not accept its values: {error}")
    owner = getattr(target, "__globals__", {}).get(unknown[1], target)
    parameters = parameters_of(owner)
    near = did_you_mean(unknown[2], parameters.names if parameters else ())
    return ConfigError(f"{key}.{unknown[2]} is not a parameter of {name_of(owner)}.{near}")


def name_of(target: Any) -> str:
    """Return the dotted name that a message shows for a class or function."""
    return f"{getattr(target, '__module__', '')}.{getattr(target, '__qualname__', target)}"
