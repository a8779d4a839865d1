"""The definitions of chapter 06b_denoising, taken from the notebook without running it."""

from __future__ import annotations

import math
from types import ModuleType

import pytest
import torch
from helpers.data import public_photographs
from helpers.training import load_weights
from nbsource import definitions, find
from torch import nn

CPU = torch.device("cpu")
SIGMA = 25 / 255


@pytest.fixture(scope="module")
def dn() -> ModuleType:
    chapter = definitions(find("06b_denoising"))
    chapter.sigma, chapter.CPU = SIGMA, CPU  # what cells set that are not run here
    return chapter


@pytest.fixture(scope="module")
def shipped(dn) -> nn.Module:
    network = dn.Denoiser().requires_grad_(False)
    load_weights("denoiser_sigma25", network)
    return network


@pytest.mark.parametrize("size", [(8, 8), (16, 40), (33, 47)])
@pytest.mark.parametrize("skip", [True, False])
def test_denoiser_takes_any_size(dn, size: tuple, skip: bool):
    y = torch.rand(2, 1, *size)
    assert dn.Denoiser(4, 6, 8, skip=skip)(y).shape == y.shape


def test_skip_means_that_the_noise_is_predicted(dn):
    torch.manual_seed(0)
    with_skip, without = dn.Denoiser(4, 6, 8), dn.Denoiser(4, 6, 8, skip=False)
    without.load_state_dict(with_skip.state_dict())
    y = torch.rand(1, 1, 24, 24)
    assert torch.allclose(with_skip(y), y - without(y))


def test_only_without_biases_it_is_homogeneous(dn):
    torch.manual_seed(0)
    y = torch.rand(1, 1, 24, 24).double()
    free, biased = (dn.Denoiser(4, 6, 8, bias=b).double() for b in (False, True))
    assert torch.allclose(free(3 * y), 3 * free(y))
    assert not torch.allclose(biased(3 * y), 3 * biased(y), atol=1e-3)


