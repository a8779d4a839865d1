"""Read what the notebooks store. Nothing here executes or imports a notebook."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from sphinx.application import Sphinx

RESULT_MIME = "application/vnd.igr.result+json"


@dataclass(frozen=True)
class Figure:
    """A stored picture: PNG bytes, and what a reader who cannot see it is told."""

    png: bytes
    alt: str

    def save(self, app: Sphinx, name: str) -> str:
        """Write the picture beside the build and return its address from the source folder."""
        file = Path(app.outdir).parent / "stored" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self.png)
        return "/" + Path(os.path.relpath(file, app.srcdir)).as_posix()


@dataclass(frozen=True)
class Notebook:
    """One notebook of the table of contents, as stored on disk."""

    path: Path
    docname: str
    cells: list[dict[str, Any]]

    @property
    def title(self) -> str:
        """The first level-one heading."""
        match = re.search(r"^# +(.+?) *$", self._prose(), flags=re.MULTILINE)
        return match.group(1) if match else self.path.stem

    @property
    def question(self) -> str:
        """The first sentence of the first cell that ends with a question mark, in Markdown."""
        for paragraph in re.split(r"\n\s*\n", self._prose()):
            text = " ".join(paragraph.split())
            if "?" in text and not text.startswith(("#", ":::", "```", "(")):
                sentence = re.split(r"[.:]\**\s", text[: text.index("?") + 1])[-1]
                sentence = sentence.strip("*_> ")
                return sentence[:1].upper() + sentence[1:]  # it may have followed a colon
        return ""

    def figures(self) -> Iterator[tuple[str, Figure]]:
        """The captioned pictures that the notebook stores, in order, with their names."""
        for cell in self.cells:
            mystnb = cell.get("metadata", {}).get("mystnb", {})
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                if "figure" in mystnb and "image/png" in data:
                    png = base64.b64decode("".join(data["image/png"]))
                    alt = mystnb.get("image", {}).get("alt", "")
                    yield mystnb["figure"]["name"], Figure(png, alt)

    @property
    def first_figure(self) -> Figure | None:
        """The first captioned picture."""
        return next((figure for _, figure in self.figures()), None)

    @property
    def results(self) -> list[dict[str, Any]]:
        """The rows that `helpers.results.record` stored, in order."""
        outputs = (out for cell in self.cells for out in cell.get("outputs", []))
        return [out["data"][RESULT_MIME] for out in outputs if RESULT_MIME in out.get("data", {})]

    def _prose(self) -> str:
        """The text of the first Markdown cell."""
        cells = (c for c in self.cells if c["cell_type"] == "markdown")
        return "".join(next(cells, {"source": ""})["source"])


def notebooks(root: Path) -> list[Notebook]:
    """The notebooks that `_toc.yml` under `root` lists and that exist, in reading order."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    found = []
    for name in _files(toc):
        docname = name.removesuffix(".ipynb")
        path = root / f"{docname}.ipynb"
        if path.is_file():
            found.append(read(path, docname))
    return found


def read(path: Path, docname: str) -> Notebook:
    """One notebook."""
    return Notebook(path, docname, json.loads(path.read_text(encoding="utf-8"))["cells"])


def _files(node: Any) -> Iterator[str]:
    """Every value of a key `file`, depth first."""
    if isinstance(node, dict):
        if "file" in node:
            yield node["file"]
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _files(child)
