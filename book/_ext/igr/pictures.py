"""Say each picture's size, so that nothing moves when it comes, and load it when it is near."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image
from sphinx.application import Sphinx

PICTURE = re.compile(r'<img (?![^>]*\bwidth=)(?P<rest>[^>]*src="(?P<src>[^"]+\.png)"[^>]*)>')


def finish(app: Sphinx, pages: dict[Path, str]) -> None:
    """Complete the pictures of every page; the first of an article is not put off."""
    for path, text in pages.items():
        parts, end = [], 0
        for picture in PICTURE.finditer(text):
            with Image.open(path.parent / picture["src"]) as image:
                more = f'width="{image.width}" height="{image.height}" decoding="async"'
            if parts and "loading=" not in picture["rest"]:
                more += ' loading="lazy"'
            parts += [text[end : picture.start()], f"<img {more} {picture['rest']}>"]
            end = picture.end()
        pages[path] = "".join([*parts, text[end:]])
