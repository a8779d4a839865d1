"""The definitions of chapter 07c_video_and_driving, taken from the notebook without running it."""

from __future__ import annotations

import math
from types import ModuleType

import pytest
import torch
from nbsource import definitions, find

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def vd() -> ModuleType:
    chapter = definitions(find("07c_video_and_driving"))
    chapter.UNITS = torch.tensor([1, 1, 0.01])  # what a cell sets that is not run here
    return chapter


def smooth(*shape: int, seed: int = 0, width: float = 2.0) -> torch.Tensor:
    """A random image without fine detail, periodic, in [0, 1]."""
    from helpers.physics import Blur, gaussian_kernel

    noise = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    x = Blur(gaussian_kernel(width))(noise)
    return (x - x.min()) / (x.max() - x.min())


def test_whole_shifts_are_rolls(vd):
    x = torch.rand(1, 1, 15, 13).double()
    theta = torch.tensor([[2.0, -3.0, 0.0]]).double()
    assert torch.allclose(vd.move(x, theta), x.roll((2, -3), (2, 3)))


def test_two_halves_of_a_shift_are_the_shift(vd):
    x = torch.rand(1, 1, 15, 15).double()
    half = torch.tensor([[0.3, 0.4, 0.0]]).double()
    assert torch.allclose(vd.move(vd.move(x, half), half), vd.move(x, 2 * half))


def test_a_turn_moves_a_blob_by_the_angle(vd):
    v, u = torch.meshgrid(*[torch.arange(65.0) - 32] * 2, indexing="ij")
    x = torch.exp(-((u - 16) ** 2 + v**2) / 8)[None, None]
    y = vd.move(x, torch.tensor([[0.0, 0.0, 0.1]]))[0, 0]
    centre = (y * u).sum() / y.sum(), (y * v).sum() / y.sum()
    assert centre[0].item() == pytest.approx(16 * math.cos(0.1), abs=0.05)
    assert abs(centre[1].item()) == pytest.approx(16 * math.sin(0.1), abs=0.05)


def test_move_back_is_the_inverse_and_keeps_lengths(vd):
    torch.manual_seed(0)
    x, theta = torch.rand(2, 1, 21, 15).double(), torch.randn(4, 3).double() * 0.5
    y = vd.move(x, theta)
    assert y.shape == (2, 4, 21, 15)
    assert torch.allclose(vd.move_back(y, theta), x.expand_as(y))
    assert torch.allclose(y.flatten(2).norm(dim=2), x.flatten(2).norm(dim=2).expand(2, 4))


@pytest.mark.parametrize("s", [1, 3])
def test_burst_has_an_adjoint(vd, s: int):
    theta = torch.tensor([[0.3, -1.2, 0.02], [2.0, 0.7, -0.01]])
    assert vd.adjoint_error(vd.Burst(theta, s), (2, 1, 15, 21), torch.float64) < 1e-12


def test_ranks_of_frames(vd):
    thirds = torch.tensor([[i, j, 0.0] for i in range(3) for j in range(3)])
    assert vd.rank(vd.spectrum(thirds[:1])) == 25
    assert vd.rank(vd.spectrum(thirds)) == 225
    assert vd.rank(vd.spectrum(3 * thirds)) == 25


def test_register_finds_a_known_motion(vd):
    x = smooth(1, 1, 63, 63)
    theta = torch.tensor([[1.3, -0.8, 0.02]])
    found = vd.register(vd.move(x, theta), x)
    assert torch.allclose(found, theta[0], atol=0.02)


def test_robust_mean_averages_what_is_still_and_keeps_what_moved(vd):
    torch.manual_seed(0)
    x = torch.full((1, 8, 40, 40), 0.5)
    x[:, 1:, 10:30, 10:30] = 1.0  # there in all frames but the first
    y = x + 0.1 * torch.randn_like(x)
    out = vd.robust_mean(y, 0.1)
    assert (out[..., 17:23, 17:23] - y[:, :1, 17:23, 17:23]).abs().max() < 0.01
    assert (out[..., :5, :] - 0.5).std() < 0.1 * math.sqrt(1 / 8) * 1.3


def test_bicubic_keeps_its_samples_in_place(vd):
    x = smooth(1, 1, 63, 63, width=4.0)
    assert (vd.bicubic(x[..., ::3, ::3]) - x)[..., 6:-6, 6:-6].abs().max() < 0.03


def test_warp_by_whole_pixels(vd):
    v = torch.rand(1, 1, 9, 11)
    u = torch.zeros(1, 2, 9, 11)
    u[:, 0] = 2
    assert torch.allclose(vd.warp(v, u)[..., :9], v[..., 2:], atol=1e-5)


def test_enlarged_flow_has_longer_vectors(vd):
    assert torch.allclose(vd.enlarged(torch.ones(1, 2, 4, 4), torch.zeros(1, 1, 8, 8)),
                          torch.tensor(2.0))  # fmt: skip


