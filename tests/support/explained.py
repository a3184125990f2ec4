"""Networks whose decision is known, to hold maps against."""

import torch
from torch import Tensor, nn

from imgrec.models.network import Normalize

PATCH = (slice(4, 12), slice(16, 24))  # rows and columns, of 32 x 32 pixels


class PatchNetwork(nn.Module):
    """Looks at one patch: the brighter it is, the more is said for class 1; the rest of the image is never seen."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 1, kernel_size=4, stride=4, bias=False)  # 32 px -> 8 x 8 places
        self.head = nn.Linear(64, 2)
        with torch.no_grad():
            self.features.weight.fill_(1 / 48)
            self.head.weight.zero_()
            self.head.bias.copy_(torch.tensor([0.0, -4.0]))
            self.head.weight[1].view(8, 8)[1:3, 4:6] = 8 / 4 / 255

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images.float()).relu().flatten(1))


class LinearCam(nn.Module):
    """Convolution, ReLU in place, average, linear: where Grad-CAM is the CAM of Zhou et al. 2016 exactly."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.normalize = Normalize()
        self.conv = nn.Conv2d(3, 5, kernel_size=3, stride=4, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(5, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.relu(self.conv(self.normalize(images))).mean(dim=(2, 3)))
