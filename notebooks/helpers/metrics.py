"""Numbers that say how good an image, or a set of images, is."""

from collections.abc import Sequence

import skimage.metrics
import torch
from torch import Tensor

from .digit_network import digit_network


def _check_images(name: str, x: Tensor) -> None:
    if x.ndim != 4:
        raise ValueError(f"{name} must be images (N, C, H, W), got shape {tuple(x.shape)}.")
    if not torch.isfinite(x).all():
        raise ValueError(f"{name} holds NaN or infinite values.")


def _check_pair(x: Tensor, reference: Tensor) -> None:
    _check_images("x", x)
    _check_images("reference", reference)
    if x.shape != reference.shape:
        raise ValueError(f"Shapes differ: {tuple(x.shape)} and {tuple(reference.shape)}.")
    if reference.min() < 0 or reference.max() > 1:
        raise ValueError(
            f"reference must lie in [0, 1], but spans {reference.min():.3g} to "
            f"{reference.max():.3g}; divide 8-bit images by 255."
        )


def psnr(x: Tensor, reference: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image, in decibels (N,); infinite for equal images.

    Args:
        x: estimates (N, C, H, W); not clipped here.
        reference: true images, the same shape, in [0, 1] (the peak is 1).
    """
    _check_pair(x, reference)
    return -10 * torch.log10((x - reference).square().flatten(1).mean(1))


def ssim(x: Tensor, reference: Tensor) -> Tensor:
    """Structural similarity of each image (N,), at most 1: scikit-image's, with the Gaussian window
    (sigma 1.5, 11 pixels) of Wang et al., 2004.

    Args:
        x: estimates (N, C, H, W), at least 11 pixels a side.
        reference: true images, the same shape, in [0, 1].
    """
    _check_pair(x, reference)
    values = [
        skimage.metrics.structural_similarity(
            a, b, data_range=1.0, channel_axis=0,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )
        for a, b in zip(*(t.detach().double().cpu().numpy() for t in (x, reference)), strict=True)
    ]  # fmt: skip
    return torch.tensor(values)


def oracle(tried: Sequence[Tensor], reference: Tensor) -> Tensor:
    """For each image the best of several estimates, clipped: a choice that needs the truth.

    Args:
        tried: at least one estimate of all images, each (N, C, H, W).
        reference: true images, the same shape, in [0, 1].

    Returns:
        (N, C, H, W) in [0, 1], each image the one with the highest PSNR.
    """
    clipped = torch.stack([x.clamp(0, 1) for x in tried])  # (tried, N, C, H, W)
    best = torch.stack([psnr(x, reference) for x in clipped]).argmax(0)
    return clipped[best, range(len(best))]


@torch.no_grad()
def digit_features(x: Tensor) -> Tensor:
    """What the book's digit network sees: 64 non-negative features an image, float64 (N, 64).

    Args:
        x: digits (N, 1, 28, 28) in [0, 1]; values up to 0.01 outside are forgiven.
    """
    _check_images("x", x)
    if x.shape[1:] != (1, 28, 28):
        raise ValueError(f"Digits have shape (N, 1, 28, 28), got {tuple(x.shape)}.")
    if x.min() < -0.01 or x.max() > 1.01:
        raise ValueError(
            f"Digits must lie in [0, 1], but span {x.min():.3g} to {x.max():.3g}; "
            f"a generator that ends in tanh needs (x + 1) / 2."
        )
    features = digit_network().features
    return torch.cat([features(part) for part in x.float().cpu().split(250)]).double()


@torch.no_grad()
def digit_classes(x: Tensor) -> Tensor:
    """The class, 0 to 9, that the digit network sees in each image (N,)."""
    return digit_network().head(digit_features(x).float()).argmax(1)


def _check_features(smallest: int, **sets: Tensor) -> None:
    for name, f in sets.items():
        if f.ndim != 2:
            raise ValueError(f"{name} must be features (N, d), got shape {tuple(f.shape)}.")
        if len(f) < smallest:
            raise ValueError(f"{name} needs at least {smallest} samples, got {len(f)}.")
        if not torch.isfinite(f).all():
            raise ValueError(f"{name} holds NaN or infinite values.")
    widths = [f.shape[1] for f in sets.values()]
    if len(set(widths)) > 1:
        raise ValueError(f"{', '.join(sets)} differ in width: {', '.join(map(str, widths))}.")


def frechet_distance(f: Tensor, g: Tensor) -> float:
    """Squared Frechet (2-Wasserstein) distance between the Gaussians that fit two sets of features.

        |mu_f - mu_g|^2 + tr(C_f + C_g - 2 (C_f C_g)^(1/2))

    With Inception features this is the FID of Heusel et al., 2017; the book uses `digit_features`.
    It has a positive bias at finite N, so compare only numbers with the same N.

    Args:
        f: features (N, d), N > d.
        g: features (M, d), M > d.
    """
    _check_features(f.shape[-1] + 1, f=f, g=g)
    f, g = f.double(), g.double()
    cov_f, cov_g = (torch.atleast_2d(torch.cov(h.T)) for h in (f, g))
    # tr (C_f C_g)^(1/2) is the sum of the roots of the product's eigenvalues, which are real and
    # non-negative; C_f^(1/2) C_g C_f^(1/2) has the same ones and is symmetric, hence stable.
    values, vectors = torch.linalg.eigh(cov_f)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_g @ root).clamp(min=0).sqrt().sum()
    distance = (f.mean(0) - g.mean(0)).square().sum() + cov_f.trace() + cov_g.trace() - 2 * cross
    return max(distance.item(), 0.0)


def precision_recall(fake: Tensor, real: Tensor, k: int = 3) -> tuple[float, float]:
    """Share of fakes in the reals' manifold (precision), and of reals in the fakes' (recall).

    A manifold is the union of balls around its samples that reach to the k-th neighbour
    (Kynkäänniemi et al., 2019).

    Args:
        fake: features (N, d).
        real: features (M, d).
        k: neighbour that sets a ball's radius.
    """
    _check_features(k + 1, fake=fake, real=real)
    between = torch.cdist(fake, real)  # (N, M)

    def radius(f: Tensor) -> Tensor:
        return torch.cdist(f, f).kthvalue(k + 1, dim=1).values  # the first neighbour is itself

    precision = (between <= radius(real)[None, :]).any(1).double().mean().item()
    recall = (between <= radius(fake)[:, None]).any(0).double().mean().item()
    return precision, recall


def memorisation(fake: Tensor, train: Tensor, held_out: Tensor) -> float:
    """How near fakes come to the training set, relative to fresh real images.

    The median distance from a fake to its nearest training image, over the same from a held-out
    real image: about 1 for a generator that behaves like fresh data, towards 0 for one that copies.

    Args:
        fake, train, held_out: images or features (N, ...), flattened here.

    Raises:
        ValueError: widths differ, a value is not finite, or most of `held_out` stands in `train`.
    """
    fake, train, held_out = (x.flatten(1) for x in (fake, train, held_out))
    _check_features(1, fake=fake, train=train, held_out=held_out)
    to_fake, to_held_out = (
        torch.cdist(x, train).min(1).values.median().item() for x in (fake, held_out)
    )
    if to_held_out == 0:
        raise ValueError("held_out is a copy of train, so it cannot say how far fresh data are.")
    return to_fake / to_held_out


def digit_scores(images: Tensor, train: Tensor, held_out: Tensor) -> dict[str, float]:
    """How near a set of generated digits comes to real ones, and how new they are.

    Args:
        images: generated digits (N, 1, 28, 28) in [0, 1]; the book compares 4,000 of each model.
        train, held_out: real digits (N, 1, 28, 28): those learned from, and those kept back.

    Returns:
        "FD", the Frechet distance in `digit_features` to `held_out`; "precision" and "recall" of
        the first 1,000 images; their "memorisation ratio", in pixels.
    """
    f, f_held_out = digit_features(images), digit_features(held_out)  # (N, 64), (M, 64)
    precision, recall = precision_recall(f[:1000], f_held_out)
    return {
        "FD": frechet_distance(f, f_held_out), "precision": precision, "recall": recall,
        "memorisation ratio": memorisation(images[:1000], train, held_out),
    }  # fmt: skip
