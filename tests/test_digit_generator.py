"""helpers.digit_generator: the generator that the GAN chapter trains and later ones draw from."""

from __future__ import annotations

import pytest
import torch
from helpers.digit_generator import Generator
from helpers.metrics import digit_classes
from helpers.training import load_weights


@pytest.mark.parametrize(("d", "w"), [(64, 16), (5, 2)])
def test_it_makes_images_in_range(d: int, w: int):
    x = Generator(d, w).eval()(10 * torch.randn(3, d))
    assert x.shape == (3, 1, 28, 28)
    assert 0 <= x.min() <= x.max() <= 1


@pytest.mark.parametrize("name", ["gan_generator", "gan_nonsaturating", "gan_wasserstein"])
def test_the_shipped_parameters_draw_all_ten_digits(name: str):
    G = Generator()
    load_weights(name, G)
    with torch.no_grad():
        x = G(torch.randn(300, 64, generator=torch.Generator().manual_seed(0)))
    assert len(digit_classes(x).unique()) == 10
