"""The definitions of chapter 06c_tomography, taken from the notebook without running it.

Among them is the part that only a GPU runs at its full size: here it runs small, on the CPU.
"""

from __future__ import annotations

import math
from types import ModuleType

import pytest
import torch
from nbsource import definitions, find
from torch import nn

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def ct() -> ModuleType:
    return definitions(find("06c_tomography"))


@pytest.fixture(scope="module")
def data(ct) -> tuple:
    """An operator, 24 held-out phantoms and their sinograms."""
    torch.manual_seed(0)
    A, x = ct.parallel_beam(30), ct.held_out(24)
    return A, x, ct.measure(A, x)


def shipped(ct, name: str, build: type, A) -> nn.Module:
    network = build(A).requires_grad_(False)
    ct.load_weights(name, network)
    return network


def test_phantoms_are_images_of_bodies(ct):
    torch.manual_seed(0)
    x = ct.phantoms(20)
    assert x.shape == (20, 1, 64, 64)
    assert 0 <= x.min() <= x.max() <= 1
    assert (x[:, 0, 32, 32] > 0).float().mean() > 0.5  # the body covers the middle
    corners = x[..., :8, :8]
    assert corners.max() == 0  # and the corners are air
    assert len({round(v.mean().item(), 6) for v in x}) == 20


def test_ellipses_have_the_axes_asked_for(ct):
    torch.manual_seed(0)
    mask = ct.ellipses(4, (0.5, 0.5), (0, 0), 200)  # circles of radius a half
    area = mask.float().mean((1, 2)) * 4  # the image spans [-1, 1]
    assert area.allclose(torch.tensor(math.pi / 4), rtol=0.02)


