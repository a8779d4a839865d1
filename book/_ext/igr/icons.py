"""Keep of the theme's icons only those that the pages show.

The theme brings Font Awesome twice: as a script of 1.5 MB that each page loads, and as fonts with
a rule for each of two thousand icons. The book's icons fit into a font of a few kilobytes inside
the style sheet, which also works where a browser loads no font from a folder.
"""

from __future__ import annotations

import base64
import re
import shutil
from io import BytesIO
from pathlib import Path

from fontTools import subset
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

STYLES = "_static/styles/pydata-sphinx-theme.css"
SCRIPT = re.compile(r"[ \t]*<script defer src=\"[^\"]*scripts/fontawesome\.js[^\"]*\"></script>\n")
NAMED = re.compile(r"\.fa-[\w-]+:before(?:,\.fa-[\w-]+:before)*\{content:\"([^\"]+)\"\}")
FONT = re.compile(r"src:url\(\.\./(vendor/fontawesome/[^)]+\.)woff2\)[^;}]*")
VARIABLE = re.compile(r"--pst-icon-[\w-]+:\"([^\"]+)\"")


def embedded(font: Path, characters: set[str]) -> str:
    """Return a font reduced to some characters, as an address that holds it."""
    options = subset.Options(flavor="woff", layout_features=[], notdef_outline=True)
    reduced = subset.load_font(font, options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(text="".join(characters))
    subsetter.subset(reduced)
    subset.save_font(reduced, file := BytesIO(), options)
    return f"data:font/woff;base64,{base64.b64encode(file.getvalue()).decode()}"


def reduce(css: str, used: set[str], static: Path) -> str:
    """Return the theme's style sheet with the used icons only, their fonts inside it."""
    characters = set(VARIABLE.findall(css))

    def keep(rule: re.Match[str]) -> str:
        if not used & set(re.findall(r"\.(fa-[\w-]+):", rule[0])):
            return ""
        characters.add(rule[1])
        return rule[0]

    css = NAMED.sub(keep, css)
    characters = {chr(int(c[1:], 16)) if c.startswith("\\") else c for c in characters}
    return FONT.sub(
        lambda m: f'src:url({embedded(static / (m[1] + "ttf"), characters)}) format("woff")', css
    )


def finish(app: Sphinx, pages: dict[Path, str]) -> None:
    """Take the script out of every page, and the unused icons out of the style sheet."""
    used = set()
    for path, text in pages.items():
        used |= set(re.findall(r"\bfa-[a-z-]+", text))
        pages[path] = SCRIPT.sub("", text)
    styles, static = Path(app.outdir, STYLES), Path(app.outdir, "_static")
    css = styles.read_text(encoding="utf-8")
    if "vendor/fontawesome" in css:  # as the theme brought it
        styles.write_text(reduce(css, used, static), encoding="utf-8")
        shutil.rmtree(static / "vendor" / "fontawesome")
        for left in static.glob("scripts/fontawesome.js*"):
            left.unlink()
