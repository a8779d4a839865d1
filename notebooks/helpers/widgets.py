"""A knob where a reader would want to turn one, and a picture where no kernel listens."""

import os
from collections.abc import Callable
from typing import Any

import ipywidgets


def explore(draw: Callable[..., None], static: dict[str, Any], **controls: Any) -> None:
    """Call `draw` with the values of live controls, or once with `static` where there are none.

    Args:
        draw: makes one figure from its keyword arguments and shows it.
        static: the arguments of the picture that a reader of the page sees. Used when the book's
            tools execute the notebook (`BOOK_STATIC` is set), so that no dead control is stored.
        controls: keyword -> ipywidgets control, or what `ipywidgets.interactive` makes one from.

    Raises:
        ValueError: `static` and `controls` do not name the same arguments.
    """
    if static.keys() != controls.keys():
        raise ValueError(f"static names {sorted(static)}, but the controls {sorted(controls)}.")
    if "BOOK_STATIC" in os.environ:
        draw(**static)
    else:
        ipywidgets.interact(draw, **controls)