@pytest.mark.parametrize("method", ["lucas_kanade", "dense_flow"])
def test_flows_find_a_shift(vd, method: str):
    wide = smooth(1, 1, 80, 80)
    first, second = wide[..., 8:72, 8:72], wide[..., 7:71, 6:70]  # seen 2 right, 1 down
    u = getattr(vd, method)(first, second, levels=3)[0, :, 12:-12, 12:-12].mean((1, 2))
    assert torch.allclose(u, torch.tensor([2.0, 1.0]), atol=0.15)


def test_lucas_kanade_stays_on_the_device_of_its_frames(vd):
    """The meta device computes no values, but refuses to be mixed with the processor."""
    first, second = torch.rand(2, 1, 1, 32, 32, device="meta").unbind(0)
    u = vd.lucas_kanade(first, second, levels=2)
    assert u.device.type == "meta"
    assert u.shape == (1, 2, 32, 32)


def test_along_stripes_nothing_is_seen_and_the_shortest_motion_is_chosen(vd):
    i, j = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    frames = [0.5 + 0.4 * torch.sin((i + j - m) * 0.5)[None, None] for m in (0, 1)]
    u = vd.lucas_kanade(*frames, levels=1)[0, :, 16:32, 16:32].mean((1, 2))
    assert torch.allclose(u, torch.tensor([0.5, 0.5]), atol=0.02)


def test_three_slides_are_a_rotation():
    a = 0.4
    t, s, c = math.tan(a / 2), math.sin(a), math.cos(a)
    outer = torch.tensor([[1, t], [0, 1.0]]).double()
    inner = torch.tensor([[1, 0], [-s, 1.0]]).double()
    turn = torch.tensor([[c, s], [-s, c]]).double()
    assert torch.allclose(outer @ inner @ outer, turn, atol=1e-6)


def test_an_even_side_would_lose_its_fastest_wave(vd):
    wave = (-1.0) ** torch.arange(16.0)
    half = torch.tensor([[0.0, 0.5, 0.0]])
    assert vd.move(wave.expand(1, 1, 16, 16), half).abs().max() < 1e-5


def test_energy_of_the_truth_is_low(vd):
    x = smooth(1, 1, 32, 32)
    zero = torch.zeros(1, 2, 32, 32)
    floor = vd.energy(zero, x, x, 0.1)
    assert floor.item() == pytest.approx(32 * 32 * (0.01 + 0.1 * 0.05), rel=1e-4)
    assert vd.energy(zero + 2, x, x, 0.1) > 1.5 * floor


def test_linearised_has_an_adjoint_and_touches_the_energy(vd):
    torch.manual_seed(0)
    slope, c = torch.randn(1, 2, 6, 7).double(), torch.rand(1, 1, 6, 7).double()
    A = vd.Linearised(slope, c, torch.rand(1, 1, 6, 7).double())
    assert vd.adjoint_error(A, (1, 2, 6, 7), torch.float64) < 1e-12
    t = torch.randn(1, 1, 6, 7).double().requires_grad_()
    G = torch.randn(1, 4, 6, 7).double().requires_grad_()
    E = vd.rough(t.square(), 0.01).sum() + 0.3 * vd.rough(G.square().sum(1), 0.05).sum()
    by_hand = [
        root.square() * v for root, v in zip(vd.weights(t, G, 0.3, False), (t, G), strict=True)
    ]
    for slope_of_E, slope_of_parabola in zip(torch.autograd.grad(E, (t, G)), by_hand, strict=True):
        assert torch.allclose(slope_of_E, slope_of_parabola)


def test_interpolation_of_a_plane_is_exact(vd):
    i, j = torch.meshgrid(torch.arange(9.0), torch.arange(11.0), indexing="ij")
    where = torch.zeros(9, 11, dtype=torch.bool)
    where[::4, ::5] = True
    assert torch.allclose(vd.interpolated("linear", 2 * i + j, where), 2 * i + j, atol=1e-5)


def pair_of_planes() -> tuple[torch.Tensor, ...]:
    """A random texture at disparity 3, before it a square at disparity 8."""
    texture = torch.rand(1, 1, 60, 120, generator=torch.Generator().manual_seed(0))
    near = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(1))
    left, right = texture[..., :90].clone(), texture[..., 3:93].clone()
    left[..., 18:42, 40:64], right[..., 18:42, 32:56] = near, near
    d = torch.full((60, 90), 3.0)
    d[18:42, 40:64] = 8
    return left, right, d


def test_visible_knows_what_the_front_hides(vd):
    _, _, d = pair_of_planes()
    seen = vd.visible(d, torch.ones_like(d, dtype=torch.bool))
    assert not seen[:, :3].any()  # outside the right picture
    assert not seen[20, 35:40].any()  # behind the square
    assert seen[20, 40:64].all()
    assert seen[5, 3:].all()


def test_stereo_finds_two_planes(vd):
    left, right, d = pair_of_planes()
    found, good = vd.stereo(left, right, 16)
    assert found.shape == d.shape
    assert ((found - d).abs() < 0.6).float().mean() > 0.95
    seen = vd.visible(d, torch.ones_like(d, dtype=torch.bool))
    assert good[seen].float().mean() > 0.9
    assert good[~seen].float().mean() < 0.6


