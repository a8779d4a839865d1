"""The physics of a measurement, y = A(x) + n: forward operators A with their adjoints, and noise n.

An operator is a PyTorch module: `A(x)` measures a batch of images, `A.adjoint(y)` carries
measurements back, `A.to(device)` and `A.double()` move it, and gradients flow through both ways.
Images are (N, C, H, W). The inner product of complex measurements is the real part of the usual
one, so that images stay real.
"""

import functools
import math
import warnings

import numpy as np
import scipy.sparse
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Operator(nn.Module):
    """A forward operator. A linear one has an adjoint: <A(x), y> = <x, A.adjoint(y)>."""

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def adjoint(self, y: Tensor) -> Tensor:
        raise NotImplementedError(
            f"{type(self).__name__} is not linear, so it has no adjoint; "
            f"torch.func.vjp gives the adjoint of its derivative at a point."
        )


class Identity(Operator):
    """y = x: denoising."""

    def forward(self, x: Tensor) -> Tensor:
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        return y


class Mask(Operator):
    """Measures some of the pixels: images (N, C, H, W) -> their m numbers (N, C, 1, m).

    The adjoint puts them back where they came from, among zeros.

    Args:
        mask: (H, W), 1 or True where a pixel is measured, else 0.
    """

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        if mask.ndim != 2 or ((mask != 0) & (mask != 1)).any():
            raise ValueError(f"A mask is (H, W) and holds only 0 and 1; got {tuple(mask.shape)}.")
        if not mask.any():
            raise ValueError("The mask is empty: at least one pixel has to be measured.")
        self.shape = tuple(mask.shape)
        self.register_buffer("index", mask.flatten().nonzero()[:, 0])

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[-2:]) != self.shape:
            raise ValueError(f"The mask is {self.shape}, the image {tuple(x.shape[-2:])}.")
        return x.flatten(-2).index_select(-1, self.index).unsqueeze(-2)

    def adjoint(self, y: Tensor) -> Tensor:
        x = y.new_zeros(*y.shape[:-2], math.prod(self.shape))
        return x.index_copy(-1, self.index, y.squeeze(-2)).unflatten(-1, self.shape)


