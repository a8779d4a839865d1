"""Runs notebooks as Colab does: each alone in an empty folder, its helpers fetched with git.

    python tools/colab.py                    run every notebook to its end
    python tools/colab.py 07a_diffusion      run this one

The working files, with an address stamped into them, become a repository in a temporary folder, and
git is told to find that one at the address. The kernel starts in a folder that holds the notebook
and nothing else, knows nothing of this checkout, and has `google.colab`: Colab's own where this is
run inside Colab's image (.github/workflows/weekly.yml does so), an empty stand-in elsewhere.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from nbsource import ROOT, find, paths, read
from packaging.requirements import Requirement
from stamp import stamp

ADDRESS = "https://github.com/some-owner/some-copy"
LEFT_OUT = (".git", ".venv", "_build", "node_modules", "__pycache__")
# The last cell of every run: what was used is what was fetched.
PROOF = """
from pathlib import Path
import helpers
assert env.colab
assert Path("igr-book").resolve() in Path(helpers.__file__).resolve().parents, helpers.__file__
"""


def main(names: list[str]) -> int:
    """Run from the command line; return the exit status."""
    if inside_colab() and (faults := unmet(requirements(), version)):
        print("Colab has other versions than requirements.txt names:", *faults, sep="\n")
        return 1
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        repository = publish(Path(folder, "repository"))
        for path in [find(name) for name in names] or paths():
            start = time.perf_counter()
            content = Path(folder, path.stem)
            content.mkdir()
            try:
                run(read(repository / "notebooks" / path.name), content, repository)
                said = "ran to its end"
            except CellExecutionError as error:
                failed, said = True, f"failed: {error}"
            print(f"{path.stem}: {time.perf_counter() - start:.0f} s, {said}", flush=True)
    return int(failed)


def inside_colab() -> bool:
    """Whether this Python has Colab's own module."""
    try:
        return importlib.util.find_spec("google.colab") is not None
    except ModuleNotFoundError:
        return False


def requirements() -> list[Requirement]:
    """What the notebooks import: the first paragraph of requirements.txt."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8").split("\n\n")[0]
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line]


def unmet(wanted: Iterable[Requirement], version: Callable[[str], str]) -> list[str]:
    """Where an installed version, as `version` tells it by name, is outside the wanted range."""
    return [
        f"{one} is wanted, {version(one.name)} is there"
        for one in wanted
        if not one.specifier.contains(version(one.name))
    ]


def publish(folder: Path, address: str = ADDRESS) -> Path:
    """A repository of the working files in `folder`, with the address stamped into them."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
    if missing := [line for line in stamp(address, folder) if "no place" in line]:
        raise ValueError("\n".join(missing))
    for command in (
        "init -q",
        "config user.name book",
        "config user.email book@localhost",
        "config core.compression 0",  # it is cloned on this machine only
        "add -A",
        "commit -qm book",
    ):
        subprocess.run(["git", *command.split()], cwd=folder, check=True)
    return folder


def run(nb: NotebookNode, content: Path, repository: Path) -> None:
    """Run every cell of `nb` in the folder `content`, as Colab would.

    Raises:
        CellExecutionError: a cell failed, or the helpers in use are not those of `repository`.
    """
    gone = ("PYTHONPATH", "VIRTUAL_ENV", "BOOK_STATIC")
    environment = {key: value for key, value in os.environ.items() if key not in gone}
    environment |= {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{repository.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS,
    }
    if not inside_colab():
        package = repository.parent / "stand-in" / "google" / "colab"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()
        environment["PYTHONPATH"] = str(repository.parent / "stand-in")
        scripts = str(Path(sys.executable).parent)  # what is installed beside this Python
        environment["PATH"] = os.pathsep.join(p for p in os.get_exec_path() if p != scripts)
    client = NotebookClient(
        nb,
        # No kernel folder: the kernel is this very interpreter's.
        km=AsyncKernelManager(
            kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[])
        ),
        timeout=None,
        resources={"metadata": {"path": str(content)}},
        # Colab's front end imports this before the first cell.
        extra_arguments=["--IPKernelApp.exec_lines=import google.colab"],
    )
    nb.cells.append(new_code_cell(PROOF))
    client.execute(env=environment)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
