"""The `{results}` directive: one table a task, from the rows that the notebooks store."""

from __future__ import annotations

import math
import re
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
        text = f"{describe(rows)}\n{table(rows)}\n{published(rows)}".splitlines()
        self.state.nested_parse(StringList(text, task), 0, section)
        for column in zip(*(row.children for row in section.findall(nodes.row)), strict=True):
            if all(re.fullmatch(r"–|-?[\d.,]+", entry.astext().strip()) for entry in column[1:]):
                for entry in column:
                    entry["classes"].append("num")
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
    header += ["Seconds", "Parameters", "Family"] + ["Measured"] * lettered
    columns = [[f"{{ref}}`{row['method']} <{row['anchor']}>`" for row in rows]]
    if one_metric:
        decibels = unit == "dB"  # two decimals, as the literature compares them
        columns += [aligned([row["score"] for row in rows], decimals=2 if decibels else None)]
    else:
        columns += [[full_score(row) for row in rows]]
    columns += [aligned([(row.get("more") or {}).get(key) for row in rows]) for key in extras]
    columns += [aligned([row.get(key) for row in rows]) for key in ("seconds", "parameters")]
    columns += [[row["family"] for row in rows]]
    if lettered:
        columns += [[f"({chr(97 + ways.index((row['data'], row['protocol'])))})" for row in rows]]
    told = [[h, *c] for h, c in zip(header, columns, strict=True) if {*c} != {NONE}]
    lines = zip(*told, strict=True)
    body = "\n".join(
        "\n".join(f"{'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(line))
        for line in lines
    )
    return f"\n```{{list-table}}\n:header-rows: 1\n:class: igr-results\n\n{body}\n```\n"


def published(rows: list[Row]) -> str:
    """Return a Markdown list of what others published, each figure once; "" for nothing."""
    figures: dict[str, list[str]] = {}
    for row in rows:
        if row.get("published"):
            figures.setdefault(row["published"], []).append(row["method"])
    items = [f"- {'; '.join(methods)}: {figure}." for figure, methods in figures.items()]
    return "\n".join(["Published figures:\n", *items]) if items else ""


def aligned(values: list[float | None], decimals: int | None = None) -> list[str]:
    """Write a column of numbers, padded so that their decimal points stand below each other.

    Three digits are told, and the same number of decimals throughout where the column spans less
    than a factor of 100. Spaces as wide as a digit and as a point take the place of what is not
    told; they are entities, since Markdown strips spaces at the end of a cell.
    """
    sizes = [abs(v) for v in values if v]
    places = [_decimals(v) for v in values if v]
    most = max(places, default=0) if decimals is None else decimals
    even = decimals is not None or not sizes or max(sizes) < 100 * min(sizes)
    cells = []
    for value in values:
        if value is None:
            cells.append(NONE)
            continue
        size = math.floor(math.log10(abs(value))) if value else -9
        own = most if even else min(most, max(0, 2 - size))
        point = "&#8200;" if most and not own else ""
        cells.append(f"{value:,.{own}f}{point}{'&#8199;' * (most - own)}")
    return cells


def _decimals(value: float) -> int:
    """How many decimals three digits need."""
    told = f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"
    return len(told.rstrip("0").partition(".")[2])


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
