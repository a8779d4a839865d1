"""What this book adds to Jupyter Book: small modules, each readable alone.

`address`   buttons that appear only once the book has an address
`offline`   mathematics and pages that need no other host
`gallery`   the `{gallery}` directive: a card a chapter, from its stored outputs
`results`   the `{results}` directive: a table a task, from the stored outputs
`whole`     the `{whole-book}` directive: every method in one picture
`live`      the `{live}` directive: exported networks that run inside the page
`download`  the `{notebooks-zip}` role: all notebooks in one file
`stored`    reads the notebooks for the others
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

from . import address, download, gallery, live, offline, results, whole


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the modules with Sphinx."""
    for module in (address, offline, gallery, results, whole, live, download):
        module.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
