"""Link from a page to the images that it shows."""

from __future__ import annotations

import os
from html import escape as markup
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from pathlib import Path


def image_href(link: str, beside: Path | None) -> str:
    """Return what a page links to for an image: the address of one on the web, or a path relative to the page.

    Args:
        link: an absolute path or an address.
        beside: the folder where the page will lie; None where no file can be linked.
    Returns:
        the link, escaped for an attribute; empty where there is no such file, or it lies in an archive.
    """
    if link.startswith(("https://", "http://")):
        return markup(link)
    if beside is None or not os.path.isfile(link):
        return ""
    return quote(os.fsencode(os.path.relpath(link, beside)))
