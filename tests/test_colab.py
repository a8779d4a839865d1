"""What a reader of Colab meets: an empty folder, Colab's versions, and helpers to be fetched.

The runs here have an empty stand-in for Colab's module, and this environment's versions;
.github/workflows/weekly.yml runs every notebook in Colab's own image.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import colab
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook
from nbsource import NOTEBOOKS, ROOT, code_cells, paths, read
from packaging.requirements import Requirement

# Of Colab's runtime version 2026.01 (Python 3.12.12), as it published them in January 2026.
VERSIONS = {
    "torch": "2.9.0+cpu",
    "torchvision": "0.24.0+cpu",
    "numpy": "2.0.2",
    "scipy": "1.16.3",
    "matplotlib": "3.10.0",
    "scikit-image": "0.25.2",
    "scikit-learn": "1.6.1",
    "mlxtend": "0.23.4",
    "ipywidgets": "7.7.1",
    "tqdm": "4.67.1",
    "safetensors": "0.7.0",
}
CHEAPEST = "02a_generation"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working files as a repository, the address stamped into them."""
    return colab.publish(tmp_path_factory.mktemp("colab") / "repository")


def first_cell(folder: Path) -> str:
    """The first cell, as stamped in this repository."""
    return (folder / "tools" / "first_cell.py").read_text(encoding="utf-8").strip()


def test_the_requirements_contain_what_colab_has() -> None:
    wanted = colab.requirements()
    assert {one.name for one in wanted} == set(VERSIONS)
    assert colab.unmet(wanted, VERSIONS.__getitem__) == []


@pytest.mark.parametrize("fault", ["torch>=2.10", "ipywidgets>=8", "numpy>=1.26,<2"])
def test_a_range_without_colab_s_version_is_found(fault: str) -> None:
    (said,) = colab.unmet([Requirement(fault)], VERSIONS.__getitem__)
    assert said.endswith("is there")


def test_a_notebook_runs_to_its_end(repository: Path, tmp_path: Path) -> None:
    nb = read(repository / "notebooks" / f"{CHEAPEST}.ipynb")
    colab.run(nb, tmp_path, repository)
    assert [path.name for path in tmp_path.iterdir()] == ["igr-book"]  # it left nothing else
    views = "application/vnd.jupyter.widget-view+json"
    outputs = [output for cell in code_cells(nb) for output in cell.outputs]
    assert any(views in output.get("data", {}) for output in outputs)  # its controls are live


def test_every_notebook_begins_as_that_one_does(repository: Path) -> None:
    common = first_cell(repository)
    assert f'repository = "{colab.ADDRESS}"' in common
    for path in paths():
        assert code_cells(read(repository / "notebooks" / path.name))[0].source == common


@pytest.mark.parametrize("pattern", ["helpers/*.py", "weights/*.safetensors", "weights/*.json"])
def test_what_notebooks_need_is_what_git_takes(repository: Path, pattern: str) -> None:
    command = ["git", "ls-files", f"notebooks/{pattern}"]
    taken = subprocess.run(command, cwd=repository, check=True, capture_output=True, text=True)
    here = {path.name for path in (ROOT / "notebooks").glob(pattern)}
    assert here
    assert here == {Path(name).name for name in taken.stdout.splitlines()}


@pytest.mark.parametrize(
    ("sound", "fault", "said"),
    [
        (colab.ADDRESS, "", "has no address yet"),
        (colab.ADDRESS, "/gone", "returned non-zero exit status 128"),
        ("igr-book/notebooks", "gone", "No module named 'helpers'"),
        # Helpers are found, and are not those that were fetched.
        ("igr-book/notebooks", str(NOTEBOOKS), f"{NOTEBOOKS}/helpers/__init__.py\n"),
    ],
)
def test_a_planted_fault_is_found(
    repository: Path, tmp_path: Path, sound: str, fault: str, said: str
) -> None:
    cell = first_cell(repository)
    assert sound in cell
    nb = new_notebook(cells=[new_code_cell(cell.replace(sound, fault))])
    with pytest.raises(CellExecutionError, match=re.escape(said)):
        colab.run(nb, tmp_path, repository)
