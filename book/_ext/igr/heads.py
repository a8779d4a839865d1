"""What stands at the head of a page: how long it takes, and what others are told about it."""

from __future__ import annotations

import json
import re
from html import escape, unescape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from .words import plain, sentence

logger = logging.getLogger(__name__)

READ = 200 / 60  # words a second
FORMULA, OWN_LINE, CODE = 2.0, 12.0, 2.5  # seconds for a formula, one in its own line, a line
OUT_OF_TEXT = (nodes.literal_block, nodes.math, nodes.math_block, nodes.comment, nodes.raw)
PREVIEW, ICON = "_static/preview.png", "_static/icon.png"


def reading_seconds(doctree: nodes.document) -> float:
    """Estimate how long a page takes to read, from its words, formulas and lines of code."""
    words = lines = 0
    for text in doctree.findall(nodes.Text):
        if not isinstance(text.parent, OUT_OF_TEXT):
            words += len(text.split())
    for code in doctree.findall(nodes.literal_block):
        lines += len(code.astext().splitlines())
    inline = sum(1 for _ in doctree.findall(nodes.math))
    own = sum(1 for _ in doctree.findall(nodes.math_block))
    return words / READ + inline * FORMULA + own * OWN_LINE + lines * CODE


def add_times(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Say under a chapter's title how long it takes to read and to run."""
    path = Path(app.env.doc2path(docname))
    title = next(doctree.findall(nodes.title), None)
    if path.suffix != ".ipynb" or title is None:
        return
    book = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("book")
    if book is None:
        told = "no `book` in the metadata: see README.md, Add a chapter, step 2"
        logger.warning(told, location=docname)
        return
    minutes = max(5 * round(reading_seconds(doctree) / 300), 5)
    text = f"About {minutes} minutes to read, {book['seconds']} seconds to run on two cores."
    at = title.parent.index(title) + 1
    title.parent.insert(at, nodes.paragraph(text=text, classes=["times"]))


def description(doctree: nodes.document | None) -> str:
    """The first sentence of a page's own text, or nothing."""
    if doctree is None:
        return ""
    paragraphs = doctree.findall(nodes.paragraph)
    texts = (plain(p) for p in paragraphs if "times" not in p["classes"])
    return sentence(next((text for text in texts if len(text) > 40), ""), 160)


def site_address(repository: str) -> str:
    """Where GitHub publishes the pages of a repository: "" for none."""
    if not repository:
        return ""
    owner, name = repository.rstrip("/").split("/")[-2:]
    host = f"{owner.lower()}.github.io"
    return f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"


def add_metatags(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Describe the page to search engines, and to whoever is sent a link to it."""
    told = description(doctree) or app.config.html_title
    address = site_address(app.config.html_theme_options.get("repository_url", ""))
    image = address + PREVIEW if address else context["pathto"](PREVIEW, resource=True)
    title = unescape(re.sub(r"<[^>]+>", "", context.get("title") or app.config.html_title))
    og = {"title": title, "description": told, "type": "article", "image": image}
    if address:
        og["url"] = address + app.builder.get_target_uri(page)
    tags = [f'<meta name="description" content="{escape(told)}" />']
    tags += [f'<meta property="og:{k}" content="{escape(v)}" />' for k, v in og.items()]
    icon = context["pathto"](ICON, resource=True)
    tags += [f'<link rel="apple-touch-icon" href="{icon}" />']
    context["metatags"] = context.get("metatags", "") + "\n".join(tags)


def setup(app: Sphinx) -> None:
    """Hook into the writing of each page."""
    app.connect("doctree-resolved", add_times)
    app.connect("html-page-context", add_metatags)
