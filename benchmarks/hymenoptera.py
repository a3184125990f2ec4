"""Ants and bees at 224 px, and networks trained on them briefly: what the export benchmarks use."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from imgrec.data.images.collections import FileImages
from imgrec.data.images.preprocess import Preprocess
from imgrec.deploy.bundle import BundleInfo
from imgrec.deploy.export.outputs import ImageSet, prepared
from imgrec.evaluation.decisions import Decisions
from imgrec.models import make_backbone

DATA = Path(os.environ.get("IMGREC_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
CLASSES = ("ants", "bees")
PREPROCESS = Preprocess(size=224)
SEED = 1


def sample_images(split: str) -> ImageSet:
    """Return all images of "train" (243) or "val" (153) with their labels."""
    files = [sorted((DATA / "hymenoptera" / split / name).glob("*.jpg")) for name in CLASSES]
    paths = [path for some in files for path in some]
    labels = np.repeat(np.arange(len(CLASSES)), [len(some) for some in files])
    return ImageSet([f"{path.parent.name}/{path.name}" for path in paths], FileImages(paths), labels)


def info(**changes: Any) -> BundleInfo:
    return BundleInfo(list(CLASSES), "single", PREPROCESS, Decisions("single", CLASSES), **changes)


def trained(name: str, *, weights: Path | None = None, steps: int = 12, batch_size: int = 16) -> nn.Module:
    """Return a network that distinguishes ants from bees: `steps` of AdamW, then a linear probe on its features.

    With ImageNet `weights` the steps are skipped, and only the probe is fitted.
    """
    torch.manual_seed(SEED)
    network = make_backbone(name, num_classes=len(CLASSES), weights=None if weights is None else str(weights))
    train = sample_images("train")
    images = torch.from_numpy(np.stack(prepared(PREPROCESS, train))).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(train.labels)
    if weights is None:
        _step(network, images, labels, steps=steps, batch_size=batch_size)
    network.eval()
    _probe(network, images, labels)
    return network


def _step(network: nn.Module, images: Tensor, labels: Tensor, *, steps: int, batch_size: int) -> None:
    """Train all layers briefly, which also fills the running statistics of batch normalisation."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-4)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # plain averages: a few steps are too few for exponential ones
    network.train()
    order = torch.randperm(len(images))
    for start in range(0, steps * batch_size, batch_size):
        batch = order[torch.arange(start, start + batch_size) % len(order)]
        loss = nn.functional.cross_entropy(network(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _probe(network: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Fit the head on frozen features: logistic regression with an L2 penalty."""
    head = next(module for module in reversed(list(network.modules())) if isinstance(module, nn.Linear))
    seen: list[Tensor] = []
    handle = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten(1)))
    with torch.no_grad():
        for start in range(0, len(images), 16):
            network(images[start : start + 16])
    handle.remove()
    features = torch.cat(seen)
    mean, spread = features.mean(0), features.std(0) + 0.05 * features.std()
    weight = torch.zeros(len(CLASSES), features.shape[1], requires_grad=True)
    bias = torch.zeros(len(CLASSES), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=60)

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = nn.functional.linear((features - mean) / spread, weight, bias)
        loss = nn.functional.cross_entropy(logits, labels) + 3e-3 * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        head.weight.copy_(weight / spread)
        head.bias.copy_(bias - (weight / spread) @ mean)
