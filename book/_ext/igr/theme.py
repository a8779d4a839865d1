"""Mend what the theme and its company write into each page: names amiss, scripts in the way."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

AMISS = (
    r'<meta name="viewport" content="width=device-width, initial-scale=1"/>',  # a second time
    r'<div id="ethical-ad[^>]*>\s*</div>',  # a place for advertising
    r'(?<=<summary) aria-label="Toggle hidden content"',  # its text says more
    r'(?<=search-button-field search-button__button pst-js-only" title="Search")'
    r' aria-label="Search"',  # likewise
    r'(?<=<div) role="list"(?= class="citation-list")',  # it holds links too, so it is no list
)
# The theme loads the whole index into each page, to search while one types; ours asks search.html.
INDEX = r'\s*<script src="[^"]*(?:searchtools|language_data|searchindex)\.js"></script>'
# Scripts that wait for the whole page anyway need not hold it up. The options stay in front: what
# stands in the page itself reads them.
WAITING = re.compile(r'<script (?=src="[^"]*_static/(?!documentation_options)[^"]*\.js)')

# When a page has loaded, the theme measures every block and so lays all of it out at once, which
# takes a telephone a second. book.js does the same bit by bit.
SCRIPT = "_static/scripts/pydata-sphinx-theme.js"
BLOCKS = re.compile(r'\["pre",[^\]]*\]\.join\(", "\)')


def finish(app: Sphinx, pages: dict[Path, str]) -> None:
    """Mend every page; the page that searches needs its scripts at once."""
    for path, text in pages.items():
        mended = re.sub("|".join(AMISS), "", text)
        if path.name != "search.html":
            mended = WAITING.sub("<script defer ", re.sub(INDEX, "", mended))
        pages[path] = mended
    script = Path(app.outdir, SCRIPT)
    text = BLOCKS.sub('"#none"', script.read_text(encoding="utf-8"))
    script.write_text(text, encoding="utf-8")
