"""helpers.metrics against closed forms, against brute force and against well-kept libraries."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg
import skimage.metrics
import torch
from helpers import metrics
from helpers.data import digits
from helpers.digit_network import digit_network
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)
from torchmetrics.image.fid import FrechetInceptionDistance

few = settings(max_examples=12, deadline=None, derandomize=True)
seeds = st.integers(0, 10**6)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator(seed))


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


# ---------------------------------------------------------------- PSNR and SSIM


@few
@given(seed=seeds, decibels=st.floats(1, 60), side=st.integers(1, 9))
def test_psnr_of_a_known_error(seed: int, decibels: float, side: int):
    """A constant error e has the PSNR -20 log10 e; each image of a batch has its own."""
    reference = images(seed, 2, 3, side, side).double()
    error = 10 ** (-decibels / 20) * torch.tensor([1, 0.1], dtype=torch.float64)
    sign = images(seed + 1, 2, 3, side, side).round() * 2 - 1
    value = metrics.psnr(reference + sign * error.view(2, 1, 1, 1), reference)
    torch.testing.assert_close(value, torch.tensor([decibels, decibels + 20]).double())


def test_psnr_of_equal_images_is_infinite():
    x = images(0, 2, 1, 4, 4)
    assert metrics.psnr(x, x).tolist() == [math.inf, math.inf]


@few
@given(seed=seeds, channels=st.sampled_from([1, 3]), noise=st.floats(0.01, 1))
def test_psnr_and_ssim_agree_with_the_libraries(seed: int, channels: int, noise: float):
    reference = images(seed, 2, channels, 16, 19)
    x = reference + noise * (images(seed + 1, *reference.shape) - 0.5)
    pairs = list(zip(x.numpy(), reference.numpy(), strict=True))

    ours = metrics.psnr(x, reference)
    dim = (1, 2, 3)
    theirs = peak_signal_noise_ratio(x, reference, data_range=1.0, reduction="none", dim=dim)
    torch.testing.assert_close(ours, theirs)
    peak = [skimage.metrics.peak_signal_noise_ratio(b, a, data_range=1) for a, b in pairs]
    np.testing.assert_allclose(ours, peak, rtol=1e-4)

    # torchmetrics averages over the mirrored border too; Wang et al., and so we, leave it out.
    _, full = structural_similarity_index_measure(
        x.double(), reference.double(), data_range=1.0, sigma=1.5, return_full_image=True
    )
    theirs = full[..., 5:-5, 5:-5].mean(dim)
    torch.testing.assert_close(metrics.ssim(x, reference), theirs, atol=1e-6, rtol=0)


@few
@given(seed=seeds)
def test_ssim_is_one_on_itself_symmetric_and_falls_with_noise(seed: int):
    x = images(seed, 1, 1, 16, 16)
    noise = 0.2 * (images(seed + 1, 1, 1, 16, 16) - 0.5)
    a, b = ((x + s * noise).clamp(0, 1) for s in (1, 4))
    assert metrics.ssim(x, x).item() == pytest.approx(1)
    assert metrics.ssim(a, x).item() == pytest.approx(metrics.ssim(x, a).item())
    assert 1 > metrics.ssim(a, x).item() > metrics.ssim(b, x).item()


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim])
def test_a_network_s_output_can_be_measured_as_it_is(measure: Callable):
    x = nn.Conv2d(1, 1, 3, padding=1)(images(0, 2, 1, 16, 16))
    assert x.requires_grad
    assert measure(x, images(1, 2, 1, 16, 16)).isfinite().all()


GOOD = torch.full((2, 1, 16, 16), 0.5)
BAD = GOOD.clone()
BAD[1, 0, 3, 3] = torch.nan


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim])
@pytest.mark.parametrize(
    ("x", "reference", "message"),
    [
        (GOOD[0], GOOD, r"x must be images \(N, C, H, W\), got shape \(1, 16, 16\)"),
        (GOOD, GOOD[0, 0], r"reference must be images .* got shape \(16, 16\)"),
        (GOOD[:1], GOOD, r"Shapes differ: \(1, 1, 16, 16\) and \(2, 1, 16, 16\)"),
        (BAD, GOOD, "x holds NaN or infinite"),
        (GOOD, BAD, "reference holds NaN or infinite"),
        (GOOD, GOOD / 0, "reference holds NaN or infinite"),
        (GOOD, GOOD * 255, r"reference must lie in \[0, 1\], but spans 128 to 128; divide 8-bit"),
        (GOOD, GOOD - 1, r"reference must lie in \[0, 1\], but spans -0.5 to -0.5"),
    ],
)
def test_wrong_images_are_named(measure: Callable, x: Tensor, reference: Tensor, message: str):
    with pytest.raises(ValueError, match=message):
        measure(x, reference)


def test_ssim_needs_room_for_its_window():
    with pytest.raises(ValueError, match="win_size"):
        metrics.ssim(GOOD[..., :10], GOOD[..., :10])


def test_the_oracle_takes_the_best_estimate_of_each_image():
    x = torch.stack([torch.full((1, 16, 16), v) for v in (0.2, 0.8, 1.0)])
    tried = [torch.full_like(x, v) for v in (0.25, 0.7, 1.3)]  # the last is right when clipped
    assert metrics.oracle(tried, x).flatten(1).mean(1).tolist() == pytest.approx([0.25, 0.7, 1])
    with pytest.raises(ValueError, match="Shapes differ"):
        metrics.oracle([x[:1]], x)


# ---------------------------------------------------------------- Frechet distance


class Passed(nn.Module):
    """Gives torchmetrics features in place of images."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