class Blur(Operator):
    """Convolution with a kernel whose centre is its middle pixel; the image repeats periodically.

    By the convolution theorem it is a product in the Fourier domain, and its adjoint the product
    with the complex conjugate.

    Args:
        kernel: (h, w) with odd sides, no larger than the images.
    """

    def __init__(self, kernel: Tensor) -> None:
        super().__init__()
        if kernel.ndim != 2 or not all(side % 2 for side in kernel.shape):
            raise ValueError(f"A kernel is (h, w) with odd sides, got {tuple(kernel.shape)}.")
        self.register_buffer("kernel", kernel)

    def transfer(self, x: Tensor) -> Tensor:
        """The kernel's transfer function for images like x, complex (H, W // 2 + 1)."""
        (h, w), (H, W) = self.kernel.shape, x.shape[-2:]
        if h > H or w > W:
            raise ValueError(f"The kernel ({h}, {w}) is larger than the image ({H}, {W}).")
        padded = F.pad(self.kernel.to(x.dtype), (0, W - w, 0, H - h))
        return torch.fft.rfft2(padded.roll((-(h // 2), -(w // 2)), (0, 1)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(x) * self.transfer(x), s=x.shape[-2:])

    def adjoint(self, y: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(y) * self.transfer(y).conj(), s=y.shape[-2:])


def gaussian_kernel(sigma: float) -> Tensor:
    """A Gaussian of standard deviation `sigma` pixels, cut at three of them; sums to 1."""
    if not sigma > 0:
        raise ValueError(f"sigma must be positive, got {sigma}.")
    radius = math.ceil(3 * sigma)
    g = torch.exp(-torch.arange(-radius, radius + 1).square() / (2 * sigma**2))
    return torch.outer(g, g) / g.sum() ** 2


class Downsample(Operator):
    """Shrinks images s times by antialiased bicubic interpolation, as `F.interpolate` does.

    It is linear and separable, y = R_H x R_W^T, so its adjoint is R_H^T y R_W.

    Args:
        s: the factor; it divides the height and the width of the images.
    """

    def __init__(self, s: int) -> None:
        super().__init__()
        if not isinstance(s, int) or s < 1:
            raise ValueError(f"The factor must be a positive integer, got {s!r}.")
        self.s = s

    def _matrix(self, length: int, like: Tensor) -> Tensor:
        if length % self.s:
            raise ValueError(f"A side of {length} is no multiple of {self.s}: crop the image.")
        return _shrinking(length, self.s, like.dtype, like.device)

    def forward(self, x: Tensor) -> Tensor:
        return self._matrix(x.shape[-2], x) @ x @ self._matrix(x.shape[-1], x).T

    def adjoint(self, y: Tensor) -> Tensor:
        R_H, R_W = (self._matrix(side * self.s, y) for side in y.shape[-2:])
        return R_H.T @ y @ R_W


@functools.lru_cache(maxsize=64)  # an iteration asks for the same ones in every step
def _shrinking(length: int, s: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """R, (length / s, length): each row holds the weights of one wide pixel."""
    with torch.inference_mode(False):  # or a later gradient could not use it
        eye = torch.eye(length, dtype=dtype, device=device)[None, None]
        return F.interpolate(eye, (length // s, length), mode="bicubic", antialias=True)[0, 0]


class _SparseProduct(torch.autograd.Function):
    """Columns x -> M x. Its gradient is the same function with M and M^T exchanged."""

    @staticmethod
    def forward(ctx, x: Tensor, M: Tensor, MT: Tensor) -> Tensor:
        ctx.matrices = MT, M
        return M @ x

    @staticmethod
    def backward(ctx, g: Tensor) -> tuple[Tensor, None, None]:
        return _SparseProduct.apply(g, *ctx.matrices), None, None


class SparseOperator(Operator):
    """An operator whose weights stand in one sparse matrix, and those of its adjoint in another.

    Args:
        matrix: (pixels of y, pixels of x), pixels counted row by row.
        x_shape, y_shape: height and width of what goes in and of what comes out.
    """

    def __init__(
        self, matrix: scipy.sparse.spmatrix, x_shape: tuple[int, int], y_shape: tuple[int, int]
    ) -> None:
        super().__init__()
        self.x_shape, self.y_shape = tuple(x_shape), tuple(y_shape)
        for name, M in (("M", matrix.tocsr()), ("MT", matrix.T.tocsr())):
            # 32-bit indices: half the memory to read, so twice the speed.
            parts = M.indptr.astype(np.int32), M.indices.astype(np.int32), M.data
            with warnings.catch_warnings():  # PyTorch calls the format new, once a process
                warnings.simplefilter("ignore", UserWarning)
                csr = torch.sparse_csr_tensor(
                    *map(torch.from_numpy, parts), M.shape, check_invariants=False
                )
                self.register_buffer(name, csr.float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self._product(x, self.x_shape, self.M, self.MT, self.y_shape)

    def adjoint(self, y: Tensor) -> Tensor:
        return self._product(y, self.y_shape, self.MT, self.M, self.x_shape)

    def _product(
        self, x: Tensor, given: tuple[int, int], M: Tensor, MT: Tensor, shape: tuple[int, int]
    ) -> Tensor:
        if x.ndim != 4 or tuple(x.shape[2:]) != given:
            raise ValueError(f"Expected (N, C, {given[0]}, {given[1]}), got {tuple(x.shape)}.")
        columns = x.flatten(2).flatten(0, 1).T  # (pixels, N * C)
        product = _SparseProduct.apply(columns, M.to(x.dtype), MT.to(x.dtype))
        return product.T.reshape(*x.shape[:2], *shape)


class Radon(SparseOperator):
    """Line integrals along parallel rays (Radon, 1917): images (N, C, H, W) -> sinograms
    (N, C, views, detectors).

    The ray of detector position s at angle t is {(u, v): u cos t + v sin t = s}, with u to the
    right and v up from the centre of the image. Along it the image is interpolated linearly
    between pixel centres (Joseph, 1982). Lengths are in pixels.

    Args:
        shape: height and width of the images.
        angles: in degrees, (views,).
        detectors: how many, one pixel apart; as many as the longer side if not given.
    """

    def __init__(
        self, shape: tuple[int, int], angles: Tensor, *, detectors: int | None = None
    ) -> None:
        if len(shape) != 2 or min(shape) < 2:
            raise ValueError(f"shape is (height, width), each at least 2, got {tuple(shape)}.")
        if angles.ndim != 1 or len(angles) < 1:
            raise ValueError(f"angles are (views,) in degrees, got shape {tuple(angles.shape)}.")
        if detectors is not None and detectors < 1:
            raise ValueError(f"There must be at least one detector, got {detectors}.")
        detectors = detectors or max(shape)
        views = [_joseph(shape, math.radians(angle), detectors) for angle in angles.tolist()]
        super().__init__(scipy.sparse.vstack(views), shape, (len(angles), detectors))
        self.register_buffer("angles", angles.clone(), persistent=False)


def _joseph(shape: tuple[int, int], t: float, detectors: int) -> scipy.sparse.csr_matrix:
    """The rows of the Radon matrix that belong to one angle t, in radians."""
    H, W = shape
    cos, sin = math.cos(t), math.sin(t)
    steep = abs(cos) >= abs(sin)  # such a ray crosses every row of pixels once, others every column
    lines, across = (H, W) if steep else (W, H)
    s = np.arange(detectors)[:, None] - (detectors - 1) / 2
    line = np.arange(lines) - (lines - 1) / 2
    # Where ray s crosses the line, as a pixel number across it. Rows count downwards, v upwards.
    crossing = (s + line * sin) / cos if steep else (line * cos - s) / sin
    crossing += (across - 1) / 2
    low = np.floor(crossing)
    rows, columns, weights = [], [], []
    for pixel, share in ((low, low + 1 - crossing), (low + 1, crossing - low)):
        ray, k = np.nonzero((pixel >= 0) & (pixel < across) & (share > 1e-9))
        i = pixel[ray, k].astype(int)
        rows.append(ray)
        columns.append(k * W + i if steep else i * W + k)
        weights.append(share[ray, k] / max(abs(cos), abs(sin)))
    entries = np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))
    return scipy.sparse.csr_matrix(entries, (detectors, H * W))


class Warp(SparseOperator):
    """Looks images up at given places, bilinearly; outside the image it sees 0.

    Args:
        grid: places (H', W', 2), horizontal then vertical, in units in which the image spans
            [-1, 1]^2, as for `F.grid_sample`.
        shape: height and width of the images.
    """

    def __init__(self, grid: Tensor, shape: tuple[int, int]) -> None:
        if grid.ndim != 3 or grid.shape[2] != 2:
            raise ValueError(f"A grid is (H, W, 2), got {tuple(grid.shape)}.")
        H, W = shape
        at = grid.detach().double().cpu().reshape(-1, 2).numpy()
        column, row = ((at[:, 0] + 1) * W - 1) / 2, ((at[:, 1] + 1) * H - 1) / 2
        matrix = scipy.sparse.csr_matrix((len(at), H * W))
        for down in (0, 1):
            for right in (0, 1):
                i, j = np.floor(row) + down, np.floor(column) + right
                weight = (1 - np.abs(row - i)) * (1 - np.abs(column - j))
                (k,) = np.nonzero((i >= 0) & (i < H) & (j >= 0) & (j < W) & (weight > 1e-9))
                pixel = (i * W + j)[k].astype(int)
                matrix += scipy.sparse.csr_matrix((weight[k], (k, pixel)), matrix.shape)
        super().__init__(matrix, shape, grid.shape[:2])


def lens_grid(shape: tuple[int, int], k1: Tensor | float, k2: Tensor | float = 0.0) -> Tensor:
    """Where a distorting lens looks: at radius r it shows what stands at r (1 + k1 r^2 + k2 r^4)
    in the undistorted image (Brown, 1966). k1 > 0 makes a barrel, k1 < 0 a cushion.

    The radius is counted from the centre in halves of the longer side.

    Returns:
        A grid (H, W, 2) for `Warp`, differentiable in k1 and k2.
    """
    H, W = shape
    v, u = ((torch.arange(n) - (n - 1) / 2) / (max(shape) / 2) for n in shape)
    square = v[:, None] ** 2 + u**2  # (H, W)
    stretch = (1 + k1 * square + k2 * square**2)[..., None]
    fit = torch.tensor([max(shape) / W, max(shape) / H])  # so that each side spans [-1, 1]
    return stretch * torch.stack(torch.meshgrid(u, v, indexing="xy"), -1) * fit


class FourierSampling(Operator):
    """Measures some of the image's frequencies, as a magnetic resonance scanner does: images
    (N, C, H, W) -> complex numbers (N, C, 1, m). The Fourier transform is unitary.

    Args:
        mask: (H, W), 1 or True where a frequency is measured, with frequency zero in the middle.
    """

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.keep = Mask(mask)  # its adjoint shows y in the plane of frequencies

    def forward(self, x: Tensor) -> Tensor:
        return self.keep(torch.fft.fftshift(torch.fft.fft2(x, norm="ortho"), (-2, -1)))

    def adjoint(self, y: Tensor) -> Tensor:
        plane = torch.fft.ifftshift(self.keep.adjoint(y), (-2, -1))
        return torch.fft.ifft2(plane, norm="ortho").real


class FourierMagnitude(Operator):
    """The modulus of the Fourier transform, its phase lost: far-field diffraction. Not linear.

    Args:
        padding: the image is surrounded by zeros to `padding` times its sides first.
    """

    def __init__(self, padding: int = 2) -> None:
        super().__init__()
        if not isinstance(padding, int) or padding < 1:
            raise ValueError(f"padding must be a positive integer, got {padding!r}.")
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        size = [side * self.padding for side in x.shape[-2:]]
        return torch.fft.fft2(x, s=size, norm="ortho").abs()


def gaussian(y: Tensor, sigma: float) -> Tensor:
    """y + n with independent n ~ N(0, sigma^2); for complex y, E|n|^2 = sigma^2."""
    if not sigma >= 0:
        raise ValueError(f"sigma must be at least 0, got {sigma}.")
    return y + sigma * torch.randn_like(y)


def poisson(y: Tensor, photons: float) -> Tensor:
    """Photon counts of mean `photons` * y, divided by `photons`: mean y, variance y / photons."""
    if not photons > 0:
        raise ValueError(f"photons, the mean count where y = 1, must be positive, got {photons}.")
    if y.min() < 0:
        raise ValueError(f"An intensity cannot be negative, but y reaches {y.min():.3g}.")
    return torch.poisson(y * photons) / photons


def salt_and_pepper(y: Tensor, share: float) -> Tensor:
    """Each value is lost with probability `share`, and then is 0 or 1 with equal chances."""
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie in [0, 1], got {share}.")
    lost, salt = torch.rand_like(y) < share, torch.rand_like(y) < 0.5
    return torch.where(lost, salt.to(y.dtype), y)


def inner(a: Tensor, b: Tensor) -> Tensor:
    """The real inner product <a, b>, of complex tensors too."""
    return (a * b.conj()).real.sum()


def adjoint_error(A: Operator, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> float:
    """How far A.adjoint is from being the adjoint of A, on random x of `shape` and random y.

    Returns:
        |<A x, y> - <x, A* y>| / (|A x| |y|): rounding error for a true adjoint.
    """
    x = torch.randn(shape, dtype=dtype)
    Ax = A(x)
    y = torch.randn_like(Ax)
    return ((inner(Ax, y) - inner(x, A.adjoint(y))).abs() / (Ax.norm() * y.norm())).item()


def operator_norm(A: Operator, x: Tensor, steps: int = 30) -> float:
    """The largest singular value of a linear A, for images like x, by power iteration on A* A."""
    start = torch.rand(x[:1].shape, generator=torch.Generator().manual_seed(0))
    v = start.to(x) + 1e-3
    for _ in range(steps):
        v = A.adjoint(A(v / v.norm()))
    return v.norm().sqrt().item()


def as_matrix(A: Operator, shape: tuple[int, int]) -> Tensor:
    """A linear A as a matrix (numbers in y, pixels in x), for images small enough, in float64."""
    eye = torch.eye(math.prod(shape), dtype=torch.float64).view(-1, 1, *shape)
    y = A(eye)
    return (torch.view_as_real(y) if y.is_complex() else y).flatten(1).T
