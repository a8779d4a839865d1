"""Weights are only ever read as numbers: a file of weights must not be able to run code.

`safetensors` holds nothing but numbers. `torch.load` unpickles, which may call anything, unless it
is told `weights_only=True`; what unpickles otherwise is not to be used at all.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from nbsource import NOTEBOOKS, ROOT, code_cells, paths, read, syntax

UNPICKLERS = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve"}
FOLDERS = (NOTEBOOKS / "helpers", ROOT / "tools", ROOT / "tests", ROOT / "book" / "_ext")


def unsafe(tree: ast.AST) -> Iterator[str]:
    """Whatever in the tree may run code that a file brings along."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = {alias.name.split(".")[0] for alias in node.names} & UNPICKLERS
        elif isinstance(node, ast.ImportFrom):
            found = {(node.module or "").split(".")[0]} & UNPICKLERS
            if node.module == "torch":  # under another name, the call would not be seen
                found |= {alias.name for alias in node.names} & {"load", "jit", "hub"}
        elif isinstance(node, ast.Call):
            found = set(filter(None, [unsafe_call(node)]))
        else:
            continue
        yield from (f"line {node.lineno}: {ast.unparse(node)}" for _ in found)


def unsafe_call(call: ast.Call) -> str:
    """The name of what is called, where that may unpickle; empty otherwise."""
    name = ast.unparse(call.func)
    values = {word.arg: ast.unparse(word.value) for word in call.keywords}
    if name == "torch.load":
        return "" if values.get("weights_only") == "True" else name
    if name.startswith(("torch.hub.load", "torch.jit.load")):
        return name
    pickled = values.get("allow_pickle", "False") != "False"
    return name if pickled or name.endswith("load_state_dict_from_url") else ""


def sources() -> dict[str, list[ast.Module]]:
    """Every Python file and notebook, as syntax trees."""
    files = {
        path.relative_to(ROOT).as_posix(): [ast.parse(path.read_text(encoding="utf-8"))]
        for folder in FOLDERS
        for path in folder.rglob("*.py")
    }
    return files | {path.name: list(map(syntax, code_cells(read(path)))) for path in paths()}


def test_nothing_unpickles_what_it_is_given() -> None:
    trees = sources()
    assert {"notebooks/helpers/training.py", "tools/export.py", "03_gan.ipynb"} <= set(trees)
    faults = [f"{name}, {said}" for name in trees for tree in trees[name] for said in unsafe(tree)]
    assert not faults, "\n".join(faults)


def test_only_safe_formats_are_shipped() -> None:
    shipped = [path for path in (NOTEBOOKS / "weights").iterdir() if "checkpoint" not in path.name]
    assert {path.suffix for path in shipped} == {".safetensors", ".json"}


@pytest.mark.parametrize(
    "fault",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, map_location='cpu', weights_only=strict)",
        "x = [torch.load(p) for p in paths]",
        "from torch import load",
        "import pickle",
        "from joblib import load",
        "np.load(path, allow_pickle=True)",
        "torch.hub.load('owner/repo', 'model')",
        "torch.jit.load(path)",
        "torch.utils.model_zoo.load_state_dict_from_url(url)",
    ],
)
def test_a_planted_fault_is_found(fault: str) -> None:
    assert list(unsafe(ast.parse(fault)))


@pytest.mark.parametrize(
    "sound",
    [
        "torch.load(path, weights_only=True)",
        "from safetensors.torch import load_file",
        "np.load(path)",
        "np.load(path, allow_pickle=False)",
        "json.loads(text)",
    ],
)
def test_what_is_safe_passes(sound: str) -> None:
    assert not list(unsafe(ast.parse(sound)))
