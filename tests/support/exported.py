"""One small network that has learned something, and what export makes of it; shared by the tests of one session."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from imgrec.data.images.collections import ArrayImages
from imgrec.data.images.preprocess import Preprocess
from imgrec.deploy.bundle import BundleInfo, bundle_from_bytes
from imgrec.deploy.bundle.document import DOCUMENT_KEY
from imgrec.deploy.bundle.seal import metadata_entry, seal
from imgrec.deploy.export.graph import make_graph
from imgrec.deploy.export.outputs import ImageSet
from imgrec.evaluation.decisions import Decisions
from imgrec.models.small_cnn import make_small_cnn

CLASSES = ("dark", "light", "striped")
SIZE = 16
PREPROCESS = Preprocess(size=SIZE, mode="squash")


def info(**changes: Any) -> BundleInfo:
    parts = {"task": "single", "preprocess": PREPROCESS, "decisions": Decisions("single", CLASSES)}
    return BundleInfo(class_names=list(CLASSES), **(parts | changes))


def sample_images(count: int = 30, *, size: int = 24, seed: int = 0) -> ImageSet:
    """Return images that differ by class: dark noise, light noise, stripes."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    images = random.integers(0, 90, (count, size, size, 3))
    images[labels == 1] += 130
    images[labels == 2, :, ::4] += 150
    return ImageSet([f"{i}.png" for i in range(count)], ArrayImages(images.astype(np.uint8)), labels)


@functools.cache
def network() -> nn.Module:
    """Return a network trained for a second."""
    torch.manual_seed(0)
    net = make_small_cnn(len(CLASSES), channels=(4, 8), hidden=8, dropout=0.0)
    known = sample_images(60, seed=1)
    images = torch.from_numpy(np.stack([PREPROCESS(known.images[i]) for i in range(60)])).permute(0, 3, 1, 2)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    net.train()
    for _ in range(25):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images), torch.from_numpy(known.labels)).backward()
        optimizer.step()
    return net.eval()


@functools.cache
def graph_bytes() -> bytes:
    graph = make_graph(network(), height=SIZE, width=SIZE)
    data: bytes = graph.SerializeToString()
    return data


def graph() -> Any:
    """Return the network's onnx.ModelProto, to be changed at will."""
    import onnx

    return onnx.load_from_string(graph_bytes())


def bundle_bytes(model: Any = None, **changes: Any) -> bytes:
    """Return a bundle of `model` (an onnx.ModelProto), or of the network."""
    body = graph_bytes() if model is None else model.SerializeToString()
    return seal(body + metadata_entry(DOCUMENT_KEY, info(**changes).to_json()))


def bundle(model: Any = None, **changes: Any) -> Any:
    return bundle_from_bytes(bundle_bytes(model, **changes), name="model.onnx", threads=1)


def write_bundle(folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(bundle_bytes())
    return path
