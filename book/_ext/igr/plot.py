"""Draw quality against seconds as a plain inline SVG; colours come from the page's stylesheet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from itertools import product
from typing import Any

WIDTH, HEIGHT = 680, 340
LEFT, RIGHT, TOP, BOTTOM = 84, 24, 20, 56
LETTER, LINE = 7.5, 15  # the room that a letter of a label takes on average, and a line

Box = tuple[float, float, float, float]  # left, top, right, bottom


class Axis:
    """Map values to pixels, linearly, or by their logarithm where they span a wide range."""

    def __init__(self, values: list[float], start: float, end: float, wide: float) -> None:
        low, high = min(values), max(values)
        self.log = low > 0 and high / low > wide
        self.f = math.log10 if self.log else float
        pad = 0.08 * (self.f(high) - self.f(low)) or 0.1 * abs(self.f(high)) or 1.0
        self.low, self.high = self.f(low) - pad, self.f(high) + pad
        self.start, self.end = start, end

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        return self.start + (self.f(value) - self.low) / (self.high - self.low) * (
            self.end - self.start
        )

    def ticks(self) -> list[float]:
        """Four to eight round values inside the axis."""
        if self.log:
            decades = range(math.floor(self.low), math.ceil(self.high) + 1)
            marks = (1, 2, 5) if self.high - self.low < 2 else (1,)
            values = [m * 10.0**k for k in decades for m in marks]
        else:
            step = 10.0 ** math.floor(math.log10((self.high - self.low) / 3))
            step *= next(m for m in (1, 2, 5, 10) if (self.high - self.low) / (step * m) <= 6)
            first = math.ceil(self.low / step)
            values = [k * step for k in range(first, first + 8)]
        return [v for v in values if (v > 0 or not self.log) and self.low <= self.f(v) <= self.high]


def meets(box: Box, other: Box) -> bool:
    """Whether two boxes share more than an edge."""
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]


def places(x: float, y: float, long: float) -> Iterator[Box]:
    """Boxes for the label of a dot: eight around it, then all over the frame, nearest first."""
    corners = [(x + 9, y - LINE / 2), (x - 9 - long, y - LINE / 2)]
    corners += [(x + 4, y - 20), (x + 4, y + 5), (x - 4 - long, y - 20), (x - 4 - long, y + 5)]
    corners += [(x - long / 2, y - 23), (x - long / 2, y + 8)]
    boxes = [(left, top, left + long, top + LINE) for left, top in corners]
    yield from (box for box in boxes if box[0] > LEFT and box[2] < WIDTH - 8)
    lefts, tops = range(LEFT + 4, int(WIDTH - 8 - long), 12), range(0, HEIGHT - BOTTOM - LINE, 6)
    boxes = [(left, top, left + long, top + LINE) for left in lefts for top in tops]
    yield from sorted(boxes, key=lambda box: math.dist((x, y), nearest(x, y, box)))


def nearest(x: float, y: float, box: Box) -> tuple[float, float]:
    """The point of a box that is nearest to (x, y)."""
    return min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3])


def place(name: str, x: float, y: float, taken: list[Box]) -> tuple[Box, list[Box]]:
    """The box of a dot's label, and the leader to it, if it is far, as a row of small boxes.

    Neither meets what is taken; only where dots wall one in, its leader crosses them.

    Raises:
        ValueError: there is no room.
    """
    boxes = list(places(x, y, LETTER * len(name)))
    for walled, box in product((False, True), boxes):
        px, py = nearest(x, y, box)
        far = math.dist((x, y), (px, py))
        steps = [(x + (px - x) * r / far, y + (py - y) * r / far) for r in range(10, int(far), 3)]
        leader = [(at - 1, down - 1, at + 1, down + 1) for at, down in steps]
        free = (box,) if walled else (box, *leader)
        if not any(meets(b, other) for b in free for other in taken):
            return box, leader
    raise ValueError(f"There is no room for the label {name!r}.")


def legend(families: list[str], marks: dict[str, str]) -> str:
    """The families' marks in words of the caption, which is in sight where half a plot is not."""
    return " ".join(
        f'<span class="igr-key"><span class="{family}" aria-hidden="true">'
        f"{marks.get(family, '●')}</span> {family}</span>"
        for family in families
    )


def scatter(rows: list[dict[str, Any]]) -> str:
    """Return a figure of score against seconds, or "" for fewer than three timed comparable rows.

    Comparable is what was scored by one protocol; the data may differ, as what a method learned
    from is part of its price.
    """
    timed = [row for row in rows if row.get("seconds")]
    if len(timed) < 3 or len({(row["metric"], row["protocol"]) for row in timed}) > 1:
        return ""
    x = Axis([row["seconds"] for row in timed], LEFT, WIDTH - RIGHT, wide=5)
    y = Axis([row["score"] for row in timed], HEIGHT - BOTTOM, TOP, wide=20)
    metric, better = timed[0]["metric"], timed[0]["better"]
    parts = [_grid(x, y)]
    dots = [(x(row["seconds"]), y(row["score"])) for row in timed]
    taken: list[Box] = [(px - 7, py - 7, px + 7, py + 7) for px, py in dots]
    for row, (px, py) in zip(timed, dots, strict=True):
        box, leader = place(row["method"], px, py, taken)
        taken += [box, *leader]
        if leader:
            ex, ey = nearest(px, py, box)
            parts.append(
                f'<line class="leader" x1="{px:.1f}" y1="{py:.1f}" x2="{ex:.1f}" y2="{ey:.1f}"/>'
            )
        parts.append(f'<circle class="{row["family"]}" cx="{px:.1f}" cy="{py:.1f}" r="5"/>')
        at, anchor = (box[0], "start") if box[0] > px else (box[2], "end")
        if box[0] < px < box[2]:
            at, anchor = (box[0] + box[2]) / 2, "middle"
        parts.append(
            f'<text x="{at:.1f}" y="{box[3] - 3.5:.1f}" text-anchor="{anchor}">'
            f"{escape(row['method'])}</text>"
        )
    x_name = "seconds" + (", logarithmic" if x.log else "")
    y_name = metric + (", logarithmic" if y.log else "")
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text class="name" x="{LEFT}" y="{HEIGHT - 10}">{x_name}</text>')
    parts.append(
        f'<text class="name" transform="translate(16 {middle}) rotate(-90)" '
        f'text-anchor="middle">{escape(y_name)}</text>'
    )
    families = list(dict.fromkeys(row["family"] for row in timed))
    key = f" {legend(families, {})}" if len(families) > 1 else ""
    told = "; ".join(f"{r['method']} {r['score']:.3g} in {r['seconds']:.3g} s" for r in timed)
    return (
        f'<figure class="igr-plot"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(metric)} against seconds: {escape(told)}">{"".join(parts)}</svg>'
        f"<figcaption>{escape(metric)} against the seconds that each method took; "
        f"{better} is better.{key}</figcaption></figure>"
    )


def _grid(x: Axis, y: Axis) -> str:
    """Lines and numbers behind the points."""
    foot = HEIGHT - BOTTOM
    lines = []
    for tick in x.ticks():
        lines.append(
            f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP}" y2="{foot}"/>'
            f'<text x="{x(tick):.1f}" y="{foot + 18}" text-anchor="middle">{tick:g}</text>'
        )
    for tick in y.ticks():
        lines.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
            f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    return f'<g class="grid">{"".join(lines)}</g>'
