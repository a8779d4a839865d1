"""helpers.physics against adjoints, closed forms, brute force and well-kept libraries."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import skimage
import torch
import torch.nn.functional as F
from helpers import physics
from helpers.physics import (
    Blur,
    Downsample,
    FourierMagnitude,
    FourierSampling,
    Identity,
    Mask,
    Operator,
    Radon,
    Warp,
    adjoint_error,
    as_matrix,
    gaussian_kernel,
    lens_grid,
    operator_norm,
)
from helpers.solvers import Gradient
from hypothesis import given, settings
from hypothesis import strategies as st
from nbsource import ROOT
from torch import Tensor

few = settings(max_examples=12, deadline=None, derandomize=True)
seeds = st.integers(0, 10**6)
f64 = torch.float64


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int, dtype: torch.dtype = f64) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=dtype)


def uniform(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator(seed), dtype=f64)


def odd(n: int) -> int:
    """The largest odd number up to n and 5."""
    return min(n - 1 + n % 2, 5)


def some(seed: int, *shape: int) -> Tensor:
    """A mask of zeros and ones, with at least one 1."""
    mask = uniform(seed, *shape).round()
    mask.flatten()[seed % mask.numel()] = 1
    return mask


# Each takes the sides of the images, a factor that divides both, and a seed.
LINEAR: dict[str, Callable[[int, int, int, int], Operator]] = {
    "Identity": lambda H, W, s, seed: Identity(),
    "Mask": lambda H, W, s, seed: Mask(some(seed, H, W)),
    "Blur": lambda H, W, s, seed: Blur(normal(seed, odd(H), odd(W))),
    "Downsample": lambda H, W, s, seed: Downsample(s),
    "FourierSampling": lambda H, W, s, seed: FourierSampling(some(seed, H, W)),
    "Radon": lambda H, W, s, seed: Radon(
        (H, W), torch.cat([torch.tensor([0, 45, 90]), 540 * uniform(seed, 4) - 180]),
        detectors=None if seed % 2 else 1 + seed % (H + W),
    ),
    "Warp": lambda H, W, s, seed: Warp(3 * uniform(seed, W + 1, H, 2) - 1.5, (H, W)),
    "Gradient": lambda H, W, s, seed: Gradient(),
}  # fmt: skip
linear = pytest.mark.parametrize("name", LINEAR)
cases = {"seed": seeds, "s": st.integers(1, 3), "h": st.integers(2, 5), "w": st.integers(2, 5)}


# ---------------------------------------------------------------- every linear operator


@linear
@pytest.mark.parametrize(("dtype", "bar"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@few
@given(**cases, n=st.integers(1, 3), c=st.integers(1, 3))
def test_adjoint(name: str, dtype: torch.dtype, bar: float, seed, s, h, w, n, c):
    """<A x, y> = <x, A* y>, on sides of 2 to 15, odd and even."""
    A = LINEAR[name](s * h, s * w, s, seed).to(dtype)
    x = normal(seed + 1, n, c, s * h, s * w, dtype=dtype)
    Ax = A(x)
    assert Ax.dtype in (dtype, dtype.to_complex())
    y = normal(seed + 2, *Ax.shape, dtype=Ax.dtype)
    back = A.adjoint(y)
    assert (back.shape, back.dtype) == (x.shape, dtype)
    error = (Ax * y.conj()).real.sum() - (x * back).sum()
    assert error.abs() <= bar * Ax.norm() * y.norm()


@linear
@few
@given(**cases)
def test_both_ways_are_linear_and_each_image_has_its_own(name: str, seed, s, h, w):
    A = LINEAR[name](s * h, s * w, s, seed).double()
    for there in (A, A.adjoint):
        x = normal(seed + 1, 2, 3, s * h, s * w)
        if there is not A:
            x = normal(seed + 2, *A(x).shape, dtype=A(x).dtype)
        y = there(x)
        alone = [
            torch.cat([there(x[i : i + 1, ..., c : c + 1, :, :]) for c in range(3)], -3)
            for i in range(2)
        ]
        torch.testing.assert_close(torch.cat(alone), y)
        torch.testing.assert_close(there(2 * x[:1] - 3 * x[1:]), 2 * y[:1] - 3 * y[1:])


@linear
def test_gradients_flow_both_ways(name: str):
    A = LINEAR[name](4, 6, 2, 7).double()
    x = normal(0, 1, 2, 4, 6).requires_grad_()
    y = normal(1, *A(x).shape, dtype=A(x).dtype).requires_grad_()
    for there, start in ((A, x), (A.adjoint, y)):
        assert torch.autograd.gradcheck(there, start)
        assert torch.autograd.gradgradcheck(lambda x, there=there: there(x) ** 2, start)
    (grad,) = torch.autograd.grad(A(x), x, y)
    torch.testing.assert_close(grad, A.adjoint(y))  # what back-propagation does is the adjoint


@linear
def test_state_lives_in_the_module(name: str):
    A = LINEAR[name](6, 4, 2, 3)
    tensors = [v for m in A.modules() for v in vars(m).values() if isinstance(v, Tensor)]
    assert not tensors  # only buffers follow .to and .double
    assert not list(A.parameters())
    x = normal(0, 2, 1, 6, 4)
    single = A.float()(x.float())
    assert single.dtype in (torch.float32, torch.complex64)
    double = A.double()(x)
    assert double.dtype in (torch.float64, torch.complex128)
    assert all(b.dtype == f64 for b in A.buffers() if b.is_floating_point())
    torch.testing.assert_close(double.to(single.dtype), single, atol=1e-5, rtol=1e-5)
    assert A(x.float()).dtype == single.dtype  # the data decide, whatever the operator holds


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@linear
def test_on_a_gpu(name: str):
    x = normal(0, 2, 3, 6, 4)
    A = LINEAR[name](6, 4, 2, 3).double()
    y = A(x)
    back = A.adjoint(y)
    A = A.to("cuda")
    torch.testing.assert_close(A(x.cuda()).cpu(), y)
    torch.testing.assert_close(A.adjoint(y.cuda()).cpu(), back)


# ---------------------------------------------------------------- the tools for operators


@linear
@few
@given(**cases)
def test_as_matrix_holds_the_operator(name: str, seed, s, h, w):
    A = LINEAR[name](s * h, s * w, s, seed).double()
    M = as_matrix(A, (s * h, s * w))
    x = normal(seed + 1, 1, 1, s * h, s * w)
    y = A(x)
    flat = torch.view_as_real(y) if y.is_complex() else y  # real and imaginary part in turn
    assert M.dtype == f64
    torch.testing.assert_close(M @ x.flatten(), flat.flatten())
    torch.testing.assert_close(M.T @ flat.flatten(), A.adjoint(y).flatten())


@linear
@settings(few, max_examples=5)
@given(**cases)
def test_operator_norm_is_the_largest_singular_value(name: str, seed, s, h, w):
    A = LINEAR[name](s * h, s * w, s, seed).double()
    largest = torch.linalg.matrix_norm(as_matrix(A, (s * h, s * w)), 2).item()
    x = normal(seed, 2, 1, s * h, s * w)
    state = torch.get_rng_state()
    assert 0.95 * largest < operator_norm(A, x) < largest * (1 + 1e-9)
    assert operator_norm(A, x, 300) == pytest.approx(largest, rel=2e-3)
    assert torch.equal(torch.get_rng_state(), state)  # it has random numbers of its own


def test_operator_norm_in_single_precision():
    A = Radon((16, 16), torch.arange(0, 180, 10))
    largest = torch.linalg.matrix_norm(as_matrix(A, (16, 16)), 2).item()
    assert operator_norm(A, torch.zeros(1, 1, 16, 16)) == pytest.approx(largest, rel=1e-4)


class Shifted(Blur):
    """A blur whose adjoint forgot to take the complex conjugate."""

    def adjoint(self, y: Tensor) -> Tensor:
        return self(y)


class Unconjugated(FourierSampling):
    """Its adjoint transforms forwards instead of backwards."""

    def adjoint(self, y: Tensor) -> Tensor:
        plane = torch.fft.ifftshift(self.keep.adjoint(y), (-2, -1))
        return torch.fft.fft2(plane, norm="ortho").real


class Halved(Identity):
    """Its adjoint has half the size that it should have."""

    def adjoint(self, y: Tensor) -> Tensor:
        return y / 2


@pytest.mark.parametrize("A", [Shifted(normal(0, 3, 3)), Unconjugated(some(0, 8, 9)), Halved()])
def test_adjoint_error_sees_a_wrong_adjoint(A: Operator):
    torch.manual_seed(0)
    right = type(A).__bases__[0]
    errors = [adjoint_error(A.double(), (2, 3, 8, 9), f64) for _ in range(20)]
    assert np.median(errors) > 1e-2
    A.adjoint = lambda y: right.adjoint(A, y)
    assert adjoint_error(A, (2, 3, 8, 9), f64) < 1e-15
    assert adjoint_error(A.float(), (2, 3, 8, 9)) < 1e-6


def test_adjoint_error_is_the_stated_ratio():
    """For y -> y / 2 the error is |<x, y>| / 2 over |x| |y|, here of one number: a half."""
    assert adjoint_error(Halved(), (1, 1, 1, 1)) == pytest.approx(0.5)


@few
@given(seed=seeds)
def test_inner_product_of_complex_tensors(seed: int):
    a, b = (normal(seed + i, 3, 4, dtype=torch.complex128) for i in range(2))
    pairs = zip(torch.view_as_real(a).flatten(), torch.view_as_real(b).flatten(), strict=True)
    assert physics.inner(a, b).item() == pytest.approx(sum((p * q).item() for p, q in pairs))
    assert physics.inner(a, a).item() == pytest.approx(a.norm().item() ** 2)


def test_an_operator_without_forward_or_adjoint():
    with pytest.raises(NotImplementedError):
        Operator()(torch.zeros(1, 1, 2, 2))
    with pytest.raises(NotImplementedError, match=r"FourierMagnitude is not linear.*func.vjp"):
        FourierMagnitude().adjoint(torch.zeros(1, 1, 2, 2))


# ---------------------------------------------------------------- masks and blurs


@few
@given(**cases)
def test_a_mask_takes_its_pixels_row_by_row(seed, s, h, w):
    mask, x = some(seed, s * h, s * w), normal(seed + 1, 2, 3, s * h, s * w)
    taken = [x[..., i, j] for i in range(s * h) for j in range(s * w) if mask[i, j]]
    y = Mask(mask)(x)
    assert torch.equal(y, torch.stack(taken, -1)[..., None, :])
    assert torch.equal(Mask(mask.bool())(x), y)
    assert torch.equal(Mask(mask).adjoint(y), torch.where(mask.bool(), x, 0.0))


@few
@given(**cases)
def test_blur_is_a_circular_convolution(seed, s, h, w):
    H, W = s * h, s * w
    x, kernel = normal(seed, 2, 3, H, W), normal(seed + 1, odd(H), odd(W))
    by_hand = torch.zeros_like(x)
    for i in range(H):
        for j in range(W):
            for a in range(odd(H)):
                for b in range(odd(W)):
                    from_row, from_column = i - (a - odd(H) // 2), j - (b - odd(W) // 2)
                    by_hand[..., i, j] += kernel[a, b] * x[..., from_row % H, from_column % W]
    torch.testing.assert_close(Blur(kernel)(x), by_hand)


def test_a_kernel_of_one_pixel_shifts():
    x, kernel = normal(0, 1, 1, 6, 7), torch.zeros(3, 5)
    kernel[2, 1] = 1  # one below the centre, one left of it
    torch.testing.assert_close(Blur(kernel)(x), x.roll((1, -1), (-2, -1)))


@few
@given(seed=seeds, sigma=st.floats(0.3, 2))
def test_blur_with_a_kernel_that_sums_to_one_keeps_the_mean(seed: int, sigma: float):
    x, kernel = uniform(seed, 2, 3, 13, 18), gaussian_kernel(sigma)
    torch.testing.assert_close(Blur(kernel)(x).mean((-2, -1)), x.mean((-2, -1)), atol=1e-6, rtol=0)
    assert operator_norm(Blur(kernel), x) == pytest.approx(1, abs=1e-3)


@few
@given(sigma=st.floats(0.2, 5))
def test_gaussian_kernel(sigma: float):
    kernel = gaussian_kernel(sigma)
    radius = math.ceil(3 * sigma)
    assert kernel.shape == (2 * radius + 1, 2 * radius + 1)
    assert kernel.sum().item() == pytest.approx(1, abs=1e-5)
    d = torch.arange(-radius, radius + 1)
    expected = torch.exp(-(d[:, None] ** 2 + d**2) / (2 * sigma**2))
    torch.testing.assert_close(kernel / kernel[radius, radius], expected)


# ---------------------------------------------------------------- Downsample


@few
@given(**cases)
def test_downsample_is_antialiased_bicubic_interpolation(seed, s, h, w):
    x = normal(seed, 2, 3, s * h, s * w)
    theirs = F.interpolate(x, (h, w), mode="bicubic", antialias=True)
    torch.testing.assert_close(Downsample(s)(x), theirs, atol=1e-12, rtol=0)
    torch.testing.assert_close(Downsample(s)(x.float()), theirs.float(), atol=1e-5, rtol=0)


def test_a_matrix_of_downsample_made_without_gradients_serves_with_them():
    A, x = Downsample(2), normal(0, 1, 1, 46, 46).requires_grad_()
    with torch.inference_mode():
        y = A(x)
    measured = A(x)
    assert torch.equal(measured, y)
    (gradient,) = torch.autograd.grad(measured.square().sum() / 2, x)
    torch.testing.assert_close(gradient, A.adjoint(y))


# ---------------------------------------------------------------- Radon


def disc(shape: tuple[int, int], radius: float, u: float = 0, v: float = 0) -> Tensor:
    """A disc of value 1 about (u, v), counted from the centre to the right and up; its edge pixels
    hold the share of them that it covers."""
    fine = 8
    H, W = (n * fine for n in shape)
    right = (torch.arange(W) - (W - 1) / 2) / fine - u
    up = -(torch.arange(H) - (H - 1) / 2) / fine - v
    inside = (up[:, None] ** 2 + right**2 <= radius**2).double()
    return F.avg_pool2d(inside[None, None], fine)


ANGLES = torch.tensor([0, 10, 30, 44, 45, 60, 90, 107, 135, 150, 180, 211, 270, 333, -20, -95])


@pytest.mark.parametrize("shape", [(64, 64), (63, 63), (80, 61), (50, 75)])
@pytest.mark.parametrize("centre", [(0, 0), (6.5, 3.2), (-4, -7.7)])
def test_radon_of_a_disc_is_its_chords(shape: tuple[int, int], centre: tuple[float, float]):
    """A chord at distance d from the centre of a disc is 2 sqrt(r^2 - d^2) long."""
    u, v = centre
    r = 15.3
    for detectors in (64, 85, None):
        A = Radon(shape, ANGLES, detectors=detectors)
        sinogram = A(disc(shape, r, u, v))
        count = detectors or max(shape)
        assert sinogram.shape == (1, 1, len(ANGLES), count)
        t = ANGLES.double().deg2rad()[:, None]
        d = torch.arange(count) - (count - 1) / 2 - (u * t.cos() + v * t.sin())
        chords = 2 * (r**2 - d**2).clamp(min=0).sqrt()
        error = (sinogram[0, 0] - chords).norm(dim=1) / chords.norm(dim=1)
        assert error.max() < 0.035  # the chords fall steeply at the edge
        well_inside = d.abs() < r - 3
        assert (sinogram[0, 0] - chords).abs()[well_inside].max() < 0.4  # of up to 30.6


def test_radon_agrees_with_skimage():
    """Odd sides: for even ones skimage turns the image about a pixel beside its centre."""
    phantom = skimage.transform.resize(
        skimage.data.shepp_logan_phantom(), (127, 127), anti_aliasing=True
    )
    angles = torch.arange(0, 360, 7.5)
    theirs = skimage.transform.radon(phantom, angles.numpy(), circle=True).T
    ours = Radon((127, 127), angles)(torch.from_numpy(phantom)[None, None])[0, 0].numpy()
    assert np.linalg.norm(ours - theirs) < 0.005 * np.linalg.norm(theirs)
    assert (np.linalg.norm(ours - theirs, axis=1) < 0.01 * np.linalg.norm(theirs, axis=1)).all()


@few
@given(seed=seeds, H=st.integers(2, 15), W=st.integers(2, 15))
def test_radon_of_a_turned_image(seed: int, H: int, W: int):
    x = normal(seed, 1, 1, H, W)
    t = torch.tensor([0, 17, 44, 46, 90, 123, -60])

    def sinogram(x: Tensor, angles: Tensor) -> Tensor:
        return Radon(tuple(x.shape[-2:]), angles)(x)

    close = {"atol": 1e-5, "rtol": 0}
    y = sinogram(x, t)
    torch.testing.assert_close(sinogram(x.rot90(1, (-2, -1)), t + 90), y, **close)
    torch.testing.assert_close(sinogram(x.rot90(-1, (-2, -1)), t - 90), y, **close)
    torch.testing.assert_close(sinogram(x, t + 360), y, **close)
    torch.testing.assert_close(sinogram(x, t + 180), y.flip(-1), **close)  # from the other side
    torch.testing.assert_close(sinogram(x.flip(-1), 180 - t), y, **close)
    torch.testing.assert_close(sinogram(x.flip(-2), -t), y, **close)
    columns, rows = (Radon((H, W), t[i : i + 1], detectors=n)(x) for i, n in ((0, W), (4, H)))
    torch.testing.assert_close(columns[0, 0, 0], x.sum(-2)[0, 0], **close)
    torch.testing.assert_close(rows[0, 0, 0], x.sum(-1)[0, 0].flip(0), **close)  # s counts upwards


@few
@given(seed=seeds, H=st.integers(20, 40), W=st.integers(20, 40))
def test_radon_keeps_the_mass(seed: int, H: int, W: int):
    """Of a smooth image inside the disc that every view sees, the detectors count everything."""
    smooth = Blur(gaussian_kernel(1.5))(disc((H, W), 6) * uniform(seed, 2, 3, H, W))
    inside = disc((H, W), 9.5).bool()
    x = smooth * inside
    views = Radon((H, W), 360 * uniform(seed + 1, 20))(x).sum(-1)
    torch.testing.assert_close(
        views, x.sum((-2, -1))[..., None].expand_as(views), rtol=2e-3, atol=0
    )


def test_radon_of_more_detectors_sees_the_same_and_more():
    x, angles = normal(0, 1, 1, 12, 9), torch.arange(0, 180, 20)
    fewer, many = (Radon((12, 9), angles, detectors=d)(x) for d in (12, 20))
    torch.testing.assert_close(many[..., 4:-4], fewer)
    assert many[..., 0].abs().max() == 0  # beyond the corners
    assert Radon((12, 9), angles, detectors=1)(x).shape == (1, 1, 9, 1)


def test_nothing_is_printed_where_an_operator_is_built():
    """In a fresh process, since PyTorch warns of its sparse format only once."""
    code = """
