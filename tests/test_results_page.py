"""The results page: no label of a plot on another or on a dot, and numbers that line up."""

from __future__ import annotations

import re
import sys

import pytest
from bs4 import BeautifulSoup
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from nbsource import ROOT

sys.path.insert(0, str(ROOT / "book" / "_ext"))
from igr import plot, results
from igr.stored import notebooks


def row(method: str, score: float, seconds: float | None, **changes) -> dict:
    return {
        "task": "t", "method": method, "family": "deep", "data": "d", "protocol": "p",
        "metric": "m", "better": "higher", "score": score, "seconds": seconds, "anchor": "a",
        **changes,
    }  # fmt: skip


def collisions(svg: str) -> list[str]:
    """Labels that meet another label, a dot or the frame, their widths those of a wide font."""
    page, boxes = BeautifulSoup(svg, "html.parser"), []
    for dot in page.select("svg > circle"):
        x, y, r = (float(dot[name]) for name in ("cx", "cy", "r"))
        boxes.append(("a dot", (x - r, y - r, x + r, y + r)))
    font, found = FontProperties("DejaVu Sans"), []
    for text in page.select("svg > text:not(.name)"):
        name, x, y = text.get_text(), float(text["x"]), float(text["y"])
        wide = TextPath((0, 0), name, size=13, prop=font).get_extents().width
        left = x - {"start": 0, "middle": wide / 2, "end": wide}[text["text-anchor"]]
        box = (left, y - 10, left + wide, y + 3)
        found += [f"{name} meets {other}" for other, taken in boxes if plot.meets(box, taken)]
        if left < plot.LEFT or box[2] > plot.WIDTH or box[1] < 0:
            found.append(f"{name} leaves the frame")
        boxes.append((name, box))
    return found


def tasks() -> dict[str, list[dict]]:
    """The stored rows by task."""
    found: dict[str, list[dict]] = {}
    for notebook in notebooks(ROOT):
        for stored in notebook.results:
            found.setdefault(stored["task"], []).append(stored)
    return found


def test_no_labels_collide() -> None:
    plots = {task: svg for task, rows in tasks().items() if (svg := plot.scatter(rows))}
    assert len(plots) > 10
    assert {task: found for task, svg in plots.items() if (found := collisions(svg))} == {}


def test_a_heap_of_dots_is_taken_apart_by_leaders() -> None:
    heap = [row(f"method number {i}", 20 + i / 50, 1 + i / 50) for i in range(9)]
    svg = plot.scatter([*heap, row("far", 30, 100)])
    assert collisions(svg) == []
    assert 'class="leader"' in svg


@pytest.mark.parametrize("other", ["text", "circle"])
def test_a_planted_collision_is_seen(other: str) -> None:
    svg = plot.scatter([row("one", 1, 1), row("two", 2, 2), row("three", 3, 3)])
    assert collisions(svg) == []
    x, y = re.search(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="start">one', svg).groups()
    onto = {
        "text": f'<text x="{x}" y="{y}" text-anchor="start">planted</text>',
        "circle": f'<circle cx="{x}" cy="{y}" r="5"/>',
    }[other]
    assert len(collisions(svg.replace("</svg>", f"{onto}</svg>"))) == 1


def test_no_room_is_said() -> None:
    with pytest.raises(ValueError, match="no room for the label 'long"):
        plot.place("long" * 40, 300, 100, [])


def test_two_points_are_no_plot() -> None:
    assert plot.scatter([row("one", 1, 1), row("two", 2, 2), row("untimed", 3, None)]) == ""


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.82, 0.691, 0.75], ["0.820", "0.691", "0.750"]),
        ([1660.0, 24.39, 0.3255, None], ["1,660,___", "24.4__", "0.326", "–"]),
        ([0.179, 0.002, 0.0], ["0.179", "0.002", "0.000"]),
        ([242033, 5700], ["242,033", "5,700"]),
        ([-1.5, 2.0], ["-1.5", "2.0"]),
        ([None], ["–"]),
    ],
)
def test_a_column_lines_up(values: list, shown: list[str]) -> None:
    cells = results.aligned(values)
    assert [c.replace("&#8199;", "_").replace("&#8200;", ",") for c in cells] == shown


def test_decibels_have_two_decimals() -> None:
    assert results.aligned([30.0, 8.887], decimals=2) == ["30.00", "8.89"]


def test_a_published_figure_is_told_once() -> None:
    rows = [row("a", 1, 1, published="9 dB"), row("b", 1, 1), row("c", 1, 1, published="9 dB")]
    assert results.published(rows) == "Published figures:\n\n- a; c: 9 dB."
    assert results.published(rows[1:2]) == ""
