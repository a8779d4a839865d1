"""helpers.solvers against closed forms, dense algebra, proven rates and well-kept libraries."""

from __future__ import annotations

import inspect
import itertools
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest
import scipy.optimize
import skimage.data
import torch
import torch.nn.functional as F
from helpers import solvers
from helpers.physics import (
    Blur,
    FourierSampling,
    Identity,
    Mask,
    Operator,
    Radon,
    as_matrix,
    gaussian,
    gaussian_kernel,
    operator_norm,
)
from helpers.solvers import (
    Gradient,
    Solution,
    Stop,
    admm,
    box,
    cgls,
    fbp,
    fista,
    gauss_newton,
    haar,
    haar_inverse,
    ista,
    landweber,
    nonlocal_means,
    power_spectrum,
    shrink,
    total_variation,
    truncated_svd,
    tv,
    wavelet_shrink,
    wiener,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from nbsource import ROOT
from torch import Tensor

few = settings(max_examples=12, deadline=None, derandomize=True)
seeds = st.integers(0, 10**6)
f64 = torch.float64


def normal(seed: int, *shape: int, dtype: torch.dtype = f64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def uniform(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=f64)


def close(a: Tensor, b: Tensor, error: float) -> None:
    assert (a - b).norm() <= error * b.norm()


# Images of 6 x 5, small enough for dense algebra. The first three determine every pixel.
PROBLEMS: dict[str, Operator] = {
    "blur": Blur(torch.tensor([[0.0, 0.1, 0], [0.3, 1, 0.2], [0, 0.1, 0]], dtype=f64)),
    "tomography": Radon((6, 5), torch.arange(0, 180, 12), detectors=9).double(),
    "every frequency": FourierSampling(torch.ones(6, 5)),
    "some pixels": Mask(uniform(0, 6, 5).round()),
    "some frequencies": FourierSampling(uniform(1, 6, 5).round()),
}
SIDES = (6, 5)
problems = pytest.mark.parametrize("name", PROBLEMS)
determined = pytest.mark.parametrize("name", list(PROBLEMS)[:3])


def measured(name: str, n: int = 1, seed: int = 5) -> Tensor:
    """Numbers that fit no image: A x and as much noise again."""
    Ax = PROBLEMS[name](normal(seed, n, 1, *SIDES))
    return Ax + normal(seed + 1, *Ax.shape, dtype=Ax.dtype)


def flat(y: Tensor) -> Tensor:
    return (torch.view_as_real(y) if y.is_complex() else y).flatten()


def least_squares(name: str, y: Tensor, lam: float = 0) -> Tensor:
    """The shortest x of all that minimise |y - A x|^2 + lam |x|^2."""
    M = as_matrix(PROBLEMS[name], SIDES)
    wide = torch.cat([M, lam**0.5 * torch.eye(M.shape[1], dtype=f64)])
    right = torch.cat([flat(y), torch.zeros(M.shape[1], dtype=f64)])
    x = torch.linalg.lstsq(wide, right[:, None], driver="gelsd").solution
    return x.view(1, 1, *SIDES)


# Every iterative solver, as solve(A, y, stop=..., watch=...), with the measurements of `problem`.
def gauss_newton_linear(A: Operator, y: Tensor, **options) -> Solution:
    images, M = len(y), as_matrix(A.double(), SIDES).to(A.adjoint(y))

    def residual(x: Tensor) -> Tensor:
        return flat(y) - (x.view(images, -1) @ M.T).flatten()

    return gauss_newton(residual, M.new_zeros(images * M.shape[1]), **options)


ITERATIVE: dict[str, Callable[..., Solution]] = {
    "landweber": landweber,
    "cgls": cgls,
    "tikhonov": lambda A, y, **o: cgls(A, y, lam=0.1, **o),
    "ista": lambda A, y, **o: ista(A, y, lambda v, t: F.softshrink(v, t), 0.1, **o),
    "fista": lambda A, y, **o: fista(A, y, lambda v, t: F.softshrink(v, t), 0.1, **o),
    "tv": lambda A, y, **o: tv(A, y, 0.1, **o),
    "admm": lambda A, y, **o: admm(A, y, shrink, 0.1, rho=0.7, K=Gradient(), **o),
    "gauss_newton": gauss_newton_linear,
}
methods = pytest.mark.parametrize("method", ITERATIVE)


# ---------------------------------------------------------------- least squares


@problems
def test_cgls_is_least_squares(name: str):
    """In little more steps than pixels, and the shortest solution where there are several."""
    y = measured(name)
    solution = cgls(PROBLEMS[name], y, stop=Stop(steps=45))
    close(solution.x, least_squares(name, y), 1e-8)


@problems
@pytest.mark.parametrize("lam", [1e-2, 3])
def test_cgls_with_a_weight_is_tikhonov(name: str, lam: float):
    y, A = measured(name), PROBLEMS[name]
    expected = least_squares(name, y, lam)
    M = as_matrix(A, SIDES)
    closed_form = torch.linalg.solve(M.T @ M + lam * torch.eye(30, dtype=f64), M.T @ flat(y))
    close(expected.flatten(), closed_form, 1e-10)
    for start in (None, normal(9, 1, 1, *SIDES)):
        solution = cgls(A, y, lam=lam, x=start, stop=Stop(steps=40))
        close(solution.x, expected, 1e-8)


@pytest.mark.parametrize("lam", [0, 0.1, 3])
@pytest.mark.parametrize("name", ["blur", "mask", "frequencies", "tomography"])
def test_cgls_stays_where_it_converged(name: str, lam: float):
    """Rounding errors must not grow in the steps that are made after that."""
    A = {
        "blur": Blur(gaussian_kernel(1.0)),
        "mask": Mask(uniform(0, 24, 24).round()),
        "frequencies": FourierSampling(uniform(0, 24, 24).round()),
        "tomography": Radon((6, 6), torch.arange(0, 180, 4), detectors=9),
    }[name]
    side = 6 if name == "tomography" else 24
    y = A(uniform(1, 1, 1, side, side).float())
    y = y + 0.05 * normal(2, *y.shape, dtype=y.dtype)
    for start in (None, uniform(3, 1, 1, side, side).float()):
        objective = Objective(A, y, lam / 2, lambda x: x.square().sum().item())
        solution = cgls(A, y, lam=lam, x=start, stop=Stop(150), watch=objective)
        values = solution.history["watch"]
        assert values[-1] <= min(values) * (1 + 1e-5) + 1e-6


def test_cgls_keeps_of_its_start_what_was_not_measured():
    A, start = PROBLEMS["some pixels"], normal(9, 1, 1, *SIDES)
    y = measured("some pixels")
    x = cgls(A, y, x=start, stop=Stop(steps=5)).x
    torch.testing.assert_close(A(x), y)
    torch.testing.assert_close(x - A.adjoint(A(x)), start - A.adjoint(A(start)))


def test_cgls_minimises_over_krylov_spaces():
    """Its k-th estimate is the best one in the span of (A* A)^i A* y, i < k."""
    A, y = PROBLEMS["tomography"], measured("tomography")
    M, b = as_matrix(A, SIDES), flat(y)
    basis = [M.T @ b]
    for k in range(1, 7):
        space = torch.linalg.qr(torch.stack(basis, 1)).Q
        best = space @ torch.linalg.lstsq(M @ space, b[:, None]).solution
        close(cgls(A, y, stop=Stop(steps=k)).x.flatten(), best.flatten(), 1e-7)
        basis.append(M.T @ (M @ basis[-1]))


@problems
def test_landweber_filters_singular_values(name: str):
    """Its k-th estimate has the components (1 - (1 - step s^2)^k) <u, y> / s."""
    A, y = PROBLEMS[name], measured(name)
    U, s, Vh = torch.linalg.svd(as_matrix(A, SIDES), full_matrices=False)
    seen = s > 1e-9
    for step in (None, 1.9 / s[0].item() ** 2):
        used = step or 1 / operator_norm(A, torch.zeros(1, 1, *SIDES, dtype=f64)) ** 2
        for k in (1, 2, 17):
            factor = torch.where(seen, (1 - (1 - used * s**2) ** k) / s.where(seen, 1), 0)
            expected = Vh.T @ (factor * (U.T @ flat(y)))
            x = landweber(A, y, step=step, stop=Stop(steps=k)).x
            close(x.flatten(), expected, 1e-10)


@pytest.mark.parametrize("name", ["blur", "every frequency", "some pixels", "some frequencies"])
def test_landweber_converges_to_least_squares(name: str):
    y = measured(name)
    solution = landweber(PROBLEMS[name], y, stop=Stop(steps=5000, change=1e-9))
    assert solution.stopped != "steps"
    close(solution.x, least_squares(name, y), 1e-4)


@determined
def test_landweber_diverges_where_the_step_is_too_long(name: str):
    A, y = PROBLEMS[name], measured(name)
    norm = torch.linalg.matrix_norm(as_matrix(A, SIDES), 2).item()
    first, *_, last = landweber(A, y, step=1.95 / norm**2, stop=Stop(steps=300)).history["residual"]
    assert last <= first
    with pytest.raises(FloatingPointError, match=r"landweber diverged at step \d\d+: take a small"):
        landweber(A.float(), y.to(torch.cfloat if y.is_complex() else torch.float),
                  step=3 / norm**2, stop=Stop(steps=5000))  # fmt: skip
    A.double()
    slowly = landweber(A, y, step=2.05 / norm**2, stop=Stop(steps=300)).history["residual"]
    assert slowly[-1] > 10 * slowly[0]


def test_truncated_svd():
    M, y = as_matrix(PROBLEMS["tomography"], SIDES), flat(measured("tomography"))
    svd = U, s, Vh = torch.linalg.svd(M, full_matrices=False)
    for k in (1, 7, 30):
        x = truncated_svd(svd, y, k)
        by_hand = sum((U[:, i] @ y) / s[i] * Vh[i] for i in range(k))
        torch.testing.assert_close(x, by_hand)
        assert (U[:, :k].T @ (y - M @ x)).norm() < 1e-10  # nothing is left in these directions
    close(x, torch.linalg.lstsq(M, y[:, None]).solution[:, 0], 1e-10)


# ---------------------------------------------------------------- Wiener


def frequencies(H: int, W: int) -> Tensor:
    return torch.fft.fftfreq(H, dtype=f64)[:, None].square() + torch.fft.rfftfreq(W).square()


@pytest.mark.parametrize("sides", [(6, 5), (5, 8)])
@pytest.mark.parametrize("kernel_sum", [1, 1.7])
def test_wiener_is_the_posterior_mean(sides: tuple[int, int], kernel_sum: float):
    """Of Gaussian images with covariance C: m + C A^T (A C A^T + sigma^2)^-1 (y - A m)."""
    sigma, kernel = 0.3, normal(0, 3, 5).abs() + 0.1
    A = Blur(kernel * kernel_sum / kernel.sum())
    spectrum = 1 / (0.02 + frequencies(*sides))
    spectrum[0, 0] = 0  # of images with mean 0
    y = normal(1, 1, 1, *sides) + 3
    eye = torch.eye(math.prod(sides), dtype=f64).view(-1, 1, *sides)
    C = torch.fft.irfft2(torch.fft.rfft2(eye) * spectrum, s=sides).flatten(1)
    M, level = as_matrix(A, sides), y.mean() / kernel_sum
    right = (y - kernel_sum * level).flatten()
    gain = C @ M.T @ torch.linalg.inv(M @ C @ M.T + sigma**2 * torch.eye(len(C), dtype=f64))
    x = wiener(A, y, sigma, spectrum)
    torch.testing.assert_close(x.flatten(), gain @ right + level)
    spectrum[0, 0] = 9  # whatever stands there: the mean itself is not random
    torch.testing.assert_close(wiener(A, y, sigma, spectrum), x)


def test_wiener_beats_its_neighbours():
    H, W, sigma = 24, 31, 0.2
    A, spectrum = Blur(gaussian_kernel(1.2).double()), 1 / (0.01 + frequencies(H, W))
    spectrum[0, 0] = 0
    white = torch.fft.rfft2(normal(0, 200, 1, H, W))
    x = torch.fft.irfft2(white * spectrum.sqrt(), s=(H, W)) + 0.5
    torch.testing.assert_close(
        (torch.fft.rfft2(x - 0.5).abs() ** 2 / (H * W)).mean((0, 1)), spectrum, rtol=0.5, atol=1e-9
    )
    torch.manual_seed(1)
    y = gaussian(A(x), sigma)

    def error(*arguments) -> float:
        return (wiener(A, y, *arguments) - x).square().mean().item()

    best = error(sigma, spectrum)
    assert best < 0.7 * (y - x).square().mean()
    for wrong in (0.7, 0.9, 1.1, 1.4):
        assert error(wrong * sigma, spectrum) > best
        assert error(sigma, wrong * spectrum) > best
    assert error(sigma, spectrum.roll(1, 0)) > best


def test_the_spectrum_of_images_that_have_one():
    """Stationary images of a known spectrum, with means that do not count."""
    H, W = 24, 31
    expected = 1 / (0.05 + frequencies(H, W))
    white = torch.fft.rfft2(normal(0, 400, 2, H, W))
    x = torch.fft.irfft2(white * expected.sqrt(), s=(H, W)) + normal(1, 400, 2, 1, 1)
    found = power_spectrum(x)
    assert found.shape == (H, W // 2 + 1)
    assert found.dtype == f64
    far = frequencies(H, W) > 0.02  # the fade mixes neighbours, which differ near frequency 0
    torch.testing.assert_close(found[far], expected[far], rtol=0.2, atol=0)
    assert power_spectrum(torch.full((1, 1, 8, 8), 0.7)).abs().max() < 1e-12


# ---------------------------------------------------------------- non-local means


def test_box_is_the_mean_of_a_window():
    v = normal(0, 2, 3, 9, 7)
    torch.testing.assert_close(box(v, 2)[..., 4, 3], v[..., 2:7, 1:6].mean((-2, -1)))
    corner = (4 * v[..., 0, 0] + 2 * v[..., 0, 1] + 2 * v[..., 1, 0] + v[..., 1, 1]) / 9
    torch.testing.assert_close(box(v, 1)[..., 0, 0], corner)  # the border is repeated
    torch.testing.assert_close(box(torch.full((1, 1, 3, 4), 0.3), 8), torch.full((1, 1, 3, 4), 0.3))


def test_nonlocal_means_is_the_weighted_mean_of_its_equation():
    """One pixel in the middle, by loops over all patches."""
    sigma, reach, r = 0.1, 3, 1
    y = 0.5 + 1.3 * sigma * normal(0, 1, 1, 15, 15)  # so that many weights are neither 0 nor 1
    found = nonlocal_means(y, sigma, [0.7, 1.5], reach=reach, r=r)
    for strength, x in zip((0.7, 1.5), found, strict=True):
        total = weight = 0.0
        for i in range(7 - reach, 8 + reach):
            for j in range(7 - reach, 8 + reach):
                here, there = y[0, 0, 6:9, 6:9], y[0, 0, i - r : i + r + 1, j - r : j + r + 1]
                distance = max(((here - there) ** 2).mean().item() - 2 * sigma**2, 0)
                w = math.exp(-distance / (strength * sigma) ** 2)
                total, weight = total + w * y[0, 0, i, j].item(), weight + w
        assert x[0, 0, 7, 7].item() == pytest.approx(total / weight)


def test_nonlocal_means_keeps_constants_and_averages_what_repeats():
    flat = torch.full((1, 1, 16, 16), 0.4, dtype=f64)
    torch.testing.assert_close(nonlocal_means(flat, 0.1, [0.5])[0], flat)
    stripes = (torch.arange(40) % 4 < 2).to(f64).expand(1, 1, 40, 40)
    y = stripes + 0.1 * normal(0, 1, 1, 40, 40)
    (x,) = nonlocal_means(y, 0.1, [0.6])
    assert (x - stripes).square().mean() < 0.05 * (y - stripes).square().mean()


# ---------------------------------------------------------------- filtered back-projection


def distances(shape: tuple[int, int], u: float, v: float) -> Tensor:
    """From the point (u, v), counted from the centre to the right and up."""
    H, W = shape
    up = (H - 1) / 2 - torch.arange(H, dtype=f64) - v
    return torch.hypot(up[:, None], torch.arange(W, dtype=f64) - (W - 1) / 2 - u)


DISCS = [((96, 96), 30.3, 0, 0), ((97, 97), 20.3, 10, -5), ((80, 111), 25, 5, 3)]


@pytest.mark.parametrize(("shape", "radius", "u", "v"), DISCS)
@pytest.mark.parametrize("window", ["ramp", "hann"])
def test_fbp_of_a_disc(shape: tuple[int, int], radius: float, u: float, v: float, window: str):
    """Its exact sinogram gives a disc: flat, of level 1, nothing around it, the right mean."""
    A = Radon(shape, torch.arange(0, 180, 1.5), detectors=151).double()
    d = distances(shape, u, v)
    t = A.angles.double().deg2rad()[:, None]
    s = torch.arange(151) - 75 - (u * t.cos() + v * t.sin())
    x = fbp(A, 2 * (radius**2 - s**2).clamp(min=0).sqrt()[None, None], window=window)[0, 0]
    for inner in range(0, 60, 5):
        ring = x[(d >= inner) & (d < inner + 5)]
        if inner + 5 < radius - 2:
            assert ring.mean().item() == pytest.approx(1, abs=0.003)
        elif inner > radius + 2:
            assert ring.mean().item() == pytest.approx(0, abs=0.003)
    assert (x[d < radius - 3] - 1).abs().mean() < 0.01
    assert (x[d < radius - 3] - 1).square().mean().sqrt() < 0.02
    assert x.sum().item() == pytest.approx(math.pi * radius**2, rel=0.005)
    assert x[d < radius].mean().item() == pytest.approx(0.98, abs=0.02)  # a sharp edge


def test_fbp_undoes_radon():
    """On a photograph, within the disc that every view sees."""
    x = F.avg_pool2d(torch.from_numpy(skimage.data.camera()).double()[None, None] / 255, 4)
    x = Blur(gaussian_kernel(1.0).double())(x) * (distances((128, 128), 0, 0) < 60)
    A = Radon((128, 128), torch.arange(180)).double()
    inside = distances((128, 128), 0, 0) < 55
    errors = [(fbp(A, A(x), window=w) - x)[..., inside].square().mean() for w in ("ramp", "hann")]
    assert errors[0] < 0.02**2
    assert errors[0] < errors[1] < 0.04**2


def test_the_hann_window_smooths_sinograms():
    """(1 + cos) / 2 in frequency is the kernel 1/4, 1/2, 1/4 along the detectors."""
    A = Radon((20, 30), torch.arange(0, 180, 9)).double()
    y = F.pad(normal(0, 2, 3, 20, 20), (5, 5))
    smooth = y / 2 + (y.roll(1, -1) + y.roll(-1, -1)) / 4
    torch.testing.assert_close(fbp(A, y, window="hann"), fbp(A, smooth))


def test_the_ramp_filter_does_not_wrap_around():
    """What stands at one end of a row does not show at the other."""
    A = Radon((2, 33), torch.tensor([0.0])).double()
    y = torch.zeros(1, 1, 1, 33, dtype=f64)
    y[..., 0] = 1
    n = torch.arange(33, dtype=f64)  # Kak and Slaney: 1/4 at 0, -1 / (pi n)^2 at odd n, else 0
    expected = torch.where(n % 2 == 1, -1 / (math.pi * n.clamp(min=1)) ** 2, 0)
    expected[0] = 1 / 4
    torch.testing.assert_close(fbp(A, y)[0, 0, 0], math.pi * expected, atol=1e-7, rtol=0)


# ---------------------------------------------------------------- wavelets


def haar_details(x: Tensor, levels: int = 3) -> list[Tensor]:
    """The details of the orthonormal Haar transform, and the means that remain, by convolutions."""
    h = torch.tensor([[1.0, 1], [1, -1]], dtype=x.dtype) / 2**0.5
    filters = torch.einsum("ai,bj->abij", h, h).reshape(4, 1, 2, 2)
    x = x.flatten(0, 1)[:, None]
    found = []
    for _ in range(levels):
        x, details = F.conv2d(x, filters, stride=2).split([1, 3], 1)
        found.append(details)
    return [*found, x]


def details_norm(x: Tensor, levels: int = 3) -> float:
    return sum(d.abs().sum().item() for d in haar_details(x, levels)[:-1])


@few
@given(seed=seeds, levels=st.integers(0, 3), h=st.integers(1, 3))
def test_haar_is_orthonormal_and_has_its_place_for_each_detail(seed: int, levels: int, h: int):
    x = normal(seed, 2, 3, 8 * h, 16)
    w = haar(x, levels)
    torch.testing.assert_close(haar_inverse(w, levels), x)
    other = normal(seed + 1, *w.shape)
    torch.testing.assert_close((w * other).sum(), (x * haar_inverse(other, levels)).sum())
    *details, expected = haar_details(x, levels)
    for right, down, both in (d.split(1, 1) for d in reversed(details)):
        top, bottom = torch.cat([expected, right], -1), torch.cat([down, both], -1)
        expected = torch.cat([top, bottom], -2)
    torch.testing.assert_close(w, expected.view_as(w))


@few
@given(seed=seeds, levels=st.integers(0, 3), t=st.floats(0, 2), h=st.integers(1, 3))
def test_wavelet_shrink_shortens_the_details(seed: int, levels: int, t: float, h: int):
    x = normal(seed, 2, 3, 8 * h, 16)
    torch.testing.assert_close(wavelet_shrink(x, 0, levels), x)
    before = haar_details(x, levels)
    energy = sum(d.square().sum() for d in before)
    torch.testing.assert_close(energy, x.square().sum())  # the transform is orthonormal
    after = haar_details(wavelet_shrink(x, t, levels), levels)
    for old, new in zip(before[:-1], after[:-1], strict=True):
        torch.testing.assert_close(new, old.sign() * (old.abs() - t).clamp(min=0))
    torch.testing.assert_close(after[-1], before[-1])


@few
@given(seed=seeds, t=st.floats(0.01, 1), size=st.floats(-6, 0))
def test_wavelet_shrink_is_the_prox(seed: int, t: float, size: float):
    v = normal(seed, 1, 1, 8, 16)

    def objective(x: Tensor) -> float:
        return (x - v).square().sum().item() / 2 + t * details_norm(x)

    best = wavelet_shrink(v, t)
    for i in range(5):
        other = best + 10**size * normal(seed + i, *v.shape)
        assert objective(other) > objective(best)


@few
@given(seed=seeds, t=st.floats(0.01, 3), size=st.floats(-6, 0))
def test_shrink_is_the_prox_of_the_lengths(seed: int, t: float, size: float):
    v = normal(seed, 2, 2, 3, 4, 5)
    v[0, :, 0, 0, 0] = 0

    def objective(z: Tensor) -> float:
        return (z - v).square().sum().item() / 2 + t * z.norm(dim=1).sum().item()

    best = shrink(v, t)
    assert torch.equal(shrink(v, 0), v)
    torch.testing.assert_close(best.norm(dim=1), (v.norm(dim=1) - t).clamp(min=0))
    for i in range(5):
        other = best + 10**size * normal(seed + i, *v.shape)
        assert objective(other) > objective(best)


# ---------------------------------------------------------------- ISTA and FISTA


class Objective:
    """|y - A x|^2 / 2 + lam R(x), kept at each step by `watch`."""

    def __init__(self, A: Operator, y: Tensor, lam: float, R: Callable[[Tensor], float]) -> None:
        self.A, self.y, self.lam, self.R = A, y, lam, R

    def __call__(self, x: Tensor) -> float:
        return (self.y - self.A(x)).abs().square().sum().item() / 2 + self.lam * self.R(x)


SPARSE = {
    "blur": (Blur(gaussian_kernel(0.7).double()), 1),
    "pixels": (Mask(uniform(3, 16, 16) < 0.6), 1),
    "frequencies": (FourierSampling(uniform(4, 16, 16) < 0.5), 1),
    "tomography": (Radon((16, 16), torch.arange(0, 180, 15)).double(), None),
}


@pytest.mark.parametrize("name", SPARSE)
def test_ista_and_fista_keep_their_bounds(name: str):
    """F(x_k) - F* <= L |x0 - x*|^2 / 2k, and 2 L |x0 - x*|^2 / (k + 1)^2 with momentum."""
    A, norm = SPARSE[name]
    truth = F.interpolate(uniform(0, 1, 1, 4, 4), 16)
    y = A(truth)
    y = y + 0.1 * normal(1, *y.shape, dtype=y.dtype)
    lam = 0.05 * (norm or 30)
    objective = Objective(A, y, lam, details_norm)
    start = torch.zeros_like(truth)
    L = operator_norm(A, start) ** 2
    if norm:
        assert pytest.approx(norm, abs=1e-3) == L
    # The bounds want a step of at most 1 / L, and the power method may find a little less than L.
    slack = 1.01
    best = fista(A, y, wavelet_shrink, lam, stop=Stop(steps=500), watch=objective)
    lowest = min(best.history["watch"])
    away = best.x.square().sum().item()
    assert objective(best.x) < 0.9 * objective(start)
    for method, bound in (
        (ista, lambda k: L * away / (2 * k)),
        (fista, lambda k: 2 * L * away / (k + 1) ** 2),
    ):
        values = method(A, y, wavelet_shrink, lam, stop=Stop(100), watch=objective).history["watch"]
        bounds = [lowest + slack * bound(k) for k in range(1, 1 + len(values))]
        assert all(v <= b + 1e-9 for v, b in zip(values, bounds, strict=True))
        if method is ista:
            assert all(b <= a + 1e-9 for a, b in itertools.pairwise(values))
            slowest = values
    assert values[40] - lowest < 0.5 * (slowest[40] - lowest) or values[40] - lowest < 1e-6
    # The minimum, seen from the optimality condition: it is a fixed point of the proximal step.
    step = 1 / L
    fixed = wavelet_shrink(best.x + step * A.adjoint(y - A(best.x)), step * lam)
    close(fixed, best.x, 1e-4)
    long = ista(A, y, wavelet_shrink, lam, stop=Stop(400))
    assert objective(long.x) == pytest.approx(lowest, rel=1e-3)


def test_fista_by_hand():
    """The sequence of Beck and Teboulle, in which t_k^2 = t_(k+1)^2 - t_(k+1)."""
    A, y, lam = PROBLEMS["blur"], measured("blur"), 0.3
    step = 1 / operator_norm(A, torch.zeros(1, 1, *SIDES, dtype=f64)) ** 2
    x = v = torch.zeros(1, 1, *SIDES, dtype=f64)
    t = 1
    for k in range(1, 12):
        new = F.softshrink(v - step * A.adjoint(A(v) - y), step * lam)
        t_new = max(np.roots([1, -1, -(t**2)]))
        x, v, t = new, new + (t - 1) / t_new * (new - x), t_new
        close(fista(A, y, F.softshrink, lam, stop=Stop(k)).x, x, 1e-12)


def test_ista_of_the_identity_is_one_prox():
    y = normal(0, 2, 3, 8, 8)
    for method in (ista, fista):
        solution = method(Identity(), y, wavelet_shrink, 0.3, stop=Stop(steps=4))
        torch.testing.assert_close(solution.x, wavelet_shrink(y, 0.3))


# ---------------------------------------------------------------- total variation


def test_total_variation_by_hand():
    x = torch.zeros(2, 1, 6, 7)
    x[0, 0, :, 3:] = 2  # an edge of 6 pixels, of height 2
    x[1, 0, 2:, :] = 3  # an edge of 7 pixels, of height 3
    assert total_variation(x) == pytest.approx(6 * 2 + 7 * 3)
    x = torch.zeros(1, 1, 6, 7)
    x[..., 2, 3] = 1  # two ends at its neighbours, and both of its own in one pixel
    assert total_variation(x) == pytest.approx(2 + 2**0.5)


def test_the_gradient_by_hand():
    x = normal(0, 2, 3, 5, 4)
    down, right = Gradient()(x).unbind(1)
    torch.testing.assert_close(down[..., :-1, :], x[..., 1:, :] - x[..., :-1, :])
    torch.testing.assert_close(right[..., :-1], x[..., 1:] - x[..., :-1])
    assert down[..., -1, :].abs().max() == right[..., -1].abs().max() == 0


TV = {
    "identity": (Identity(), 0.2),
    "blur": (Blur(gaussian_kernel(0.7).double()), 0.05),
    "pixels": (Mask(uniform(3, 16, 16) < 0.6), 0.1),
    "frequencies": (FourierSampling(uniform(4, 16, 16) < 0.5), 0.05),
    "tomography": (Radon((16, 16), torch.arange(0, 180, 15)).double(), 0.5),
}


@pytest.mark.parametrize("name", TV)
def test_two_ways_to_the_least_total_variation(name: str):
    A, lam = TV[name]
    y = A(F.interpolate(uniform(0, 1, 1, 4, 4), 16))
    y = y + 0.1 * normal(1, *y.shape, dtype=y.dtype)
    objective = Objective(A, y, lam, total_variation)
    L2 = operator_norm(A, torch.zeros(1, 1, 16, 16, dtype=f64)) ** 2
    x = tv(A, y, lam, stop=Stop(600)).x
    split = admm(A, y, shrink, lam, rho=0.3 * L2, K=Gradient(), inner=3, stop=Stop(170)).x
    assert objective(x) == pytest.approx(objective(split), rel=1e-3)
    assert total_variation(x) < 0.8 * total_variation(A.adjoint(y))
    for i in range(20):  # nor is there anything lower beside it
        other = x + 10 ** -(1 + i / 5) * normal(i, *x.shape)
        assert objective(other) > objective(x) * (1 - 1e-6)


@pytest.mark.parametrize("name", ["blur", "some frequencies"])
def test_tv_by_hand(name: str):
    """The iteration of Chambolle and Pock on K = (A, D), whose dual variables are p and q."""
    A, y, lam = PROBLEMS[name], measured(name), 0.3
    M, D, b = as_matrix(A, SIDES), as_matrix(Gradient(), SIDES), flat(measured(name))
    L2 = operator_norm(A, torch.zeros(1, 1, *SIDES, dtype=f64)) ** 2
    tau = 0.3 / (L2 * lam) ** 0.5  # as solvers.tv has it, which fits the speed to our chapters
    sigma_A, sigma_D = 1 / (2 * tau * L2), 1 / (16 * tau)
    x = x_bar = torch.zeros(30, dtype=f64)
    p, q = 0 * b, torch.zeros(1, 2, 1, *SIDES, dtype=f64)
    for k in range(1, 12):
        p = (p + sigma_A * (M @ x_bar - b)) / (1 + sigma_A)
        q = q + sigma_D * (D @ x_bar).view_as(q)
        q = q - shrink(q, lam)  # onto vectors of length at most lam
        new = x - tau * (M.T @ p + D.T @ q.flatten())
        x, x_bar = new, 2 * new - x
        close(tv(A, y, lam, stop=Stop(k)).x.flatten(), x, 1e-10)


@pytest.mark.parametrize("lam", [0.05, 0.3])
def test_tv_of_a_noisy_photograph_agrees_with_skimage(lam: float):
    x = F.avg_pool2d(torch.from_numpy(skimage.data.camera()).double()[None, None] / 255, 16)
    y = x + 0.1 * normal(0, *x.shape)
    objective = Objective(Identity(), y, lam, total_variation)

    def theirs(**options) -> Tensor:
        image = skimage.restoration.denoise_tv_chambolle(y[0, 0].numpy(), weight=lam, **options)
        return torch.from_numpy(image)[None, None]

    ours, long = tv(Identity(), y, lam, stop=Stop(600)).x, theirs(eps=1e-9, max_num_iter=2000)
    assert objective(ours) < objective(theirs())  # as they stop by themselves
    assert objective(ours) == pytest.approx(objective(long), rel=2e-3)
    close(ours, long, 5e-3)


def test_admm_for_other_priors():
    """With R = |x|_1 and K = 1 it ends where FISTA ends."""
    A, y = PROBLEMS["blur"], measured("blur")
    a = admm(A, y, F.softshrink, 0.5, rho=1.0, stop=Stop(100))
    b = fista(A, y, F.softshrink, 0.5, stop=Stop(500))
    close(a.x, b.x, 1e-6)
    assert b.x.abs().min() == 0  # the prior does something
    # With R = |z|^2 / 2 it is Tikhonov's solution, whose prox is a division.
    c = admm(A, y, lambda v, t: v / (1 + t), 0.7, rho=2.0, stop=Stop(100))
    close(c.x, least_squares("blur", y, 0.7), 1e-6)


@pytest.mark.parametrize("name", ["blur", "tomography"])
def test_admm_with_exact_inner_steps_by_hand(name: str):
    A, y, K = PROBLEMS[name], measured(name), Gradient()
    lam, rho = 0.3, 0.8
    M, D = as_matrix(A, SIDES), as_matrix(K, SIDES)
    x, z, u = torch.zeros(30, dtype=f64), torch.zeros(60, dtype=f64), torch.zeros(60, dtype=f64)
    for k in range(1, 5):
        x = torch.linalg.solve(M.T @ M + rho * D.T @ D, M.T @ flat(y) + rho * D.T @ (z - u))
        z = shrink((D @ x + u).view(1, 2, 1, *SIDES), lam / rho).flatten()
        u = u + D @ x - z
        solution = admm(A, y, shrink, lam, rho=rho, K=K, inner=60, stop=Stop(k))
        close(solution.x.flatten(), x, 1e-9)


# ---------------------------------------------------------------- Gauss-Newton

TIMES = torch.linspace(0, 3, 40, dtype=f64)


def decay(theta: Tensor) -> Tensor:
    return theta[0] * torch.exp(-theta[1] * TIMES) + theta[2]


TRUTH = torch.tensor([2.0, 1.3, 0.5], dtype=f64)


@pytest.mark.parametrize("start", [[1.0, 1, 0], [1, 0.1, 1], [4, 5, -1]])
@pytest.mark.parametrize("damping", [1e-3, 10])
def test_gauss_newton_finds_the_decay(start: list[float], damping: float):
    y = decay(TRUTH)
    solution = gauss_newton(
        lambda theta: y - decay(theta), torch.tensor(start, dtype=f64), damping=damping,
        stop=Stop(steps=100, residual=1e-11),
    )  # fmt: skip
    torch.testing.assert_close(solution.x, TRUTH, atol=1e-8, rtol=0)
    residuals = solution.history["residual"]
    assert solution.stopped in ("residual", "change")
    assert residuals[0] <= (y - decay(torch.tensor(start, dtype=f64))).norm()
    assert residuals == sorted(residuals, reverse=True)


def test_gauss_newton_of_noisy_data_agrees_with_scipy():
    y = decay(TRUTH) + 0.1 * normal(0, 40)
    theirs = scipy.optimize.least_squares(
        lambda p: (y - decay(torch.from_numpy(p))).numpy(), [1.0, 1, 0], xtol=1e-15, ftol=1e-15
    )
    start = torch.tensor([1.0, 1, 0], dtype=f64)
    solution = gauss_newton(lambda theta: y - decay(theta), start)
    np.testing.assert_allclose(solution.x, theirs.x, atol=1e-6)
    assert solution.stopped == "change"  # where no step is short enough, nothing changes any more
    assert solution.history["residual"][-1] == pytest.approx((2 * theirs.cost) ** 0.5)


def test_gauss_newton_converges_fast_near_the_solution():
    """With damping that falls away, quadratically where the residual vanishes."""
    y = decay(TRUTH)
    solution = gauss_newton(
        lambda theta: y - decay(theta), TRUTH * 1.05, stop=Stop(steps=20, residual=1e-12)
    )
    assert len(solution.history["residual"]) <= 6


def test_gauss_newton_prints_nothing():
    """In a fresh process, since PyTorch warns of a part of its own only once."""
    code = """
import torch
from helpers.solvers import gauss_newton
gauss_newton(torch.sin, torch.ones(2))
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "notebooks")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_gauss_newton_shortens_a_step_that_leads_up():
    """From here the undamped step of arctan overshoots, further every time."""
    first = gauss_newton(torch.arctan, torch.tensor([3.0], dtype=f64), stop=Stop(1))
    assert first.history["residual"][0] < math.atan(3)
    assert 0 < abs(first.x.item()) < 3
    last = gauss_newton(torch.arctan, torch.tensor([3.0], dtype=f64), stop=Stop(60, 1e-12))
    assert last.x.item() == pytest.approx(0, abs=1e-11)


# ---------------------------------------------------------------- what every iteration keeps


@methods
@pytest.mark.parametrize("name", ["tomography", "some frequencies"])
def test_history_is_what_happened(method: str, name: str):
    A, y, solve = PROBLEMS[name], measured(name, 2), ITERATIVE[method]
    seen = []
    solution = solve(A, y, stop=Stop(steps=6), watch=lambda x: seen.append(x.clone()) or len(seen))
    if solution.stopped == "steps":
        assert len(seen) == 6
    history = solution.history
    assert list(history) == ["residual", "change", "watch"]
    assert history["watch"] == list(range(1, len(seen) + 1))
    images = [x.view(2, 1, *SIDES) for x in seen]
    residuals = [(y - A(x)).norm().item() for x in images]
    assert history["residual"] == pytest.approx(residuals)
    changes = [(b - a).norm().item() for a, b in itertools.pairwise(images)]
    assert history["change"] == pytest.approx([math.inf, *changes], abs=1e-12)
    assert torch.equal(solution.x, seen[-1])
    again = solve(A, y, stop=Stop(steps=6))
    assert torch.equal(again.x, solution.x)
    assert list(again.history) == ["residual", "change"]


@methods
def test_every_rule_stops_and_is_named(method: str):
    A, y, solve = PROBLEMS["tomography"], measured("tomography"), ITERATIVE[method]
    free = solve(A, y, stop=Stop(steps=5))
    assert (free.stopped, len(free.history["residual"])) == ("steps", 5)
    residual, change = free.history["residual"], free.history["change"]

    bar = min(residual[:4])
    k = next(i for i, r in enumerate(residual) if r <= bar) + 1
    by_residual = solve(A, y, stop=Stop(5, residual=bar))
    assert (by_residual.stopped, len(by_residual.history["residual"])) == ("residual", k)
    assert torch.equal(by_residual.x, solve(A, y, stop=Stop(k)).x)

    x = solve(A, y, stop=Stop(3)).x
    bar = change[2] / x.norm().item() * (1 + 1e-12)
    by_change = solve(A, y, stop=Stop(5, change=bar))
    assert by_change.stopped == "change"
    k = len(by_change.history["change"])
    assert 1 < k <= 3  # the first step has nothing to be compared with
    norm = by_change.x.norm().item()
    assert by_change.history["change"][-1] <= bar * norm
    before = [solve(A, y, stop=Stop(i)).x.norm().item() for i in range(1, k)]
    assert all(c > bar * n for c, n in zip(change[: k - 1], before, strict=True))


def test_the_discrepancy_principle():
    """Stopped where the residual is as long as the noise, CGLS errs less than much later."""
    x = F.interpolate(uniform(0, 1, 1, 4, 4), 16)
    A = Blur(gaussian_kernel(1.5).double())
    noise = 0.05 * normal(1, *x.shape)
    early, late = (
        cgls(A, A(x) + noise, stop=Stop(300, residual=r)) for r in (noise.norm().item(), 0)
    )
    assert (early.stopped, late.stopped) == ("residual", "steps")
    assert (early.x - x).norm() < 0.2 * (late.x - x).norm()


def test_the_usual_rule_is_two_hundred_steps():
    solution = landweber(PROBLEMS["blur"], measured("blur"))
    assert (solution.stopped, len(solution.history["residual"])) == ("steps", 200)
    assert Stop() == Stop(steps=200, residual=0, change=0)


@methods
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_precision_of_the_data_is_kept_and_no_gradient_flows(method: str, dtype: torch.dtype):
    A = Radon((6, 5), torch.arange(0, 180, 12), detectors=9)
    y = measured("tomography").to(dtype).requires_grad_()
    solution = ITERATIVE[method](A, y, stop=Stop(3))
    assert solution.x.dtype == dtype
    assert not solution.x.requires_grad
    assert torch.is_grad_enabled()


def test_closed_forms_keep_the_precision_of_the_data():
    A, blur = Radon((16, 16), torch.arange(0, 180, 20)), Blur(gaussian_kernel(0.5))
    for dtype in (torch.float32, torch.float64):
        x, spectrum = normal(0, 1, 1, 16, 16).to(dtype), torch.ones(16, 9, dtype=dtype)
        for window in ("ramp", "hann"):
            assert fbp(A, A(x), window=window).dtype == dtype
        assert wiener(blur, x, 0.1, spectrum).dtype == dtype
        assert wavelet_shrink(x, 0.1).dtype == dtype


@pytest.mark.parametrize("method", [m for m in ITERATIVE if m != "gauss_newton"])
def test_images_solved_together_are_those_solved_alone(method: str):
    A, y = PROBLEMS["tomography"], measured("tomography", 3)
    y[1] *= 100
    y[2] = 0  # solved from the start: no division by zero
    together = ITERATIVE[method](A, y, stop=Stop(8)).x
    for i in range(2):
        close(together[i : i + 1], ITERATIVE[method](A, y[i : i + 1], stop=Stop(8)).x, 1e-9)
    assert together[2].abs().max() == 0


@methods
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_data_that_are_not_finite(method: str, bad: float):
    y = measured("tomography")
    y[0, 0, 2, 3] = bad
    named = method.replace("tikhonov", "cgls")
    with pytest.raises(FloatingPointError, match=rf"^{named} diverged at step 1: .*NaN in y\.$"):
        ITERATIVE[method](PROBLEMS["tomography"], y)


# ---------------------------------------------------------------- the progress bar


class Slow(Identity):
    def forward(self, x: Tensor) -> Tensor:
        time.sleep(self.seconds)
        return x / 2

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


def run_slowly(seconds: float) -> None:
    landweber(Slow(seconds), torch.ones(1, 1, 2, 2), step=0.5, stop=Stop(26))


def test_the_bar_is_silent_in_a_static_book(monkeypatch, capfd):
    monkeypatch.setenv("BOOK_STATIC", "1")
    run_slowly(0.045)
    assert capfd.readouterr() == ("", "")


def test_the_bar_waits_a_second_and_goes_to_stdout(monkeypatch, capsys):
    monkeypatch.delenv("BOOK_STATIC", raising=False)
    run_slowly(0)
    assert capsys.readouterr() == ("", "")
    run_slowly(0.05)
    out, err = capsys.readouterr()
    assert "landweber" in out
    assert "/26" in out
    assert out.rsplit("\r", 1)[1].strip() == ""  # it goes when the work is done
    assert err == ""


# ---------------------------------------------------------------- what cannot be done

A, Y = PROBLEMS["tomography"], measured("tomography")
SVD = torch.linalg.svd(torch.diag(torch.tensor([2.0, 1, 0])))
soft = F.softshrink


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Stop(steps=0), r"steps must be at least 1, .* got Stop\(steps=0"),
        (lambda: Stop(residual=-1), r"others 0, got .* residual=-1"),
        (lambda: Stop(residual=math.nan), r"others 0, got .* residual=nan"),
        (lambda: Stop(change=-1e-3), r"others 0, got .* change=-0.001"),
        (lambda: Stop(change=math.nan), r"others 0, got .* change=nan"),
        (lambda: fbp(A, Y, window="hamming"), "window must be 'ramp' or 'hann', got 'hamming'"),
        (lambda: truncated_svd(SVD, Y, 0), "k must lie between 1 and 3, got 0"),
        (lambda: truncated_svd(SVD, Y, 4), "k must lie between 1 and 3, got 4"),
        (lambda: truncated_svd(SVD, Y, 3), "Singular value 3 is 0: choose a smaller k"),
        (lambda: wiener(PROBLEMS["blur"], Y, 0, Y), "sigma must be a positive number, got 0"),
        (lambda: wiener(PROBLEMS["blur"], Y, -1, Y), "sigma must be a positive number, got -1"),
        (lambda: nonlocal_means(Y, 0, [1]), "sigma must be a positive number, got 0"),
        (lambda: nonlocal_means(Y, 1, [0.5, -1]), "strength must be a positive number, got -1"),
        (lambda: nonlocal_means(Y, 1, [1]), r"\(15, 9\) is too small to reach 10 pixels far"),
        (lambda: landweber(A, Y, step=0), "step must be a positive number, got 0"),
        (lambda: landweber(A, Y, step=-0.1), "step must be a positive number, got -0.1"),
        (lambda: landweber(A, Y, step=math.inf), "step must be a positive number, got inf"),
        (lambda: cgls(A, Y, lam=-1), "lam must be at least 0, got -1"),
        (lambda: cgls(A, Y, lam=math.nan), "lam must be at least 0, got nan"),
        (lambda: ista(A, Y, soft, 0), "lam must be a positive number, got 0"),
        (lambda: ista(A, Y, soft, math.nan), "lam must be a positive number, got nan"),
        (lambda: fista(A, Y, soft, -0.5), "lam must be a positive number, got -0.5"),
        (lambda: tv(A, Y, 0), "lam must be a positive number, got 0"),
        (lambda: admm(A, Y, soft, 0, rho=1), "lam must be a positive number, got 0"),
        (lambda: admm(A, Y, soft, 1, rho=0), "rho must be a positive number, got 0"),
        (lambda: admm(A, Y, soft, 1, rho=math.nan), "rho must be a positive number, got nan"),
        (lambda: admm(A, Y, soft, 1, rho=1, inner=0), "inner must be a positive number, got 0"),
        (lambda: gauss_newton(decay, TRUTH, damping=0), "damping must be a positive number, got 0"),
        (lambda: haar(Y), r"Sides \(15, 9\) are no multiples of 8"),
        (lambda: wavelet_shrink(Y, 0.1), r"Sides \(15, 9\) are no multiples of 8"),
        (lambda: wavelet_shrink(Y[..., :8, :6], 0.1, 2), r"Sides \(8, 6\) are no multiples of 4"),
    ],
)
def test_what_cannot_be_done_is_named(call: Callable, message: str):
    with pytest.raises(ValueError, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("solve", [landweber, cgls, ista, fista, tv, admm, gauss_newton])
def test_solvers_show_their_names_and_docstrings(solve: Callable):
    assert solve is getattr(solvers, solve.__name__)
    assert inspect.getdoc(solve)
