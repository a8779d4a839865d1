"""Measures the book's networks beside their peers, in one run on one machine.

    python tools/bench.py            minutes; it prints ratios and asserts nothing

A peer is rebuilt here from its published description: same layers, same optimiser, same batch. It
is given the seconds that ours took, on the same data, and both are scored by the same measure. One
seed each.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from nbsource import definitions, find
from torch import Tensor, nn


def main() -> None:
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads\n")
    gan()


def gan() -> None:
    """The short run of 03_gan, and the 64x64 DCGAN of PyTorch's examples, on the 4,000 digits."""
    chapter = definitions(find("03_gan"))
    from helpers.data import digits

    x, x_test = digits("train")[0], digits("test")[0]
    torch.manual_seed(0)
    G, history = chapter.short_run(x)
    ours = chapter.score(chapter.draw(G), x, x_test)["FD"]
    floor = chapter.score(x, x, x_test)["FD"]
    torch.manual_seed(0)
    images, steps, seconds = peer_dcgan(x, history.seconds)
    peer = chapter.score(images, x, x_test)["FD"]
    print("GAN on 4,000 digits, Fréchet distance to 1,000 held-out ones")
    print(f"  real against real   {floor:8.2f}")
    rows = {
        "03_gan, short run": (ours, history.step[-1] + 1, history.seconds),
        "examples' dcgan": (peer, steps, seconds),
    }
    for name, (distance, count, spent) in rows.items():
        print(f"  {name:19s} {distance:8.2f}  {count:5d} steps {spent:4.0f} s")
    print(f"  ratio               {peer / ours:8.0f}")


def peer_dcgan(x: Tensor, seconds: float) -> tuple[Tensor, int, float]:
    """DCGAN as in PyTorch's examples: 64x64 images in [-1, 1], width 64, Adam 2e-4 (0.5, 0.999).

    Gives 4,000 of its images, brought to 28x28 in [0, 1], the steps that it took and the seconds.
    """

    def stage(
        convolution: Callable, i: int, o: int, *shape: int, act: nn.Module
    ) -> list[nn.Module]:
        return [convolution(i, o, *shape, bias=False), nn.BatchNorm2d(o), act]

    up, down, w = nn.ConvTranspose2d, nn.Conv2d, 64
    relu, leaky = nn.ReLU(), nn.LeakyReLU(0.2)
    G = nn.Sequential(
        *stage(up, 100, 8 * w, 4, 1, 0, act=relu), *stage(up, 8 * w, 4 * w, 4, 2, 1, act=relu),
        *stage(up, 4 * w, 2 * w, 4, 2, 1, act=relu), *stage(up, 2 * w, w, 4, 2, 1, act=relu),
        up(w, 1, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip
    D = nn.Sequential(
        down(1, w, 4, 2, 1, bias=False), leaky, *stage(down, w, 2 * w, 4, 2, 1, act=leaky),
        *stage(down, 2 * w, 4 * w, 4, 2, 1, act=leaky),
        *stage(down, 4 * w, 8 * w, 4, 2, 1, act=leaky),
        down(8 * w, 1, 4, 1, 0, bias=False), nn.Sigmoid(), nn.Flatten(0),
    )  # fmt: skip
    for module in (*G.modules(), *D.modules()):
        if isinstance(module, up | down):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    large = F.interpolate(x, 64, mode="bilinear") * 2 - 1
    adam = [torch.optim.Adam(m.parameters(), 2e-4, betas=(0.5, 0.999)) for m in (G, D)]
    real_label, fake_label = torch.ones(64), torch.zeros(64)
    began, steps = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < seconds:
        real, fake = large[torch.randint(len(x), (64,))], G(torch.randn(64, 100, 1, 1))
        D.zero_grad()
        F.binary_cross_entropy(D(real), real_label).backward()
        F.binary_cross_entropy(D(fake.detach()), fake_label).backward()
        adam[1].step()
        G.zero_grad()
        F.binary_cross_entropy(D(fake), real_label).backward()
        adam[0].step()
        steps += 1
    with torch.no_grad():  # in training mode, as its authors draw
        drawn = torch.cat([G(torch.randn(100, 100, 1, 1)) for _ in range(40)])
    small = F.interpolate(drawn, 28, mode="bilinear", antialias=True)
    return ((small + 1) / 2).clamp(0, 1), steps, spent


if __name__ == "__main__":
    main()
