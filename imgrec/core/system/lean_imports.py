"""The seconds before the first step: import the heavy libraries without what nobody asked for.

Two things cost more than a second of every start. Python's garbage collector walks over all objects again and again
while imports make half a million of them, none of which can go. And torchmetrics imports scipy.signal, to give one old
function a second name, and matplotlib, to write annotations, whether or not anything is ever filtered or drawn.
"""

import contextlib
import gc
import sys
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any, ForwardRef

__all__ = ["StandIn", "lean_imports", "resting_collector"]

_TORCHMETRICS = "1.9."  # whose imports were read and tested; any other version is imported as it is


@contextlib.contextmanager
def lean_imports() -> Iterator[None]:
    """Import what the block imports, without the waste. The block holds the first imports of heavy libraries.

    The collector rests inside, and what the imports made is left out of its later rounds (`gc.freeze`): those would
    otherwise stop training, and loader processes would copy the memory that they touch. torchmetrics comes without
    scipy.signal and matplotlib; both are their real selves for whoever imports them afterwards. The one trace:
    `scipy.signal.hamming`, torchmetrics' second name for `scipy.signal.windows.hamming`, is not made.
    Where torch has been imported already, the process is somebody else's, and nothing is done.
    """
    if "torch" in sys.modules:
        yield
        return
    with resting_collector():
        _import_torchmetrics()
        yield


@contextlib.contextmanager
def resting_collector() -> Iterator[None]:
    """Let the collector rest inside, and leave what was made there out of its later rounds (`gc.freeze`).

    While imports make half a million objects, none of which can go, it walks over all of them again and again.
    Nothing is done where it is off already.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _import_torchmetrics() -> None:
    from importlib import metadata

    is_known = metadata.version("torchmetrics").startswith(_TORCHMETRICS)
    group = _put_stand_ins() if is_known else []
    try:
        import torchmetrics  # noqa: F401
    finally:
        _retire(group)


class StandIn(ModuleType):
    """Takes the place of a module that is looked at and not used.

    known: what can be looked at without the real module. When anything else is asked for, the whole group retires and
    the real module answers; so it does for whoever still holds a retired one.
    """

    def __init__(self, name: str, group: "list[StandIn]", **known: Any) -> None:
        super().__init__(name)
        self.__dict__.update(known, _group=group, _known=tuple(known))
        group.append(self)
        sys.modules.setdefault(name, self)

    def __getattr__(self, name: str) -> Any:
        # `inspect` asks all modules where they come from; only `__path__` means that somebody wants a submodule.
        if sys.modules.get(self.__name__) is self and name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        _retire(self._group)
        return getattr(import_module(self.__name__), name)


def _retire(group: list[StandIn]) -> None:
    """Leave the places to the real modules."""
    for module in group:
        if sys.modules.get(module.__name__) is module:
            del sys.modules[module.__name__]
        for name in module.__dict__["_known"]:
            module.__dict__.pop(name, None)


def _put_stand_ins() -> list[StandIn]:
    """Put into place what torchmetrics looks at while it is imported, and no more."""
    group: list[StandIn] = []
    StandIn("scipy.signal", group, hamming=None)
    axes = StandIn("matplotlib.axes", group, Axes=ForwardRef("matplotlib.axes.Axes"))
    style = StandIn("matplotlib.style", group, context=_style_context)
    pyplot = StandIn("matplotlib.pyplot", group, Figure=ForwardRef("matplotlib.figure.Figure"), style=style)
    colors = SimpleNamespace(Colormap=ForwardRef("matplotlib.colors.Colormap"))
    StandIn("matplotlib", group, axes=axes, pyplot=pyplot, style=style, colors=colors)
    return group


@contextlib.contextmanager
def _style_context(*args: Any, **options: Any) -> Iterator[None]:
    """Be `matplotlib.style.context`, which torchmetrics puts around its plotting functions."""
    from matplotlib import style

    with style.context(*args, **options):
        yield