import torch
from helpers.physics import Radon, Warp, lens_grid
for A in (Radon((8, 9), torch.arange(0, 180, 30)), Warp(lens_grid((8, 9), 0.1), (8, 9))):
    x = torch.rand(2, 1, 8, 9, requires_grad=True)
    A.adjoint(A(x)).sum().backward()
    A.double()(x.double())
print("done")
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "notebooks")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


# ---------------------------------------------------------------- Warp and lenses


@few
@given(seed=seeds, H=st.integers(1, 9), W=st.integers(1, 9))
def test_warp_is_grid_sample(seed: int, H: int, W: int):
    x = normal(seed, 2, 3, H, W)
    grid = 4 * uniform(seed + 1, 7, 6, 2) - 2  # half of the places lie outside
    grid[0] = grid[0].clamp(-1, 1)
    centres = (2 * torch.arange(6) % torch.tensor([[W], [H]]) + 1) / torch.tensor([[W], [H]]) - 1
    grid[1] = centres.T  # exactly on pixels, or between two of them
    grid[2] = torch.tensor([1, -1]) * (1 + 1e-3)  # beyond a corner, where a quarter pixel reaches
    theirs = F.grid_sample(
        x, grid.expand(2, -1, -1, -1), mode="bilinear", padding_mode="zeros", align_corners=False
    )
    torch.testing.assert_close(Warp(grid, (H, W))(x), theirs, atol=1e-6, rtol=0)


