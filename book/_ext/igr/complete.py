"""Say whether the site was built without a warning."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx


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
    """Hook into the end of a build, after all that may warn."""
    app.connect("build-finished", mark, priority=900)
