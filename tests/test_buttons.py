"""The buttons of a page, on a small copy of the book that is built with and without an address;
and what its builder reads where a chapter is wrong.

tests/test_site.py looks at the whole site, which has either one or the other.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import stamp
from bs4 import BeautifulSoup
from execute import dumps, normalise
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbsource import ROOT, read

ADDRESS = "https://github.com/some-owner/some.copy"
COLAB = "https://colab.research.google.com/github/some-owner/some.copy"
Pages = dict[str, BeautifulSoup]
PAGES = ("book/intro", "notebooks/one")


def small_book(folder: Path) -> Path:
    """The book's settings, style, extension and helpers, with one page and one notebook."""
    shutil.copytree(ROOT / "book", folder / "book", ignore=shutil.ignore_patterns("*.md"))
    for name in ("README.md", "CITATION.cff", "LICENSE", "requirements.txt", "_config.yml"):
        shutil.copyfile(ROOT / name, folder / name)
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    (folder / "tools").mkdir()
    shutil.copyfile(ROOT / "tools" / "first_cell.py", folder / "tools" / "first_cell.py")
    shutil.copytree(ROOT / "notebooks" / "helpers", folder / "notebooks" / "helpers")
    first = (folder / "tools" / "first_cell.py").read_text(encoding="utf-8")
    cells = [new_markdown_cell("# One\n\nWhy?"), new_code_cell(first, execution_count=1)]
    nb = new_notebook(cells=cells)
    nb.metadata.book = {"seconds": 9, "memory_gb": 0.5, "download_mb": 0}
    text = dumps(normalise(nb))
    (folder / "notebooks" / "one.ipynb").write_text(text, encoding="utf-8")
    (folder / "book" / "intro.md").write_text("# Front\n\n[One](../notebooks/one.ipynb)\n")
    (folder / "book" / "glossary.md").write_text(
        "# Glossary\n\n```{glossary}\nImage\n  Numbers on a grid.\n```\n"
    )
    (folder / "_toc.yml").write_text(
        "format: jb-book\nroot: book/intro\nchapters:\n"
        "  - file: notebooks/one\n  - file: book/glossary\n"
    )
    return folder


def jupyter_book(folder: Path) -> subprocess.CompletedProcess[str]:
    """Builds a book as `make book` does."""
    return subprocess.run(
        [Path(sys.executable).parent / "jupyter-book", "build", "-n", "-W", "--keep-going", "."],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )


def build(folder: Path, address: str) -> Pages:
    """The pages of the small book, built with this address."""
    faults = [line for line in stamp.stamp(address, small_book(folder)) if "no place" in line]
    assert not faults, faults
    run = jupyter_book(folder)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    return {
        name: BeautifulSoup(
            (folder / f"_build/html/{name}.html").read_text(encoding="utf-8"), "html.parser"
        )
        for name in PAGES
    }


# Both ask for the site: what the pages take from npm is there once that is built.
@pytest.fixture(scope="module")
def with_address(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return build(tmp_path_factory.mktemp("with"), ADDRESS)


@pytest.fixture(scope="module")
def without_address(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return build(tmp_path_factory.mktemp("without"), "")


def buttons(page: BeautifulSoup) -> set[str]:
    """Where the buttons at the top of a page lead, on other hosts."""
    return {link["href"] for link in page.select(".article-header-buttons a[href^='http']")}


def test_every_button_leads_into_the_stamped_repository(with_address) -> None:
    for name, kind in zip(PAGES, ("md", "ipynb"), strict=True):
        found = buttons(with_address[name])
        assert ADDRESS in found
        assert f"{ADDRESS}/edit/main/{name}.{kind}" in found
        (issues,) = {address for address in found if address.startswith(f"{ADDRESS}/issues/new")}
        assert f"{name}.html" in issues
        colab = {f"{COLAB}/blob/main/{name}.ipynb"} if kind == "ipynb" else set()
        assert found == {ADDRESS, f"{ADDRESS}/edit/main/{name}.{kind}", issues} | colab


def test_without_an_address_no_button_leads_to_another_host(without_address) -> None:
    for page in without_address.values():
        assert buttons(page) == set()
        assert "github.com" not in str(page)
        assert "colab.research" not in str(page)


@pytest.mark.parametrize("which", ["with_address", "without_address"])
def test_the_notebook_can_be_downloaded_from_its_page(which: str, request) -> None:
    page = request.getfixturevalue(which)["notebooks/one"]
    (link,) = page.select(".dropdown-download-buttons a[href$='.ipynb']")
    assert link["href"].endswith("_sources/notebooks/one.ipynb")


def test_the_first_cell_shown_has_the_address(with_address, without_address) -> None:
    line = 'repository = "{}"'
    assert line.format(ADDRESS) in with_address["notebooks/one"].get_text()
    assert line.format("") in without_address["notebooks/one"].get_text()


def test_what_is_wrong_with_a_chapter_is_said_in_a_line_each(site: Path, tmp_path: Path) -> None:
    path = small_book(tmp_path) / "notebooks" / "one.ipynb"
    nb = read(path)
    del nb.metadata["book"]
    nb.cells[0].source += r" $\wrong$"
    path.write_text(dumps(nb), encoding="utf-8")
    run = jupyter_book(tmp_path)
    assert run.returncode
    assert "Traceback" not in run.stderr
    assert "one.ipynb: WARNING: no `book` in the metadata: see README.md" in run.stderr
    assert r"WARNING: notebooks/one.html: a formula cannot be drawn: \wrong" in run.stderr


@pytest.mark.parametrize(
    ("sound", "fault"),
    [
        ("https://github.com/some-owner", "https://github.com/other-owner"),
        ("/edit/main/", "/edit/master/"),
        ("colab.research", "colab.gone"),
        ("/issues/new", "/issue/new"),
    ],
)
def test_a_button_that_leads_elsewhere_is_found(with_address, sound: str, fault: str) -> None:
    pages = {
        name: BeautifulSoup(str(page).replace(sound, fault), "html.parser")
        for name, page in with_address.items()
    }
    with pytest.raises((AssertionError, ValueError)):
        test_every_button_leads_into_the_stamped_repository(pages)
