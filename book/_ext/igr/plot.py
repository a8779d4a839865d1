"""Draw quality against seconds as a plain inline SVG; colours come from the page's stylesheet."""

from __future__ import annotations

import math
from html import escape
from typing import Any

WIDTH, HEIGHT = 680, 340
LEFT, RIGHT, TOP, BOTTOM = 72, 24, 20, 56


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


def scatter(rows: list[dict[str, Any]]) -> str:
    """Return a figure of score against seconds, or "" for fewer than two timed comparable rows.

    Comparable is what was scored by one protocol; the data may differ, as what a method learned
    from is part of its price.
    """
    timed = [row for row in rows if row.get("seconds")]
    if len(timed) < 2 or len({(row["metric"], row["protocol"]) for row in timed}) > 1:
        return ""
    x = Axis([row["seconds"] for row in timed], LEFT, WIDTH - RIGHT, wide=5)
    y = Axis([row["score"] for row in timed], HEIGHT - BOTTOM, TOP, wide=20)
    metric, better = timed[0]["metric"], timed[0]["better"]
    parts = [_grid(x, y)]
    taken: list[tuple[float, float]] = []
    for row in sorted(timed, key=lambda row: y(row["score"])):
        px, py = x(row["seconds"]), y(row["score"])
        right = px < 0.62 * WIDTH
        side = px if right else px - 1000  # labels on the two sides never meet
        label = py
        while any(abs(label - other) < 15 and abs(side - at) < 220 for at, other in taken):
            label += 15
        taken.append((side, label))
        at, anchor = (px + 10, "start") if right else (px - 10, "end")
        parts.append(f'<circle class="{row["family"]}" cx="{px:.1f}" cy="{py:.1f}" r="5"/>')
        parts.append(
            f'<text x="{at:.1f}" y="{label + 4:.1f}" text-anchor="{anchor}">'
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
    for i, family in enumerate(families if len(families) > 1 else []):
        at = WIDTH - RIGHT - 90 * (len(families) - i)
        parts.append(
            f'<circle class="{family}" cx="{at}" cy="{HEIGHT - 14}" r="5"/>'
            f'<text class="name" x="{at + 10}" y="{HEIGHT - 10}">{family}</text>'
        )
    told = "; ".join(f"{r['method']} {r['score']:.3g} in {r['seconds']:.3g} s" for r in timed)
    return (
        f'<figure class="igr-plot"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(metric)} against seconds: {escape(told)}">{"".join(parts)}</svg>'
        f"<figcaption>{escape(metric)} against the seconds that each method took; "
        f"{better} is better.</figcaption></figure>"
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
