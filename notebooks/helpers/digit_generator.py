"""The generator of digits that the GAN chapter teaches; later chapters draw from it to compare."""

from torch import Tensor, nn


class Generator(nn.Module):
    """z (N, d) -> images (N, 1, 28, 28) in [0, 1]; DCGAN's (Radford et al., 2016) at this size.

    Args:
        d: length of z.
        w: channels before the last layer; each layer below has twice as many.
    """

    def __init__(self, d: int = 64, w: int = 16) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Unflatten(1, (d, 1, 1)),                             # (N, d, 1, 1)
            nn.ConvTranspose2d(d, 4 * w, 7, bias=False),            # (N, 4w, 7, 7)
            nn.BatchNorm2d(4 * w), nn.ReLU(),
            nn.ConvTranspose2d(4 * w, 2 * w, 4, 2, 1, bias=False),  # (N, 2w, 14, 14)
            nn.BatchNorm2d(2 * w), nn.ReLU(),
            nn.ConvTranspose2d(2 * w, w, 4, 2, 1, bias=False),      # (N, w, 28, 28)
            nn.BatchNorm2d(w), nn.ReLU(),
            nn.Conv2d(w, 1, 3, padding=1), nn.Tanh(),               # (N, 1, 28, 28)
        )  # fmt: skip

    def forward(self, z: Tensor) -> Tensor:
        return (self.main(z) + 1) / 2