def test_warp_of_a_grid_with_a_gradient_and_in_single_precision():
    k1 = torch.tensor(0.1, requires_grad=True)
    grid, x = lens_grid((6, 7), k1), normal(0, 1, 1, 6, 7, dtype=torch.float32)
    theirs = F.grid_sample(x, grid[None], align_corners=False)
    torch.testing.assert_close(Warp(grid, (6, 7))(x), theirs.detach(), atol=1e-6, rtol=0)


@few
@given(H=st.integers(1, 9), W=st.integers(1, 9), seed=seeds)
def test_a_lens_without_distortion_is_the_identity(H: int, W: int, seed: int):
    x = normal(seed, 2, 3, H, W)
    grid = lens_grid((H, W), 0.0)
    theirs = F.affine_grid(torch.eye(2, 3)[None], [1, 1, H, W], align_corners=False)[0]
    torch.testing.assert_close(grid, theirs)
    torch.testing.assert_close(Warp(grid, (H, W))(x), x, atol=1e-5, rtol=0)


@few
@given(
    H=st.integers(1, 9), W=st.integers(1, 9), k1=st.floats(-0.5, 0.5), k2=st.floats(-0.5, 0.5)
)  # fmt: skip
def test_a_lens_by_hand(H: int, W: int, k1: float, k2: float):
    grid, half = lens_grid((H, W), k1, k2), max(H, W) / 2
    for i in range(H):
        for j in range(W):
            u, v = j - (W - 1) / 2, i - (H - 1) / 2  # in pixels from the centre
            r = math.hypot(u, v) / half
            stretch = 1 + k1 * r**2 + k2 * r**4
            expected = (u * stretch / (W / 2), v * stretch / (H / 2))
            assert grid[i, j].tolist() == pytest.approx(expected, abs=1e-6)


