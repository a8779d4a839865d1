"""Prose of a page as plain text, for places that hold no mathematics: descriptions and notes."""

from __future__ import annotations

import re
import unicodedata

from docutils import nodes

SIGNS = {"sim": "~", "mid": "|", "le": "≤", "ge": "≥", "times": "×", "cdot": "·", "to": "→",
         "in": "∈", "nabla": "∇", "partial": "∂", "int": "∫", "sum": "∑", "approx": "≈",
         "leq": "≤", "geq": "≥", "infty": "∞", "pm": "±", "|": "‖"}  # fmt: skip


def letter(name: str) -> str:
    """The sign that a command of TeX stands for, or nothing."""
    case = "CAPITAL" if name[:1].isupper() else "SMALL"
    try:
        return unicodedata.lookup(f"GREEK {case} LETTER {name.replace('var', '').upper()}")
    except KeyError:
        return SIGNS.get(name, name if name in ("log", "exp", "max", "min", "det") else "")


def plain_formula(tex: str) -> str:
    """Write a formula on one line: `\\sigma^2 \\le p(x)` becomes σ^2 ≤ p(x)."""
    tex = re.sub(r"\\([a-zA-Z]+|\|)", lambda m: letter(m[1]), tex)
    return " ".join(re.sub(r"\\.|[{}$]", "", tex).split())


def plain(node: nodes.Node) -> str:
    """The text of a node, without citations, its formulas on one line."""
    if isinstance(node, (nodes.math, nodes.math_block)):
        return plain_formula(node.astext())
    if isinstance(node, nodes.Text):
        return str(node)
    if node.get("refdomain") == "cite":
        return ""
    return "".join(plain(child) for child in node.children)


def sentence(text: str, room: int) -> str:
    """The first sentence, and as many after it as there is room for; a long one is cut."""
    text = " ".join(text.split())
    ends = [m.start() + 1 for m in re.finditer(r"[.?!](?=\s|$)", text) if m.start() < room]
    if ends:
        return text[: ends[-1]]
    return text if len(text) <= room else text[: room - 1].rsplit(" ", 1)[0] + "…"
