"""The LightningModule that runs a model over a split and keeps its logits."""

from collections.abc import Mapping

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

__all__ = ["Batch", "Scorer"]

Batch = Mapping[str, Tensor]


class Scorer(LightningModule):
    """Runs `net` on batches `{"images": uint8 (N, 3, H, W), "labels", "indices"}` and keeps the logits.

    Args:
        net: Images (N, 3, H, W), uint8 or float 0-255, to logits (N, C); it normalises by itself.

    Attributes:
        channels_last: Whether images use the channels-last memory format.
        outputs: Per batch of the last pass: logits float32 (N, C) and the batch without its images.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.channels_last = False
        self.outputs: list[dict[str, Tensor]] = []

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits float32 (N, C), at any precision of the model."""
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.net(images)
        return logits.float()

    def on_test_epoch_start(self) -> None:
        """Forget earlier outputs."""
        self.outputs = []

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep the logits; metrics are computed from the whole table, never averaged over batches.

        In float32 also after training in mixed precision, so that train.py and evaluate.py give equal numbers.
        """
        with torch.autocast(self.device.type, enabled=False):
            logits = self(batch["images"])
        self.outputs.append({"logits": logits.cpu(), **{name: batch[name].cpu() for name in batch if name != "images"}})
