"""Show a notebook's cells as a reader wants them; the stored notebook stays as it is."""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

# What speaks to the tools that format and check the code, alone on its line or at its end.
TO_TOOLS = re.compile(r"^[ \t]*# (?:fmt|noqa)\b.*\n|[ \t]*# (?:fmt: skip|noqa\b.*)$", re.MULTILINE)
COLUMNS = re.compile(r"\S {2,}\S")
PROMPTS = {"input": "the code", "output": "the results", "all": "the code and its results"}


class Cells(SphinxPostTransform):
    """Tidy code and outputs, and say on each toggle what it shows."""

    default_priority = 198  # right before MyST-NB wraps what is hidden
    formats = ("html",)

    def run(self, **_: object) -> None:
        """Change every code cell of the page."""
        for cell in list(self.document.findall(nodes.container)):
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
        # Hidden cells in a row share one fold: those that print nothing join the next one's code.
        after = cell.next_node(descend=False, siblings=True)
        alone = len(cell.children) == 1
        if alone and after and cell.get("hide_mode") == after.get("hide_mode") == "input":
            after[0][:0] = cell[0].children
            cell.parent.remove(cell)

    @staticmethod
    def tidy(block: nodes.literal_block) -> None:
        """Drop remarks to tools from code; mark output without columns: its lines may wrap."""
        text = block.astext()
        if "stream" in block["classes"]:
            if not COLUMNS.search(text):
                block["classes"].append("sentences")
        elif (tidied := TO_TOOLS.sub("", text)) != text:
            block.rawsource = tidied
            block[:] = [nodes.Text(tidied)]


def setup(app: Sphinx) -> None:
    """Register the transform."""
    app.add_post_transform(Cells)
