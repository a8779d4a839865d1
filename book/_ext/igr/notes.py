"""Give each link to a glossary term its definition, as citations already have their source.

Both stand in the link's title; book.js shows them in a box, to mouse and keyboard alike.
"""

from __future__ import annotations

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from .words import plain, sentence

GLOSSARY = "book/glossary"


def definitions(app: Sphinx) -> dict[str, str]:
    """The definition of each term, by its anchor."""
    found = {}
    for glossary in app.env.get_doctree(GLOSSARY).findall(addnodes.glossary):
        for item in glossary.findall(nodes.definition_list_item):
            text = sentence(plain(next(item.findall(nodes.definition))), 300)
            found |= {name: text for term in item.findall(nodes.term) for name in term["ids"]}
    return found


def add_notes(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Set the title of every link to a term."""
    if not hasattr(app.env, "igr_definitions"):
        app.env.igr_definitions = definitions(app)
    for link in doctree.findall(nodes.reference):
        target = link.get("refuri", "")
        if f"{GLOSSARY.rsplit('/')[-1]}.html#term-" in target:
            link["reftitle"] = app.env.igr_definitions[target.rsplit("#")[-1]]


def setup(app: Sphinx) -> None:
    """Hook into the writing of each page."""
    app.connect("doctree-resolved", add_notes)
