"""What this book adds to Jupyter Book: small modules, each readable alone.

`address`   buttons that appear only once the book has an address
`cells`     code and outputs as a reader wants them
`heads`     the time a chapter takes; what a page tells of itself to others
`lost`      the page for addresses that do not exist
`notes`     definitions on the links to terms
`preview`   the picture beside a shared link, the icon of a telephone
`pages`     completes the pages that were written, with these four:
  `formulas`  mathematics, drawn while the book is built
  `icons`     of the theme's icons, those in use
  `pictures`  sizes, and loading when they are near
  `theme`     what the theme writes amiss
`complete`  a mark on a site that was built without a warning
`gallery`   the `{gallery}` directive: a card a chapter, from its stored outputs
`results`   the `{results}` directive: a table a task, from the stored outputs
`whole`     the `{whole-book}` directive: every method in one picture
`live`      the `{live}` directive: exported networks that run inside the page
`download`  the `{notebooks-zip}` role: all notebooks in one file
`stored`    reads the notebooks; `words` turns their prose into plain text
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

from . import (
    address,
    cells,
    complete,
    download,
    formulas,
    gallery,
    heads,
    live,
    lost,
    notes,
    pages,
    preview,
    results,
    whole,
)

PARTS = (
    *(address, cells, complete, download, formulas, gallery, heads),
    *(live, lost, notes, pages, preview, results, whole),
)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the modules with Sphinx; at the end of a build, `complete` comes last."""
    for module in PARTS:
        module.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
