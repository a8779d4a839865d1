"""What every stored notebook must be, beside what nbval compares when it runs one.

Each rule is a small function that takes a notebook and yields its faults in words. Beside each rule
stand faults to plant: they are put into a good notebook, and the rule must then speak. So a rule
that has become blind fails, too.
"""

from __future__ import annotations

import ast
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import nbformat.v4 as v4
import pytest
import yaml
from execute import dumps, normalise
from nbformat import NotebookNode
from nbsource import NOTEBOOKS, ROOT, code_cells, markdown, paths, read, syntax

Notebook = NotebookNode
Faults = Iterator[str]
RULES: list[tuple[Callable[[Notebook], Faults], tuple[Callable, ...]]] = []

RESULT = "application/vnd.igr.result+json"
RESULT_FIELDS = {
    "task": str, "method": str, "family": str, "data": str, "protocol": str, "metric": str,
    "better": str, "score": (int, float), "unit": str, "seconds": (int, float, type(None)),
    "parameters": (int, type(None)), "published": (str, type(None)), "anchor": str, "more": dict,
}  # fmt: skip
TAGS = {
    "nbval-ignore-output",
    "hide-input",
    "hide-output",
    "remove-cell",
    "remove-input",
    "solution",
}
CHECK = re.compile(
    r"✓ (?P<name>.+): (?P<value>\S+) "
    r"\((?:at least (?P<least>\S+)|at most (?P<most>\S+)|(?P<low>\S+) to (?P<high>\S+))\)"
)


def rule(*faults: Callable[[Notebook], object]) -> Callable:
    """Registers a rule together with the faults that it must find when they are planted."""
    assert faults, "a rule needs a fault that proves it"

    def register(check: Callable[[Notebook], Faults]) -> Callable[[Notebook], Faults]:
        RULES.append((check, faults))
        return check

    return register


# ---------------------------------------------------------------- a good notebook, to plant in


def good() -> Notebook:
    """A small notebook that breaks no rule."""
    first = (ROOT / "tools" / "first_cell.py").read_text(encoding="utf-8").strip()
    row = {
        "task": "Generation", "method": "PPCA", "family": "classical", "data": "digits",
        "protocol": "test half", "metric": "distance", "better": "lower", "score": 1.5, "unit": "",
        "seconds": 2.0, "parameters": 3, "published": None, "anchor": "toy", "more": {},
    }  # fmt: skip
    cells = [
        v4.new_markdown_cell("# Toy\n\nIt costs 9 s and 0.5 GB.", id="title"),
        code("first", first),
        v4.new_markdown_cell(
            f"(toy)=\n## Label\n\nSee [here](toy), {{ref}}`toy`, [there](../README.md#top), "
            f"{{cite:p}}`{next(iter(citation_keys()), 'none')}`, `[no](link)` and $D[f](x)$.",
            id="prose",
        ),
        code("print", "print('three', 3)", stream("three 3\n")),
        code("value", "x = 2\nx + 1", result("3")),
        code("check", "check('half', 0.5, at_least=0.4)", stream("✓ half: 0.5 (at least 0.4)\n")),
        code("range", "check('r', 2, at_least=1, at_most=3)", stream("✓ r: 2 (1 to 3)\n")),
        code("figure", "show(x)", picture()),
        code("record", "record(row)", v4.new_output("display_data", {RESULT: row})),
    ]
    cells[-1].metadata.tags = ["nbval-ignore-output"]
    cells[-2].metadata.mystnb = {
        "image": {"alt": "A grey square"},
        "figure": {"caption": "A square.", "name": "fig-toy-square"},
    }
    for n in (1, 2, 3):
        cells.append(v4.new_markdown_cell(f"### Exercise {n}\n\nTry it.", id=f"exercise{n}"))
        cells.append(code(f"solution{n}", f"y = {n}"))
        cells[-1].metadata.tags = ["hide-input", "solution"]
    nb = v4.new_notebook(cells=cells)
    nb.metadata.book = {"seconds": 9, "memory_gb": 0.5, "download_mb": 0}
    for count, cell in enumerate(code_cells(nb), 1):
        cell.execution_count = count
    return normalise(nb)


