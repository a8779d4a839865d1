"""The definitions of chapter 07e_hard_cases, taken from the notebook without running it."""

from __future__ import annotations

import math
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from nbsource import definitions, find
from torch import nn

SIGMA = 0.05


@pytest.fixture(scope="module")
def hc() -> ModuleType:
    chapter = definitions(find("07e_hard_cases"))
    chapter.S, chapter.CPU = 25 / 255, torch.device("cpu")  # what cells set that are not run here
    return chapter


# ---------------------------------------------------------------- photons


@pytest.mark.parametrize("m", [0.3, 2.0, 15.0])
@pytest.mark.parametrize("R", [0.0, 1.5])
def test_moments_are_those_of_draws(hc, m: float, R: float):
    torch.manual_seed(0)
    y = torch.poisson(torch.full((400_000,), m)).double() + R * torch.randn(400_000).double()
    g = hc.stabilise(y, R)
    mean, variance = hc.moments(torch.tensor([m]).double(), R)
    assert mean.item() == pytest.approx(g.mean().item(), abs=0.01)
    assert variance.item() == pytest.approx(g.var().item(), abs=0.015)


def test_variance_is_one_for_many_photons_only(hc):
    variance = hc.moments(torch.tensor([0.0, 0.1, 5, 30]).double())[1]
    assert variance[0] < 1e-12
    assert variance[1] < 0.2
    assert (variance[2:] - 1).abs().max() < 0.01


def test_the_table_inverts_the_expectation_and_clips(hc):
    m = torch.linspace(0, 20, 2001).double()
    D = hc.moments(m)[0]
    assert (D.diff() > 0).all()
    between = torch.tensor([0.123, 4.567, 17.777]).double()
    found = hc.unbiased(hc.moments(between)[0], m, D)
    assert torch.allclose(found.double(), between, atol=1e-4)
    assert hc.unbiased(torch.tensor([0.0, 99.0]), m, D).tolist() == [0, 20]


def test_by_network_undoes_the_transform_for_many_photons(hc):
    """With the identity for a network, D² / 4 - 1/8 exceeds the count by a quarter photon."""
    y = torch.tensor([[[[100.0, 400.0]]]])
    assert torch.allclose(hc.by_network(nn.Identity(), y, 1.0), y + 0.25, atol=1e-3)


def test_the_loss_of_photons_is_the_root_mean_square_error(hc):
    """With the identity the error is that of the counts, and the quarter photon of the inverse."""
    torch.manual_seed(0)
    images = [torch.full((1, 64, 64), 0.5)]
    loss = hc.by_photons(nn.Identity(), images, peak=400.0, n=4, side=64)()
    expected = math.hypot(math.sqrt(200), 0.25) / 400
    assert loss.item() == pytest.approx(math.sqrt(expected**2 + 1e-6), rel=0.05)


def test_srgb_there_and_back(hc):
    v = torch.linspace(0, 1, 101)
    assert torch.allclose(hc.to_srgb(hc.to_light(v)), v, atol=1e-5)
    assert hc.to_light(torch.tensor(0.5)).item() == pytest.approx(0.2140, abs=1e-3)


def test_retinex_forgets_the_lighting(hc):
    import numpy as np

    torch.manual_seed(0)
    albedo = 0.3 + 0.6 * torch.rand(64, 64).numpy()
    lighting = np.linspace(0.2, 1, 64)[None] ** 1.0
    even, uneven = (hc.retinex(albedo * k, s=6, floor=1e-6) for k in (1.0, lighting))
    assert np.corrcoef(even.ravel(), uneven.ravel())[0, 1] > 0.98
    assert uneven.min() >= 0
    assert uneven.max() <= 1


def test_retinex_of_one_grey_is_a_number(hc):
    import numpy as np

    assert np.isfinite(hc.retinex(np.full((32, 32), 0.3))).all()


# ---------------------------------------------------------------- hallucination


@pytest.mark.parametrize("s", [4, 7])
def test_consistent_images_have_the_measurement_and_stay_images(hc, s: int):
    torch.manual_seed(0)
    y = F.avg_pool2d(0.2 + 0.6 * torch.rand(3, 1, 28, 28), s)
    x = hc.consistent(torch.rand(3, 1, 28, 28), y, s)
    assert (F.avg_pool2d(x, s) - y).abs().max() < 1e-4
    assert x.min() >= 0
    assert x.max() <= 1


