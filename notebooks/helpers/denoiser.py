"""The denoiser that the denoising chapter teaches; later chapters use it as a prior."""

import torch.nn.functional as F
from torch import Tensor, nn


def conv(i: int, o: int, bias: bool) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size."""
    return nn.Conv2d(i, o, 3, padding=1, bias=bias)


class Residual(nn.Module):
    """Features (N, w, H, W) -> the same features plus a change."""

    def __init__(self, w: int, bias: bool) -> None:
        super().__init__()
        self.change = nn.Sequential(conv(w, w, bias), nn.ReLU(), conv(w, w, bias))

    def forward(self, h: Tensor) -> Tensor:
        return h + self.change(h)


class Denoiser(nn.Module):
    """Noisy images (N, 1, H, W), at least 8 pixels a side -> clean ones, not clipped.

    Args:
        a, b, c: channels at half, a quarter and an eighth of the size.
        bias: without biases the network is homogeneous, f(k y) = k f(y) for k > 0 (Mohan et al.,
            2020), and carries over to noise levels that it has not seen.
        skip: whether it predicts the noise, which is then subtracted, or the image.
    """

    def __init__(
        self, a: int = 48, b: int = 64, c: int = 64, bias: bool = False, skip: bool = True
    ) -> None:
        super().__init__()
        self.skip = skip
        self.enter, self.leave = conv(4, a, bias), conv(a, 4, bias)
        self.fine, self.fine_again = Residual(a, bias), Residual(a, bias)
        self.middle, self.middle_again = Residual(b, bias), Residual(b, bias)
        self.coarse = Residual(c, bias)
        self.down_1 = nn.Conv2d(a, b, 2, 2, bias=bias)
        self.down_2 = nn.Conv2d(b, c, 2, 2, bias=bias)
        self.up_2 = nn.ConvTranspose2d(c, b, 2, 2, bias=bias)
        self.up_1 = nn.ConvTranspose2d(b, a, 2, 2, bias=bias)

    def forward(self, y: Tensor) -> Tensor:
        H, W = y.shape[2:]
        padded = F.pad(y, (0, 7, 0, 7), mode="reflect")  # up to multiples of 8
        padded = padded[..., : (H + 7) // 8 * 8, : (W + 7) // 8 * 8]
        h_1 = self.fine(self.enter(F.pixel_unshuffle(padded, 2)))  # (N, a, H/2, W/2)
        h_2 = self.middle(self.down_1(h_1))  # (N, b, H/4, W/4)
        h = self.coarse(self.down_2(h_2))  # (N, c, H/8, W/8)
        h = self.middle_again(self.up_2(h) + h_2)
        h = self.fine_again(self.up_1(h) + h_1)
        out = F.pixel_shuffle(self.leave(h), 2)[..., :H, :W]
        return y - out if self.skip else out
