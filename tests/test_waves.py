"""The wave half of chapter 07d_physics_guided, taken from the notebook without running it."""

from __future__ import annotations

import math
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from nbsource import definitions, find
from torch import Tensor, nn


@pytest.fixture(scope="module")
def pg() -> ModuleType:
    return definitions(find("07d_physics_guided"))


def small(pg: ModuleType, side: int = 20, **more: object):
    return pg.Wells(side, [2, 12], 4.0, dtype=torch.float64, **more)


def test_second_derivative_is_exact_for_polynomials_and_symmetric(pg):
    D, x = pg.second_derivative(30, 0.5), torch.arange(30).double() * 0.5
    inner = slice(4, -4)
    for power in range(2, 10):
        wanted = power * (power - 1) * x ** (power - 2)
        assert torch.allclose((D @ x**power)[inner], wanted[inner], rtol=1e-8, atol=1e-6)
    assert torch.equal(D, D.T)
    assert not torch.allclose((D @ x**11)[inner], 110 * x[inner] ** 9, rtol=1e-8)


def test_march_is_the_leapfrog(pg):
    torch.manual_seed(0)
    c, s = 1 + torch.rand(2, 1, 12, 9).double(), torch.randn(6, 1, 3, 12).double()
    D = torch.eye(12).double()
    with pytest.raises(RuntimeError):  # D acts on rows and columns: a square grid only
        list(pg.march(c, s, 4, D, torch.ones(12, 9).double(), 0.1))
    c, a = 1 + torch.rand(2, 1, 12, 12).double(), 0.9 + 0.1 * torch.rand(12, 12).double()
    D = pg.second_derivative(12, 1.0)
    p = [p for p, _ in pg.march(c, s, 4, D, a, 0.1)]
    source = torch.zeros(3, 12, 12).double()
    source[..., 4] = s[2, 0]
    force = D @ p[2] + p[2] @ D + source
    wanted = a * (2 * p[2] - a * p[1] + (0.1 * c) ** 2 * force)
    assert p[0].abs().sum() == 0
    assert p[3].shape == (2, 3, 12, 12)
    assert torch.allclose(p[3], wanted)


def test_gradient_is_that_of_automatic_differentiation(pg):
    torch.manual_seed(0)
    A = pg.Wells(16, [2, 12], 4.0, dtype=torch.float64)
    A.s, x = A.s[:40], torch.rand(2, 1, 16, 16).double().requires_grad_()
    weight = torch.randn_like(A(x))
    (ours,) = torch.autograd.grad((A(x) * weight).sum(), x)
    c = F.pad(1.8 + 2.2 * x, (pg.border,) * 4, mode="replicate")
    run = pg.march(c, A.s, A.into, A.D, A.a, A.dt)
    y = 1e4 * torch.stack([p[..., A.out] for p, _ in run])[..., A.receivers]
    assert torch.equal(y, A(x))
    (theirs,) = torch.autograd.grad((y * weight).sum(), x)
    assert torch.allclose(ours, theirs, rtol=1e-8, atol=1e-12 * theirs.abs().max().item())


