"""Turn the buttons on that need an address, once `_config.yml` holds one."""

from __future__ import annotations

from sphinx.application import Sphinx
from sphinx.config import Config

BUTTONS = ("use_repository_button", "use_issues_button", "use_edit_page_button")


def add_buttons(app: Sphinx, config: Config) -> None:
    """Set the theme's repository and launch buttons from `repository.url`."""
    options = config.html_theme_options
    if options.get("repository_url"):
        options.update(dict.fromkeys(BUTTONS, True))
        options["launch_buttons"] = {"colab_url": "https://colab.research.google.com"}


def setup(app: Sphinx) -> None:
    """Run before the theme reads its options."""
    app.connect("config-inited", add_buttons, priority=100)