def code(name: str, source: str, *outputs: NotebookNode) -> NotebookNode:
    return v4.new_code_cell(source, id=name, outputs=list(outputs))


def stream(text: str, name: str = "stdout") -> NotebookNode:
    return v4.new_output("stream", name=name, text=text)


def result(text: str) -> NotebookNode:
    return v4.new_output("execute_result", {"text/plain": text}, execution_count=5)


def picture() -> NotebookNode:
    return v4.new_output("display_data", {"image/png": "iVBORw0KGgo=", "text/plain": "<Figure>"})


def cell_of(nb: Notebook, name: str) -> NotebookNode:
    return next(cell for cell in nb.cells if cell.id == name)


def source(name: str, text: str) -> Callable[[Notebook], object]:
    """A fault: this source in the cell called `name`."""
    return lambda nb: cell_of(nb, name).update(source=text)


def prose(text: str) -> Callable[[Notebook], object]:
    """A fault: this text in the prose."""
    return lambda nb: cell_of(nb, "prose").update(source="(toy)=\n" + text)


def outputs(name: str, *new: NotebookNode) -> Callable[[Notebook], object]:
    """A fault: these outputs under the cell called `name`."""
    return lambda nb: cell_of(nb, name).update(outputs=list(new))


# ---------------------------------------------------------------- how the rules look at a notebook


def where(cell: NotebookNode) -> str:
    """A cell as a reader would find it."""
    lines = cell.source.strip().splitlines()
    return f"cell {cell.id} ({lines[0][:60] if lines else 'empty'})"


def text_of(cell: NotebookNode, name: str = "stdout") -> str:
    outputs = cell.outputs
    return "".join(o.text for o in outputs if o.output_type == "stream" and o.name == name)


def images(cell: NotebookNode) -> list[NotebookNode]:
    data = (output.get("data", {}) for output in cell.outputs)
    return [kinds for kinds in data if any(kind.startswith("image/") for kind in kinds)]


def rows(cell: NotebookNode) -> list[dict]:
    return [o.data[RESULT] for o in cell.outputs if RESULT in o.get("data", {})]


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def certain_calls(cell: NotebookNode, name: str) -> int:
    """How often running the cell surely calls `name` (a pattern): once for each call that stands
    neither in a branch nor in a definition; a call in a loop counts once."""
    unsure = (ast.If, ast.IfExp, ast.Try, ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.BoolOp)

    def count(node: ast.AST) -> int:
        if isinstance(node, unsure):
            return 0
        ours = isinstance(node, ast.Call) and re.fullmatch(name, ast.unparse(node.func))
        return bool(ours) + sum(map(count, ast.iter_child_nodes(node)))

    return count(syntax(cell))


def literals(cell: NotebookNode) -> list[str]:
    nodes = ast.walk(syntax(cell))
    return [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def labels_in(text: str) -> set[str]:
    """The MyST labels that a text defines: of places, equations, directives and headings."""
    named = r"(?m)^\(([^)\s]+)\)=|\$\$\s*\(([^)\s]+)\)|^\s*:(?:label|name):\s*(\S+)"
    found = {label for match in re.findall(named, text) for label in match if label}
    for heading in re.findall(r"(?m)^#+ +(.+)$", text):
        found.add(re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-"))
    return {label.lower() for label in found}


def labels(nb: Notebook) -> set[str]:
    figures = (cell.metadata.get("mystnb", {}).get("figure", {}) for cell in nb.cells)
    return labels_in(markdown(nb)) | {
        figure["name"].lower() for figure in figures if "name" in figure
    }


@cache
def house_labels() -> set[str]:
    """The labels of all pages and notebooks."""
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "book").glob("*.md")]
    return set().union(*map(labels_in, pages), *(labels(read(path)) for path in paths()))


@cache
def citation_keys() -> frozenset[str]:
    bibliography = ROOT / "book" / "references.bib"
    text = bibliography.read_text(encoding="utf-8") if bibliography.is_file() else ""
    return frozenset(re.findall(r"(?m)^\s*@\w+\s*\{\s*([^,\s]+)", text))


@cache
def address() -> str:
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    return config["repository"]["url"] or ""