def test_every_layer_is_used(dn):
    network = dn.Denoiser(4, 6, 8)
    network(torch.rand(1, 1, 16, 16)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_local_wiener_keeps_strong_edges_and_flattens_noise(dn):
    torch.manual_seed(0)
    x = torch.cat([torch.zeros(1, 1, 64, 32), torch.ones(1, 1, 64, 32)], 3)
    y = x + SIGMA * torch.randn_like(x)
    x_hat = dn.local_wiener(y, 3)
    assert (x_hat - x).square()[..., :24].mean() < 0.2 * SIGMA**2
    assert (x_hat - x).square()[..., 28:36].mean() < 1.1 * SIGMA**2


def test_shifted_wavelets_leave_constant_images(dn):
    y = torch.full((1, 1, 32, 32), 0.4)
    assert torch.allclose(dn.shifted_wavelets(y, 1.5), y, atol=1e-6)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_tweedie_is_bayes(dn, d: int):
    torch.manual_seed(0)
    m, y = torch.randn(4, d).double(), 2 * torch.randn(50, d).double()
    for s, level in ((0.3, 0.4), (0.1, 1.0)):
        apart = dn.tweedie(y, m, s, level) - dn.posterior_mean(y, m, s, level)
        assert apart.abs().max() < 1e-10


def test_density_of_noisy_points_integrates_to_one(dn):
    y = torch.linspace(-12, 12, 4001, dtype=torch.float64)[:, None]
    m = torch.tensor([[-1.0], [2.0]]).double()
    mass = dn.log_p_sigma(y, m, 0.2, 0.5).exp().sum() * (y[1] - y[0])
    assert mass.item() == pytest.approx(1, abs=1e-6)


def test_supervised_adds_noise_of_the_stated_size(dn):
    """The identity's mean absolute error is that of the noise: sigma sqrt(2 / pi)."""
    torch.manual_seed(0)
    images = [torch.rand(1, 80, 80)]
    loss = dn.supervised(lambda y: y, images, n=32)()
    assert loss.item() == pytest.approx(SIGMA * math.sqrt(2 / math.pi), rel=0.02)
    wide = dn.supervised(lambda y: y, images, low=0, high=50, n=512, side=16)()
    assert wide.item() == pytest.approx(SIGMA * math.sqrt(2 / math.pi), rel=0.1)


def test_divergence_of_a_convolution(dn):
    torch.manual_seed(0)
    K = dn.Blur(torch.rand(3, 3).double())
    y = torch.rand(500, 1, 16, 16).double()
    guesses = dn.divergence(K, y)
    error = guesses.std() / math.sqrt(len(guesses))
    assert (guesses.mean() - 256 * K.kernel[1, 1]).abs() < 4 * error


def test_stein_is_unbiased(dn):
    """For a linear filter it is the error against the truth, on average over the noise."""
    torch.manual_seed(0)
    x, K = torch.rand(1, 1, 64, 64), dn.Blur(torch.ones(3, 3) / 9)
    y, b = x + SIGMA * torch.randn(200, 1, 64, 64), torch.randn(200, 1, 64, 64)
    error = (K(y) - x).square().mean((1, 2, 3))
    gap = dn.stein(K(y), K(y + 0.01 * b), y, b, 0.01) - error
    assert gap.mean().abs() < 4 * gap.std() / math.sqrt(200)


def test_sure_learns_from_noisy_images_alone(dn):
    torch.manual_seed(0)
    x = torch.linspace(0, 1, 64).expand(1, 64, 64).contiguous()
    y = x + SIGMA * torch.randn_like(x)
    network = dn.accelerate(dn.Denoiser(8, 8, 8, bias=True), CPU)
    dn.learn(network, dn.by_sure(network, [y], n=4, side=32), 80)
    fresh = x + SIGMA * torch.randn(4, 1, 64, 64)
    assert (network(fresh) - x).square().mean() < 0.6 * SIGMA**2


def test_learning_lowers_the_error(dn):
    torch.manual_seed(0)
    x = torch.linspace(0, 1, 64).expand(1, 64, 64).contiguous()
    network = dn.accelerate(dn.Denoiser(8, 8, 8, bias=True), CPU)
    dn.learn(network, dn.supervised(network, [x], n=4, side=32), 120)
    fresh = x + SIGMA * torch.randn(4, 1, 64, 64)
    assert (network(fresh) - x).square().mean() < 0.5 * SIGMA**2


@pytest.mark.parametrize("kind", ["Gaussian", "Poisson", "salt and pepper", "correlated"])
def test_other_noise_has_the_same_mean_square(dn, kind: str):
    torch.manual_seed(0)
    x = 0.2 + 0.6 * torch.rand(2, 1, 200, 200)
    n = dn.other_noise(kind, x) - x
    assert n.square().mean().sqrt().item() == pytest.approx(SIGMA, rel=0.05)


def test_the_deep_image_prior_does_not_see_the_truth(dn):
    y = torch.rand(1, 1, 16, 16)
    runs = []
    for x in (torch.zeros_like(y), torch.ones_like(y)):
        torch.manual_seed(0)
        runs.append(dn.deep_image_prior(y, x, steps=4))
    assert torch.equal(runs[0]["x_hat"][-1], runs[1]["x_hat"][-1])
    assert runs[0]["held"] == runs[1]["held"]
    assert len(runs[0]["PSNR"]) == 4


def test_full_scale_runs_small(dn, shipped, monkeypatch):
    monkeypatch.setattr(dn, "shipped", shipped, raising=False)
    torch.manual_seed(0)
    photos = {str(k): torch.rand(1, 120, 130) for k in range(2)}
    mean = dn.at_full_scale(photos, photos, CPU, steps=3, n=2, widths=(4, 4, 4))
    assert set(mean) == {"trained", "shipped"}
    assert all(math.isfinite(v) for v in mean.values())


def test_the_shipped_network_reaches_its_bar(dn, shipped):
    """On the whole photographs, where scikit-image's non-local means reach 30.36 dB (oracle) and
    total variation 29.82; on the squares of the notebook the notebook checks it."""
    found = dn.score(shipped, dn.photographs("test", grey=True))
    assert sum(found.values()) / len(found) > 30.36 + 1


def test_the_shipped_network_on_bsd68(dn, shipped):
    try:
        photos = public_photographs("bsd68", grey=True)
    except OSError as error:
        pytest.skip(str(error))
    assert len(photos) == 68
    found = dn.score(shipped, photos)
    assert sum(found.values()) / len(found) > 28.8


def test_stein_and_by_sure_agree_with_the_error_of_the_identity(dn):
    """The identity has divergence one a pixel, so SURE gives sigma², its true error."""
    torch.manual_seed(0)
    y, b = torch.rand(8, 1, 32, 32), torch.randn(8, 1, 32, 32)
    found = dn.stein(y, y + 0.01 * b, y, b, 0.01)
    assert found.mean().item() == pytest.approx(SIGMA**2, rel=0.05)
    loss = dn.by_sure(lambda y: y, [torch.rand(1, 80, 80)])()  # each divided by itself
    assert loss.item() == pytest.approx(1, abs=1e-5)


def test_each_image_gets_its_best_strength(dn, monkeypatch):
    x = torch.stack([torch.full((1, 16, 16), v) for v in (0.2, 0.8)])
    monkeypatch.setattr(dn, "x_test", x, raising=False)
    monkeypatch.setattr(dn, "y_test", x + 0.1, raising=False)
    found, seconds = dn.tuned(lambda y, s: torch.full_like(y, s), (0.25, 0.7))
    assert found.flatten(1).mean(1).tolist() == pytest.approx([0.25, 0.7])
    assert seconds > 0
