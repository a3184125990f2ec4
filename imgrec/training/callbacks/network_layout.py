"""Memory layout (channels last) and compilation of the network."""

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import nn

from imgrec.evaluation.predictions.scorer import Scorer

# A transformer has one convolution, its patch embedding: channels last is faster for convolutional networks only.
MIN_CONVOLUTIONS = 3


class NetworkLayout(Callback):
    """Converts the network to channels last and compiles it, before the optimizer is made."""

    def __init__(self, *, channels_last: bool | str = "auto", compile: bool = False) -> None:
        self.channels_last = channels_last
        self.compile = compile

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Convert and compile the network in place, once."""
        assert isinstance(pl_module, Scorer)
        net = pl_module.net
        wanted = is_convolutional(net) if self.channels_last == "auto" else bool(self.channels_last)
        pl_module.channels_last = wanted
        if wanted:
            net.to(memory_format=torch.channels_last)
        if self.compile and net._compiled_call_impl is None:
            net.compile()


def is_convolutional(net: nn.Module) -> bool:
    """Return whether two-dimensional convolutions carry the network."""
    return sum(isinstance(module, nn.Conv2d) for module in net.modules()) >= MIN_CONVOLUTIONS
