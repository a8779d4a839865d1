"""Draw what others show of the book: a picture beside a shared link, a telephone's icon."""

from __future__ import annotations

import io
import re
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image
from sphinx.application import Sphinx

from .heads import ICON, PREVIEW
from .stored import notebooks

SHOWN = ("07a_diffusion", "06a_super_resolution", "07d_physics_guided")  # their first pictures
INK, PAPER = "#14324a", "#ffffff"


def preview(title: str, pictures: list[bytes]) -> Figure:
    """Set the book's title and its sentence beside three stored pictures, 1200 by 630 pixels."""
    figure = Figure(figsize=(12, 6.3), dpi=100, facecolor=PAPER)
    name, under = title.split(": ", 1)
    question = r"$y = A(x) + n, \quad x \sim p(x)$"
    lines = (
        (0.88, 32, name.replace(" and ", "\nand ")),
        (0.60, 21, under.replace(" to ", "\nto ")),
        (0.20, 27, question),
    )
    for y, size, text in lines:
        figure.text(0.05, y, text, size=size, color=INK, va="top", linespacing=1.3)
    for i, png in enumerate(pictures):
        axes = figure.add_axes([0.51, 0.67 - 0.315 * i, 0.46, 0.29])
        axes.imshow(Image.open(io.BytesIO(png)).convert("RGB"))
        axes.axis("off")
    return figure


def icon(svg: str) -> Figure:
    """Draw an SVG of rounded squares, 64 units wide, on 180 by 180 pixels."""
    figure = Figure(figsize=(1.8, 1.8), dpi=100)
    axes = figure.add_axes([0, 0, 1, 1], xlim=(0, 64), ylim=(64, 0))
    axes.axis("off")
    for square in re.findall(r"<rect [^>]*>", svg):
        given = {"x": 0, "y": 0} | dict(re.findall(r'(\w+)="([^"]*)"', square))
        x, y, width, height, rx = (float(given[k]) for k in ("x", "y", "width", "height", "rx"))
        axes.add_patch(FancyBboxPatch(
            (x + rx, y + rx), width - 2 * rx, height - 2 * rx, boxstyle=f"round,pad={rx}",
            facecolor=given["fill"], linewidth=0,
        ))  # fmt: skip
    return figure


def draw(app: Sphinx, exception: Exception | None) -> None:
    """Save both pictures in the site."""
    if exception or app.builder.format != "html":
        return
    chapters = {n.path.stem: n.first_figure for n in notebooks(Path(app.srcdir))}
    pictures = [figure.png for name in SHOWN if (figure := chapters.get(name))]
    preview(app.config.html_title, pictures).savefig(Path(app.outdir, PREVIEW))
    svg = Path(app.srcdir, app.config.html_favicon).read_text(encoding="utf-8")
    icon(svg).savefig(Path(app.outdir, ICON))


def setup(app: Sphinx) -> None:
    """Hook into the end of a build."""
    app.connect("build-finished", draw)