def test_a_barrel_pulls_inwards_and_a_cushion_pushes_outwards():
    x = disc((41, 41), 2.5, u=12)
    right = torch.arange(41) - 20.0

    def place(k1: float) -> float:
        seen = Warp(lens_grid((41, 41), k1), (41, 41))(x)
        return ((seen * right).sum() / seen.sum()).item()

    assert place(0) == pytest.approx(12, abs=1e-3)
    assert place(0.3) < 11.5
    assert place(-0.3) > 12.5


def test_a_lens_can_be_fitted():
    """The grid is linear in k1 and k2, so its derivatives are differences."""
    at = torch.tensor([0.1, 0])
    derivative = torch.autograd.functional.jacobian(lambda k: lens_grid((5, 8), k[0], k[1]), at)
    for i, k in enumerate([(1.0, 0.0), (0.0, 1.0)]):
        difference = lens_grid((5, 8), *k) - lens_grid((5, 8), 0.0)
        torch.testing.assert_close(derivative[..., i], difference)
    k1 = torch.tensor(0.1, requires_grad=True)
    x = disc((9, 9), 2, u=1)
    F.grid_sample(
        x.float(), lens_grid((9, 9), k1)[None], align_corners=False
    ).square().sum().backward()
    assert k1.grad.abs() > 0.1