def test_waves_refuse_gradients_that_they_do_not_have(pg):
    A, x = small(pg), torch.rand(1, 1, 20, 20).double().requires_grad_()
    A.s = A.s[:20].requires_grad_()
    with pytest.raises(NotImplementedError, match="speed"):
        A(x).sum().backward()
    A.s = A.s.detach()
    (g,) = torch.autograd.grad(A(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):  # no Hessian by accident
        g.sum().backward()


@pytest.mark.parametrize("more", [{"receivers": [20]}, {"receivers": [-1]}])
def test_wells_end_at_the_square(pg, more: dict):
    with pytest.raises(ValueError, match="rows 0 to 19"):
        small(pg, **more)
    with pytest.raises(ValueError, match="rows 0 to 4"):
        pg.Wells(5, [7], 4.0)


def test_wells_refuse_images_that_are_none(pg):
    A = small(pg)
    with pytest.raises(ValueError, match="20, 20"):
        A(torch.rand(1, 1, 24, 24))
    for bad in (1.5, -0.2, math.nan):
        x = torch.full((1, 1, 20, 20), 0.5).double()
        x[..., 3, 4] = bad
        with pytest.raises(ValueError, match="lie in"):
            A(x)


def test_courant_number_decides(pg):
    limit = 2 / math.sqrt(2 * (205 / 72 + 2 * (8 / 5 + 1 / 5 + 8 / 315 + 1 / 560)))
    assert pg.loudest(0.99 * limit) < 1 < 1e20 < pg.loudest(1.02 * limit)
    A = small(pg)
    assert 4.0 * A.dt / (1.28 / 20) < limit  # at the highest speed


def test_energy_is_constant_only_for_the_right_speeds(pg):
    torch.manual_seed(0)
    energy = pg.energies(1 + torch.rand(1, 1, 24, 24).double(), 0.2, steps=80)
    assert energy.max() / energy.min() - 1 < 1e-10
    assert energy.min() > 0


def test_the_sponge_takes_most_of_the_wave(pg):
    """What is left long after the wave has left the square, with the sponge and without."""
    A, x = small(pg), torch.full((1, 1, 20, 20), 0.5).double()
    A.s = torch.cat([A.s, torch.zeros(200, *A.s.shape[1:]).double()])
    end = A(x)[-50:].norm()
    A.a = torch.ones_like(A.a)
    assert end < 0.15 * A(x)[-50:].norm()


def test_waves_arrive_when_they_should(pg):
    A = pg.Wells(32, [16], 5.0, receivers=[16])
    x = torch.tensor([0.25, 0.75]).view(2, 1, 1, 1).expand(2, 1, 32, 32)
    peak = A(x)[:, :, 0, 0].abs().argmax(0) * A.dt
    distance = (A.out - A.into) * 0.04
    apart = distance / (1.8 + 2.2 * 0.25) - distance / (1.8 + 2.2 * 0.75)
    assert abs((peak[0] - peak[1]).item() - apart) < 0.02


def test_low_pass_keeps_slow_and_removes_fast(pg):
    time = torch.arange(400) * 0.005
    slow, fast = torch.sin(2 * math.pi * 0.5 * time), torch.sin(2 * math.pi * 20 * time)
    kept = pg.low_pass(slow + fast, 4.0, 0.005)
    assert (kept - slow)[100:300].abs().max() < 0.05
    assert torch.allclose(pg.low_pass(fast, 1e9, 0.005), fast, atol=1e-5)
    two = pg.low_pass(torch.stack([slow, fast], 1), 4.0, 0.005)
    assert two.shape == (400, 2)
    assert torch.allclose(two.sum(1), kept, atol=1e-5)


def test_layered_models(pg):
    x = pg.layered(20, seed=3)
    assert x.shape == (20, 1, 32, 32)
    assert x.min() >= 0
    assert x.max() <= 1
    assert torch.equal(x, pg.layered(20, seed=3))
    assert not torch.equal(x, pg.layered(20, seed=4))
    finer = F.avg_pool2d(pg.layered(20, 64, seed=3), 2)
    assert (finer - x).abs().mean() < 0.02  # the same ground on another grid
    assert (x[..., -1, :].mean() - x[..., 0, :].mean()) > 0.3  # faster below


def test_lens_and_error(pg):
    x = torch.full((1, 1, 64, 64), 0.2)
    with_lens = pg.lens(x)
    assert abs(with_lens[0, 0, 32, 32] - 0.98) < 0.01
    assert with_lens[0, 0, 0, 0] == x[0, 0, 0, 0]
    assert torch.allclose(pg.speed_error(x + 0.1, x), torch.tensor([0.22]))


def test_minima(pg):
    found = pg.minima(torch.tensor([3.0, 1, 2, 0, 5, 4]))
    assert found.tolist() == [1, 3]


def test_fit_lowers_the_misfit_and_obeys_its_penalty(pg):
    torch.manual_seed(0)
    A = pg.Wells(16, [3, 12], 3.0)
    x = 0.5 + 0.2 * torch.rand(1, 1, 16, 16)
    y, start = A(x), torch.full_like(x, 0.4)

    def make(u: Tensor) -> Tensor:
        return u.clamp(0, 1)

    u = pg.fit(A, y, make, start, [(4.0, 5), (1000.0, 15)], 0.02)
    assert (A(make(u)) - y).norm() < 0.3 * (A(start) - y).norm()
    held = pg.fit(
        A, y, make, start, [(1000.0, 5)], 0.001, lambda u, x: 1e6 * (u - start).square().sum()
    )
    assert (held - start).abs().max() < 0.01 < (u - start).abs().max()
    assert torch.equal(start, torch.full_like(x, 0.4))  # the caller keeps its own


def test_record_has_the_noise_that_it_states(pg):
    A = pg.Wells(16, [3], 3.0)
    x = torch.full((2, 1, 16, 16), 0.5)
    y, sigma = pg.measured(A, x, 0.4, seed=0)
    assert abs((y - A(x)).std().item() / sigma - 1) < 0.05
    assert abs(sigma - 0.4 * A(x).square().mean().sqrt().item()) < 1e-6
    assert torch.equal(y, pg.measured(A, x, 0.4, seed=0)[0])


def test_flow_to_image_is_exact_for_straight_lines(pg):
    class Exact(nn.Module):
        def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
            return (x_t - 0.3) / t.view(-1, 1, 1, 1)  # all images are 0.3

    x_t = torch.randn(4, 1, 8, 8)
    for steps in (1, 4):
        found = pg.flow_to_image(Exact(), x_t, 0.6, steps)
        assert torch.allclose(found, torch.full_like(x_t, 0.3), atol=1e-6)


def test_draws_follow_record_and_prior(pg):
    """A prior that knows one image only gives that image; its range is kept."""

    class Exact(nn.Module):
        def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
            return (x_t - 0.2) / t.view(-1, 1, 1, 1)

    torch.manual_seed(0)
    A = pg.Wells(32, [16], 4.0, receivers=[16])
    truth = torch.full((1, 1, 32, 32), 0.6)  # 0.2 in [-1, 1]
    x = pg.posterior_draws(Exact(), A, A(truth), 0.5, n=2, levels=3, steps=1)
    assert x.shape == (2, 1, 32, 32)
    assert (x - 0.6).abs().mean() < 0.1
    assert x.min() >= 0
    assert x.max() <= 1


def test_flow_matching_loss(pg):
    class Silent(nn.Module):
        def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
            return torch.zeros_like(x_t)

    torch.manual_seed(0)
    loss = pg.speed_velocity_loss(Silent(), torch.full((64, 1, 16, 16), 0.5))
    assert abs(loss.item() - 1.25) < 0.05  # variance of the noise plus 0.5 squared