def test_copies_is_the_pseudoinverse_of_the_mean(hc):
    y = torch.rand(2, 1, 3, 3)
    assert torch.allclose(F.avg_pool2d(hc.copies(y, 5), 5), y)


def test_search_lowers_the_misfit(hc):
    hc.G = hc.Generator(8, 2).eval().requires_grad_(False)
    torch.manual_seed(0)
    y = F.avg_pool2d(hc.G(torch.randn(2, 8)), 7)

    def misfit(steps: int) -> float:
        torch.manual_seed(1)
        x = hc.search(y, starts=3, steps=steps, d=8)
        assert x.shape == (6, 1, 28, 28)
        return (F.avg_pool2d(x, 7) - y.repeat_interleave(3, 0)).square().mean().item()

    assert misfit(40) < 0.5 * misfit(1)


# ---------------------------------------------------------------- intervals


def test_conformal_takes_the_kth_smallest_or_promises_nothing(hc):
    scores = torch.arange(1.0, 20)  # 19
    assert hc.conformal(scores, 0.1) == 18
    assert hc.conformal(scores.flip(0), 0.5) == 10
    assert hc.conformal(scores[:8], 0.1) == math.inf
    assert hc.conformal(scores[:9], 0.1) == 9


def test_conformal_covers_as_the_rank_argument_says(hc):
    """19 scores of a heavy-tailed law, and a new one, many times: 18 of 20."""
    torch.manual_seed(0)
    draws = torch.randn(4000, 20).exp() ** 2
    inside = [row[19] <= hc.conformal(row[:19], 0.1) for row in draws]
    assert torch.stack(inside).double().mean().item() == pytest.approx(0.9, abs=0.015)


def test_needed_is_the_least_that_covers(hc):
    torch.manual_seed(0)
    r, doubt = torch.rand(5, 1, 8, 8), torch.rand(5, 1, 8, 8) > 0.3
    least = hc.needed(r, doubt, 0.9)
    for i in range(5):
        here = r[i][doubt[i]]
        assert (here <= least[i]).double().mean() >= 0.9
        assert (here < least[i]).double().mean() < 0.9


def test_needed_takes_nine_of_ten_and_no_more(hc):
    """Ten, twenty and no doubtful pixels: the ninth, the eighteenth, nothing."""
    r = torch.arange(1.0, 21).view(1, 1, 4, 5).repeat(3, 1, 1, 1)
    doubt = torch.ones(3, 1, 4, 5, dtype=torch.bool)
    doubt[0, :, 2:] = False
    doubt[2] = False
    assert hc.needed(r, doubt, 0.9).tolist() == [9, 18, 0]


@pytest.mark.parametrize("alpha", [-0.1, 0.0, 1.0, 10])
def test_conformal_refuses_what_is_no_share(hc, alpha: float):
    with pytest.raises(ValueError, match="alpha"):
        hc.conformal(torch.rand(50), alpha)


def test_conformal_refuses_scores_that_are_no_numbers(hc):
    with pytest.raises(ValueError, match="numbers"):
        hc.conformal(torch.tensor([1.0, math.nan] * 10), 0.1)


def test_control_promises_nothing_from_too_few(hc):
    """Five images can at best give 1 / 6, which is more than a tenth."""
    r, doubt = torch.rand(5, 1, 6, 6), torch.ones(5, 1, 6, 6, dtype=torch.bool)
    assert hc.control(r, doubt, 0.1) == math.inf
    assert hc.control(r, doubt, 0.2) < 1


def test_missed_counts_doubtful_pixels_only(hc):
    r = torch.tensor([[[[0.5, 3.0], [3.0, 1.0]]]])
    doubt = torch.tensor([[[[True, True], [False, True]]]])
    assert hc.missed(r, doubt, 2.0).item() == pytest.approx(1 / 3)
    assert hc.missed(r, ~doubt & False, 2.0).item() == 0


