"""The definitions of chapter 07b_efficient_reconstruction, taken from the notebook."""

from __future__ import annotations

import itertools
import math
from types import ModuleType

import pytest
import torch
from helpers.physics import Blur, FourierSampling, Mask, as_matrix, gaussian_kernel
from helpers.training import load_weights
from nbsource import definitions, find
from torch import nn

CPU = torch.device("cpu")
SIGMA = 0.01


@pytest.fixture(scope="module")
def er() -> ModuleType:
    chapter = definitions(find("07b_efficient_reconstruction"))
    chapter.sigma, chapter.CPU = SIGMA, CPU  # what cells set that are not run here
    chapter.noise = torch.Generator().manual_seed(0)
    return chapter


@pytest.fixture(scope="module")
def blind(er) -> nn.Module:
    network = er.Denoiser(48, 64, 96).requires_grad_(False)
    load_weights("denoiser_blind", network)
    return network


@pytest.mark.parametrize("kind", ["blur", "mask", "fourier"])
@pytest.mark.parametrize("lam", [0.01, 0.5, 20.0])
def test_closest_solves_its_normal_equations(er, kind: str, lam: float):
    torch.manual_seed(0)
    A = {
        "blur": Blur(gaussian_kernel(0.7).double()),
        "mask": Mask(torch.rand(8, 8) < 0.5),
        "fourier": FourierSampling(torch.rand(8, 8) < 0.3),
    }[kind]
    x, v = torch.rand(2, 1, 1, 8, 8).double()
    y = A(x)
    found = er.closest(A, y, v, lam)
    gradient = A.adjoint(A(found) - y) + lam * (found - v)
    assert gradient.abs().max() < 1e-6


@pytest.mark.parametrize("what", ["v", "lam"])
def test_closest_refuses_a_gradient_that_would_be_cut_off(er, what: str):
    """Only the division of a Blur passes gradients; conjugate gradients do not."""
    y, v, lam = torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8), torch.tensor(0.1)
    {"v": v, "lam": lam}[what].requires_grad_()
    er.closest(Blur(gaussian_kernel(0.7)), y, v, lam).sum().backward()
    mask = Mask(torch.rand(8, 8) < 0.5)
    with pytest.raises(NotImplementedError, match="Blur"):
        er.closest(mask, mask(y), v, lam)
    with torch.no_grad():
        assert er.closest(mask, mask(y), v, lam).shape == v.shape


def test_guess_of_pigdm_takes_any_operator(er):
    """Its gradient goes through the denoiser and not through the data step."""
    torch.manual_seed(0)
    A, x = Mask(torch.rand(8, 8) < 0.5), torch.rand(2, 1, 8, 8)
    guess = er.by_gradient(A, A(x), lambda v: 0.9 * v, lambda t: t)
    found = guess(x, 0.3)
    # J = 0.9 I and r² = t², so the pull of the data comes with the factor 0.9.
    pull = er.closest(A, A(x), 0.9 * x, (SIGMA / 0.3) ** 2) - 0.9 * x
    assert torch.allclose(found, 0.9 * x + 0.9 * pull, atol=1e-5)


def test_measure_repeats_with_a_generator_of_its_own(er):
    A, x = Blur(gaussian_kernel(1.0)), torch.rand(1, 1, 16, 16)
    a, b = (er.measure(A, x, torch.Generator().manual_seed(0)) for _ in range(2))
    assert torch.equal(a, b)
    assert not torch.equal(er.measure(A, x), er.measure(A, x))


def test_closest_keeps_what_the_operator_does_not_see(er):
    torch.manual_seed(0)
    A = Mask(torch.arange(64).view(8, 8) % 3 == 0)
    v, y = torch.rand(1, 1, 8, 8), torch.rand(1, 1, 1, 22)
    change = er.closest(A, y, v, 0.1) - v
    assert change[..., torch.arange(64).view(8, 8) % 3 != 0].abs().max() < 1e-6
    assert (er.closest(A, y, v, 1e9) - v).abs().max() < 1e-6
    assert (A(er.closest(A, y, v, 1e-6)) - y).abs().max() < 1e-4


def test_falling_levels(er):
    levels = er.falling(0.5, 0.01, 7)
    ratios = [b / a for a, b in itertools.pairwise(levels)]
    assert levels[0] == 0.5
    assert levels[-1] == pytest.approx(0.01)
    assert max(ratios) == pytest.approx(min(ratios))
    assert er.falling(0.5, 0.01, 1) == [0.5]


def test_walk_ends_where_a_sure_guess_says(er):
    x = torch.rand(2, 1, 8, 8)
    assert torch.allclose(er.walk(torch.randn(2, 1, 8, 8), [1.0, 0.1], lambda v, t: x), x)


