"""The `{whole-book}` directive: every method of every chapter on one picture, and by family."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from pathlib import Path
from statistics import median

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from .plot import Axis, legend
from .results import NONE, Row, full_score, number
from .stored import notebooks

FAMILIES = ("classical", "deep", "physics")  # "reference" rows are what they are measured against
WIDTH, LEFT, RIGHT = 680, 150, 20
HEAD, LANE, GAP, FOOT = 30, 26, 10, 44  # a strip: its heading, its lane, and air
PAD = 14  # around everything
MARKS = {"classical": "■", "physics": "▲"}  # a circle for the third
ALL = 190  # the lane of all tasks together is taller
UNTIMED = 96  # where a method stands that nobody timed


@dataclass(frozen=True)
class Method:
    """One row, and where it stands among the methods of its task."""

    row: Row
    quality: float  # 0: the weakest recorded method of the task, 1: the best

    @property
    def told(self) -> str:
        """What the mark says to who points at it."""
        seconds = self.row.get("seconds")
        took = f" in {number(seconds)} s" if seconds else ", not timed"
        return f"{self.row['task']}: {self.row['method']}, {full_score(self.row)}{took}"


def placed(rows: list[Row]) -> list[Method]:
    """Every method that can be compared with another, by task.

    Comparable is what one task scored by one metric under one protocol. Scores that span a factor
    of more than 20, such as Fréchet distances, are compared by their logarithms.
    """
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        if row["family"] in FAMILIES:
            key = row["task"], row["metric"], row["better"], row["protocol"]
            groups.setdefault(key, []).append(row)
    found = []
    for (*_, better, _), group in groups.items():
        scores = [row["score"] for row in group]
        wide = min(scores) > 0 and max(scores) / min(scores) > 20
        f = math.log if wide else float
        ends = (min, max) if better == "higher" else (max, min)
        worst, best = (f(end(scores)) for end in ends)
        if worst != best:
            found += [Method(r, abs(f(r["score"]) - worst) / abs(best - worst)) for r in group]
    order = list(dict.fromkeys(row["task"] for row in rows))
    return sorted(found, key=lambda m: order.index(m.row["task"]))


def mark(family: str, x: float, y: float, told: str, r: float = 5) -> str:
    """A shape for each family, so that no one has to tell colours apart."""
    title = f"<title>{escape(told)}</title>"
    if family == "classical":
        at = f'x="{x - r:.1f}" y="{y - r:.1f}" width="{2 * r}" height="{2 * r}"'
        return f'<rect class="{family}" {at}>{title}</rect>'
    if family == "physics":
        corners = f"{x:.1f},{y - r - 1:.1f} {x - r - 1:.1f},{y + r:.1f} {x + r + 1:.1f},{y + r:.1f}"
        return f'<polygon class="{family}" points="{corners}">{title}</polygon>'
    return f'<circle class="{family}" cx="{x:.1f}" cy="{y:.1f}" r="{r}">{title}</circle>'


def picture(methods: list[Method]) -> str:
    """Quality against seconds: all tasks together, then a strip for each; "" if none is timed."""
    seconds = [m.row["seconds"] for m in methods if m.row.get("seconds")]
    if not seconds:
        return ""
    x = Axis(seconds, LEFT, WIDTH - RIGHT, wide=5)
    tasks: dict[str, list[Method]] = {}
    for m in methods:
        tasks.setdefault(m.row["task"], []).append(m)
    foot = HEAD + ALL + GAP + (HEAD + LANE + GAP) * len(tasks)
    lines = []
    for tick in x.ticks():
        lines.append(
            f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{HEAD}" y2="{foot}"/>'
            f'<text x="{x(tick):.1f}" y="{foot + 16}" text-anchor="middle">{tick:g}</text>'
        )
    drawn, top = [_heading("All tasks together", "", 0)], 0
    for y, told in ((HEAD, "1, best"), (HEAD + ALL, "0, weakest")):
        drawn.append(f'<text class="name" x="4" y="{y + 4}">{told}</text>')
    for name, strip, lane in [("", methods, ALL), *((n, s, LANE) for n, s in tasks.items())]:
        high, low = top + HEAD, top + HEAD + lane
        lines += [
            f'<line x1="{UNTIMED - 16}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
            for y in (high, low)
        ]
        if name:
            drawn.append(_heading(name, max(strip, key=lambda m: m.quality).row["method"], top))
        for m in sorted(strip, key=lambda m: m.quality):
            at = x(m.row["seconds"]) if m.row.get("seconds") else UNTIMED
            drawn.append(mark(m.row["family"], at, low - m.quality * lane, m.told))
        top = low + GAP
    grid = f'<g class="grid">{"".join(lines)}</g>'
    height = foot + FOOT
    names = (
        f'<text class="name" x="{UNTIMED}" y="{foot + 16}" text-anchor="middle">not timed'
        f'</text><text class="name" x="{LEFT}" y="{foot + 38}">seconds, logarithmic</text>'
    )
    return (
        f'<figure class="igr-plot igr-whole">'
        f'<svg viewBox="{-PAD} {-PAD} {WIDTH + 2 * PAD} {height + 2 * PAD}" role="img" '
        f'aria-label="{escape(summary(methods))}">{grid}{"".join(drawn)}{names}</svg>'
        f"<figcaption>Every method that the book compares: how good it is among the methods of its "
        f"task (up is better) against the seconds it took. A mark says its name when it is pointed "
        f"at. {legend(list(FAMILIES), MARKS)}</figcaption></figure>"
    )


def _heading(name: str, best: str, top: float) -> str:
    """The name of a task at the left and of its best method at the right, as far as they fit."""
    room = max(84 - len(name), 8)
    best = best if len(best) <= room else best[:room].rstrip() + "…"
    at = f'x="{WIDTH - RIGHT}" y="{top + HEAD - 13}" text-anchor="end"'
    return f'<text x="4" y="{top + HEAD - 13}">{escape(name)}</text>' + (
        f'<text class="name" {at}>best: {escape(best)}</text>' if best else ""
    )


def summary(methods: list[Method]) -> str:
    """The picture in words."""
    lines = ["Quality among the methods of a task, 0 weakest to 1 best, against seconds."]
    for family, ours in families(methods).items():
        timed = [m.row["seconds"] for m in ours if m.row.get("seconds")]
        took = f", in the median {number(median(timed))} seconds" if timed else ""
        quality = median(m.quality for m in ours)
        lines.append(f"{family}: {len(ours)} methods, median quality {quality:.2f}{took}.")
    return " ".join(lines)


def families(methods: list[Method]) -> dict[str, list[Method]]:
    """The methods of each family that has any."""
    found = {f: [m for m in methods if m.row["family"] == f] for f in FAMILIES}
    return {family: ours for family, ours in found.items() if ours}


def by_family(methods: list[Method]) -> str:
    """Return a Markdown table that counts."""
    tasks = {m.row["task"] for m in methods}
    header = ["Family", "Methods", f"Best of its task, of {len(tasks)}", "Median quality, 0 to 1"]
    lines = [[*header, "Median seconds, where timed", "Median of learned numbers"]]
    for family, ours in families(methods).items():
        timed = [m.row["seconds"] for m in ours if m.row.get("seconds")]
        learned = [m.row["parameters"] for m in ours if m.row.get("parameters")]
        won = {m.row["task"] for m in ours if m.quality == 1}
        cells = [family, str(len(ours)), str(len(won)), f"{median(m.quality for m in ours):.2f}"]
        cells += [number(median(timed)) if timed else NONE]
        lines.append([*cells, number(int(median(learned))) if learned else NONE])
    body = "\n".join(
        "\n".join(f"{'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(line))
        for line in lines
    )
    return f"```{{list-table}}\n:header-rows: 1\n\n{body}\n```\n"


class WholeBook(SphinxDirective):
    """Show every stored result at once."""

    def run(self) -> list[nodes.Node]:
        """Return the picture and the table by family."""
        root = Path(self.env.srcdir)
        self.env.note_dependency(str(root / "_toc.yml"))
        rows: list[Row] = []
        for notebook in notebooks(root):
            self.env.note_dependency(str(notebook.path))
            rows += notebook.results
        methods = placed(rows)
        if not (svg := picture(methods)):
            return [nodes.paragraph(text="No two methods have been compared yet.")]
        table = nodes.container()
        self.state.nested_parse(StringList(by_family(methods).splitlines(), "whole"), 0, table)
        return [nodes.raw("", svg, format="html"), *table.children]


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("whole-book", WholeBook)