def test_control_keeps_its_inequality_and_no_more(hc):
    torch.manual_seed(0)
    r, doubt = torch.rand(50, 1, 6, 6), torch.ones(50, 1, 6, 6, dtype=torch.bool)
    lam = hc.control(r, doubt, 0.1)
    bound = lambda v: (hc.missed(r, doubt, v).sum() + 1) / 51  # noqa: E731
    assert bound(lam) <= 0.1 < bound(lam - 1e-3)


def test_control_covers_new_images_from_few(hc):
    """12 images whose pixels stand or fall together: on the mean still nine of ten."""
    torch.manual_seed(0)
    r = torch.randn(1500, 13, 1, 1, 1).exp().expand(-1, -1, 1, 4, 4)
    doubt = torch.ones(13, 1, 4, 4, dtype=torch.bool)
    missed = [hc.missed(v[12:], doubt[12:], hc.control(v[:12], doubt[:12], 0.1)) for v in r]
    assert torch.cat(missed).mean() <= 0.11


def test_linear_bayes_is_the_best_linear_estimate(hc):
    """Its error on the images that it was made from is below that of perturbed ones."""
    torch.manual_seed(0)
    x = F.avg_pool2d(torch.rand(600, 1, 84, 84), 3)
    y = hc.measure(x, 0)
    K, c = hc.linear_bayes(x, SIGMA)
    error = (hc.linear(y, K, c) - x).square().mean()
    assert error < (hc.linear(y, 1.3 * K, c) - x).square().mean()
    assert error < (hc.linear(y, K, c + 0.05) - x).square().mean()
    assert hc.linear(hc.A(x).mean(0, keepdim=True), K, c).sub(x.mean(0)).abs().max() < 1e-4


def test_estimator_starts_as_the_linear_estimate(hc):
    torch.manual_seed(0)
    x = torch.rand(40, 1, 28, 28)
    K, c = hc.linear_bayes(x, SIGMA)
    f, w = hc.Estimator(K, c, 8)(hc.A(x))
    assert torch.allclose(f, hc.linear(hc.A(x), K, c), atol=1e-5)
    assert w.shape == x.shape
    assert (w > 0).all()
    assert (w < 0.2).all()


def test_the_estimator_lowers_the_error_on_new_digits(hc):
    images, x = hc.digits("train")[0][:1000], hc.digits("test")[0][:300]
    y = hc.measure(x, 1)
    start = hc.linear(y, *hc.linear_bayes(images, SIGMA))
    f, w = hc.estimator(images, 200)(y)
    assert (f - x).square().mean() < 0.95 * (start - x).square().mean()
    assert torch.corrcoef(torch.stack([w.flatten(), (f - x).abs().flatten()]))[0, 1] > 0.4


def test_auc_is_the_share_of_pairs(hc):
    a, b = torch.tensor([1.0, 2, 3]), torch.tensor([2.0, 4])
    assert hc.auc(a, b) == pytest.approx((1 + 0.5 + 0 + 3) / 6)
    assert hc.auc(a, a) == 0.5


def test_p_values_count_the_new_image(hc):
    hc.y_cal = torch.arange(9.0).view(9, 1, 1, 1)
    y = torch.tensor([100.0, -1, 4]).view(3, 1, 1, 1)
    found = hc.p_values(lambda v: v.flatten(), y)
    assert found.tolist() == pytest.approx([0.1, 1.0, 0.6])


def test_adapt_brings_measurements_nearer_to_the_clean_ones(hc):
    x = hc.digits("test")[0][:300]
    y = hc.measure(x, 4, 0.15)
    cure = hc.adapt(y, 0.15, steps=80, channels=12)
    assert (cure(y) - hc.A(x)).square().mean() < 0.8 * (y - hc.A(x)).square().mean()


def test_the_gpu_function_runs_small(hc, monkeypatch):
    torch.manual_seed(0)
    small = hc.Denoiser(8, 8, 8)
    monkeypatch.setattr(hc, "Denoiser", lambda *_: small)
    photos = {"a": torch.rand(1, 256, 256) / 2}
    reached = hc.at_full_scale(photos.values(), photos, torch.device("cpu"), 2, n=2, side=32)
    assert math.isfinite(reached)