def plain(text: str) -> str:
    """The text without code and formulas, in which brackets are no links."""
    for pattern in (
        r"```(?!\{)[\s\S]*?```",
        r"(`+)[\s\S]+?\1",
        r"\$\$[\s\S]+?\$\$",
        r"\$[^$\n]+\$",
    ):
        text = re.sub(pattern, " ", text)
    return text


# ---------------------------------------------------------------- the rules


@rule(
    lambda nb: cell_of(nb, "print").update(execution_count=None),
    lambda nb: cell_of(nb, "print").update(execution_count=7),
)
def every_cell_was_executed_in_order(nb: Notebook) -> Faults:
    for count, cell in enumerate(code_cells(nb), 1):
        if cell.execution_count != count:
            yield f"{where(cell)}: executed as {cell.execution_count}, it is number {count}"


@rule(
    outputs("print", v4.new_output("error", ename="E", evalue="", traceback=[])),
    outputs("print", stream("three 3\n"), stream("a warning", "stderr")),
)
def no_error_and_nothing_on_stderr(nb: Notebook) -> Faults:
    for cell in code_cells(nb):
        if any(output.output_type == "error" for output in cell.outputs):
            yield f"{where(cell)}: an error is stored"
        if text_of(cell, "stderr"):
            yield f"{where(cell)}: stored on stderr: {text_of(cell, 'stderr')[:80]!r}"


@rule(
    outputs("print"),
    outputs("value"),
    outputs("record"),
    outputs("figure"),
    source("solution1", "fig, ax = plt.subplots()\nplt.show()"),
    source("solution2", "explore(draw, static)"),
    outputs("check"),
    source("check", "for bar in (0.4, 0.3):\n    check('half', 0.5, at_least=bar)\ncheck('x', 1)"),
)
def what_must_show_something_does(nb: Notebook) -> Faults:
    for cell in code_cells(nb):
        if certain_calls(cell, "print") and not text_of(cell):
            yield f"{where(cell)}: prints, yet no text is stored"
        if text_of(cell).count("✓ ") < certain_calls(cell, "check"):
            yield f"{where(cell)}: fewer check lines are stored than checks are made"
        if len(rows(cell)) < certain_calls(cell, "record"):
            yield f"{where(cell)}: records a result, yet none is stored"
        if certain_calls(cell, r"(plt\.)?show\w*|display|explore") and not cell.outputs:
            yield f"{where(cell)}: displays, yet nothing is stored"
        last = syntax(cell).body[-1]
        valued = isinstance(last, ast.Expr) and not isinstance(last.value, ast.Call | ast.Constant)
        if valued and not any("data" in output for output in cell.outputs):
            yield f"{where(cell)}: ends in a value, yet none is stored"


@rule(
    outputs("check", stream("✓ half: 0.3 (at least 0.4)\n")),
    outputs("check", stream("✓ half: 0.5 (at most 0.4)\n")),
    outputs("range", stream("✓ r: 4 (1 to 3)\n")),
    outputs("check", stream("✓ half: nan (at least 0.4)\n")),
    outputs("check", stream("✓ half is fine\n")),
)
def every_stored_value_obeys_its_bar(nb: Notebook) -> Faults:
    for cell in code_cells(nb):
        for line in text_of(cell).splitlines():
            if not line.startswith("✓"):
                continue
            match = CHECK.fullmatch(line)
            if not match:
                yield f"{where(cell)}: not the form of a check: {line}"
                continue
            low = float(match["least"] or match["low"] or "-inf")
            high = float(match["most"] or match["high"] or "inf")
            if not low <= float(match["value"]) <= high:
                yield f"{where(cell)}: misses its bar: {line}"


@rule(
    lambda nb: cell_of(nb, "first").update(source="env = 0\n" + cell_of(nb, "first").source),
    lambda nb: cell_of(nb, "first").update(
        source=re.sub(r'(?m)^repository = "', r"\g<0>elsewhere", cell_of(nb, "first").source)
    ),
    lambda nb: nb.cells.insert(0, code("early", "import torch")),
)
def the_first_cell_is_the_common_one(nb: Notebook) -> Faults:
    common = (ROOT / "tools" / "first_cell.py").read_text(encoding="utf-8").strip()
    common = re.sub(r'(?m)^repository = "[^"]*"', f'repository = "{address()}"', common)
    if not code_cells(nb) or code_cells(nb)[0].source != common:
        yield "its first code cell is not tools/first_cell.py with the address of _config.yml"


