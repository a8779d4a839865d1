"""What several test files share: the built site, a server for it, and a browser.

The site under test is the folder named by `BOOK_HTML`, or `_build/html`. Nothing is built here:
where that is missing, older than its sources, or was built with a warning, who asks for it fails.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import chromium, launch, serve
from nbsource import ROOT
from playwright.sync_api import Browser, BrowserContext, Error, Page, sync_playwright


def sources() -> Iterator[Path]:
    """Every file that the site is built from: those for which `make book` builds it anew."""
    files = ("_config.yml", "_toc.yml", "package-lock.json", "requirements.txt", "LICENSE")
    yield from (ROOT / name for name in files)
    for folder in ("book", "notebooks"):
        for path in (ROOT / folder).rglob("*"):
            hidden = any(part.startswith(".") for part in path.relative_to(ROOT).parts)
            if path.is_file() and path.suffix not in (".pyc", ".pyo") and not hidden:
                yield path


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder of the built site."""
    if given := os.environ.get("BOOK_HTML"):
        return Path(given).resolve()
    html = ROOT / "_build" / "html"
    whole = html / ".whole"
    if not whole.exists() or any(p.stat().st_mtime > whole.stat().st_mtime for p in sources()):
        pytest.fail("The site is missing, faulty or out of date: run `make book`.", pytrace=False)
    return html


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Where a server on this machine answers with the site's files, as `make serve` does."""
    with serve(site) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A browser of this machine; without one, the tests that ask for it are skipped, or fail in CI,
    where green publishes the book."""
    with sync_playwright() as playwright:
        try:
            browser = launch(playwright)
        except Error:
            if chromium() or os.environ.get("CI"):
                raise
            pytest.skip("no browser is installed: `apt-get install chromium` (Debian) brings one")
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser profile of its own, 1280 pixels wide."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context
    context.close()


@pytest.fixture
def tab(context: BrowserContext) -> Page:
    """An empty tab."""
    return context.new_page()
