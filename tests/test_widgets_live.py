"""A control of the book, turned in JupyterLab by a real browser: the picture follows it.

Stored notebooks and the built site hold a still picture instead; tests/test_notebooks.py and
tests/test_site.py see to that.
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from nbsource import NOTEBOOKS, code_cells, find, read
from PIL import Image
from playwright.sync_api import Page

PATIENCE = 180_000  # milliseconds: a busy machine is slower, and passes all the same
KNOB = """
import matplotlib.pyplot as plt
import numpy as np
from helpers.widgets import explore
from ipywidgets import IntSlider

def draw(grey):
    plt.figure(figsize=(1, 1))
    plt.imshow(np.full((3, 3), grey), cmap="gray", vmin=0, vmax=255)
    plt.show()

explore(draw, static={"grey": 0}, grey=IntSlider(value=100, min=0, max=250, step=50))
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A JupyterLab of its own: its address, and the folder whose notebooks it opens."""
    folder, home = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("home")
    settings = home / ".jupyter" / "labconfig"
    settings.mkdir(parents=True)
    # No question about news from another host.
    news = {"@jupyterlab/apputils-extension:announcements": True}
    (settings / "page_config.json").write_text(json.dumps({"disabledExtensions": news}))
    environment = {
        key: value
        for key, value in os.environ.items()
        if key != "BOOK_STATIC" and not key.startswith("JUPYTER")
    }
    environment |= {"HOME": str(home), "PYTHONPATH": str(NOTEBOOKS)}
    with (home / "log").open("w+", encoding="utf-8") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0",
             f"--ServerApp.root_dir={folder}", "--IdentityProvider.token=",
             "--ServerApp.ip=127.0.0.1"],
            env=environment, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield address_of(server, home), folder
        finally:
            server.terminate()
            server.wait(60)


def address_of(server: subprocess.Popen, home: Path) -> str:
    """Where the server answers, once it does."""
    for _ in range(240):
        for file in (home / ".local/share/jupyter/runtime").glob("jpserver-*.json"):
            address = json.loads(file.read_text())["url"]
            with urlopen(f"{address}api/status", timeout=60):
                return address
        assert server.poll() is None, (home / "log").read_text()
        time.sleep(0.5)
    raise TimeoutError((home / "log").read_text())


def picture(tab: Page) -> np.ndarray:
    """The last picture that the notebook shows, in greys."""
    source = tab.locator(".jp-Cell-outputArea img").last.get_attribute("src", timeout=PATIENCE)
    return np.array(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).convert("L"))


def middle(tab: Page) -> int:
    """The grey in the middle of that picture."""
    grey = picture(tab)
    return int(grey[grey.shape[0] // 2, grey.shape[1] // 2])


def wait_for(what: Callable[[], bool], seconds: float = PATIENCE / 1000) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def open_and_run(tab: Page, lab: tuple[str, Path], *cells: str) -> None:
    """Opens a notebook of these cells and runs them all, as a reader does."""
    address, folder = lab
    nb = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    nb.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(nb, folder / "knob.ipynb")
    tab.goto(f"{address}lab/tree/knob.ipynb?reset", timeout=PATIENCE)
    # A cell that is run before the kernel listens is forgotten.
    tab.get_by_text("| Idle").wait_for(timeout=PATIENCE)
    tab.get_by_role("menuitem", name="Run", exact=True).click(timeout=PATIENCE)
    tab.get_by_role("menuitem", name="Run All Cells", exact=True).click(timeout=PATIENCE)


def test_moving_the_slider_changes_the_picture(lab: tuple[str, Path], tab: Page) -> None:
    open_and_run(tab, lab, KNOB)
    handle = tab.locator(".widget-slider .noUi-handle").first
    handle.wait_for(timeout=PATIENCE)
    assert wait_for(lambda: middle(tab) == 100)
    for grey in (150, 200):
        handle.press("ArrowRight")
        assert wait_for(lambda grey=grey: middle(tab) == grey), grey


def test_a_knob_of_a_chapter_turns_its_picture(lab: tuple[str, Path], tab: Page) -> None:
    """Chapter 5's image filter, by the cells that come before it."""
    cells = [cell.source for cell in code_cells(read(find("05_cnn")))]
    last = next(n for n, cell in enumerate(cells) if "explore(" in cell)
    open_and_run(tab, lab, *cells[: last + 1])
    handle = tab.locator(".widget-slider .noUi-handle").first
    handle.wait_for(timeout=PATIENCE)
    before = picture(tab)
    handle.press("End")
    assert wait_for(lambda: not np.array_equal(picture(tab), before))
    assert tab.locator(".jp-OutputArea-output.jp-mod-error").count() == 0


def test_a_knob_that_turns_nothing_is_noticed(lab: tuple[str, Path], tab: Page) -> None:
    """The planted fault: a slider beside a picture that does not depend on it."""
    untied = "display(IntSlider(100, 0, 250, 50))\ndraw(100)"
    open_and_run(tab, lab, KNOB.split("explore(draw")[0] + untied)
    handle = tab.locator(".widget-slider .noUi-handle").first
    handle.wait_for(timeout=PATIENCE)
    assert wait_for(lambda: middle(tab) == 100)
    handle.press("ArrowRight")
    assert not wait_for(lambda: middle(tab) != 100, seconds=3)
