"""Draw the picture that is shown where somebody shares a link to the book."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib.image
from matplotlib.figure import Figure
from sphinx.application import Sphinx

from .heads import PREVIEW
from .stored import notebooks

SHOWN = ("03_gan", "06a_super_resolution", "07a_diffusion")  # whose first picture stands there
INK, PAPER = "#14324a", "#ffffff"


def draw(app: Sphinx, exception: Exception | None) -> None:
    """Set the book's title and its sentence beside three stored pictures, 1200 by 630 pixels."""
    if exception or app.builder.format != "html":
        return
    figure = Figure(figsize=(12, 6.3), dpi=100, facecolor=PAPER)
    title, under = app.config.html_title.split(": ", 1)
    question = r"$y = A(x) + n, \quad x \sim p(x)$"
    lines = [(0.92, 34, title.replace(" and ", "\nand ")), (0.67, 22, under), (0.54, 28, question)]
    for y, size, text in lines:
        figure.text(0.05, y, text, size=size, color=INK, va="top")
    pictures = [n.first_figure for n in notebooks(Path(app.srcdir)) if n.path.stem in SHOWN]
    for i, picture in enumerate(filter(None, pictures)):
        axes = figure.add_axes([0.03 + 0.32 * i, 0.04, 0.3, 0.32])
        axes.imshow(matplotlib.image.imread(io.BytesIO(picture.png)))
        axes.axis("off")
    figure.savefig(Path(app.outdir, PREVIEW))


def setup(app: Sphinx) -> None:
    """Hook into the end of a build."""
    app.connect("build-finished", draw)
