"""The `{gallery}` directive: one card a chapter, drawn from what its notebook stores."""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from .stored import Notebook, notebooks


class Gallery(SphinxDirective):
    """Show each notebook of the table of contents: first figure, title, question."""

    def run(self) -> list[nodes.Node]:
        """Return one container of cards."""
        root = Path(self.env.srcdir)
        self.env.note_dependency(str(root / "_toc.yml"))
        gallery = nodes.container(classes=["igr-gallery"])
        for notebook in notebooks(root):
            self.env.note_dependency(str(notebook.path))
            gallery += self.card(notebook)
        return [gallery]

    def card(self, notebook: Notebook) -> nodes.container:
        """Return the card of one notebook; the whole card leads to its page."""
        uri = self.env.app.builder.get_relative_uri(self.env.docname, notebook.docname)
        card = nodes.container(classes=["igr-card"])
        if figure := notebook.first_figure:
            saved = figure.save(self.env.app, f"gallery-{notebook.path.stem}")
            image = nodes.image(uri=saved, alt=figure.alt)
            image["loading"] = "lazy"
            picture = nodes.reference("", "", image, refuri=uri, internal=True)
            card += nodes.container("", nodes.paragraph("", "", picture), classes=["igr-picture"])
        link = nodes.reference("", "", nodes.Text(notebook.title), refuri=uri, internal=True)
        card += nodes.paragraph("", "", link, classes=["igr-title"])
        if notebook.question:
            inline, messages = self.state.inline_text(notebook.question, self.lineno)
            card += nodes.paragraph("", "", *inline, *messages, classes=["igr-question"])
        return card


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("gallery", Gallery)
