"""A made-up image encoder, as one would add it: this file, and one line in the registry of image encoders."""

from typing import ClassVar

from torch import Tensor, nn

from anykeypoint.models.towers.image_encoder import ImageEncoder, Published
from anykeypoint.models.towers.vision_config import VisionConfig


class ToyNetwork(nn.Module):
    """One convolution over patches of 8 x 8 pixels, so that each token sees its own patch alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, stride=8)

    def forward(self, pixels: Tensor) -> Tensor:
        """B 3 H W -> B width H/8 W/8."""
        return self.patches(pixels)


class ToyEncoder(ImageEncoder):
    """Its tokens and its map are the patches."""

    published: ClassVar = {"toy": Published(None, image_size=32)}
    network: ClassVar = ToyNetwork

    def __init__(self, model: ToyNetwork, config: VisionConfig) -> None:
        super().__init__(model, config, dim=model.patches.out_channels, stride=8)

    def _tokens(self, pixels: Tensor) -> Tensor:
        return self.model(pixels).flatten(2).transpose(1, 2)

    @classmethod
    def make_network(cls, config: VisionConfig, sizes: object) -> ToyNetwork:
        return ToyNetwork(width=12)
