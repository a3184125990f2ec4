from .arrays import ArraysData
from .digits import DigitsData
from .folder import FolderData
from .prepared import PreparedData
from .shards import ShardsData
from .table import TableData
from .torchvision_sets import TorchvisionData

__all__ = ["ArraysData", "DigitsData", "FolderData", "PreparedData", "ShardsData", "TableData", "TorchvisionData"]
