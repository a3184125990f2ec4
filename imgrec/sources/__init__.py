"""Where pictures come from: one class a kind of source, each a data module whose `read` finds samples and classes."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgrec.sources.arrays import ArraysData
    from imgrec.sources.digits import DigitsData
    from imgrec.sources.folder import FolderData
    from imgrec.sources.prepared import PreparedData
    from imgrec.sources.shards import ShardsData
    from imgrec.sources.table import TableData
    from imgrec.sources.torchvision_sets import TorchvisionData

__all__ = ["ArraysData", "DigitsData", "FolderData", "PreparedData", "ShardsData", "TableData", "TorchvisionData"]

_MODULES = {
    "ArraysData": "imgrec.sources.arrays",
    "DigitsData": "imgrec.sources.digits",
    "FolderData": "imgrec.sources.folder",
    "PreparedData": "imgrec.sources.prepared",
    "ShardsData": "imgrec.sources.shards",
    "TableData": "imgrec.sources.table",
    "TorchvisionData": "imgrec.sources.torchvision_sets",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
