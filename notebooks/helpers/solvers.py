"""The classical solvers of y = A(x) + n, for any operator of `helpers.physics`; filters for A = I.

An iterative method is written as a generator that yields, for ever, its estimate and the residual
y - A(x). `iterative` turns it into a function that also takes `stop` (when to end) and `watch`
(what else to measure) and returns a `Solution`; no gradient flows through it.
"""

import functools
import itertools
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm

from .physics import Blur, Identity, Operator, Radon, operator_norm


@dataclass(frozen=True)
class Stop:
    """When an iteration ends: as soon as one of these holds. Norms are over the whole batch.

    Attributes:
        steps: so many steps were made.
        residual: |y - A x| is at most this. The discrepancy principle sets it to the norm of the
            noise, or slightly above.
        change: |x_new - x| is at most this times |x_new|.
    """

    steps: int = 200
    residual: float = 0.0
    change: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.residual >= 0 or not self.change >= 0:
            raise ValueError(f"steps must be at least 1, the others 0, got {self}.")


@dataclass(frozen=True)
class Solution:
    """What an iteration found.

    Attributes:
        x: the estimate.
        history: name -> one value a step: "residual" |y - A x|, "change" |x_new - x|, and
            "watch" if something was watched.
        stopped: the rule that ended it: "steps", "residual" or "change".
    """

    x: Tensor
    history: dict[str, list[float]]
    stopped: str


