"""The look of the book's figures, and the few kinds of picture that chapters share."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from cycler import cycler
from matplotlib.axes import Axes
from torch import Tensor

# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def use_style() -> None:
    """Set matplotlib's defaults for the whole notebook: light, compact, legible at page width."""
    plt.rcParams.update(
        {
            "figure.dpi": 140, "figure.facecolor": "white", "figure.constrained_layout.use": True,
            "savefig.dpi": 140, "savefig.facecolor": "white",
            "font.size": 10, "axes.titlesize": 10,
            "legend.frameon": False,
            "axes.prop_cycle": cycler(color=COLOURS), "axes.spines.top": False,
            "axes.spines.right": False, "image.cmap": "gray", "image.interpolation": "nearest",
            "lines.linewidth": 1.6,
        }
    )  # fmt: skip


def mosaic(x: Tensor, columns: int, *, gap: int = 2) -> np.ndarray:
    """Images (N, C, H, W) in [0, 1] laid out row by row as one array (rows, columns[, 3])."""
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise ValueError(f"mosaic takes images (N, 1 or 3, H, W), got {tuple(x.shape)}.")
    if len(x) < 1 or columns < 1:
        raise ValueError(f"mosaic needs an image and a column, got {len(x)} and {columns}.")
    n, c, h, w = x.shape
    rows = -(-n // columns)
    sheet = torch.ones(c, rows * (h + gap) - gap, columns * (w + gap) - gap)
    for i, image in enumerate(x.detach().float().cpu().clamp(0, 1)):
        top, left = i // columns * (h + gap), i % columns * (w + gap)
        sheet[:, top : top + h, left : left + w] = image
    array = sheet.permute(1, 2, 0).numpy()
    return array[..., 0] if c == 1 else array


def show_images(
    x: Tensor, columns: int, *, title: str = "", ax: Axes | None = None, width: float = 8.0
) -> None:
    """Show images (N, C, H, W) in [0, 1] as one mosaic, on `ax` or as a figure of its own."""
    sheet = mosaic(x, columns)
    own = ax is None
    if own:
        height = width * sheet.shape[0] / sheet.shape[1] + (0.3 if title else 0)
        _, ax = plt.subplots(figsize=(width, height))
    ax.imshow(sheet, vmin=0, vmax=1)
    ax.set_title(title)
    ax.set_axis_off()
    if own:
        plt.show()


def show_rows(rows: dict[str, Tensor], *, width: float = 8.0) -> None:
    """One mosaic row a name, the names at the left: before and after, or the same z over time.

    Args:
        rows: name -> images (N, C, H, W) in [0, 1], every row with the same shape.
        width: of the figure, in inches.
    """
    sheets = {name: mosaic(x, len(x)) for name, x in rows.items()}
    ratio = sum(s.shape[0] / s.shape[1] for s in sheets.values())
    figure, axes = plt.subplots(
        len(rows), 1, figsize=(width, width * 0.86 * ratio + 0.04 * len(rows)), squeeze=False
    )
    for ax, (name, sheet) in zip(axes.flat, sheets.items(), strict=True):
        ax.imshow(sheet, vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
    figure.get_layout_engine().set(h_pad=0.01, hspace=0.01)
    plt.show()


def show_named(images: dict[str, Tensor], columns: int, *, width: float = 8.0) -> None:
    """Images of any sizes, each under its name, all in boxes of one size.

    Args:
        images: name -> (1, C, H, W) or (C, H, W) in [0, 1]; values outside are clipped.
        columns: how many stand side by side.
        width: of the figure, in inches.
    """
    sheets = [mosaic(x if x.ndim == 4 else x[None], 1) for x in images.values()]
    rows = -(-len(sheets) // columns)
    tallest = max(sheet.shape[0] / sheet.shape[1] for sheet in sheets)
    lines = max(name.count("\n") + 1 for name in images)
    height = rows * (width / columns * tallest + 0.17 * lines + 0.1)
    # Enlarged pixels need no more dots than this, and noise makes large files.
    _, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False, dpi=105)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, name, sheet in zip(axes.flat, images, sheets, strict=False):
        ax.imshow(sheet, vmin=0, vmax=1)
        ax.set_title(name, fontsize=9)
    plt.show()


def show_curves(
    curves: dict[str, Sequence[float]], x: Sequence[float], *, xlabel: str, ylabel: str,
    ax: Axes | None = None, smooth: int = 1,
) -> None:  # fmt: skip
    """Named curves over a common axis; `smooth` averages that many neighbours, or all there are."""
    own = ax is None
    if own:
        _, ax = plt.subplots(figsize=(7, 2.8))
    smooth = max(1, min(smooth, len(x)))
    kernel = np.ones(smooth) / smooth
    for name, values in curves.items():
        ax.plot(np.convolve(x, kernel, "valid"), np.convolve(values, kernel, "valid"), label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend()
    if own:
        plt.show()
