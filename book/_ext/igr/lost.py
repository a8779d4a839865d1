"""The page for an address that does not exist: 404.html, which GitHub shows at any depth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sphinx.application import Sphinx

from .heads import site_address

TITLE = "No page at this address"
BODY = """<section><h1>{title}</h1>
<p>The page may have moved. Look for it here, or begin at the <a href="book/intro.html">front
page</a>; every chapter is listed beside this text.</p>
<form action="search.html" method="get" role="search" class="igr-lost">
<input type="search" name="q" class="form-control" aria-label="Search this book">
<button class="btn btn-primary" type="submit">Search</button></form></section>"""
# The page is shown in place of others, so its links begin at the site's root; not so in a folder.
BASE = """<script>if (location.protocol !== "file:") {{
  document.write('<base href="{root}404.html">');
}}</script>"""


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Return the one page."""
    if app.builder.format == "html":
        yield "404", {"title": TITLE, "body": BODY.format(title=TITLE)}, "page.html"


def set_base(app: Sphinx, page: str, template: str, context: dict[str, Any], _: Any) -> None:
    """Let the page's links begin at the site's root, wherever that is published."""
    if page == "404":
        address = site_address(app.config.html_theme_options.get("repository_url", ""))
        root = "/" + address.removeprefix("https://").partition("/")[2]
        context["metatags"] = BASE.format(root=root) + context.get("metatags", "")


def setup(app: Sphinx) -> None:
    """Register the page."""
    app.connect("html-collect-pages", pages)
    app.connect("html-page-context", set_base)
