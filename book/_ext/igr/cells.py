"""Show a notebook's cells as a reader wants them; the stored notebook stays as it is."""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

# What speaks to the tools that format and check the code, alone on its line or at its end.
TO_TOOLS = re.compile(r"^[ \t]*# (?:fmt|noqa)\b.*\n|[ \t]*# (?:fmt: skip|noqa\b.*)$", re.MULTILINE)
PROMPTS = {"input": "the code", "output": "the results", "all": "the code and its results"}


class Cells(SphinxPostTransform):
    """Tidy code and outputs, and say on each toggle what it shows."""

    default_priority = 198  # right before MyST-NB wraps what is hidden
    formats = ("html",)

    def run(self, **_: object) -> None:
        """Change every code cell of the page."""
        for cell in self.document.findall(nodes.container):
            if cell.get("nb_element") == "cell_code":
                self.fold(cell)
                for block in cell.findall(nodes.literal_block):
                    self.tidy(block)

    @staticmethod
    def fold(cell: nodes.container) -> None:
        """Fold a solution's results with its code, and name what a toggle shows."""
        if "tag_solution" in cell["classes"]:
            cell["hide_mode"] = "all"
        if told := PROMPTS.get(cell.get("hide_mode")):
            cell["prompt_show"], cell["prompt_hide"] = f"Show {told}", f"Hide {told}"

    @staticmethod
    def tidy(block: nodes.literal_block) -> None:
        """Drop remarks to tools from code; mark a block of passed checks, whose lines may wrap."""
        text = block.astext()
        if "stream" in block["classes"] or "stream" in block.parent.get("classes", ()):
            if all(line.startswith("✓") for line in text.splitlines() if line.strip()):
                block["classes"].append("checks")
        elif (tidied := TO_TOOLS.sub("", text)) != text:
            block.rawsource = tidied
            block[:] = [nodes.Text(tidied)]


def setup(app: Sphinx) -> None:
    """Register the transform."""
    app.add_post_transform(Cells)