def test_walk_keeps_the_noise_at_its_level(er):
    """With x_0 known, what is handed to the guess has noise of exactly the stated level."""
    torch.manual_seed(0)
    seen = []

    def guess(x, t):
        seen.append((x.std().item(), t))
        return torch.zeros_like(x)

    er.walk(0.7 * torch.randn(1, 1, 200, 200), er.falling(0.7, 0.05, 6), guess)
    assert all(size == pytest.approx(t, rel=0.03) for size, t in seen)


def test_walk_draws_a_gaussian(er):
    """The prior N(0.3, 0.2²) without data: the exact denoiser gives its mean and deviation."""
    torch.manual_seed(0)
    start = 0.3 + math.hypot(1, 0.2) * torch.randn(1, 1, 200, 200)
    z = er.walk(
        start, er.falling(1, 0.001, 300), lambda x, t: 0.3 + 0.04 / (0.04 + t**2) * (x - 0.3)
    )
    assert z.mean().item() == pytest.approx(0.3, abs=0.01)
    assert z.std().item() == pytest.approx(0.2, rel=0.04)


def test_exact_gaussian_guess_leaves_out_nothing(er):
    """At hardly any noise the guess is x itself; at very much it is the posterior mean."""
    torch.manual_seed(0)
    A, P = Blur(gaussian_kernel(0.8).double()), 0.01 + 0.1 * torch.rand(8, 5).double()
    x, y = torch.rand(2, 1, 1, 8, 8).double()
    guess = er.gaussian_guess(A, y, P, "exact")
    assert torch.allclose(guess(x, 1e-6), x, atol=1e-4)
    H = A.transfer(y)
    mean = P * H.conj() * torch.fft.rfft2(y - 0.5) / (H.abs().square() * P + SIGMA**2)
    assert torch.allclose(guess(x, 1e4), torch.fft.irfft2(mean, s=(8, 8)) + 0.5, atol=1e-4)


def test_error_size_is_the_identitys_own_noise(er):
    """A denoiser that does nothing errs by the noise, through any lens."""
    x = torch.rand(4, 1, 32, 32)
    for A in (Blur(gaussian_kernel(1.0)), Mask(torch.rand(32, 32) < 0.5)):
        r = er.error_size(lambda v: v, A, x)
        assert [r(t) for t in (0.02, 0.2)] == pytest.approx([0.02, 0.2], rel=1e-4)


def test_draws_have_their_shape_and_differ(er):
    torch.manual_seed(0)
    A, y = Blur(gaussian_kernel(1.0)), torch.rand(2, 1, 16, 16)
    z = er.draws(A, y, lambda x: 0.9 * x, lambda t: t, n=3, levels=[0.5, 0.1])
    assert z.shape == (3, 2, 1, 16, 16)
    assert (z[0] - z[1]).abs().max() > 1e-3


def test_plug_and_play_with_a_perfect_denoiser(er):
    x = torch.rand(1, 1, 16, 16)
    A = Blur(gaussian_kernel(1.0))
    assert torch.equal(er.plug_and_play(lambda v: x, A, A(x), [0.1, 0.05]), x)
    assert torch.equal(er.split_in_three(lambda v: x, A, A(x), 0.1, 3), x)


def test_admm_solves_a_quadratic_problem(er):
    """For f(v) = v / (1 + a t²), the denoiser of R = a |x|² / 2, the limit is known."""
    torch.manual_seed(0)
    A, y, t, a = Blur(gaussian_kernel(0.7).double()), torch.rand(1, 1, 8, 8).double(), 0.1, 50.0
    found = er.split_in_three(lambda v: v / (1 + a * t**2), A, y, t, 3000)
    truth = er.closest(A, y, torch.zeros_like(y), a * SIGMA**2)
    assert torch.allclose(found, truth, atol=1e-5)


def test_lipschitz_of_a_known_map(er):
    """A convolution's largest singular value is that of its transfer function."""
    torch.manual_seed(0)
    K = Blur(torch.rand(3, 3).double())
    x = torch.rand(1, 1, 8, 8).double()
    assert er.lipschitz(K, x, 60) == pytest.approx(K.transfer(x).abs().max().item(), rel=1e-3)


def test_equilibrium_has_the_gradient_of_its_equation(er):
    """x = a x + b has the fixed point b / (1 - a), with derivative b / (1 - a)² in a."""
    a = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)
    x = er.equilibrium(lambda v: a * v + 2, torch.zeros(1).double())
    x.sum().backward()
    assert x.item() == pytest.approx(5)
    assert a.grad.item() == pytest.approx(2 / 0.4**2)


