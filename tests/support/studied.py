"""What the tests of studies share: a split run through a model, a linear model."""

import torch
from torch import nn

from imgrec.evaluation.predictions.collect import predict
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.predictions.scorer import Scorer
from imgrec.training.trainer import make_trainer
from small_run import Noise

SHAPE = (3, 4, 5)


def evaluated(net: nn.Module, data: Noise) -> Predictions:
    """Run the test split through the model, as an evaluation does."""
    trainer = make_trainer(gpus=0, precision="32-true", logger=False, enable_progress_bar=False)
    return predict(trainer, Scorer(net), data=data, split="test", provenance={})


class Linear(nn.Module):
    """Two classes: the logit of the second is w . x + b for pixels of 0 to 1, that of the first is 0."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.w = torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))
        self.b = -float(self.w.sum()) / 2 + 0.15  # gray is near the border

    def margins(self, images: torch.Tensor) -> torch.Tensor:
        return (images * self.w).sum(dim=(1, 2, 3)) + self.b

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        margins = self.margins(images / 255)
        return torch.stack([torch.zeros_like(margins), margins], dim=1)


def gray(n: int = 6, seed: int = 1) -> torch.Tensor:
    """Return images of 8 bits around gray, far from the border of the box."""
    draws = torch.randint(120, 136, (n, *SHAPE), generator=torch.Generator().manual_seed(seed))
    return draws.float() / 255