# ---------------------------------------------------------------- Fourier


@few
@given(seed=seeds, H=st.integers(1, 9), W=st.integers(1, 9))
def test_fourier_sampling_of_everything_is_unitary(seed: int, H: int, W: int):
    A, x = FourierSampling(torch.ones(H, W)), normal(seed, 2, 3, H, W)
    y = A(x)
    torch.testing.assert_close(y.abs().square().sum(), x.square().sum())
    torch.testing.assert_close(A.adjoint(y), x)
    assert y.shape == (2, 3, 1, H * W)
    constant = A.keep.adjoint(A(torch.ones(1, 1, H, W, dtype=f64)))[0, 0]
    expected = torch.zeros(H, W, dtype=torch.complex128)
    expected[H // 2, W // 2] = math.sqrt(H * W)  # zero frequency stands in the middle
    torch.testing.assert_close(constant, expected)


def test_fourier_sampling_measures_where_the_mask_is_one():
    mask = torch.zeros(8, 9)
    mask[4 + 3, 4 - 2] = mask[0, 0] = 1  # the second: 3 waves down, 2 to the left
    i, j = torch.arange(8, dtype=f64)[:, None] / 8, torch.arange(9, dtype=f64) / 9
    wave = torch.cos(2 * math.pi * (3 * i - 2 * j) + 0.4)[None, None]
    y = FourierSampling(mask)(wave).flatten()
    expected = math.sqrt(72) / 2 * torch.exp(torch.tensor(0.4j, dtype=torch.complex128))
    torch.testing.assert_close(y, torch.stack([0 * expected, expected]))
    assert FourierSampling(mask)(wave.flip(-1)).abs().max() < 1e-12  # these go to the right


@few
@given(
    seed=seeds, down=st.integers(0, 5), right=st.integers(0, 4), padding=st.integers(1, 3)
)  # fmt: skip
def test_fourier_magnitude_forgets_where_and_which_way_round(seed, down, right, padding):
    A, x = FourierMagnitude(padding), torch.zeros(2, 1, 8, 9, dtype=f64)
    x[..., :3, :5] = uniform(seed, 2, 1, 3, 5)
    y = A(x)
    assert y.shape == (2, 1, 8 * padding, 9 * padding)
    assert y.min() >= 0
    torch.testing.assert_close(y.norm(), x.norm())
    torch.testing.assert_close(A(x.roll((down, right), (-2, -1))), y)
    torch.testing.assert_close(A(x.flip(-2, -1)), y)
    assert (A(x.flip(-1)) - y).norm() > 1e-2 * y.norm()  # but a mirror image is another image
    if padding > 1:  # the squares are the transform of the autocorrelation, of lag 0 first
        lags = torch.fft.ifft2(y.square(), norm="backward").real * math.prod(y.shape[-2:])
        torch.testing.assert_close(lags[..., 0, 0], x.square().sum((-2, -1)))
        torch.testing.assert_close(
            lags[..., 2, 3], (x[..., 2:, 3:] * x[..., :-2, :-3]).sum((-2, -1))
        )


def test_fourier_magnitude_is_differentiable():
    x = uniform(0, 1, 1, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(FourierMagnitude(), x)


# ---------------------------------------------------------------- noise

N = 400_000
y_real = torch.full((N,), 0.3, dtype=f64)


def within(value: Tensor, expected: float, standard_error: float) -> bool:
    return abs(value.item() - expected) < 4 * standard_error


@pytest.mark.parametrize("sigma", [0.02, 1.5])
def test_gaussian_noise(sigma: float):
    torch.manual_seed(0)
    n = physics.gaussian(y_real, sigma) - y_real
    assert n.dtype == f64
    assert within(n.mean(), 0, sigma / N**0.5)
    assert within(n.var(), sigma**2, sigma**2 * (2 / N) ** 0.5)
    assert within((n / sigma).pow(4).mean(), 3, (96 / N) ** 0.5)  # the kurtosis of a Gaussian
    assert within((n[1:] * n[:-1]).mean(), 0, sigma**2 / N**0.5)


def test_complex_gaussian_noise():
    torch.manual_seed(0)
    sigma = 0.7
    y = torch.complex(y_real, -y_real)
    n = physics.gaussian(y, sigma) - y
    assert n.dtype == torch.complex128
    assert within(n.abs().square().mean(), sigma**2, sigma**2 / N**0.5)
    for part in (n.real, n.imag):
        assert within(part.mean(), 0, sigma / (2 * N) ** 0.5)
        assert within(part.var(), sigma**2 / 2, sigma**2 / 2 * (2 / N) ** 0.5)
    assert within((n.real * n.imag).mean(), 0, sigma**2 / 2 / N**0.5)


@pytest.mark.parametrize("photons", [2, 50.5, 1e4])
def test_poisson_noise(photons: float):
    torch.manual_seed(0)
    noisy = physics.poisson(y_real, photons)
    assert noisy.dtype == f64
    variance = 0.3 / photons
    assert within(noisy.mean(), 0.3, (variance / N) ** 0.5)
    kurtosis = 3 + 1 / (0.3 * photons)
    assert within(noisy.var(), variance, variance * ((kurtosis - 1) / N) ** 0.5)
    counts = noisy * photons
    torch.testing.assert_close(counts, counts.round())
    assert physics.poisson(torch.zeros(5), photons).tolist() == [0] * 5


@pytest.mark.parametrize("share", [0, 0.1, 0.6, 1])
def test_salt_and_pepper_noise(share: float):
    torch.manual_seed(0)
    noisy = physics.salt_and_pepper(y_real, share)
    assert set(noisy.unique().tolist()) <= {0.0, 0.3, 1.0}
    for value, expected in ((0, share / 2), (1, share / 2), (0.3, 1 - share)):
        error = (expected * (1 - expected) / N) ** 0.5 + 1e-12
        assert within((noisy == value).double().mean(), expected, error)


@pytest.mark.parametrize(
    "noise",
    [
        lambda y: physics.gaussian(y, 0.1),
        lambda y: physics.poisson(y, 10),
        lambda y: physics.salt_and_pepper(y, 0.3),
    ],
)
def test_noise_repeats_with_its_seed(noise: Callable[[Tensor], Tensor]):
    y = uniform(0, 2, 1, 20, 20)
    before = y.clone()
    torch.manual_seed(5)
    first, second = noise(y), noise(y)
    torch.manual_seed(5)
    assert torch.equal(noise(y), first)
    assert not torch.equal(first, second)
    assert torch.equal(y, before)


def test_no_noise():
    assert torch.equal(physics.gaussian(y_real, 0), y_real)
    assert torch.equal(physics.salt_and_pepper(y_real, 0), y_real)


# ---------------------------------------------------------------- what cannot be done

X = torch.zeros(2, 1, 6, 9)
T = torch.arange(4.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Mask(T[:2]), r"A mask is \(H, W\) and holds only 0 and 1; got \(2,\)"),
        (lambda: Mask(T[None]), r"holds only 0 and 1; got \(1, 4\)"),
        (lambda: Mask(T[None, :1] / 0), r"holds only 0 and 1; got \(1, 1\)"),
        (lambda: FourierSampling(T[None]), "holds only 0 and 1"),
        (lambda: Mask(T[None, :1]), "The mask is empty: at least one pixel"),
        (lambda: Mask(T[None, :2])(X), r"The mask is \(1, 2\), the image \(6, 9\)"),
        (lambda: FourierSampling(T[None, :2])(X), r"The mask is \(1, 2\), the image \(6, 9\)"),
        (lambda: Blur(torch.ones(3, 4)), r"odd sides, got \(3, 4\)"),
        (lambda: Blur(torch.ones(2, 3)), r"odd sides, got \(2, 3\)"),
        (lambda: Blur(torch.ones(1, 3, 3)), r"\(h, w\) with odd sides, got \(1, 3, 3\)"),
        (lambda: Blur(torch.ones(7, 3))(X), r"kernel \(7, 3\) is larger than the image \(6, 9\)"),
        (lambda: Blur(torch.ones(3, 11))(X), r"kernel \(3, 11\) is larger"),
        (lambda: gaussian_kernel(0), "sigma must be positive, got 0"),
        (lambda: gaussian_kernel(math.nan), "sigma must be positive, got nan"),
        (lambda: Downsample(0), "positive integer, got 0"),
        (lambda: Downsample(2.0), "positive integer, got 2.0"),
        (lambda: Downsample(2)(X), "A side of 9 is no multiple of 2: crop"),
        (lambda: Downsample(4)(X), "A side of 6 is no multiple of 4: crop"),
        (lambda: Radon((6, 9, 1), T), r"\(height, width\), each at least 2, got \(6, 9, 1\)"),
        (lambda: Radon((1, 9), T), r"each at least 2, got \(1, 9\)"),
        (lambda: Radon((6, 9), T[None]), r"\(views,\) in degrees, got shape \(1, 4\)"),
        (lambda: Radon((6, 9), T[:0]), r"\(views,\) in degrees, got shape \(0,\)"),
        (lambda: Radon((6, 9), T, detectors=0), "at least one detector, got 0"),
        (lambda: Radon((9, 6), T)(X), r"Expected \(N, C, 9, 6\), got \(2, 1, 6, 9\)"),
        (lambda: Radon((6, 9), T)(X[0]), r"Expected \(N, C, 6, 9\), got \(1, 6, 9\)"),
        (lambda: Radon((6, 9), T).adjoint(X), r"Expected \(N, C, 4, 9\), got \(2, 1, 6, 9\)"),
        (lambda: Warp(X, (6, 9)), r"A grid is \(H, W, 2\), got \(2, 1, 6, 9\)"),
        (lambda: Warp(X[0], (6, 9)), r"A grid is \(H, W, 2\), got \(1, 6, 9\)"),
        (lambda: Warp(lens_grid((6, 9), 0), (6, 9))(X.mT), r"Expected \(N, C, 6, 9\)"),
        (lambda: FourierMagnitude(0), "padding must be a positive integer, got 0"),
        (lambda: FourierMagnitude(1.5), "padding must be a positive integer, got 1.5"),
        (lambda: physics.gaussian(X, -0.1), "sigma must be at least 0, got -0.1"),
        (lambda: physics.gaussian(X, math.nan), "sigma must be at least 0, got nan"),
        (lambda: physics.poisson(X, 0), "photons, .*, must be positive, got 0"),
        (lambda: physics.poisson(X - 0.5, 9), "cannot be negative, but y reaches -0.5"),
        (lambda: physics.salt_and_pepper(X, 1.1), r"share must lie in \[0, 1\], got 1.1"),
        (lambda: physics.salt_and_pepper(X, -0.1), r"share must lie in \[0, 1\], got -0.1"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_named(call: Callable, message: str):
    with pytest.raises(ValueError, match=message):
        call()
