"""Keep every page whole without a network, and say whether the build was without a warning."""

from __future__ import annotations

import shutil
from importlib.metadata import distribution
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

MATHJAX_PACKAGE = "django-static-mathjax"  # MathJax 3.2, unchanged; nothing of Django is used
MATHJAX_FILE = "mathjax/static/mathjax/es5/tex-svg-full.js"  # one file: TeX in, SVG out, no fonts


def use_local_mathjax(app: Sphinx, config: Config) -> None:
    """Name the site's own copy of MathJax in place of the public one."""
    config.mathjax_path = "mathjax/tex-svg-full.js"


def copy_mathjax(app: Sphinx) -> None:
    """Copy MathJax's single file from the installed package into the site."""
    source = Path(str(distribution(MATHJAX_PACKAGE).locate_file(MATHJAX_FILE)))
    target = Path(app.outdir, "_static", app.config.mathjax_path)
    if not target.exists() or target.stat().st_size != source.stat().st_size:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def mark(app: Sphinx, exception: Exception | None) -> None:
    """Leave a file `.whole` in a site that was built without a warning, and only there.

    Sphinx reads only changed pages, so a second build could turn a failure green. A build that
    warned therefore drops its cache: the next one reads every page and warns again.
    """
    whole = Path(app.outdir, ".whole")
    if exception is None and app._warncount == 0:
        whole.touch()
    else:
        whole.unlink(missing_ok=True)
        Path(app.doctreedir, "environment.pickle").unlink(missing_ok=True)


def setup(app: Sphinx) -> None:
    """Hook into the start and the end of a build."""
    app.connect("config-inited", use_local_mathjax)
    app.connect("builder-inited", copy_mathjax)
    app.connect("build-finished", mark)
