"""The record that imgrec stores in its checkpoints, and checks of a checkpoint's content in memory."""

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from imgrec.core.config.allow_list import with_current_names
from imgrec.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CheckpointInfo", "claimed_bytes", "non_finite_keys", "non_plain_keys", "stored_bytes"]

_KEY = "imgrec"
_FORMAT = 1
_MAX_INT_BITS = 2000  # torch.load(weights_only=True) reads integers of up to 255 bytes
_RECORD_BYTES = 512  # per tensor in the archive: its header, twice, and the padding to 64 bytes


@dataclass(frozen=True)
class CheckpointInfo:
    """What imgrec writes into its checkpoints beside weights and counters: all that is needed to use them elsewhere.

    Attributes:
        config: The resolved configuration as plain data, with the class names of this version; never instantiated
            without the allow-list.
        class_names: One name per logit, in the same order.
        task: "single" (one class per image) or "multilabel".
        data_fingerprint: SHA-256 of the names and labels of all splits; resuming on other data is refused.
        seed: Of the run; resuming needs the same, as for the next two.
        batch_size: Images per step and process.
        world_size: Number of processes.
        version: Of imgrec, at the time of writing.
        extra: Whatever else the record holds, by key; plain data.
    """

    config: dict[str, Any]
    class_names: list[str]
    task: str
    data_fingerprint: str
    seed: int
    batch_size: int
    world_size: int
    version: str
    extra: dict[str, Any] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """Return the plain dict to store as `checkpoint["imgrec"]`."""
        return {"format": _FORMAT, **{key: getattr(self, key) for key in _SCHEMA}, **self.extra}

    @classmethod
    def from_checkpoint(cls, checkpoint: Mapping[str, Any], *, name: str = "the checkpoint") -> "CheckpointInfo":
        """Read and check the record of a loaded checkpoint; `name` stands for it in messages, usually its path.

        Raises:
            CheckpointError: Not a checkpoint of imgrec, of a newer imgrec, or a field is missing or invalid.
        """
        record = checkpoint.get(_KEY)
        if not isinstance(record, dict):
            raise CheckpointError(
                f"{name} is a checkpoint without imgrec's record, as Lightning alone writes it. "
                "To use its weights, choose the model and set model.weights=PATH."
            )
        _check_record(record, name=name)
        extra = {key: value for key, value in record.items() if key not in _SCHEMA and key != "format"}
        known = {key: record[key] for key in _SCHEMA}
        return cls(**{**known, "config": with_current_names(record["config"])}, extra=extra)


_SCHEMA: dict[str, type] = {
    "config": dict,
    "class_names": list,
    "task": str,
    "data_fingerprint": str,
    "seed": int,
    "batch_size": int,
    "world_size": int,
    "version": str,
}


def _check_record(record: dict[str, Any], *, name: str) -> None:
    number = record.get("format")
    if number != _FORMAT:
        raise CheckpointError(
            f"{name} has format {number!r} (imgrec {record.get('version')}), but this imgrec reads format {_FORMAT}. "
            "Update imgrec, or train again."
        )
    wrong = [key for key, kind in _SCHEMA.items() if not isinstance(record.get(key), kind)]
    classes = record.get("class_names")
    if not wrong and not (classes and all(isinstance(text, str) for text in classes)):
        wrong = ["class_names"]
    if not wrong and len(set(record["class_names"])) < len(record["class_names"]):
        wrong = ["class_names (a name twice)"]
    if not wrong and record["task"] not in ("single", "multilabel"):
        wrong = [f"task={record['task']!r}"]
    if wrong:
        raise CheckpointError(
            f"{name} has a damaged record: {', '.join(wrong)} missing or invalid. Use another checkpoint."
        )


def non_plain_keys(checkpoint: object) -> list[str]:
    """Return "key: type" for everything that is neither a dense tensor nor plain data, in order."""
    return [f"{key}: {_describe(leaf)}" for key, leaf in _leaves(checkpoint) if not _is_plain(leaf)]


def non_finite_keys(checkpoint: Mapping[str, Any], keys: tuple[str, ...]) -> list[str]:
    """Return the keys of tensors with NaN or infinity below the given top-level keys.

    One sum per tensor and one synchronisation per device: 20 times as fast as isfinite on every element, which is done
    only where the sum is not finite.
    """
    import torch

    looked_at = {name: checkpoint.get(name) for name in keys}
    tensors = [(key, _as_real(leaf)) for key, leaf in _leaves(looked_at) if _is_float(leaf)]
    suspects = []
    for device in {tensor.device for _, tensor in tensors}:
        here = [(key, tensor) for key, tensor in tensors if tensor.device == device]
        sums = torch.stack([tensor.sum().float() for _, tensor in here])
        suspects += [pair for pair, is_finite in zip(here, sums.isfinite().tolist(), strict=True) if not is_finite]
    return [key for key, tensor in suspects if not bool(tensor.isfinite().all())]


def stored_bytes(checkpoint: object) -> int:
    """Return the approximate size of the file in bytes: every storage once, as tensors may share one."""
    storages = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in _tensors(checkpoint)
    }
    return sum(storages.values()) + _RECORD_BYTES * len(storages) + (1 << 20)


def claimed_bytes(checkpoint: object) -> int:
    """Return the bytes that all tensors would take if each were copied: an expanded one claims all its elements."""
    return sum(tensor.numel() * tensor.element_size() for tensor in _tensors(checkpoint))


def _tensors(content: object) -> "Iterator[Tensor]":
    import torch

    return (leaf for _, leaf in _leaves(content) if isinstance(leaf, torch.Tensor))


def _leaves(content: object) -> Iterator[tuple[str, Any]]:
    """Yield all values that are not containers, dict keys too, with their keys joined by dots.

    Each container is entered once: a file may name one in so many places that a naive walk would not end.
    """
    waiting: list[tuple[str, Any]] = [("", content)]
    seen: set[int] = set()
    while waiting:
        key, value = waiting.pop()
        prefix = f"{key}." if key else ""
        if type(value) in (dict, OrderedDict, Counter):
            inside = [(f"{prefix}{name}", item) for name, item in value.items()]
            inside += [(f"the key {prefix}{name}", name) for name in value if type(name) is not str]
        elif type(value) in (list, tuple, set):
            inside = [(f"{prefix}{index}", item) for index, item in enumerate(value)]
        else:
            yield key, value
            continue
        if id(value) not in seen:
            seen.add(id(value))
            waiting.extend(reversed(inside))


def _is_plain(leaf: Any) -> bool:
    import torch

    if type(leaf) in (torch.Tensor, torch.nn.Parameter):
        return leaf.layout is torch.strided and leaf.device.type != "meta" and not leaf.__dict__
    if type(leaf) is int:
        return leaf.bit_length() <= _MAX_INT_BITS
    return leaf is None or type(leaf) in (bool, float, str, torch.Size, torch.device, torch.dtype)


def _is_float(leaf: Any) -> bool:
    import torch

    return isinstance(leaf, torch.Tensor) and (leaf.is_floating_point() or leaf.is_complex())


def _as_real(tensor: "Tensor") -> "Tensor":
    import torch

    tensor = tensor.detach()
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _describe(leaf: Any) -> str:
    if type(leaf) is int:
        return f"an integer of {leaf.bit_length()} bits"
    kind = f"{type(leaf).__module__}.{type(leaf).__qualname__}".removeprefix("builtins.")
    attributes = ", ".join(leaf.__dict__) if kind in ("torch.Tensor", "torch.nn.parameter.Parameter") else ""
    return f"{kind} with attributes ({attributes})" if attributes else kind
