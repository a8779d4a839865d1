"""Draw every formula while the book is built, so that pages carry pictures and no MathJax.

Sphinx writes each formula as TeX between `\\(` and `\\)` or `\\[` and `\\]`. At the end of the
build one run of Node.js (formulas.js) draws them all as SVG, with the formula in words for whoever
cannot see it. A formula that MathJax does not understand is a warning, and so ends `make book`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from html import unescape
from importlib.metadata import distribution
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.ext.mathjax import html_visit_displaymath, html_visit_math
from sphinx.util import logging

logger = logging.getLogger(__name__)

MATHJAX = "mathjax/static/mathjax/es5"  # in django-static-mathjax; nothing of Django is used
FORMULA = re.compile(
    r'(?P<before>[(\[“‘]*)(?P<tag><(?P<name>span|div) class="math) notranslate nohighlight"'
    r'(?P<id>[^>]*)>\s*(?P<number><span class="eqno">.*?</span>)?'
    r"\\[(\[](?P<tex>.*?)\\[)\]]</(?P=name)>"
    r"(?P<after>(?:[-–][a-z]+|’s)?[,.;:!?)\]”’]*)",
    re.DOTALL,
)
WIDE = 36  # ex: an inline formula that a telephone's column may not hold


def without_script(app: Sphinx, config: Config) -> None:
    """Choose our renderer: Sphinx's own would load MathJax in each page."""
    config.html_math_renderer = "drawn"


def draw(pages: dict[str, list[tuple[str, bool]]], root: Path) -> dict[str, dict]:
    """Return, for each page, its formulas as SVG, the glyphs that they share, and what is wrong."""
    folder = Path(str(distribution("django-static-mathjax").locate_file(MATHJAX)))
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    command = [shutil.which("node", path=places) or "node", Path(__file__).with_suffix(".js")]
    command += [folder.as_posix(), (root / "node_modules" / "speech-rule-engine").as_posix()]
    run = subprocess.run(command, input=json.dumps(pages), capture_output=True, encoding="utf-8")
    if run.returncode:
        raise RuntimeError(f"formulas.js failed (is `npm ci` done?):\n{run.stderr}")
    return json.loads(run.stdout)


def place(match: re.Match[str], svg: str) -> str:
    """Return the HTML of a drawn formula; an inline one keeps its punctuation on its line."""
    before, after = match["before"], match["after"]
    if match["name"] == "div":
        number = match["number"] or ""
        formula = f'<div class="formula">{svg}</div>'
        return f'{before}{match["tag"]}"{match["id"]}>{formula}{number}</div>{after}'
    width = re.search(r'width="([\d.]+)ex"', svg)
    if width and float(width[1]) > WIDE:
        return f'{match["tag"]} wide"{match["id"]}>{before}{svg}{after}</span>'
    html = f'{match["tag"]}"{match["id"]}>{svg}</span>'
    return f'<span class="glued">{before}{html}{after}</span>' if before or after else html


def finish(app: Sphinx, pages: dict[Path, str]) -> None:
    """Replace the TeX in every page that was written."""
    found = {}
    for path, text in pages.items():
        if matches := list(FORMULA.finditer(text)):
            found[str(path)] = [(unescape(m["tex"]), m["name"] == "div") for m in matches]
    for name, result in draw(found, Path(app.confdir)).items():
        for fault in result["faults"]:
            page = Path(name).relative_to(app.outdir)
            logger.warning("%s: a formula cannot be drawn: %s", page, fault)
        drawn = iter(result["drawn"])
        text = FORMULA.sub(lambda match, drawn=drawn: place(match, next(drawn)), pages[Path(name)])
        glyphs = f'<svg class="glyphs" aria-hidden="true">{result["glyphs"]}</svg></body>'
        pages[Path(name)] = text.replace("</body>", glyphs)


def setup(app: Sphinx) -> None:
    """Register the renderer."""
    app.add_html_math_renderer("drawn", (html_visit_math, None), (html_visit_displaymath, None))
    app.connect("config-inited", without_script)
