"""The frame and style of the result page, light and dark, and the files of pages that have a script."""

import base64
import hashlib
from functools import cache
from importlib.resources import files

HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="retrieve">
<title>$title</title>
<style>$style</style>
</head>
<body>
"""
"""How a page begins that loads nothing: with the placeholders ``$title`` and ``$style``."""

PAGE = (
    HEAD
    + """<header>
$heading$note$contents
</header>
<main>
$sections
</main>
<footer>
A score is the cosine between query and image: higher is more alike. Bars compare the hits of one query.
$links</footer>
</body>
</html>
"""
)

LOOK = (files("retrieval.render") / "look.css").read_text("utf-8")
"""What the result page and the page of a server share."""

STYLE = LOOK + (files("retrieval.render") / "result_page.css").read_text("utf-8")
"""All of the result page."""


@cache
def page_file(package: str, name: str) -> str:
    """Return the text of a page's style or script, which lies beside its module."""
    return files(package).joinpath(name).read_text(encoding="utf-8")


@cache
def script_source(package: str, name: str) -> str:
    """Return what a content security policy calls a page's script."""
    digest = hashlib.sha256(page_file(package, name).encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
