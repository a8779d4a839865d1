"""The one file of all notebooks: whole, the same every time, and enough to run them."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from bs4 import BeautifulSoup
from igr import download
from nbsource import NOTEBOOKS, ROOT, code_cells, paths, read, syntax


@pytest.fixture
def unpacked(site: Path, tmp_path: Path) -> Path:
    """The archive of the built site, unpacked in an empty folder."""
    with ZipFile(site / download.FILE) as archive:
        archive.extractall(tmp_path)
    return tmp_path / download.FOLDER


def test_it_holds_every_notebook_and_what_they_need(unpacked: Path) -> None:
    for path in [*paths(), *(NOTEBOOKS / "helpers").glob("*.py"), ROOT / "LICENSE"]:
        name = path.relative_to(NOTEBOOKS if NOTEBOOKS in path.parents else ROOT)
        assert (unpacked / name).read_bytes() == path.read_bytes()
    cards = {card.name for card in (NOTEBOOKS / "weights").glob("*.json")}
    assert {card.name for card in (unpacked / "weights").glob("*.json")} == cards
    for card in cards:
        assert (unpacked / "weights" / card).with_suffix(".safetensors").is_file()
    kinds = {path.suffix for path in unpacked.rglob("*") if path.is_file()}
    assert kinds == {".ipynb", ".py", ".json", ".safetensors", ".txt", ""}  # LICENSE has no ending


def test_its_requirements_are_what_the_notebooks_import(unpacked: Path) -> None:
    wanted = (unpacked / "requirements.txt").read_text(encoding="utf-8")
    assert {"torch", "mlxtend", "ipywidgets", "jupyterlab"} <= set(re.findall(r"(?m)^\w+", wanted))
    assert not {"pytest", "jupyter", "onnx"} & set(re.findall(r"(?m)^\w+", wanted))
    assert "requirements.txt" in (unpacked / "README.txt").read_text(encoding="utf-8")


def first_cells(folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs the first cell of a notebook in `folder`, then imports whatever any of them imports."""
    cells = [cell for path in paths() for cell in code_cells(read(path))]
    imports = {
        ast.unparse(node)
        for cell in cells
        for node in ast.walk(syntax(cell))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("helpers")
    }
    source = "\n".join(
        [cells[0].source, *sorted(imports), "import helpers", "print(helpers.__file__)"]
    )
    gone = ("PYTHONPATH", "BOOK_STATIC")
    return subprocess.run(
        [sys.executable, "-c", source],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if key not in gone},
        capture_output=True,
        text=True,
    )


def test_a_notebook_starts_there(unpacked: Path) -> None:
    run = first_cells(unpacked)
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip()) == unpacked / "helpers" / "__init__.py"


def test_a_missing_helper_is_noticed(unpacked: Path) -> None:
    (unpacked / "helpers" / "setup.py").unlink()
    assert "No module named 'helpers.setup'" in first_cells(unpacked).stderr


def small_book(folder: Path) -> Path:
    """A book of one notebook, with two files that belong into no archive."""
    for name, text in {
        "_toc.yml": "root: notebooks/one\n",
        "notebooks/one.ipynb": '{"cells": []}',
        "notebooks/two.ipynb": '{"cells": []}',
        "notebooks/helpers/a.py": "a = 1\n",
        "notebooks/weights/a.checkpoint": "",
        "LICENSE": "Free.",
        "requirements.txt": "torch>=2\n\n# tests\npytest\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


class App:
    """As much of Sphinx's application as writing the archive needs."""

    class config:
        html_title = "A book"

    def __init__(self, source: Path, site: Path) -> None:
        self.srcdir, self.outdir = source, site


def test_the_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    archives = []
    for number in (1, 2):
        book = small_book(tmp_path / str(number))
        os.utime(book / "LICENSE", (number * 1e9, number * 1e9))
        (book / "LICENSE").chmod(0o600 if number == 1 else 0o644)
        download.write(App(book, tmp_path / f"site{number}"))
        archives.append((tmp_path / f"site{number}" / download.FILE).read_bytes())
    assert archives[0] == archives[1]
    (book / "notebooks/helpers/a.py").write_text("a = 2\n", encoding="utf-8")
    download.write(App(book, tmp_path / "site2"))
    assert (tmp_path / "site2" / download.FILE).read_bytes() != archives[0]


def test_the_front_page_links_to_it_and_states_its_size(site: Path) -> None:
    page = BeautifulSoup((site / "book/intro.html").read_text(encoding="utf-8"), "html.parser")
    (link,) = page.select(f"article a[href$='{download.FILE}']")
    assert (site / "book" / link["href"]).resolve() == (site / download.FILE).resolve()
    size = (site / download.FILE).stat().st_size / 1e6
    assert str(link.next_sibling).startswith(f" ({size:.0f} MB)")
    assert 1 < size < 60
