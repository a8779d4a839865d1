"""Complete the pages that a build wrote: each is read once, changed by every part, written once."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx

from . import formulas, icons, pictures, theme


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Hand all pages (path -> text) from part to part, and write those that changed."""
    if exception or app.builder.format != "html":
        return
    paths = sorted(Path(app.outdir).rglob("*.html"))
    written = {path: path.read_text(encoding="utf-8") for path in paths}
    pages = dict(written)
    for part in (formulas, icons, pictures, theme):
        part.finish(app, pages)
    for path, text in pages.items():
        if text != written[path]:
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Hook into the end of a build."""
    app.connect("build-finished", finish)