@pytest.mark.parametrize("K", [1, 3])
def test_unrolled_uses_all_its_parameters(er, K: int):
    torch.manual_seed(0)
    network = er.Unrolled(er.Denoiser(4, 6, 8).requires_grad_(False), K)
    A, y = Blur(gaussian_kernel(1.0)), torch.rand(2, 1, 24, 24)
    x = network(A, y)
    assert x.shape == y.shape
    x.square().sum().backward()
    assert network.log_lam.grad.abs().min() > 0
    assert all(p.grad is not None for p in network.parameters())


def test_unrolled_begins_as_plug_and_play(er):
    """Before any training it is the loop at the level t with (sigma / t)² = lam."""
    torch.manual_seed(0)
    f, A, y = er.Denoiser(4, 6, 8), Blur(gaussian_kernel(1.0)), torch.rand(1, 1, 24, 24)
    loop = er.plug_and_play(f, A, y, [SIGMA / math.sqrt(0.02)] * 3)
    assert torch.allclose(er.Unrolled(f, 3)(A, y), loop, atol=1e-5)


def test_learning_lowers_the_error(er):
    torch.manual_seed(0)
    images = [torch.linspace(0, 1, 64).expand(1, 64, 64).contiguous()]
    A, network = Blur(gaussian_kernel(1.0)), er.Unrolled(er.Denoiser(8, 8, 8, bias=True), 1)
    loss = er.restoring(network, A, images, n=2, side=32)
    before = sum(loss().item() for _ in range(5))
    er.learn(network, loss, 60)
    assert sum(loss().item() for _ in range(5)) < 0.6 * before


def test_blind_loss_is_one_times_the_level_for_the_identity(er):
    """|n|² / level is the level on average: that of a logarithmic range from 2 to 130."""
    torch.manual_seed(0)
    value = er.blind_loss(lambda y: y, [torch.rand(1, 80, 80)], n=2000, side=8)().item()
    assert value == pytest.approx(128 / math.log(65) / 255, rel=0.06)


def test_guess_of_pigdm_is_exact_for_white_gaussians(er):
    """Where J = s² / (s² + t²) I and r² = t² J, it is the posterior mean, and so is ours."""
    torch.manual_seed(0)
    A, s = Blur(gaussian_kernel(0.8).double()), 0.2
    x, y = torch.rand(2, 1, 1, 8, 8).double()
    t = 0.3
    r2 = s**2 * t**2 / (s**2 + t**2)

    def f(v):
        return 0.5 + s**2 / (s**2 + t**2) * (v - 0.5)

    ours = er.given(A, y, f, lambda t: math.sqrt(r2))(x, t)
    theirs = er.by_gradient(A, y, f, lambda t: math.sqrt(r2))(x, t)
    assert torch.allclose(ours, theirs, atol=1e-9)
    M = as_matrix(A, (8, 8))
    gain = r2 * M.T @ torch.linalg.inv(r2 * M @ M.T + SIGMA**2 * torch.eye(64).double())
    exact = f(x).flatten() + gain @ (y - A(f(x))).flatten()
    assert torch.allclose(ours.flatten(), exact, atol=1e-7)


def test_counted_counts_both_ways(er):
    A = er.Counted(gaussian_kernel(1.0))
    x = torch.rand(1, 1, 16, 16)
    A.adjoint(A(x))
    er.closest(A, x, x, 0.1)
    assert A.used == 4


def test_squares_leave_out_small_photographs(er):
    x = er.squares({"a": torch.rand(1, 70, 64), "b": torch.rand(1, 60, 200)}, side=32)
    assert x.shape == (1, 1, 32, 32)


def test_the_blind_denoiser_knows_all_levels(blind):
    """Better than twice the noise's reduction that a 3x3 mean gives, on a smooth image."""
    torch.manual_seed(0)
    x = torch.linspace(0.2, 0.8, 64).expand(1, 1, 64, 64)
    for level in (0.02, 0.1, 0.4):
        y = x + level * torch.randn_like(x)
        assert (blind(y) - x).square().mean() < level**2 / 18
    assert torch.allclose(blind(0.1 * y), 0.1 * blind(y), atol=1e-6)


def test_full_scale_runs_small(er, monkeypatch):
    torch.manual_seed(0)
    moved = []

    class Spy(er.Denoiser):
        def to(self, device):
            moved.append(self)
            return super().to(device)

    own = Spy(4, 4, 4)
    monkeypatch.setattr(er, "fixed_25", own, raising=False)
    photos = {str(k): torch.rand(1, 140, 150) for k in range(2)}
    reached = er.at_full_scale(
        photos, photos, CPU, steps=3, n=2, side=64, widths=(4, 4, 4), count=1
    )
    assert set(reached) == {"plug and play", "mean of draws"}
    assert moved
    assert all(network is not own for network in moved), "the chapter's own network stays"
    assert all(math.isfinite(v) for v in reached.values())