def test_census_ignores_exposure(vd):
    x = torch.rand(1, 1, 12, 12)
    assert vd.census(x).shape == (12, 12, 24)
    assert torch.equal(vd.census(x), vd.census(0.5 * x + 0.3))


def test_cost_volume_counts_bits(vd):
    left, right = torch.rand(2, 1, 1, 12, 20).unbind(0)
    C = vd.cost_volume(left, right, 4)
    a, b = vd.census(left), vd.census(right)
    assert C[5, 9, 2].item() == pytest.approx((a[5, 9] != b[5, 7]).float().mean().item())
    assert (C[:, 1, 2:] == 0.5).all()  # beyond the edge
    assert vd.sad_volume(left, left, 4)[..., 0].abs().max() == 0


def test_sad_brings_no_black_in_from_beyond_the_edge(vd):
    """Two grey pictures are alike at every disparity, also beside the pixels that have no match."""
    grey = torch.full((1, 1, 12, 20), 0.6)
    C = vd.sad_volume(grey, grey, 4)
    for d in range(4):
        assert (C[:, :d, d] == 0.5).all()
        assert C[:, d:, d].abs().max() < 1e-6


def test_paths_are_exact_on_a_line(vd):
    """Viterbi by brute force, over all answers for five pixels and three disparities."""
    import itertools

    C = torch.rand(5, 1, 3).double()
    S = vd.along(C, 0.2, 0.5) + vd.along(C.flip(0), 0.2, 0.5).flip(0) - C

    def E(d: tuple) -> float:
        jumps = [abs(a - b) for a, b in itertools.pairwise(d)]
        smooth = sum((0, 0.2, 0.5)[j] for j in jumps)
        return sum(C[p, 0, k].item() for p, k in enumerate(d)) + smooth

    best = min(itertools.product(range(3), repeat=5), key=E)
    assert tuple(S[:, 0].argmin(-1).tolist()) == best


def test_semi_global_commutes_with_transposition(vd):
    C = torch.rand(6, 7, 5).double()
    S, T = vd.semi_global(C), vd.semi_global(C.transpose(0, 1))
    assert torch.allclose(S, T.transpose(0, 1))


def test_winner_finds_the_vertex_of_a_parabola(vd):
    S = (torch.arange(8.0) - 3.3).square()[None, None]
    assert vd.winner(S).item() == pytest.approx(3.3, abs=1e-5)


def test_filled_takes_the_farther_side(vd):
    d = torch.tensor([[5.0, 9.0, 9.0, 2.0, 7.0]])
    good = torch.tensor([[True, False, False, True, False]])
    assert vd.filled(d, good).tolist() == [[5.0, 2.0, 2.0, 2.0, 2.0]]


def test_median_removes_a_speck(vd):
    d = torch.ones(9, 9)
    d[4, 4] = 50
    assert torch.equal(vd.median(d), torch.ones(9, 9))


def test_stacked_has_an_adjoint(vd):
    torch.manual_seed(0)
    A = vd.Stacked(torch.rand(1, 3, 7, 8).double(), torch.rand(1, 2, 7, 8).double())
    assert vd.adjoint_error(A, (1, 1, 7, 8), torch.float64) < 1e-12


def test_complete_jumps_at_the_edge_of_the_picture(vd):
    """Two constant halves, known in two columns only; the picture says where the border is."""
    d = torch.cat([torch.full((20, 13), 2.0), torch.full((20, 17), 6.0)], 1)
    image = (d == 6).float()[None, None].expand(1, 3, -1, -1)
    w = torch.zeros(1, 20, 30)
    w[..., 2] = w[..., 27] = 100
    found = vd.complete(image, d[None], w, torch.full_like(d, 4.0), math.inf)
    assert (found - d).abs().max() < 0.1
    blind = vd.complete(0 * image, d[None], w, torch.full_like(d, 4.0), math.inf)
    assert (blind - d).abs().max() > 0.5


def test_complete_believes_the_many(vd):
    """A robust width lets a single false value go; squares follow it."""
    v = torch.full((1, 15, 15), 3.0)
    v[0, 7, 7] = 40
    image, start = torch.zeros(1, 3, 15, 15), torch.full((15, 15), 3.0)
    follows, leaves = (vd.complete(image, v, torch.ones_like(v), start, width)[7, 7]
                       for width in (math.inf, 1.0))  # fmt: skip
    assert follows > 10
    assert leaves == pytest.approx(3, abs=0.3)


def test_colours_of_a_flow(vd):
    u = torch.zeros(2, 4, 4)
    assert torch.allclose(vd.colours(u).double(), torch.ones(3, 4, 4).double())
    u[0] = 6  # to the right: pure red
    assert vd.colours(u)[:, 0, 0].tolist() == pytest.approx([1, 0, 0])


def test_full_scale_runs_small(vd):
    left, right, d = pair_of_planes()
    where = torch.ones_like(d, dtype=torch.bool)
    found = vd.at_full_scale(left, right, d, where, CPU, D=10, factor=2)
    assert set(found) == {"seconds", "EPE", "megapixels"}
    assert found["EPE"] < 1
    assert found["megapixels"] == pytest.approx(0.0216)