@rule(
    source("print", "print('three', 3)" + "\n# more" * 30),
    lambda nb: [cell.update(source=cell.source + "\n#" * 10) for cell in code_cells(nb)],
)
def cells_are_short(nb: Notebook) -> Faults:
    lengths = [len(cell.source.splitlines()) for cell in code_cells(nb)]
    if (median := statistics.median(lengths)) > 10:
        yield f"the median code cell has {median:g} lines, 10 are allowed"
    for cell in code_cells(nb):
        if (lines := len(cell.source.splitlines())) > 30:
            yield f"{where(cell)}: {lines} lines, 30 are allowed"


@rule(
    lambda nb: cell_of(nb, "figure").metadata.clear(),
    lambda nb: cell_of(nb, "figure").metadata.mystnb.image.update(alt=" "),
    lambda nb: cell_of(nb, "figure").metadata.mystnb.figure.update(caption=""),
    lambda nb: cell_of(nb, "figure").metadata.mystnb.figure.update(name="square"),
    lambda nb: nb.cells.append(NotebookNode(cell_of(nb, "figure"), id="again")),
    outputs("figure", picture(), picture()),
    outputs("figure", v4.new_output("display_data", {"image/svg+xml": "<svg/>"})),
    outputs("figure", stream("no picture")),
    prose("![](../book/_static/logo.svg)"),
)
def every_picture_has_caption_name_and_alt_text(nb: Notebook) -> Faults:
    names = []
    for cell in code_cells(nb):
        told = cell.metadata.get("mystnb", {})
        if not images(cell) and "figure" not in told:
            continue
        if len(images(cell)) != 1:
            yield f"{where(cell)}: {len(images(cell))} pictures under one caption"
        if not {"image/png", "image/webp"}.intersection(*images(cell) or [{}]):
            yield f"{where(cell)}: its picture is neither PNG nor WebP"
        if not told.get("image", {}).get("alt", "").strip():
            yield f"{where(cell)}: metadata.mystnb.image.alt is missing"
        if not told.get("figure", {}).get("caption", "").strip():
            yield f"{where(cell)}: metadata.mystnb.figure.caption is missing"
        names.append(told.get("figure", {}).get("name", ""))
        if not names[-1].startswith("fig-") or names[-1] in names[:-1]:
            yield f"{where(cell)}: name {names[-1]!r} is not unique or does not start with fig-"
    if "![](" in markdown(nb):
        yield "a picture in the prose has no alt text"


@rule(lambda nb: nb.metadata.update(filler="x" * 1_200_001))
def the_file_is_small(nb: Notebook) -> Faults:
    if (size := len(dumps(nb).encode())) > 1_200_000:
        yield f"{size / 1e6:.2f} MB, 1.2 MB are allowed"


@rule(
    source("value", "import myst_nb"),
    source("value", "from myst_nb import glue"),
    source("value", "!pip install torch"),
    source("value", "%pip install -q 'torchvision'"),
    source("value", "x = open('/home/me/x.npy')"),
    source("value", "x = '~/data'"),
    source("value", r"x = r'C:\data'"),
    source("value", "x = 'https://example.org/x.npy'"),
    source("value", "# NBVAL_IGNORE_OUTPUT\nx = 2"),
    outputs("value", result("'/home/me/.venv/lib'")),
    outputs("value", result("<function f at 0x7f28d50789d0>")),
)
def the_code_runs_anywhere(nb: Notebook) -> Faults:
    """No tool of the build, no other host, no path or address of one machine."""
    machine = (
        r"""(?:^|["'\s])(?:/(?:home|root|tmp|mnt|opt|usr|var|work|content|Users)/|~/|[A-Z]:\\)"""
    )
    for cell in code_cells(nb):
        if re.search(r"(?m)^\s*(?:import|from)\s+myst_nb\b", cell.source):
            yield f"{where(cell)}: imports myst_nb"
        if re.search(r"(?m)^\s*[!%].*\binstall\b.*\btorch", cell.source):
            yield f"{where(cell)}: installs PyTorch"
        if any(re.search(machine, literal) for literal in literals(cell)):
            yield f"{where(cell)}: a path of one machine"
        if re.search(r"(?m)^(?!repository = ).*https?://", cell.source):
            yield f"{where(cell)}: an address in the code"
        if re.search(r"#\s*(?:NBVAL|PYTEST)_", cell.source):
            yield f"{where(cell)}: a comment for nbval; a tag does this"
        for output in cell.outputs:
            shown = output.get("text") or output.get("data", {}).get("text/plain", "")
            if re.search(machine, shown) or re.search(r"\b0x[0-9a-f]{8,}", shown):
                yield f"{where(cell)}: shows a path or an address of this machine"


