"""The definitions of chapter 07d_physics_guided that concern Burgers' equation (a part of the
chapter about waves has its own tests), taken from the notebook without running it."""

from __future__ import annotations

import math
from types import ModuleType

import pytest
import torch
from helpers.training import load_weights
from nbsource import definitions, find
from torch import Tensor, nn

CPU = torch.device("cpu")
NU = 0.01 / math.pi


@pytest.fixture(scope="module")
def pg() -> ModuleType:
    return definitions(find("07d_physics_guided"))


@pytest.fixture
def u() -> Tensor:
    """Rough states on 48 cells, some with shocks."""
    return torch.randn(5, 48, generator=torch.Generator().manual_seed(0)).double()


def centres(N: int) -> Tensor:
    return (torch.arange(N).double() + 0.5) * 2 / N - 1


def test_what_leaves_a_cell_enters_the_next(pg, u):
    assert pg.rate(u, NU).sum(-1).abs().max() < 1e-10
    assert pg.solve(u, 3).mean(-1).sub(u.mean(-1, keepdim=True)).abs().max() < 1e-13


def test_mirrored_states_have_mirrored_rates(pg, u):
    assert torch.allclose(pg.rate(-u.flip(-1), NU), -pg.rate(u, NU).flip(-1))


def test_a_constant_state_stays(pg):
    u = torch.full((16,), 0.7).double()
    assert torch.allclose(pg.solve(u, 2), u.expand(3, 16))


def test_slopes_of_a_line_are_exact_and_vanish_at_a_peak(pg):
    line = torch.arange(8.0).double()
    assert torch.allclose(pg.slopes(line)[1:-1], torch.ones(6).double())
    assert pg.slopes(torch.tensor([0.0, 1, 3, 1, 0, 0]).double())[2] == 0


def test_no_new_extremes_without_viscosity(pg, u):
    states = pg.solve(u, 4, nu=0)
    assert states.amax((0, 1, 2)) <= u.max() + 1e-9
    assert states.amin((0, 1, 2)) >= u.min() - 1e-9
    variation = states.diff(dim=-1).abs().sum(-1)
    assert (variation[:, 1:] <= variation[:, :1] * 1.05).all()


def test_a_shock_moves_with_the_mean_of_both_sides(pg):
    u = torch.where(centres(256).abs() < 0.5, 1.0, 0.0).double()
    after = pg.solve(u, 16, nu=0)[-1]  # from 0.5 to 0.75
    assert abs(after[centres(256) > 0].sub(0.5).abs().argmin() / 128 - 0.75) < 0.02


def test_a_sound_fan_opens_where_an_expansion_shock_would_be(pg):
    u = torch.where(centres(256).abs() < 0.5, 1.0, -1.0).double()
    after = pg.solve(u, 8, nu=0)[-1]
    x = centres(256)
    fan = (x + 0.5).abs() < 0.2
    assert (after[fan] - (x[fan] + 0.5) / 0.25).abs().max() < 0.06


@pytest.mark.parametrize("nu", [0.1, 0.3])
def test_second_order_towards_the_exact_solution(pg, nu: float):
    gaps = [
        (pg.solve(-torch.sin(math.pi * centres(N)), 8, nu)[-1] - pg.cole_hopf(centres(N), 0.25, nu))
        .abs()
        .mean()
        for N in (16, 32)
    ]
    assert 1.7 < math.log2(gaps[0] / gaps[1]) < 2.5


def test_the_exact_solution_satisfies_the_equation(pg):
    h, x, t = 1e-3, centres(9) * 0.9, 0.3
    u, left, right = (pg.cole_hopf(x + d, t, 0.05) for d in (0, -h, h))
    u_t = (pg.cole_hopf(x, t + h, 0.05) - pg.cole_hopf(x, t - h, 0.05)) / (2 * h)
    rest = u_t + u * (right - left) / (2 * h) - 0.05 * (right - 2 * u + left) / h**2
    assert rest.abs().max() < 1e-4
    assert torch.equal(pg.cole_hopf(x, 0), -torch.sin(math.pi * x))


