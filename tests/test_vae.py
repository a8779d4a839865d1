"""The definitions of chapter 04_vae, taken from the notebook without running it.

Among them is the part that only a GPU runs at its full size: here it runs small, on the CPU.
"""

from __future__ import annotations

import math
from functools import partial
from types import ModuleType

import pytest
import torch
from helpers.physics import Identity, Mask
from nbsource import definitions, find
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence


@pytest.fixture(scope="module")
def vae() -> ModuleType:
    return definitions(find("04_vae"))


# ---------------------------------------------------------------- the bound


def test_bottleneck_draws_from_q_and_charges_its_divergence(vae):
    torch.manual_seed(0)
    mu, logvar = torch.randn(3, 4), torch.randn(3, 4)
    z, kl = vae.bottleneck(mu.expand(20_000, -1, -1).flatten(0, 1), logvar.repeat(20_000, 1))
    z = z.view(20_000, 3, 4)
    assert torch.allclose(z.mean(0), mu, atol=0.1)
    assert torch.allclose(z.var(0), logvar.exp(), rtol=0.1)
    q = Independent(Normal(mu, (logvar / 2).exp()), 1)
    p = Independent(Normal(torch.zeros_like(mu), 1.0), 1)
    assert torch.allclose(kl[:3], kl_divergence(q, p), atol=1e-5)