@rule(
    lambda nb: cell_of(nb, "print").metadata.update(tags=["nbval-skip"]),
    lambda nb: cell_of(nb, "record").metadata.update(tags=[]),
    source("value", "x + 1;"),
)
def nbval_can_compare_it(nb: Notebook) -> Faults:
    for cell in code_cells(nb):
        if unknown := set(tags(cell)) - TAGS:
            yield f"{where(cell)}: tags {unknown} are not among ours"
        if rows(cell) and "nbval-ignore-output" not in tags(cell):
            yield f"{where(cell)}: a result holds seconds; tag it nbval-ignore-output"
        if cell.source.rstrip().endswith(";"):
            yield f"{where(cell)}: nbval does not know a closing `;`; write `_ = ...`"


@rule(
    lambda nb: nb.cells.remove(cell_of(nb, "exercise3")),
    lambda nb: nb.cells.remove(cell_of(nb, "solution2")),
    lambda nb: cell_of(nb, "solution3").metadata.update(tags=["hide-input"]),
    lambda nb: cell_of(nb, "solution3").metadata.update(tags=["solution"]),
    source("exercise2", "### Exercise 5"),
)
def every_exercise_is_solved(nb: Notebook) -> Faults:
    heading = re.compile(r"(?m)^### Exercise (\d+)\b")
    found = [(n, i) for i, cell in enumerate(nb.cells) for n in heading.findall(cell.source)]
    if not 3 <= len(found) <= 5 or [int(n) for n, _ in found] != [*range(1, len(found) + 1)]:
        yield f"3 to 5 headings `### Exercise n` in order; found {[n for n, _ in found]}"
    for (number, start), (_, end) in pairwise([*found, ("", len(nb.cells))]):
        solutions = [cell for cell in nb.cells[start:end] if "solution" in tags(cell)]
        if not any(cell.cell_type == "code" and cell.execution_count for cell in solutions):
            yield f"Exercise {number}: no executed code cell with the tag `solution`"
        if any("hide-input" not in tags(cell) for cell in solutions):
            yield f"Exercise {number}: its solution is not folded (tag `hide-input`)"


@rule(
    prose("[gone](../book/gone.md)"),
    prose("[gone](#gone)"),
    prose("[gone](gone)"),
    prose("{ref}`gone`"),
    prose("{numref}`Figure {number} <fig-gone>`"),
    prose("{eq}`gone`"),
    prose("{doc}`../book/gone`"),
)
def every_internal_link_leads_somewhere(nb: Notebook) -> Faults:
    known = labels(nb) | house_labels()
    text = markdown(nb)
    for role, target in re.findall(r"\{(ref|numref|eq|doc)\}`([^`]+)`", text):
        target = re.sub(r".*<(.+)>$", r"\1", target, flags=re.DOTALL)
        if not (is_page(target) if role == "doc" else target.lower() in known):
            yield f"{{{role}}}`{target}` leads nowhere"
    for target in re.findall(r"\]\(([^)\s]*)[^)]*\)", plain(text)):
        if re.match(r"[a-z]+:", target):
            continue
        if not (target.removeprefix("#").lower() in known or is_page(target.split("#")[0])):
            yield f"[...]({target}) leads nowhere"