@few
@given(seed=seeds, d=st.integers(2, 8), scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_frechet_distance_agrees_with_torchmetrics_and_scipy(
    seed: int, d: int, scale: float, shift: float
):
    f = normal(seed, 40, d) @ normal(seed + 1, d, d)
    g = scale * normal(seed + 2, 50, d) @ normal(seed + 3, d, d) + shift
    ours = metrics.frechet_distance(f, g)

    fid = FrechetInceptionDistance(Passed(d)).set_dtype(torch.float64)
    fid.update(f, real=True)
    fid.update(g, real=False)
    assert ours == pytest.approx(fid.compute().item(), rel=1e-6)

    c, k = np.cov(f.T), np.cov(g.T)
    root = scipy.linalg.sqrtm(c @ k).real
    by_scipy = ((f.mean(0) - g.mean(0)) ** 2).sum() + np.trace(c + k - 2 * root)
    assert ours == pytest.approx(by_scipy.item(), rel=1e-6)


@few
@given(
    mean=st.lists(st.floats(-3, 3), min_size=1, max_size=5),
    a=st.floats(0.1, 5),
    b=st.floats(0.1, 5),
)
def test_frechet_distance_of_two_known_gaussians(mean: list[float], a: float, b: float):
    """Means 0 and m, covariances a^2 I and b^2 I: the distance is |m|^2 + d (a - b)^2."""
    d = len(mean)
    cross = torch.cat([torch.eye(d), -torch.eye(d)]).double() * math.sqrt((2 * d - 1) / 2)
    assert torch.allclose(torch.cov(cross.T), torch.eye(d).double())  # exactly unit covariance
    value = metrics.frechet_distance(a * cross, b * cross + torch.tensor(mean, dtype=torch.float64))
    expected = sum(m * m for m in mean) + d * (a - b) ** 2
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-9)


@few
@given(seed=seeds, d=st.integers(1, 6))
def test_frechet_distance_is_a_squared_distance(seed: int, d: int):
    f, g, shift = normal(seed, 30, d), normal(seed + 1, 35, d) * 2 + 1, normal(seed + 2, d)
    rotation = torch.linalg.qr(normal(seed + 3, d, d)).Q
    value = metrics.frechet_distance(f, g)
    assert value > 0.01
    assert metrics.frechet_distance(f, f) == pytest.approx(0, abs=1e-9)
    assert metrics.frechet_distance(f, f + shift) == pytest.approx(shift.square().sum().item())
    assert metrics.frechet_distance(g, f) == pytest.approx(value)
    assert metrics.frechet_distance(f @ rotation + shift, g @ rotation + shift) == pytest.approx(
        value
    )
    assert metrics.frechet_distance(3 * f, 3 * g) == pytest.approx(9 * value)
    assert metrics.frechet_distance(f[torch.randperm(30)], g) == pytest.approx(value)


def test_frechet_distance_where_a_feature_is_dead():
    """ReLU features are often all zero, so the covariances are singular."""
    f, g = normal(0, 30, 4), normal(1, 30, 4)
    value = metrics.frechet_distance(f, g)
    rotation = torch.linalg.qr(normal(2, 9, 9)).Q  # zeros then become +-1e-17: no square roots!
    padded = (torch.cat([h, torch.zeros(30, 5)], 1) @ rotation for h in (f, g))
    assert metrics.frechet_distance(*padded) == pytest.approx(value)


