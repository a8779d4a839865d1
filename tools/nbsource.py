"""What tools and tests need to know of a notebook without running it.

`definitions` is the way to the networks that a chapter teaches: it executes only the notebook's
top-level imports, classes, functions and literal constants, so that a test or an export uses the
very code that the reader sees, in a second and without training anything.
"""

from __future__ import annotations

import ast
import linecache
import re
import sys
from pathlib import Path
from types import ModuleType

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"


def paths() -> list[Path]:
    """The chapters, in the order of their names."""
    return sorted(NOTEBOOKS.glob("*.ipynb"))


def find(name: str) -> Path:
    """The notebook called `name`: `03_gan`, `03_gan.ipynb` or a path to it."""
    stem = Path(name).stem
    for path in (Path(name), NOTEBOOKS / f"{stem}.ipynb"):
        if path.suffix == ".ipynb" and path.is_file():
            return path.resolve()
    known = ", ".join(path.stem for path in paths()) or "none yet"
    raise FileNotFoundError(f"no notebook called {name!r} in {NOTEBOOKS}; there are: {known}")


def read(path: Path) -> NotebookNode:
    """The notebook in the file, in version 4 of the format."""
    return nbformat.read(path, as_version=4)


def code_cells(nb: NotebookNode) -> list[NotebookNode]:
    """The code cells in which something is written."""
    return [cell for cell in nb.cells if cell.cell_type == "code" and cell.source.strip()]


def markdown(nb: NotebookNode) -> str:
    """All prose of the notebook as one text."""
    return "\n\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")


def syntax(cell: NotebookNode) -> ast.Module:
    """The syntax tree of a code cell; lines with `%` or `!` commands count as `pass`."""
    return ast.parse(re.sub(r"(?m)^([ \t]*)[%!].*$", r"\1pass", cell.source))


def definitions(path: Path) -> ModuleType:
    """A module with what the notebook imports and defines at its top level, nothing else run."""
    module = ModuleType(path.stem)
    sys.modules[path.stem] = module  # where dataclasses and pickle look a class's module up
    if str(NOTEBOOKS) not in sys.path:
        sys.path.insert(0, str(NOTEBOOKS))
    for number, cell in enumerate(code_cells(read(path)), 1):
        tree = syntax(cell)
        tree.body = [statement for statement in tree.body if _defines(statement)]
        name = f"<{path.stem}, code cell {number}>"
        lines = cell.source.splitlines(keepends=True)
        linecache.cache[name] = (len(cell.source), None, lines, name)  # for tracebacks and inspect
        try:
            exec(compile(tree, name, "exec"), module.__dict__)
        except NameError as error:
            raise NameError(
                f"{path.name}, code cell {number}: {error}. A class or function may use only what "
                "the notebook imports, defines or sets to a literal at its top level."
            ) from error
    return module


def _defines(statement: ast.stmt) -> bool:
    """Whether the statement imports, defines, or names a literal such as `latent = 64`."""
    if isinstance(statement, ast.Assign):
        if not all(isinstance(target, ast.Name) for target in statement.targets):
            return False
        try:
            ast.literal_eval(statement.value)
        except ValueError:
            return False
        return True
    kinds = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return isinstance(statement, kinds)
