"""The record of what a weights file filled in a network."""

from dataclasses import dataclass

from imgrec.core.text import listed

__all__ = ["LoadedWeights"]


@dataclass(frozen=True)
class LoadedWeights:
    """What was loaded from a weights file, and which parameters still have random values.

    Attributes:
        source: Path or name of the weights.
        num_tensors: Tensors copied.
        fresh: Names of parameters that keep their initial values.
        unused: Tensors of the file that this network has no use for.
        head_is_fresh: Whether the head keeps its initial values.
        has_normalization: Whether mean and standard deviation came from the file too.
    """

    source: str
    num_tensors: int
    fresh: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    head_is_fresh: bool = False
    has_normalization: bool = False

    def __str__(self) -> str:
        """Return a line for the log."""
        fresh = f"; random: {listed(self.fresh, limit=3)}" if self.fresh else ""
        unused = f"; not used: {listed(self.unused, limit=3)}" if self.unused else ""
        return f"{self.num_tensors} tensors from {self.source}{fresh}{unused}"