def test_a_state_that_is_no_number_is_refused(pg):
    with pytest.raises(FloatingPointError, match="not a number"):
        pg.solve(torch.full((8,), math.nan), 1)
    with pytest.raises(FloatingPointError, match="too fast"):
        pg.solve(torch.full((8,), 1e6), 1)
    with pytest.raises(FloatingPointError, match="not a number"):  # and not a wrong answer
        pg.gauss_newton(lambda u: pg.solve(u, 1)[..., -1, :], torch.full((8,), math.nan).double())


def test_gauss_newton_takes_no_step_that_raises_the_loss(pg):
    """An operator whose Jacobian has the wrong sign: every step along it is uphill."""
    y = torch.full((4,), 0.1).double()
    found = pg.gauss_newton(lambda u: u - 2 * u.detach(), y, steps=2)
    assert torch.equal(found, torch.zeros(4).double())


def test_jacobian_is_that_of_autograd(pg):
    def A(u: Tensor) -> Tensor:
        return pg.solve(u, 2, 0.05)[..., -1, :]

    u = -torch.sin(math.pi * centres(16)) + 0.1
    assert torch.allclose(pg.jacobian(A, u), torch.autograd.functional.jacobian(A, u))


def test_smooth_is_symmetric_and_keeps_the_mean(pg):
    G = pg.smooth(torch.eye(16).double())
    assert torch.allclose(G, G.T)
    assert torch.allclose(pg.smooth(torch.ones(16).double()), torch.ones(16).double())
    wave = torch.cos(math.pi * 3 * centres(16))
    assert torch.allclose(pg.smooth(wave), wave / 37)


def test_recover_and_gauss_newton_agree_with_the_formula_where_A_is_linear(pg):
    generator = torch.Generator().manual_seed(1)
    B = torch.randn(12, 12, generator=generator).double() / 4
    y = torch.randn(12, generator=generator).double()
    M = B @ pg.smooth(torch.eye(12).double())
    z = torch.linalg.solve(M.T @ M + 0.1 * torch.eye(12), M.T @ y)
    wanted = pg.smooth(z)
    for found in (
        pg.recover(lambda u: u @ B.T, y, lam=0.1, steps=80),
        pg.gauss_newton(lambda u: u @ B.T, y, lam=0.1, steps=2),
    ):
        assert torch.allclose(found, wanted, atol=1e-4)


def test_a_steady_wind_carries_values_on(pg):
    u = torch.full((64,), 1.0).double()  # a cell a step
    assert torch.allclose(pg.semi_lagrangian(u, 3), torch.ones(4, 64).double())
    small = 1 + 1e-7 * torch.randn(64, generator=torch.Generator().manual_seed(2)).double()
    moved = pg.semi_lagrangian(small, 4, nu=0)[-1]
    assert torch.allclose(moved, small.roll(4), atol=1e-11)


def test_pinn_closes_the_circle_and_knows_its_derivatives(pg):
    torch.manual_seed(0)
    net = pg.Pinn(8, 3).double()
    t = torch.rand(6).double()
    ends = [net(torch.full_like(t, end), t) for end in (-1.0, 1.0)]
    assert torch.allclose(*ends)
    x, h = torch.rand(6).double(), 1e-4
    middle, before, after = (net(x + d, t) for d in (0, -h, h))
    assert torch.allclose(middle[2], (after[0] - before[0]) / (2 * h), atol=1e-6)
    assert torch.allclose(middle[3], (after[2] - before[2]) / (2 * h), atol=1e-5)
    later, sooner = net(x, t + h), net(x, t - h)
    assert torch.allclose(middle[1], (later[0] - sooner[0]) / (2 * h), atol=1e-6)


