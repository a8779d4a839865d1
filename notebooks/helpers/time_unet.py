"""The network that the diffusion chapter teaches: it knows how noisy its input is."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def sinusoids(t: Tensor, width: int) -> Tensor:
    """Times (N,) -> sines and cosines, (N, width), of `width` / 2 frequencies (Vaswani 2017).

    t lies in [0, 1]; the frequencies run from 1 to 1,000 radians per unit.
    """
    frequencies = torch.exp(torch.linspace(0, math.log(1000), width // 2, device=t.device))
    angle = t[:, None] * frequencies
    return torch.cat([angle.sin(), angle.cos()], 1)


class TimeBlock(nn.Module):
    """Features (N, i, H, W) and a code of the time (N, d) -> features (N, o, H, W)."""

    def __init__(self, i: int, o: int, d: int) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.GroupNorm(8, i), nn.SiLU(), nn.Conv2d(i, o, 3, padding=1))
        self.scale_and_shift = nn.Linear(d, 2 * o)
        self.norm = nn.GroupNorm(8, o)
        self.after = nn.Sequential(nn.SiLU(), nn.Conv2d(o, o, 3, padding=1))
        self.skip = nn.Identity() if i == o else nn.Conv2d(i, o, 1)
        nn.init.zeros_(self.after[1].weight)  # it starts as its skip
        nn.init.zeros_(self.after[1].bias)

    def forward(self, h: Tensor, code: Tensor) -> Tensor:
        scale, shift = self.scale_and_shift(code)[..., None, None].chunk(2, 1)
        change = self.after(self.norm(self.before(h)) * (1 + scale) + shift)
        return self.skip(h) + change


class TimeUNet(nn.Module):
    """Noisy images (N, C, H, W) at times t (N,) in [0, 1] -> one value a pixel, (N, C, H, W).

    What that value means (the noise, the image, a velocity) is for its user to say.

    Args:
        channels: C.
        w: channels at half size, a multiple of 8; a quarter of the size has twice as many.
        classes: how many labels it can be told; label `classes` means "not told".

    H and W are multiples of 4. At full size there are no layers: they would cost the most.
    """

    def __init__(self, channels: int = 1, w: int = 32, classes: int = 0) -> None:
        super().__init__()
        d = 4 * w
        self.classes = classes
        self.time = nn.Sequential(nn.Linear(2 * w, d), nn.SiLU(), nn.Linear(d, d))
        self.label = nn.Embedding(classes + 1, d) if classes else None
        self.enter = nn.Conv2d(4 * channels, w, 3, padding=1)
        self.down = TimeBlock(w, w, d)
        self.shrink = nn.Conv2d(w, 2 * w, 2, 2)  # to a quarter of the size
        self.middle = nn.ModuleList([TimeBlock(2 * w, 2 * w, d) for _ in range(2)])
        self.grow = nn.ConvTranspose2d(2 * w, w, 2, 2)
        self.up = TimeBlock(2 * w, w, d)
        self.leave = nn.Sequential(
            nn.GroupNorm(8, w), nn.SiLU(), nn.Conv2d(w, 4 * channels, 3, padding=1)
        )
        nn.init.zeros_(self.leave[2].weight)
        nn.init.zeros_(self.leave[2].bias)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        code = self.time(sinusoids(t, self.time[0].in_features))  # (N, d)
        if self.label is not None:
            untold = torch.full((len(x),), self.classes, device=x.device)
            code = code + self.label(untold if label is None else label)
        code = F.silu(code)
        fine = self.down(self.enter(F.pixel_unshuffle(x, 2)), code)  # (N, w, H/2, W/2)
        h = self.shrink(fine)  # (N, 2w, H/4, W/4)
        for block in self.middle:
            h = block(h, code)
        h = self.up(torch.cat([self.grow(h), fine], 1), code)
        return F.pixel_shuffle(self.leave(h), 2)
