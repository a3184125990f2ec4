"""Put tensors into a network by name and shape, whole or not at all, and say what was done."""

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

# Names that torchvision has changed since it published the weights, which it renames on loading: DenseNet, ViT.
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
    """Load a file into the network; the file's head is taken where it has as many classes, else the head stays fresh.

    source: .pth, .pt, .th, .ckpt or .safetensors: a state dict, or a checkpoint that has one inside. A prefix of all
        names (`module.`, `model.`, `net.backbone.`) is found and taken off.
    stem: parameters that may be of another shape in the file, and stay fresh then; unused: beginnings of names that
        the file may have beyond the network. Both as the backbone calls them.
    keep_normalization: keep the network's mean and std, even where the file (one of our own) brings some.
    Raises: WeightsError: see `read_tensors`, `fit_tensors`.
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
    """Copy named tensors into the network, cast to the network's types; sets and returns `network.loaded`.

    Arguments as in `load_weights`. Nothing is copied unless everything fits.
    Raises: WeightsError: tensors are missing, left over or of another shape beyond the head and the stem; the head is
        there in part; a value is NaN or infinite.
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
    """Return the head's parameters where the file has none that fit, nothing where it has them all."""
    absent = head - fitting.keys()
    if absent and absent != head:
        raise WeightsError(
            f"{source} has only a part of the classification head: no fitting {listed(sorted(absent), limit=3)}."
        )
    return absent


def _split_normalization(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Mapping[str, Tensor]]:
    """Tell a file of our own by its `normalize.mean`, and keep of it the network alone (not a loss's class weights)."""
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
    """Take off the prefix under which most of the names are the network's; names without it stay as they are."""
    votes: Counter[str] = Counter()
    for name in tensors:
        starts = [0, *(dot.end() for dot in re.finditer(r"\.", name))]
        votes.update(name[:start] for start in starts if name[start:] in wanted)
    if not votes:
        raise WeightsError(
            f"{source} is for another network: it has {listed(tensors, limit=3)}, this network has {listed(wanted, limit=3)}. "
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
            f"{source} does not fit this network: {', '.join(problems)}. "
            "Choose the model and options that the weights were made for."
        )


def _copy(copies: Iterable[tuple[Tensor, Tensor]], *, source: str) -> None:
    copies = list(copies)
    if not all(tensor.isfinite().all() for _, tensor in copies):
        raise WeightsError(f"{source} has values that are NaN or infinite: not loaded.")
    with torch.no_grad():
        for target, tensor in copies:
            target.copy_(tensor)
