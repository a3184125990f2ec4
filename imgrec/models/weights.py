"""Load weights into a network by name and shape, completely or not at all."""

import logging
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from imgrec.core.text import listed
from imgrec.errors import WeightsError
from imgrec.models.loaded_weights import LoadedWeights
from imgrec.models.network import ImageNetwork
from imgrec.models.tensor_file import read_tensors

logger = logging.getLogger(__name__)

# Names that torchvision changed after it published the weights, and renames on loading: DenseNet, ViT.
RENAMED = (
    (re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\."), r"\1\2."),
    (re.compile(r"(encoder_layer_\d+\.mlp)\.linear_1\."), r"\1.0."),
    (re.compile(r"(encoder_layer_\d+\.mlp)\.linear_2\."), r"\1.3."),
)


def load_weights(
    network: ImageNetwork,
    source: str | Path,
    *,
    stem: Collection[str] = (),
    unused: tuple[str, ...] = (),
    keep_normalization: bool = False,
) -> LoadedWeights:
    """Load a weights file into the network. A head of another number of classes is not loaded and stays random.

    Args:
        network: Changed in place.
        source: .pth, .pt, .th, .ckpt or .safetensors: a state dict, or a checkpoint that has one. A prefix of all names
            (`module.`, `model.`, `net.backbone.`) is detected and removed.
        stem: Parameters of the backbone that may have another shape in the file, and stay random then.
        unused: Prefixes of names that the file may have beyond the backbone's.
        keep_normalization: Keep the network's mean and std, even where the file (one by imgrec) has its own.

    Returns:
        What was loaded, also in `network.loaded`.

    Raises:
        WeightsError: See `read_tensors` and `fit_tensors`.
    """
    path = Path(source)
    return fit_tensors(
        network, read_tensors(path), source=str(path), stem=stem, unused=unused, keep_normalization=keep_normalization
    )


def fit_tensors(
    network: ImageNetwork,
    tensors: Mapping[str, Tensor],
    *,
    source: str,
    stem: Collection[str] = (),
    unused: tuple[str, ...] = (),
    keep_normalization: bool = False,
) -> LoadedWeights:
    """Copy named tensors into the network, cast to its types; sets and returns `network.loaded`.

    The other arguments are those of `load_weights`. Nothing is copied unless everything fits.

    Raises:
        WeightsError: Tensors are missing, left over or of another shape, other than head and stem; only a part of the
            head is there; a value is NaN or infinite.
    """
    wanted = network.backbone.state_dict()
    normalization, tensors = _split_normalization(tensors)
    tensors = _strip_prefix(_rename(tensors), wanted, source=source)
    fitting = {name: tensor for name, tensor in tensors.items() if name in wanted and _fits(tensor, wanted[name])}
    head = {name.removeprefix("backbone.") for name in network.head_parameters}
    fresh = _fresh_head(head, fitting, source=source)
    if not fitting.keys() >= set(stem):
        fresh |= tensors.keys() & set(stem)
    skipped = tuple(name for name in tensors if unused and name.startswith(unused))
    _check_fit(tensors, wanted, fitting=fitting, exempt=fresh | set(skipped), source=source)

    copies = [(wanted[name], tensor) for name, tensor in fitting.items() if name not in fresh]
    if keep_normalization:
        normalization = {}
    copies += [(network.normalize.get_buffer(name), tensor) for name, tensor in normalization.items()]
    _copy(copies, source=source)
    network.loaded = LoadedWeights(
        source=source,
        num_tensors=len(copies),
        fresh=tuple(name for name in wanted if name in fresh),
        unused=skipped,
        head_is_fresh=head <= fresh,
        has_normalization=bool(normalization),
    )
    logger.info("weights: %s", network.loaded)
    return network.loaded


def _fresh_head(head: set[str], fitting: Mapping[str, Tensor], *, source: str) -> set[str]:
    """Return the head's parameters if none of the file fits, nothing if all fit."""
    absent = head - fitting.keys()
    if absent and absent != head:
        raise WeightsError(
            f"{source} has only a part of the classification head: no fitting {listed(sorted(absent), limit=3)}."
        )
    return absent


def _split_normalization(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Mapping[str, Tensor]]:
    """Recognise a file by imgrec by its `normalize.mean`, and keep its network (not the class weights of a loss)."""
    roots = [name.removesuffix("normalize.mean") for name in tensors if re.search(r"(^|\.)normalize\.mean$", name)]
    if not roots:
        return {}, tensors
    own = {name.removeprefix(roots[0]): tensor for name, tensor in tensors.items() if name.startswith(roots[0])}
    normalization = {key: own.pop(f"normalize.{key}") for key in ("mean", "std") if f"normalize.{key}" in own}
    if len(normalization) != 2 or any(t.shape != (3,) or not t.is_floating_point() for t in normalization.values()):
        raise WeightsError(f"{roots[0]}normalize in the weights file is not 3 means and 3 standard deviations.")
    return normalization, own


def _rename(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    def new_name(name: str) -> str:
        for pattern, replacement in RENAMED:
            name = pattern.sub(replacement, name)
        return name

    return {new_name(name): tensor for name, tensor in tensors.items()}


def _strip_prefix(tensors: Mapping[str, Tensor], wanted: Collection[str], *, source: str) -> dict[str, Tensor]:
    """Remove the prefix under which most of the names are the network's; names without it are unchanged."""
    votes: Counter[str] = Counter()
    for name in tensors:
        starts = [0, *(dot.end() for dot in re.finditer(r"\.", name))]
        votes.update(name[:start] for start in starts if name[start:] in wanted)
    if not votes:
        raise WeightsError(
            f"{source} is for another model: it has {listed(tensors, limit=3)}, this one {listed(wanted, limit=3)}. "
            "Choose the model that the weights were made for."
        )
    prefix = max(votes, key=lambda prefix: (votes[prefix], -len(prefix)))
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def _fits(tensor: Tensor, target: Tensor) -> bool:
    return tensor.shape == target.shape and tensor.is_floating_point() == target.is_floating_point()


def _check_fit(
    tensors: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    *,
    fitting: Collection[str],
    exempt: Collection[str],
    source: str,
) -> None:
    """Raise a WeightsError that lists what is missing, left over and of another shape, if anything is."""
    # Old files have no counters; BatchNorm with a momentum (all of torchvision's) never reads them.
    missing = [n for n in wanted if n not in tensors and n not in exempt and not n.endswith("num_batches_tracked")]
    left_over = [n for n in tensors if n not in wanted and n not in exempt]
    different = [
        f"{n} {tuple(tensors[n].shape)} for {tuple(wanted[n].shape)}"
        for n in tensors
        if n in wanted and n not in fitting and n not in exempt
    ]
    parts = {"missing": missing, "left over": left_over, "of another shape or type": different}
    problems = [f"{len(names)} {problem} ({listed(names, limit=3)})" for problem, names in parts.items() if names]
    if problems:
        raise WeightsError(
            f"{source} does not fit this model: {', '.join(problems)}. "
            "Choose the model and options that the weights were made for."
        )


def _copy(copies: Iterable[tuple[Tensor, Tensor]], *, source: str) -> None:
    copies = list(copies)
    if not all(tensor.isfinite().all() for _, tensor in copies):
        raise WeightsError(f"{source} has values that are NaN or infinite: not loaded.")
    with torch.no_grad():
        for target, tensor in copies:
            target.copy_(tensor)
