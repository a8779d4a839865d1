"""What several test files share: the built site, a server for it, and a browser.

The site under test is the folder named by `BOOK_HTML`, or `_build/html`, which is built first if it
is missing, older than its sources, or was not built without a warning.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import chromium, launch, serve
from nbsource import ROOT
from playwright.sync_api import Browser, BrowserContext, Error, Page, sync_playwright


def sources() -> Iterator[Path]:
    """Every file that the site is built from."""
    files = ("_config.yml", "_toc.yml", "package-lock.json", "requirements.txt", "LICENSE")
    yield from (ROOT / name for name in files)
    for folder in ("book", "notebooks"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and not {"__pycache__", ".ipynb_checkpoints"} & set(path.parts):
                yield path


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder of the built site."""
    if given := os.environ.get("BOOK_HTML"):
        return Path(given).resolve()
    html = ROOT / "_build" / "html"
    whole = html / ".whole"
    if not whole.exists() or any(p.stat().st_mtime > whole.stat().st_mtime for p in sources()):
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        shutil.rmtree(ROOT / "_build", ignore_errors=True)
        for command in (
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            ["jupyter-book", "build", "-n", "-W", "--keep-going", "."],
        ):
            run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
            assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    return html


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Where a server on this machine answers with the site's files, as `make serve` does."""
    with serve(site) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A browser of this machine; without one, the tests that ask for it are skipped."""
    with sync_playwright() as playwright:
        try:
            browser = launch(playwright)
        except Error:
            # Where green publishes the book, what is not tested must not be green.
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