class Nothing(nn.Module):
    """An encoder that answers with the prior, and a decoder that ignores z."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros(len(x), 2), torch.zeros(len(x), 2)

    def logits(self, z: Tensor) -> Tensor:
        return torch.zeros(len(z), 1, 28, 28)


def test_two_terms_of_a_decoder_that_ignores_z(vae):
    """With logits 0 each pixel costs log 2, whatever its grey; q = p costs nothing."""

    x = torch.rand(5, 1, 28, 28)
    misfit, kl = vae.two_terms(Nothing(), Nothing(), x)
    assert torch.allclose(misfit, torch.full((5,), 784 * math.log(2)))
    assert torch.equal(kl, torch.zeros(5))
    assert vae.nats(Nothing(), Nothing(), x) == pytest.approx(784 * math.log(2), rel=1e-5)


def test_importance_weights_of_the_exact_posterior_are_all_the_same(vae):
    """A decoder that ignores z has the prior as posterior: w = p(x | z) for every draw."""

    log_w = vae.log_weights_of(Nothing(), Nothing(), torch.rand(3, 1, 28, 28), K=6)
    assert log_w.shape == (3, 6)
    assert torch.allclose(log_w, torch.full((3, 6), -784 * math.log(2)), rtol=1e-5)


# ---------------------------------------------------------------- training


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize(("side", "channels"), [(28, 1), (64, 3)])
def test_wide_pairs_train_on_bytes(vae, monkeypatch, side: int, channels: int, mixed: bool):
    """As on a GPU: bytes in, mixed precision."""
    if mixed:
        bfloat16 = partial(torch.autocast, "cpu", dtype=torch.bfloat16)
        monkeypatch.setattr(vae, "autocast", lambda device: bfloat16())
    torch.manual_seed(0)
    pair = vae.wide_pair(side, channels, d=5, w=4)
    images = torch.randint(0, 256, (20, channels, side, side), dtype=torch.uint8)
    before = [p.clone() for half in pair for p in half.parameters()]
    history = vae.train_vae(*pair, images, 3)
    after = [p for half in pair for p in half.parameters()]
    assert all(map(math.isfinite, history.values["loss"]))
    assert all(not torch.equal(p, q) for p, q in zip(before, after, strict=True))
    with torch.no_grad():
        x = pair[1](torch.randn(2, 5))
    assert x.shape == (2, channels, side, side)
    assert 0 <= x.min() <= x.max() <= 1
    assert not pair[0].training


def test_an_interrupted_run_resumes(vae, tmp_path):
    images = torch.rand(20, 1, 28, 28)

    def run(steps: int, **options) -> list[Tensor]:
        torch.manual_seed(0)
        pair = vae.DigitEncoder(d=3, w=2), vae.DigitDecoder(d=3, w=2)
        vae.train_vae(*pair, images, steps, **options)
        return [p for half in pair for p in half.parameters()]

    whole = run(6)
    calls = []

    def failing(strength_of):
        def bend(x: Tensor, strength: float) -> Tensor:
            calls.append(strength)
            if len(calls) == 4:
                raise KeyboardInterrupt
            return strength_of(x, strength)

        return bend

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vae, "bend", failing(vae.bend))
        patch.setattr(vae, "train", partial(vae.train, every=1))
        with pytest.raises(KeyboardInterrupt):
            run(6, checkpoint=tmp_path / "vae.checkpoint")
        resumed = run(6, checkpoint=tmp_path / "vae.checkpoint")
    assert len(calls) == 4 + 3  # the step that was cut off, and the two after it
    assert all(torch.equal(p, q) for p, q in zip(whole, resumed, strict=True))


# ---------------------------------------------------------------- draws from p(z | y)


class Linear(nn.Module):
    """A decoder whose posterior is known: x = W z."""

    def __init__(self) -> None:
        super().__init__()
        self.W = 0.05 * torch.randn(784, 24, generator=torch.Generator().manual_seed(0))

    def forward(self, z: Tensor) -> Tensor:
        return (z @ self.W.T).view(-1, 1, 28, 28)


@pytest.fixture
def linear(vae, monkeypatch) -> Linear:
    decoder = Linear()
    monkeypatch.setattr(vae, "vae_decoder", decoder, raising=False)
    return decoder


@pytest.mark.parametrize("hidden", [False, True])
def test_langevin_draws_from_a_known_posterior(vae, linear, hidden: bool):
    torch.manual_seed(0)
    seen = torch.ones(28, 28)
    seen[14:] = 0.0 if hidden else 1.0
    A, s = (Mask(seen) if hidden else Identity()), 0.4
    y = A(linear(torch.randn(1, 24))) + s * torch.randn(1, 1, 28, 28)[..., :1, :1]
    W = linear.W[seen.flatten() > 0]
    M = W.T @ W + s**2 * torch.eye(24)
    mean = torch.linalg.solve(M, W.T @ y.flatten())
    cov = s**2 * torch.linalg.inv(M)
    start = 2 * torch.randn(1500, 24)  # too wide
    z = vae.langevin(A, y.repeat_interleave(1500, 0), s, start, steps=300)  # (1500, 24)
    error = (z.mean(0) - mean) / (cov.diagonal() / 1500).sqrt()
    assert error.abs().max() < 5
    assert torch.allclose(z.T.cov().diagonal(), cov.diagonal(), rtol=0.3)


def test_search_climbs_to_the_mode_of_a_known_posterior(vae, linear):
    torch.manual_seed(0)
    s = 0.4
    y = linear(torch.randn(2, 24))
    mode = torch.linalg.solve(
        linear.W.T @ linear.W + s**2 * torch.eye(24), linear.W.T @ y.flatten(1).T
    ).T
    assert torch.allclose(vae.search(Identity(), y, s, steps=400), mode, atol=0.02)


# ---------------------------------------------------------------- symbols


def test_the_quantiser_takes_the_nearest_and_passes_gradients_straight_through(vae):
    torch.manual_seed(0)
    quantise = vae.Quantiser(K=5, C=3).eval()
    h = torch.randn(2, 3, 7, 7, requires_grad=True)
    q, codes, commitment = quantise(h)
    distance = (h[:, None] - quantise.book[None, :, :, None, None]).square().sum(2)  # (2, 5, 7, 7)
    assert torch.equal(codes, distance.argmin(1))
    assert torch.allclose(q, quantise.look_up(codes), atol=1e-6)
    assert commitment.item() == pytest.approx((distance.amin(1).mean() / 3).item(), rel=1e-4)
    weights = torch.randn_like(q)
    (gradient,) = torch.autograd.grad((q * weights).sum(), h)
    assert torch.equal(gradient, weights)


def test_the_code_book_follows_the_data_and_no_entry_stays_idle(vae):
    torch.manual_seed(0)
    quantise = vae.Quantiser(K=4, C=2)
    quantise.book += 50.0  # far from all data: at first one entry takes everything
    quantise.total += 50.0
    centres = torch.tensor([[0.0, 0], [0, 5], [5, 0], [5, 5]])
    for _ in range(800):
        h = centres[torch.randint(4, (8, 7, 7))] + 0.01 * torch.randn(8, 7, 7, 2)
        quantise(h.permute(0, 3, 1, 2))
    assert quantise.book.min() > -0.5
    assert quantise.book.max() < 5.5  # all have come to the data
    v = centres[:, None] + 0.01 * torch.randn(4, 100, 2)
    codes = torch.cdist(v.flatten(0, 1), quantise.book).argmin(1)
    assert len(codes.unique()) == 4  # and each is somebody's nearest


@pytest.mark.parametrize("place", [0, 24, 47])
def test_the_prior_never_sees_what_comes_later(vae, place: int):
    torch.manual_seed(0)
    prior = vae.CodePrior(K=6, w=8, blocks=2).eval()
    codes = torch.randint(6, (1, 49))
    other = codes.clone()
    other[0, place] = (codes[0, place] + 1) % 6
    change = prior(codes.view(1, 7, 7)) - prior(other.view(1, 7, 7))
    change = change.abs().amax(1).flatten()
    assert change[: place + 1].max() == 0
    assert change[place + 1] > 0