def iterative(method: Callable[..., Iterator[tuple[Tensor, Tensor]]]) -> Callable[..., Solution]:
    """Make a solver of a generator that yields (x, residual), x after each step.

    The solver takes the arguments of the generator, and
        stop: when to end (a `Stop`).
        watch: a function of x whose value is kept in the history at each step.
    It raises FloatingPointError if the residual becomes infinite or NaN.
    """

    @functools.wraps(method)
    @torch.no_grad()
    def solve(
        *args, stop: Stop = Stop(), watch: Callable[[Tensor], float] | None = None, **options
    ) -> Solution:
        history: dict[str, list[float]] = {"residual": [], "change": []}
        if watch is not None:
            history["watch"] = []
        before = None
        steps = tqdm(
            itertools.islice(method(*args, **options), stop.steps), total=stop.steps, leave=False,
            desc=method.__name__, disable="BOOK_STATIC" in os.environ, file=sys.stdout, delay=1,
        )  # fmt: skip
        for x, residual in steps:
            r = residual.norm().item()
            change = math.inf if before is None else (x - before).norm().item()
            if not math.isfinite(r):
                raise FloatingPointError(
                    f"{method.__name__} diverged at step {len(history['residual']) + 1}: take a "
                    f"smaller step, or look for NaN in y."
                )
            history["residual"].append(r)
            history["change"].append(change)
            if watch is not None:
                history["watch"].append(float(watch(x)))
            if r <= stop.residual:
                return Solution(x, history, "residual")
            if change <= stop.change * x.norm().item():
                return Solution(x, history, "change")
            before = x
        return Solution(x, history, "steps")

    return solve


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name} must be a positive number, got {value}.")


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """The real inner product of each pair of images, (N, 1, 1, 1)."""
    return (a * b.conj()).real.flatten(1).sum(1).view(-1, 1, 1, 1)


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and 0 where b is 0: an image that is solved already stays as it is."""
    return torch.where(b > 0, a / b.where(b > 0, 1), 0)


def fbp(A: Radon, y: Tensor, *, window: str = "ramp") -> Tensor:
    """Filtered back-projection (Bracewell and Riddle, 1967; Kak and Slaney, 1988).

    Args:
        A: with angles spread evenly over half a turn.
        y: sinograms (N, C, views, detectors).
        window: "ramp" (|frequency| alone) or "hann" (damped to 0 at the highest frequency).

    Returns:
        Images (N, C, H, W).
    """
    if window not in ("ramp", "hann"):
        raise ValueError(f"window must be 'ramp' or 'hann', got {window!r}.")
    views, detectors = y.shape[-2:]
    size = 2 ** math.ceil(math.log2(2 * detectors))  # padded, or the ends would meet
    n = torch.arange(-size // 2, size // 2, device=y.device)
    # The ramp sampled in space, not in frequency: that keeps the mean right.
    h = torch.zeros(size, dtype=y.dtype, device=y.device)
    odd = n % 2 == 1
    h[n == 0], h[odd] = 1 / 4, -1 / (math.pi * n[odd].to(y.dtype)) ** 2
    H = torch.fft.rfft(torch.fft.ifftshift(h)).real
    if window == "hann":  # falls smoothly from 1 to 0
        whole = torch.hann_window(2 * len(H) - 1, periodic=False, device=y.device)
        H = H * whole[len(H) - 1 :]
    filtered = torch.fft.irfft(torch.fft.rfft(y, size) * H, size)[..., :detectors]
    return A.adjoint(filtered) * (math.pi / views)


def truncated_svd(svd: tuple[Tensor, Tensor, Tensor], y: Tensor, k: int) -> Tensor:
    """The solution in the k leading singular vectors: x = sum of <u_i, y> / s_i v_i over i < k.

    Args:
        svd: U, s, Vh = torch.linalg.svd(M, full_matrices=False) of a matrix M (m, n).
        y: measurements (m,).
        k: how many singular values to trust.
    """
    U, s, Vh = svd
    if not 1 <= k <= len(s):
        raise ValueError(f"k must lie between 1 and {len(s)}, got {k}.")
    if s[k - 1] == 0:
        raise ValueError(f"Singular value {k} is 0: choose a smaller k.")
    return Vh[:k].T @ (U[:, :k].T @ y / s[:k])


def wiener(A: Blur, y: Tensor, sigma: float, spectrum: Tensor) -> Tensor:
    """The best linear estimate, where images are stationary and the noise is white (Wiener, 1949).

    Args:
        A: a blur with transfer function H.
        y: blurred, noisy images (N, C, H, W).
        sigma: standard deviation of the noise.
        spectrum: S, the mean of |FFT(x)|^2 / pixels, (H, W // 2 + 1), of images with mean 0.

    Returns:
        Images with the transform conj(H) S / (|H|^2 S + sigma^2) times that of y.
    """
    _positive(sigma=sigma)
    mean = y.mean((-2, -1), keepdim=True)
    H = A.transfer(y)
    gain = H.conj() * spectrum / (H.abs().square() * spectrum + sigma**2)
    level = mean / A.kernel.sum().to(mean.dtype)  # the mean itself is not random
    return torch.fft.irfft2(torch.fft.rfft2(y - mean) * gain, s=y.shape[-2:]) + level


def power_spectrum(x: Tensor) -> Tensor:
    """The mean of |FFT|^2 / pixels over images of mean 0, as `wiener` takes it.

    Args:
        x: images (N, C, H, W); their means are taken off, and they are faded at the border, where
            they do not repeat.

    Returns:
        (H, W // 2 + 1).
    """
    fade = torch.outer(*[torch.hann_window(n, dtype=x.dtype, device=x.device) for n in x.shape[2:]])
    fade = fade / fade.square().mean().sqrt()
    faded = (x - x.mean((2, 3), keepdim=True)) * fade
    return torch.fft.rfft2(faded).abs().square().mean((0, 1)) / fade.numel()


def box(v: Tensor, r: int) -> Tensor:
    """The mean over windows of (2 r + 1)^2 pixels of images (N, C, H, W), the border repeated."""
    v = F.pad(v, (r, r, r, r), mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(v, (2 * r + 1, 1), 1), (1, 2 * r + 1), 1)


def nonlocal_means(
    y: Tensor, sigma: float, strengths: Sequence[float], *, reach: int = 10, r: int = 3
) -> list[Tensor]:
    """Means over pixels whose surroundings look alike (Buades et al., 2005), for A = I.

    Args:
        y: noisy images (N, C, H, W), more than `reach` pixels a side.
        sigma: standard deviation of the noise.
        strengths: widths h of the weights, in units of sigma; several cost little more than one.
        reach: pixels are sought in a window of (2 reach + 1)^2.
        r: surroundings are patches of (2 r + 1)^2.

    Returns:
        For each strength the images (N, C, H, W).
    """
    _positive(sigma=sigma, strength=min(strengths))
    H, W = y.shape[2:]
    if min(H, W) <= reach:
        raise ValueError(f"An image ({H}, {W}) is too small to reach {reach} pixels far.")
    wide = F.pad(y, (reach,) * 4, mode="reflect")
    total, weight = ([torch.zeros_like(y) for _ in strengths] for _ in range(2))
    for i in range(2 * reach + 1):
        for j in range(2 * reach + 1):
            other = wide[..., i : i + H, j : j + W]  # y_j
            distance = (box((other - y).square(), r) - 2 * sigma**2).clamp(min=0)
            for k, s in enumerate(strengths):
                w = torch.exp(-distance / (s * sigma) ** 2)
                total[k] += w * other
                weight[k] += w
    return [t / w for t, w in zip(total, weight, strict=True)]


@iterative
def landweber(A: Operator, y: Tensor, *, step: float | None = None):
    """Gradient descent on |y - A x|^2 / 2 from x = 0 (Landweber, 1951).

    Args:
        step: below 2 / |A|^2, or it diverges; 1 / |A|^2 if not given.
    """
    x = torch.zeros_like(A.adjoint(y))
    if step is None:
        step = 1 / operator_norm(A, x) ** 2
    _positive(step=step)
    r = y
    while True:
        x = x + step * A.adjoint(r)
        r = y - A(x)
        yield x, r


@iterative
def cgls(A: Operator, y: Tensor, *, lam: float = 0.0, x: Tensor | None = None):
    """Conjugate gradients on A* A x + lam x = A* y (Hestenes and Stiefel, 1952).

    With lam = 0 it solves least squares, and stopping it early regularises; with lam > 0 it
    minimises |y - A x|^2 / 2 + lam |x|^2 / 2, which is Tikhonov's solution (1963).

    Args:
        lam: weight of |x|^2 / 2.
        x: where to start; 0 if not given.
    """
    if not lam >= 0:
        raise ValueError(f"lam must be at least 0, got {lam}.")
    x = torch.zeros_like(A.adjoint(y)) if x is None else x
    r = y - A(x)
    s = A.adjoint(r) - lam * x  # minus the gradient
    p, gamma = s, _dot(s, s)
    while True:
        q = A(p)
        # <s, p> is gamma until s is mere rounding error; then gamma would diverge.
        alpha = _ratio(_dot(s, p), _dot(q, q) + lam * _dot(p, p))
        x, r = x + alpha * p, r - alpha * q
        s = A.adjoint(r) - lam * x
        new = _dot(s, s)
        p, gamma = s + _ratio(new, gamma) * p, new
        yield x, r


@iterative
def ista(A: Operator, y: Tensor, prox: Callable[[Tensor, float], Tensor], lam: float):
    """Proximal gradient descent on |y - A x|^2 / 2 + lam R(x) (Daubechies et al., 2004).

    Args:
        prox: (v, t) -> argmin over x of |x - v|^2 / 2 + t R(x), such as `wavelet_shrink`.
        lam: weight of R.
    """
    _positive(lam=lam)
    x = torch.zeros_like(A.adjoint(y))
    step = 1 / operator_norm(A, x) ** 2
    r = y
    while True:
        x = prox(x + step * A.adjoint(r), step * lam)
        r = y - A(x)
        yield x, r


@iterative
def fista(A: Operator, y: Tensor, prox: Callable[[Tensor, float], Tensor], lam: float):
    """`ista` with Nesterov's momentum (Beck and Teboulle, 2009): the same arguments, the same
    minimum, error O(1/k^2) in place of O(1/k)."""
    _positive(lam=lam)
    x = v = torch.zeros_like(A.adjoint(y))
    step = 1 / operator_norm(A, x) ** 2
    r = r_v = y  # residuals of x and of v
    t = 1.0
    while True:
        new = prox(v + step * A.adjoint(r_v), step * lam)
        r_new = y - A(new)
        t_new = (1 + math.sqrt(1 + 4 * t**2)) / 2
        momentum = (t - 1) / t_new
        v = new + momentum * (new - x)
        r_v = r_new + momentum * (r_new - r)  # A is linear
        x, r, t = new, r_new, t_new
        yield x, r


def haar(x: Tensor, levels: int = 3) -> Tensor:
    """The orthonormal Haar transform W x, coarsest means at the top left (Haar, 1910).

    Args:
        x: images (N, C, H, W) whose sides are multiples of 2^levels.
    """
    if levels < 0:
        raise ValueError(f"levels must be at least 0, got {levels}.")
    if any(side % 2**levels for side in x.shape[-2:]):
        raise ValueError(f"Sides {tuple(x.shape[-2:])} are no multiples of {2**levels}.")
    if levels == 0:
        return x
    a, b = x[..., ::2, ::2], x[..., ::2, 1::2]
    c, d = x[..., 1::2, ::2], x[..., 1::2, 1::2]
    top = torch.cat([haar((a + b + c + d) / 2, levels - 1), (a - b + c - d) / 2], -1)
    bottom = torch.cat([(a + b - c - d) / 2, (a - b - c + d) / 2], -1)
    return torch.cat([top, bottom], -2)


def haar_inverse(w: Tensor, levels: int = 3) -> Tensor:
    """The inverse of `haar`, which is its adjoint."""
    if levels == 0:
        return w
    top, bottom = w.chunk(2, -2)
    (m, u), (v, q) = top.chunk(2, -1), bottom.chunk(2, -1)
    m = haar_inverse(m, levels - 1)
    blocks = torch.stack([m + u + v + q, m - u + v - q, m + u - v - q, m - u - v + q], 2) / 2
    return F.pixel_shuffle(blocks.flatten(1, 2), 2)


def wavelet_shrink(x: Tensor, t: float, levels: int = 3) -> Tensor:
    """The prox of t times the sum of |details|: soft-threshold all but the coarsest means.

    Args:
        x: images (N, C, H, W) whose sides are multiples of 2^levels.
    """
    w = haar(x, levels)
    h, v = (side >> levels for side in x.shape[-2:])
    shrunk = F.softshrink(w, t)
    shrunk[..., :h, :v] = w[..., :h, :v]
    return haar_inverse(shrunk, levels)


class Gradient(Operator):
    """Forward differences, down and to the right: (N, C, H, W) -> (N, 2, C, H, W); 0 at the end."""

    def forward(self, x: Tensor) -> Tensor:
        down = F.pad(x.diff(dim=-2), (0, 0, 0, 1))
        right = F.pad(x.diff(dim=-1), (0, 1))
        return torch.stack([down, right], 1)

    def adjoint(self, y: Tensor) -> Tensor:
        down, right = y[:, 0, ..., :-1, :], y[:, 1, ..., :, :-1]
        vertical = F.pad(down, (0, 0, 1, 1)).diff(dim=-2)
        return -vertical - F.pad(right, (1, 1)).diff(dim=-1)


def _length(v: Tensor) -> Tensor:
    """Of each pixel's gradient vector (N, 2, C, H, W): (N, 1, C, H, W)."""
    return v.square().sum(1, keepdim=True).sqrt()  # v.norm(dim=1) takes many times as long


def total_variation(x: Tensor) -> float:
    """The sum of the lengths of the gradient over all pixels (Rudin, Osher and Fatemi, 1992)."""
    return _length(Gradient()(x)).sum().item()


def shrink(v: Tensor, t: float) -> Tensor:
    """Shorten each pixel's gradient vector (N, 2, C, H, W) by t, at most to 0."""
    length = _length(v)
    return v * _ratio((length - t).clamp(min=0), length)


@iterative
def tv(A: Operator, y: Tensor, lam: float):
    """Minimise |y - A x|^2 / 2 + lam TV(x) by the primal-dual method of Chambolle and Pock (2011).

    Args:
        lam: weight of the total variation.
    """
    _positive(lam=lam)
    grad = Gradient()
    x = torch.zeros_like(A.adjoint(y))
    L2 = operator_norm(A, x) ** 2
    tau = 0.3 / math.sqrt(L2 * lam)  # 0.3: measured on CT, MRI, blur, mask and noise
    sigma_p, sigma_q = 0.5 / (tau * L2), 0.5 / (tau * 8)  # |grad|^2 <= 8
    p, q = torch.zeros_like(y), torch.zeros_like(grad(x))
    Ax, Ax_bar, x_bar = A(x), A(x), x
    while True:
        p = (p + sigma_p * (Ax_bar - y)) / (1 + sigma_p)
        q = q + sigma_q * grad(x_bar)
        q = q / (_length(q) / lam).clamp(min=1)
        new = x - tau * (A.adjoint(p) + grad.adjoint(q))
        A_new = A(new)
        x_bar, Ax_bar = 2 * new - x, 2 * A_new - Ax  # A is linear
        x, Ax = new, A_new
        yield x, y - Ax


@iterative
def admm(
    A: Operator, y: Tensor, prox: Callable[[Tensor, float], Tensor], lam: float, *,
    rho: float, K: Operator | None = None, inner: int = 10,
):  # fmt: skip
    """Minimise |y - A x|^2 / 2 + lam R(K x) by splitting z = K x (Boyd et al., 2011).

    Args:
        prox: (v, t) -> argmin over z of |z - v|^2 / 2 + t R(z): `shrink` for total variation.
        lam: weight of R.
        rho: weight of |K x - z|^2 / 2; it changes the speed, not the answer.
        K: a linear operator, such as `Gradient()`; the identity if not given.
        inner: steps of conjugate gradients in each step.
    """
    _positive(lam=lam, rho=rho, inner=inner)
    K = Identity() if K is None else K
    b = A.adjoint(y)
    x = torch.zeros_like(b)
    z = u = torch.zeros_like(K(x))
    while True:
        target = b + rho * K.adjoint(z - u)
        x = _cg(lambda v: A.adjoint(A(v)) + rho * K.adjoint(K(v)), target, x, inner)
        Kx = K(x)
        z = prox(Kx + u, lam / rho)
        u = u + Kx - z
        yield x, y - A(x)


def _cg(M: Callable[[Tensor], Tensor], b: Tensor, x: Tensor, steps: int) -> Tensor:
    """`steps` of conjugate gradients on M(x) = b, for a symmetric positive definite M."""
    r = b - M(x)
    p, gamma = r, _dot(r, r)
    for _ in range(steps):
        q = M(p)
        alpha = _ratio(_dot(r, p), _dot(p, q))  # as in `cgls`, safe past convergence
        x, r = x + alpha * p, r - alpha * q
        new = _dot(r, r)
        p, gamma = r + _ratio(new, gamma) * p, new
    return x


@iterative
def gauss_newton(residual: Callable, theta: Tensor, *, damping: float = 1e-3):
    """Least squares |residual(theta)|^2 / 2 by damped Gauss-Newton steps (Levenberg, 1944;
    Marquardt, 1963).

    Args:
        residual: parameters (p,) -> y - A(theta), flat (m,), differentiable in forward mode.
        theta: where to start, (p,).
        damping: of the first step; it adapts, so that no step makes the residual longer.
    """
    _positive(damping=damping)
    r = residual(theta)
    while True:
        with warnings.catch_warnings():  # of a part of PyTorch that it calls old
            warnings.simplefilter("ignore", FutureWarning)
            J = torch.func.jacfwd(residual)(theta)  # (m, p)
        H, g = J.T @ J, J.T @ r
        for _ in range(30):
            scale = H.diag().clamp(min=1e-12).diag()  # also if a parameter has no effect
            trial = theta - torch.linalg.solve(H + damping * scale, g)
            r_trial = residual(trial)
            if r_trial.norm() < r.norm():
                theta, r, damping = trial, r_trial, damping / 4
                break
            damping *= 4
        yield theta, r  # unchanged if no step was short enough: that ends it