def is_page(target: str) -> bool:
    """Whether a path, as notebooks write it, is a file of the book (perhaps without its ending)."""
    file = Path(os.path.normpath(NOTEBOOKS / target))
    return target != "" and (
        file.is_file() or any(file.with_suffix(kind).is_file() for kind in (".md", ".ipynb"))
    )


@rule(
    prose("{cite:p}`nobody1900`"),
    prose("{cite}`nobody1900`"),
    lambda nb: cell_of(nb, "figure").metadata.mystnb.figure.update(caption="{cite:t}`nobody1900`"),
)
def every_citation_is_in_the_bibliography(nb: Notebook) -> Faults:
    captions = [c.metadata.get("mystnb", {}).get("figure", {}).get("caption", "") for c in nb.cells]
    for cited in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", "\n".join([markdown(nb), *captions])):
        for key in cited.split(","):
            if key.strip() not in citation_keys():
                yield f"{key.strip()} is cited, and not in book/references.bib"


@rule(
    lambda nb: rows(cell_of(nb, "record"))[0].pop("protocol"),
    lambda nb: rows(cell_of(nb, "record"))[0].update(note="more"),
    lambda nb: rows(cell_of(nb, "record"))[0].update(score="1.5"),
    lambda nb: rows(cell_of(nb, "record"))[0].update(score=float("nan")),
    lambda nb: rows(cell_of(nb, "record"))[0].update(family="other"),
    lambda nb: rows(cell_of(nb, "record"))[0].update(better="more"),
    lambda nb: rows(cell_of(nb, "record"))[0].update(anchor="elsewhere"),
)
def every_result_is_a_full_row(nb: Notebook) -> Faults:
    for cell in code_cells(nb):
        for row in rows(cell):
            if set(row) != set(RESULT_FIELDS):
                yield f"{where(cell)}: fields {set(row) ^ set(RESULT_FIELDS)} missing or unknown"
                continue
            for field, kind in RESULT_FIELDS.items():
                if not isinstance(row[field], kind) or row[field] != row[field]:
                    yield f"{where(cell)}: {field} is {row[field]!r}"
            if row["family"] not in {"classical", "deep", "physics", "reference"}:
                yield f"{where(cell)}: family {row['family']!r}"
            if row["better"] not in {"lower", "higher"}:
                yield f"{where(cell)}: better {row['better']!r}"
            if row["anchor"] not in labels(nb):
                yield f"{where(cell)}: no label ({row['anchor']})= in this notebook"


@rule(
    lambda nb: nb.metadata.pop("book"),
    lambda nb: nb.metadata.book.update(seconds=121),
    lambda nb: nb.metadata.book.update(memory_gb=3.1),
    lambda nb: nb.metadata.book.pop("download_mb"),
    source("title", "# Toy\n\nIt costs 8 s and 0.5 GB."),
)
def its_cost_is_stated_and_bearable(nb: Notebook) -> Faults:
    cost = nb.metadata.get("book", {})
    if set(cost) != {"seconds", "memory_gb", "download_mb"}:
        yield "metadata.book has seconds, memory_gb and download_mb, and nothing else"
        return
    if cost["seconds"] > 120 or cost["memory_gb"] > 3:
        yield f"at most 120 s and 3 GB are allowed; it states {dict(cost)}"
    opening = nb.cells[: nb.cells.index(code_cells(nb)[0])]
    text = "\n".join(cell.source for cell in opening).replace("\N{NO-BREAK SPACE}", " ")
    for stated in (f"{cost['seconds']:g} s", f"{cost['memory_gb']:g} GB"):
        if not re.search(rf"(?<![\d.]){re.escape(stated)}", text):
            yield f"the text before the first code does not say `{stated}`, as metadata.book does"


