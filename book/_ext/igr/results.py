"""The `{results}` directive: one table a task, from the rows that the notebooks store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from .plot import scatter
from .stored import notebooks

Row = dict[str, Any]
NONE = "–"


class Results(SphinxDirective):
    """Show every stored result: a section, a table and, where timed, a plot for each task."""

    def run(self) -> list[nodes.Node]:
        """Return the sections of all tasks."""
        root = Path(self.env.srcdir)
        self.env.note_dependency(str(root / "_toc.yml"))
        tasks: dict[str, list[Row]] = {}
        for notebook in notebooks(root):
            self.env.note_dependency(str(notebook.path))
            for row in notebook.results:
                tasks.setdefault(row["task"], []).append(row)
        sections = [self.section(task, rows) for task, rows in tasks.items()]
        if not sections:
            return [nodes.paragraph(text="No notebook has stored a result yet.")]
        return [self.contents(sections), *sections]

    @staticmethod
    def contents(sections: list[nodes.section]) -> nodes.bullet_list:
        """Return a list of links to the sections."""
        items = []
        for section in sections:
            link = nodes.reference("", section[0].astext(), refid=section["ids"][0], internal=True)
            items.append(nodes.list_item("", nodes.paragraph("", "", link)))
        return nodes.bullet_list("", *items, classes=["igr-tasks"])

    def section(self, task: str, rows: list[Row]) -> nodes.section:
        """Return the section of one task."""
        section = nodes.section(
            "", nodes.title(text=task), names=[nodes.fully_normalize_name(task)]
        )
        self.state.document.note_implicit_target(section, section)
        text = f"{describe(rows)}\n{table(rows)}".splitlines()
        self.state.nested_parse(StringList(text, task), 0, section)
        if svg := scatter(rows):
            section += nodes.raw("", svg, format="html")
        return section


def describe(rows: list[Row]) -> str:
    """Say in Markdown how the rows were measured; one line a way, lettered if there are several."""
    ways = protocols(rows)
    lines = [f"**{data}.** {protocol}" for data, protocol in ways]
    if len(lines) > 1:
        lines = [f"({chr(97 + i)}) {line}" for i, line in enumerate(lines)]
    return "\n\n".join(lines) + "\n"


def protocols(rows: list[Row]) -> list[tuple[str, str]]:
    """The distinct pairs of data and protocol, in order."""
    return list(dict.fromkeys((row["data"], row["protocol"]) for row in rows))


def table(rows: list[Row]) -> str:
    """Return one Markdown table of all rows, best score first."""
    metrics = {(row["metric"], row["better"], row.get("unit", "")) for row in rows}
    extras = list(dict.fromkeys(key for row in rows for key in row.get("more") or {}))
    ways = protocols(rows)
    lettered, one_metric = len(ways) > 1, len(metrics) == 1
    if one_metric:
        metric, better, unit = next(iter(metrics))
        heading = f"{metric}{f', {unit}' if unit else ''} ({better} is better)"
        rows = sorted(rows, key=lambda row: row["score"], reverse=better == "higher")
    else:
        heading = "Score"
    header = ["Method", heading, *(f"{key[:1].upper()}{key[1:]}" for key in extras)]
    header += ["Seconds", "Parameters", "Published figure", "Family"] + ["Measured"] * lettered
    lines = [header]
    for row in rows:
        more = row.get("more") or {}
        cells = [f"{{ref}}`{row['method']} <{row['anchor']}>`"]
        cells += [score(row) if one_metric else full_score(row)]
        cells += [number(more.get(key)) for key in extras]
        cells += [number(row.get("seconds")), number(row.get("parameters"))]
        cells += [row.get("published") or NONE, row["family"]]
        if lettered:
            cells += [f"({chr(97 + ways.index((row['data'], row['protocol'])))})"]
        lines.append(cells)
    told = [i for i, column in enumerate(zip(*lines[1:], strict=True)) if {*column} != {NONE}]
    lines = [[line[i] for i in told] for line in lines]
    body = "\n".join(
        "\n".join(f"{'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(line))
        for line in lines
    )
    return f"\n```{{list-table}}\n:header-rows: 1\n:class: igr-results\n\n{body}\n```\n"


def score(row: Row) -> str:
    """The score; decibels with two decimals, as the literature compares them."""
    return f"{row['score']:.2f}" if row.get("unit") == "dB" else number(row["score"])


def full_score(row: Row) -> str:
    """A score that says itself what it measures, for tables that mix metrics."""
    unit = f" {row['unit']}" if row.get("unit") else ""
    return f"{score(row)}{unit} ({row['metric']}, {row['better']} is better)"


def number(value: Any) -> str:
    """Write a number as a reader would: 0.912, 17.3, 61.2, 1,234,567; a dash for nothing."""
    if value is None:
        return NONE
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 or isinstance(value, int) else f"{value:.3g}"


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("results", Results)