def test_frechet_distance_of_single_precision_features_is_exact():
    f, g = (100 * normal(seed, 30, 8).float() for seed in (0, 1))
    expected = metrics.frechet_distance(f.double(), g.double())
    assert metrics.frechet_distance(f, g) == pytest.approx(expected, rel=1e-12)


# ---------------------------------------------------------------- precision and recall


def by_hand(fake: list, real: list, k: int) -> tuple[float, float]:
    """Share of `fake` within the k-th-neighbour balls of `real`, and the other way about."""

    def covered(points: list, centres: list) -> float:
        radii = [sorted(math.dist(c, o) for o in centres)[k] for c in centres]
        inside = [
            any(math.dist(p, c) <= r for c, r in zip(centres, radii, strict=True)) for p in points
        ]
        return sum(inside) / len(points)

    return covered(fake, real), covered(real, fake)


def clouds(count: int) -> st.SearchStrategy:
    """Points on a grid, so that some coincide and many distances are equal."""
    point = st.tuples(st.integers(-4, 4), st.integers(-4, 4))
    return st.lists(point, min_size=count, max_size=count + 30)


@settings(few, max_examples=100)
@given(fake=clouds(4), real=clouds(4), k=st.integers(1, 3))
def test_precision_and_recall_by_hand(fake: list, real: list, k: int):
    f, r = torch.tensor(fake).double(), torch.tensor(real).double()
    expected = by_hand(fake, real, k)
    assert metrics.precision_recall(f, r, k) == pytest.approx(expected)
    assert metrics.precision_recall(r, f, k) == pytest.approx(expected[::-1])


@few
@given(seed=seeds, n=st.integers(4, 60))
def test_precision_and_recall_of_known_sets(seed: int, n: int):
    real = normal(seed, n, 3)
    assert metrics.precision_recall(real, real) == (1, 1)
    assert metrics.precision_recall(real + 1e3, real) == (0, 0)
    modes = torch.cat([real, real + 1e3, real - 1e3])
    assert metrics.precision_recall(real, modes) == pytest.approx((1, 1 / 3))  # two modes missed
    assert metrics.precision_recall(modes, real) == pytest.approx((1 / 3, 1))  # two invented
    one = real[:1].expand(n, 3)  # every fake is the same real sample
    assert metrics.precision_recall(one, real) == pytest.approx((1, 1 / n))


# ---------------------------------------------------------------- memorisation


def test_memorisation_is_zero_for_copies_and_one_for_fresh_data():
    train, held_out, fake = (normal(seed, 400, 4) for seed in range(3))
    assert metrics.memorisation(train[:100], train, held_out) == pytest.approx(0, abs=1e-5)
    assert metrics.memorisation(fake, train, held_out) == pytest.approx(1, abs=0.15)
    assert metrics.memorisation(held_out, train, held_out) == 1
    near = train + 0.01 * normal(3, 400, 4)  # copied with a little noise
    assert metrics.memorisation(near, train, held_out) < 0.1


def test_memorisation_of_real_digits():
    (train, _), (test, _) = digits("train"), digits("test")
    assert metrics.memorisation(test[:500], train, test[500:]) == pytest.approx(1, abs=0.05)
    assert metrics.memorisation(train[:200], train, test) == pytest.approx(0, abs=1e-3)


@few
@given(distances=st.lists(st.integers(0, 50), min_size=1, max_size=9).filter(lambda d: len(d) % 2))
def test_memorisation_by_hand(distances: list[int]):
    """Training points a thousand apart: the nearest one, and how far it is, is known."""
    train = torch.arange(9.0)[:, None] * 1000
    fake = train[: len(distances)] + torch.tensor(distances)[:, None]
    expected = float(np.median(distances)) / 20
    assert metrics.memorisation(fake, train, train[:3] - 20) == pytest.approx(expected)


def test_memorisation_without_fresh_data():
    x = normal(0, 20, 3)
    with pytest.raises(ValueError, match="held_out is a copy of train"):
        metrics.memorisation(x + 1, x, x)


# ---------------------------------------------------------------- wrong features