@rule(
    lambda nb: nb.metadata.update(widgets={}),
    lambda nb: nb.metadata.kernelspec.update(display_name="my kernel"),
    lambda nb: nb.metadata.language_info.update(version="3.11.7"),
    lambda nb: cell_of(nb, "print").metadata.update(execution={"iopub.execute_input": "now"}),
    outputs("print", stream("three"), stream(" 3\n")),
    outputs("print", stream("three"), stream("\r", "stderr"), stream(" 3\n")),
    outputs("print", stream("three 3\n"), stream("")),
    outputs("print", stream("50%\rthree 3\n")),
    outputs(
        "value", v4.new_output("display_data", {"application/vnd.jupyter.widget-view+json": {}})
    ),
)
def the_stored_form_is_the_common_one(nb: Notebook) -> Faults:
    if dumps(nb) != dumps(normalise(v4.reads(dumps(nb)))):
        yield "tidy it: python tools/execute.py --normalise-only"


# ---------------------------------------------------------------- the tests

CHECKS = [pytest.param(check, id=check.__name__) for check, _ in RULES]
PLANTED = [
    pytest.param(check, fault, id=f"{check.__name__}-{number}")
    for check, faults in RULES
    for number, fault in enumerate(faults, 1)
]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("path", paths(), ids=lambda path: path.stem)
def test_notebook(path, check):
    assert not (faults := list(check(read(path)))), "\n".join(faults)


@pytest.mark.parametrize("path", paths(), ids=lambda path: path.stem)
def test_the_file_is_byte_for_byte_what_we_write(path):
    assert path.read_text(encoding="utf-8") == dumps(normalise(read(path))), (
        f"tidy it: python tools/execute.py --normalise-only {path.stem}"
    )


@pytest.mark.parametrize("check", CHECKS)
def test_a_good_notebook_passes(check):
    assert list(check(good())) == []


@pytest.mark.parametrize(("check", "fault"), PLANTED)
def test_a_planted_fault_is_found(check, fault):
    nb = good()
    fault(nb)
    assert list(check(nb)) != []


def test_figure_names_are_unique_in_the_book():
    names = [
        cell.metadata.mystnb.figure.name
        for path in paths()
        for cell in code_cells(read(path))
        if "figure" in cell.metadata.get("mystnb", {})
    ]
    assert len(names) == len(set(names))


def test_the_readme_states_what_each_notebook_costs():
    table = "\n".join(map(cost_row, paths()))
    assert table in (ROOT / "README.md").read_text(encoding="utf-8"), (
        f"README.md's table of costs should hold these rows:\n{table}"
    )


def cost_row(path) -> str:
    nb = read(path)
    cost, title = nb.metadata.book, re.search(r"(?m)^# +(.+)$", markdown(nb))[1]
    return (
        f"| [`{path.stem}`](notebooks/{path.name}) | {title} | {cost.seconds:g} s "
        f"| {cost.memory_gb:g} GB | {cost.download_mb:g} MB |"
    )


LINE = "✓ a: {} (at least {})"
STORED = {  # source, stored text, metadata.book, what pytest says
    "right": ("print(1 + 1)", "2", {}, "1 passed"),
    "wrong_number": ("print(1 + 1)", "3", {}, "1 failed"),
    "other_value": (f"print({LINE.format(0.9, 0.5)!r})", LINE.format(0.8, 0.5), {}, "1 passed"),
    "other_bar": (f"print({LINE.format(0.9, 0.5)!r})", LINE.format(0.9, 0.7), {}, "1 failed"),
    "failing_bar": ("assert 0.3 > 0.5", LINE.format(0.9, 0.5), {}, "1 failed"),
    "memory": ("print(1 + 1)", "2", {"memory_gb": 0.01}, "1 failed"),
}


@pytest.mark.parametrize("name", STORED)
def test_nbval_as_configured_here_sees_what_it_must(name, tmp_path):
    """The very pytest settings of this project, on a notebook of one cell."""
    source, text, book, verdict = STORED[name]
    nb = v4.new_notebook(cells=[code("one", source, stream(f"{text}\n"))])
    nb.cells[0].execution_count, nb.metadata.book = 1, book
    path = tmp_path / "one.ipynb"
    path.write_text(dumps(normalise(nb)), encoding="utf-8")
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-c",
            ROOT / "pyproject.toml",
            f"--rootdir={tmp_path}",
            "-n",
            "0",
            path,
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")},
    )
    assert verdict in run.stdout.splitlines()[-1], run.stdout + run.stderr
    assert "what each notebook cost" in run.stdout
