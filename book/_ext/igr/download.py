"""All notebooks in one file, with what they need to run: the `{notebooks-zip}` role links to it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from .stored import notebooks

FILE = "_static/notebooks.zip"
FOLDER = "igr-notebooks"
README = """\
The notebooks of "{title}", with what they need to run.

    python3 -m venv .venv                           # Python 3.10 or newer
    .venv/bin/pip install -r requirements.txt
    .venv/bin/jupyter lab

On Windows, .venv\\Scripts\\ stands in place of .venv/bin/. Open any notebook: each one runs alone.
"""


def contents(root: Path, title: str) -> Iterator[tuple[str, bytes]]:
    """Each file of the archive: its name in the archive's folder, and its bytes."""
    yield "README.txt", README.format(title=title).encode()
    yield "LICENSE", (root / "LICENSE").read_bytes()
    # The first paragraph names what the notebooks import; the rest is for building and testing.
    imported = (root / "requirements.txt").read_text(encoding="utf-8").split("\n\n")[0]
    yield "requirements.txt", f"{imported}\n\n# What opens them.\njupyterlab>=4\n".encode()
    folder = root / "notebooks"
    files = [notebook.path for notebook in notebooks(root)]
    for pattern in ("helpers/*.py", "weights/*.json", "weights/*.safetensors"):
        files += folder.glob(pattern)
    for path in sorted(files):
        yield path.relative_to(folder).as_posix(), path.read_bytes()


def write(app: Sphinx) -> None:
    """Write the archive into the site: the same bytes for the same files, whatever their dates."""
    target = Path(app.outdir, FILE)
    target.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(target, "w", ZIP_DEFLATED) as archive:
        for name, content in contents(Path(app.srcdir), app.config.html_title):
            entry = ZipInfo(f"{FOLDER}/{name}")  # dated 1980
            entry.external_attr = 0o644 << 16
            entry.compress_type = ZIP_DEFLATED
            archive.writestr(entry, content)


class NotebooksZip(SphinxRole):
    """A link to the archive, followed by its size."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the link, its text as written, and the size in megabytes."""
        size = Path(self.env.app.outdir, FILE).stat().st_size
        uri = posixpath.relpath(FILE, posixpath.dirname(self.env.docname) or ".")
        link = nodes.reference("", self.text, refuri=uri, internal=True)
        return [link, nodes.Text(f" ({size / 1e6:.0f} MB)")], []


def setup(app: Sphinx) -> None:
    """Write the archive before pages are read, so that they can state its size."""
    app.connect("builder-inited", write)
    app.add_role("notebooks-zip", NotebooksZip())