def test_pinn_learns_the_data(pg):
    torch.manual_seed(0)
    x = centres(32).float()
    net = pg.fit_pinn(x, -torch.sin(math.pi * x), steps=120, n=32)
    off = net(x, torch.full_like(x, 0.5))[0] + torch.sin(math.pi * x)
    assert off.abs().mean() < 0.2


def test_forces_are_their_seeds_and_close_the_circle(pg):
    f, again, other = pg.Forcing(4, 0), pg.Forcing(4, 0), pg.Forcing(4, 1)
    assert torch.equal(f(0.3, 32), again(0.3, 32))
    assert not torch.equal(f(0.3, 32), other(0.3, 32))
    rows, times = torch.tensor([2, 0]), torch.tensor([0.5, 1.0])
    picked = f(times, 16, rows)
    assert torch.allclose(picked[1], f(1.0, 16)[0], atol=1e-6)
    assert f(0.0, 512).sum(1).abs().max() < 1e-3  # whole periods


def test_references_are_means_of_the_fine_grid(pg):
    f = pg.Forcing(2, 0)
    states = pg.references(f, 2, cells=64, coarse=32)
    assert states.shape == (2, 3, 32)
    assert states[:, 0].abs().max() > 0.05  # it has warmed up
    assert states.sum(2).abs().max() < 1e-4


def test_references_are_stable_on_a_fine_grid(pg):
    """1,024 cells are where viscosity, and no longer the wind, limits the step."""
    states = pg.references(pg.Forcing(2, 0), 2, 1024, 64)
    assert states.isfinite().all()
    assert states.abs().max() < 3


def test_a_correction_cannot_create_momentum_and_starts_as_nothing(pg):
    torch.manual_seed(0)
    C, u = pg.Correction(8, 2), torch.randn(3, 32)
    assert C(u).abs().max() == 0
    nn.init.normal_(C.flux[-1].weight)
    assert C(u).abs().max() > 0.1
    assert C(u).sum(1).abs().max() < 1e-4
    assert torch.allclose(C(u.roll(5, 1)), C(u).roll(5, 1), atol=1e-5)


def test_rollout_counts_and_corrects(pg):
    f, u = pg.Forcing(3, 0), torch.zeros(3, 32)
    plain = pg.rollout(u, f, 0.0, 4)
    assert plain.shape == (3, 4, 32)
    assert torch.equal(plain, pg.rollout(u, f, 0.0, 4, pg.Correction(8, 1)))
    states = torch.cat([u[:, None], plain], 1)
    assert pg.off(states, f).abs().max() == 0
    assert torch.allclose(pg.off(states + 1, f, u=plain), torch.ones(4))


@pytest.mark.parametrize("k", [1, 3])
def test_learning_lowers_the_error(pg, k: int):
    f = pg.Forcing(8, 0)
    states = pg.references(f, 12, cells=64)
    torch.manual_seed(0)
    C = pg.Correction(8, 2)
    history = pg.learn(C, f, states, k, 80, n=16).values["error"]
    assert history[-1] < 0.85 * history[0]


def test_the_shipped_corrections_keep_their_promise(pg):
    f = pg.Forcing(8, 7)  # not the notebook's
    states = pg.references(f, 96)
    plain, gaps = pg.off(states, f).mean(), {}
    for name in ("burgers_correction", "burgers_correction_without"):
        C = pg.Correction()
        card = load_weights(name, C)
        assert card["build"] == "Correction()"
        gaps[name] = pg.off(states, f, C)
    within, without = gaps.values()
    assert plain / within.mean() > 3.5
    assert within[0] > without[0]  # one step is what the other was trained for
    assert within[64:].mean() < 1.02 * without[64:].mean()


def test_full_scale_runs_small_on_a_processor(pg):
    ratio = pg.at_full_scale(
        CPU, forces=4, cells=64, coarse=32, frames=6, w=8, k=2, steps=(12, 6), tested=2
    )
    assert set(ratio) == {"without", "in the loop"}
    assert all(math.isfinite(v) and v > 0 for v in ratio.values())