def test_held_out_phantoms_are_fixed_and_leave_the_random_numbers_alone(ct):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    x = ct.held_out(3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    assert torch.equal(ct.held_out(3), x)
    assert not torch.equal(ct.held_out(3, seed=2_000_000), x)


def test_the_rays_cover_the_square_and_the_arc(ct):
    A = ct.parallel_beam(10, arc=120.0)
    assert A.angles.tolist() == [12.0 * k for k in range(10)]
    assert A(torch.ones(1, 1, 64, 64)).shape == (1, 1, 10, 91)
    mass = ct.parallel_beam(8)(torch.ones(1, 1, 64, 64)).sum(3)  # each view sees all of it
    assert mass.allclose(torch.tensor(64.0**2), rtol=0.01)


def test_noise_is_a_share_of_each_sinogram(ct, data):
    A, x, _ = data
    torch.manual_seed(0)
    two = torch.cat([x[:1], 0.1 * x[:1]])
    n = ct.measure(A, two, 0.02) - A(two)
    sigma = n.flatten(1).std(dim=1) / A(two).amax((1, 2, 3))
    assert sigma.allclose(torch.tensor([0.02, 0.02]), rtol=0.1)


def test_logarithm_of_counts(ct):
    y = torch.linspace(0, 3, 20)
    N = 1000 * torch.exp(-y) + 7
    assert ct.line_integrals(N, 1000, background=7).allclose(y, atol=1e-5)
    assert ct.line_integrals(torch.zeros(1), 100).item() == pytest.approx(math.log(200))


def test_scaled_operators_have_their_adjoint(ct, data):
    A, _, y = data
    torch.manual_seed(0)
    B = ct.Scaled(A, torch.rand(1, 1, 30, 91), torch.rand(1, 1, 64, 64))
    assert ct.adjoint_error(B, (2, 1, 64, 64)) < 1e-5
    assert ct.Scaled(A, torch.tensor(1.0)).adjoint(y).allclose(A.adjoint(y))


def test_the_fourier_plane_has_its_adjoint(ct):
    torch.manual_seed(0)
    A = ct.FourierPlane((torch.rand(16, 16) < 0.5).float())
    assert A(torch.rand(2, 1, 16, 16)).shape == (2, 2, 16, 16)
    assert ct.adjoint_error(A, (2, 1, 16, 16)) < 1e-5


def test_measured_frequencies_are_laid_out_where_the_mask_is(ct):
    torch.manual_seed(0)
    mask = (torch.rand(16, 16) < 0.5).float()
    A, x = ct.FourierPlane(mask), torch.rand(2, 1, 16, 16)
    plane = torch.fft.fftshift(torch.fft.fft2(x, norm="ortho"), (-2, -1)) * mask
    laid = A.lay_out(A.sampling(x))
    assert laid.allclose(torch.cat([plane.real, plane.imag], 1), atol=1e-5)
    assert torch.equal(A(x), laid)
    everything = ct.FourierPlane(torch.ones(16, 16))
    assert everything.adjoint(everything(x)).allclose(x, atol=1e-5)


def test_misfit_is_relative_and_taken_image_by_image(ct, data):
    A, x, _ = data
    x, y = x[:3], A(x[:3])
    assert ct.misfit(A, x, y).tolist() == [0, 0, 0]
    halves = torch.tensor([0.5, 1, 0]).view(3, 1, 1, 1) * x
    assert ct.misfit(A, halves, y).tolist() == pytest.approx([0.5, 0, 1], abs=1e-5)


def test_unseen_part_is_what_the_scanner_does_not_see(ct, data, monkeypatch):
    A, x, y = data
    monkeypatch.setattr(ct, "A", A, raising=False)  # the notebook's, at its top level
    seen = A.adjoint(y[:2])  # orthogonal to the null space
    assert ct.unseen_part(seen).norm() < 0.02 * seen.norm()
    x_0 = ct.unseen_part(x[:2])
    assert A(x_0).norm() < 3e-3 * A(x[:2]).norm()
    assert x_0.norm() > 0.03 * x[:2].norm()
    assert ct.unseen_part(x_0).allclose(x_0, atol=0.02)


def test_networks_have_the_shapes_they_state(ct, data):
    A, _, y = data
    assert ct.UNet(A, w=4)(y[:2]).shape == (2, 1, 64, 64)
    network = ct.LearnedPrimalDual(A, steps=2, w=4)
    assert network(y[:2]).shape == (2, 1, 64, 64)
    plane = ct.FourierPlane(torch.ones(16, 16))
    other = ct.LearnedPrimalDual(plane, lambda A, y: A.adjoint(y), steps=2, w=4, c=2, side=16)
    assert other(torch.rand(2, 2, 16, 16)).shape == (2, 1, 16, 16)


@pytest.mark.parametrize("build", ["UNet", "LearnedPrimalDual"])
def test_weights_hold_what_was_learned_and_nothing_of_the_scanner(ct, data, build: str):
    """So that the same weights serve another A."""
    network = getattr(ct, build)(data[0], w=4)
    assert not [key for key in network.state_dict() if key.startswith("A.")]
    moved = ct.elsewhere(getattr(ct, build)(data[0]), ct.parallel_beam(7))
    assert moved(torch.rand(1, 1, 7, 91)).shape == (1, 1, 64, 64)


def test_primal_dual_can_be_landweber(ct, data):
    A, _, y = data
    network = ct.LearnedPrimalDual(A, lambda A, y: torch.zeros_like(A.adjoint(y)), m=2)
    dual = ct.one_by_one([[-1, 0, 1, -1], [0, -1, 0, 0]])
    primal = ct.one_by_one([[0, 0, -1], [0, 0, -1]])
    network.duals, network.primals = nn.ModuleList([dual] * 5), nn.ModuleList([primal] * 5)
    expected = ct.landweber(A, y[:2], stop=ct.Stop(5)).x
    assert ct.reconstruct(network, y[:2]).allclose(expected, atol=1e-5)


def test_every_parameter_of_primal_dual_is_trained(ct, data):
    A, x, y = data
    network = ct.LearnedPrimalDual(A, steps=3, w=4)
    (network(y[:2]) - x[:2]).square().mean().backward()
    dead = [name for name, p in network.named_parameters() if not p.grad.abs().sum() > 0]
    assert not dead


def test_training_lowers_the_error(ct, data):
    A, x, y = data
    torch.manual_seed(0)
    network = ct.LearnedPrimalDual(A, steps=2, w=8)

    def draw(n):
        part = torch.randint(len(x), (n,))
        return y[part], x[part]

    before = ct.psnr(ct.reconstruct(network, y), x).mean()
    ct.train_reconstructor(network, draw, 25)
    assert ct.psnr(ct.reconstruct(network, y), x).mean() > before + 1


def test_shipped_primal_dual_beats_total_variation_and_the_unet(ct, data):
    A, x, y = data
    lpd = shipped(ct, "ct_reconstructor", ct.LearnedPrimalDual, A)
    unet = shipped(ct, "ct_unet", ct.UNet, A)
    by_lpd = ct.psnr(ct.reconstruct(lpd, y), x).mean()
    by_tv = ct.psnr(ct.tv(A, y, 1.2, stop=ct.Stop(120)).x, x).mean()
    assert by_lpd > by_tv + 1.5
    assert by_lpd > ct.psnr(ct.reconstruct(unet, y), x).mean() + 0.4


def test_recovered_contrast_of_a_method_that_is_right_or_blind(ct, data, monkeypatch):
    A, x, y = data
    monkeypatch.setattr(ct, "A", A, raising=False)  # the notebook's, at its top level
    d = torch.zeros(1, 1, 64, 64)
    d[..., 30:33, 30:33] = 1

    def exact(v):  # adds d as often as the sinogram holds A d
        share = (v * A(d)).sum((1, 2, 3), keepdim=True) / A(d).square().sum()
        return share * d

    assert ct.recovered(exact, d, y[:2], [0.1, 0.4]) == pytest.approx([1, 1], rel=1e-3)
    assert ct.recovered(lambda v: x[:2], d, y[:2], [0.1]) == [0]
    assert ct.recovered(exact, 0.5 * d, y[:2], [0.2]) == pytest.approx([1], rel=1e-3)


def test_at_full_scale_runs_small(ct):
    assert ct.at_full_scale(CPU, side=32, w=4, steps=2, updates=8, batch=2) > 8


def test_recipe_makes_a_card_that_can_be_exported(ct, monkeypatch, tmp_path):
    monkeypatch.setattr(ct, "WEIGHTS", tmp_path)
    steps = []

    def fake(network, draw, n, checkpoint):
        y, x = draw(2)
        assert network(y).shape == x.shape
        checkpoint.write_text("")
        steps.append(n)

    monkeypatch.setattr(ct, "train_reconstructor", fake)
    network = ct.LearnedPrimalDual(ct.parallel_beam(30), steps=1, w=4)
    card = ct.recipe("ct_reconstructor", network)
    assert card["steps"] == steps[0]
    assert not list(tmp_path.iterdir())
    assert card["export"]["inputs"][0]["shape"] == ["N", 1, 30, 91]
    card = ct.recipe("ct_unet", ct.UNet(ct.parallel_beam(30), w=4))
    assert card["export"]["call"] == "clean"  # what follows FBP
    assert card["export"]["inputs"][0]["shape"] == ["N", 1, 64, 64]
