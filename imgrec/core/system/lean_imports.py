"""Faster imports of Lightning and torchmetrics.

Two things cost 1.8 of the 4.6 s of processor time of a start, half each. Python's garbage collector scans all objects
again and again while imports create half a million, none of which can be freed. And torchmetrics imports scipy.signal,
to give one old function a second name, and matplotlib, for annotations, whether or not anything is filtered or plotted.
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
    """Make the imports in the block faster; it should hold the first imports of heavy libraries.

    The collector is off inside, and the objects of the imports are excluded from its later scans (`gc.freeze`), which
    would otherwise pause training and make workers copy the memory that they touch. torchmetrics is imported without
    scipy.signal and matplotlib; later imports get the real ones. The only difference afterwards:
    `scipy.signal.hamming`, torchmetrics' second name for `scipy.signal.windows.hamming`, does not exist.
    If torch is imported already, imgrec is used from another program, and nothing is done.
    """
    if "torch" in sys.modules:
        yield
        return
    with resting_collector():
        _import_torchmetrics()
        yield


@contextlib.contextmanager
def resting_collector() -> Iterator[None]:
    """Switch the collector off inside, and exclude the objects made there from its later scans (`gc.freeze`).

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
    """Takes the place of a module that is inspected at import but not used.

    When anything beyond `known` is accessed, the whole group is removed and the real module is used, also by code that
    still holds a stand-in.

    Args:
        name: The module.
        group: The stand-ins that are removed together.
        **known: Attributes that exist without the real module.
    """

    def __init__(self, name: str, group: "list[StandIn]", **known: Any) -> None:
        super().__init__(name)
        self.__dict__.update(known, _group=group, _known=tuple(known))
        group.append(self)
        sys.modules.setdefault(name, self)

    def __getattr__(self, name: str) -> Any:
        # `inspect` looks up `__file__` and the like of all modules; only `__path__` means an import of a submodule.
        if sys.modules.get(self.__name__) is self and name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        _retire(self._group)
        return getattr(import_module(self.__name__), name)


def _retire(group: list[StandIn]) -> None:
    """Remove the stand-ins, so that the next import finds the real modules."""
    for module in group:
        if sys.modules.get(module.__name__) is module:
            del sys.modules[module.__name__]
        for name in module.__dict__["_known"]:
            module.__dict__.pop(name, None)


def _put_stand_ins() -> list[StandIn]:
    """Put stand-ins in place for what torchmetrics accesses while it is imported."""
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
    """Call `matplotlib.style.context`, with which torchmetrics decorates its plotting functions."""
    from matplotlib import style

    with style.context(*args, **options):
        yield