F = normal(0, 9, 3)
NAN = torch.cat([F, torch.full((1, 3), torch.nan)])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.frechet_distance(F[:, :, None], F), r"f must be features \(N, d\)"),
        (lambda: metrics.frechet_distance(F, F[:3]), "g needs at least 4 samples, got 3"),
        (lambda: metrics.frechet_distance(F, F[:, :2]), "f, g differ in width: 3, 2"),
        (lambda: metrics.frechet_distance(NAN, F), "f holds NaN or infinite"),
        (lambda: metrics.precision_recall(F[0], F), r"fake must be features .* got shape \(3,\)"),
        (lambda: metrics.precision_recall(F, F[:5], k=5), "real needs at least 6 samples, got 5"),
        (lambda: metrics.precision_recall(F, F[:, :2]), "fake, real differ in width: 3, 2"),
        (lambda: metrics.precision_recall(F, NAN), "real holds NaN or infinite"),
        (lambda: metrics.memorisation(F[:0], F, F), "fake needs at least 1 samples, got 0"),
        (lambda: metrics.memorisation(F, F, NAN), "held_out holds NaN or infinite"),
        (lambda: metrics.memorisation(F[:, :2], F, F + 1), "train, held_out differ in width: 2, 3"),
    ],
)
def test_wrong_features_are_named(call: Callable, message: str):
    with pytest.raises(ValueError, match=message):
        call()


# ---------------------------------------------------------------- features of digits


def test_digit_features_do_not_depend_on_their_neighbours():
    x = digits("test")[0][:502]  # features are computed 500 at a time
    f = metrics.digit_features(x)
    assert f.shape == (502, 64)
    assert f.dtype == torch.float64
    assert not f.requires_grad
    assert f.min() == 0
    assert f.std(0).max() > 0.1
    for i in (0, 499, 500, 501):
        alone = metrics.digit_features(x[i : i + 1])[0]
        torch.testing.assert_close(alone, f[i], atol=1e-4, rtol=1e-4)


def test_digit_classes_are_those_of_the_network():
    x, label = digits("test")
    seen = metrics.digit_classes(x[:200])
    with torch.no_grad():
        assert torch.equal(seen, digit_network()(x[:200]).argmax(1))
    assert (seen == label[:200]).double().mean() > 0.95


@pytest.mark.parametrize("measure", [metrics.digit_features, metrics.digit_classes])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(2, 28, 28), r"x must be images \(N, C, H, W\), got shape \(2, 28, 28\)"),
        (torch.zeros(2, 3, 28, 28), r"Digits have shape \(N, 1, 28, 28\), got \(2, 3, 28, 28\)"),
        (torch.full((2, 1, 28, 28), -0.9), r"span -0.9 to -0.9; a generator that ends in tanh"),
        (torch.full((2, 1, 28, 28), 1.1), r"must lie in \[0, 1\], but span 1.1 to 1.1"),
        (torch.full((2, 1, 28, 28), torch.nan), "x holds NaN or infinite"),
    ],
)
def test_wrong_digits_are_named(measure: Callable, x: Tensor, message: str):
    with pytest.raises(ValueError, match=message):
        measure(x)


def test_rounding_beyond_the_range_is_forgiven():
    x = torch.tensor([-0.009, 1.009]).view(2, 1, 1, 1).expand(2, 1, 28, 28)
    assert metrics.digit_features(x).shape == (2, 64)


# ---------------------------------------------------------------- digit_scores


def test_digit_scores_know_real_digits_copies_and_a_collapsed_generator():
    train, test = digits("train")[0], digits("test")[0]
    real = metrics.digit_scores(train, train, test)
    assert real.keys() == {"FD", "precision", "recall", "memorisation ratio"}
    assert real["FD"] < 1
    assert real["memorisation ratio"] == pytest.approx(0, abs=1e-3)  # copies, and it says so
    fresh = metrics.digit_scores(test, train, test)
    assert fresh["FD"] == pytest.approx(0, abs=1e-6)
    assert fresh["memorisation ratio"] == pytest.approx(1, abs=0.01)
    ones = train[1::10].repeat(2, 1, 1, 1)  # every tenth digit is a one
    collapsed = metrics.digit_scores(ones, train, test)
    assert collapsed["FD"] > 50
    assert collapsed["recall"] < 0.2 < 0.5 < collapsed["precision"]


def test_digit_scores_take_precision_and_recall_from_the_first_thousand():
    train, test = digits("train")[0], digits("test")[0]
    grey = torch.full((1000, 1, 28, 28), 0.5)
    mixed = metrics.digit_scores(torch.cat([train[:1000], grey]), train, test)
    assert mixed["precision"] > 0.8
    assert metrics.digit_scores(torch.cat([grey, train[:1000]]), train, test)["precision"] == 0
