r"""Make names safe to show: control characters as escapes, and paths that are not UTF-8 as JSON can carry them."""

from __future__ import annotations

import os
import re
from typing import Final

UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0, DEL and C1 controls; direction marks, embeddings, overrides and isolates; line and paragraph separators;
surrogates, which is how Python carries bytes that are not UTF-8. Joiners stay: emoji use them."""

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape(text: str) -> str:
    """Make text safe to show on one line of a terminal; a plain name is unchanged, backslashes too."""
    return text if text.isascii() and text.isprintable() else UNSAFE.sub(_escaped, text)


def path_json(path: str, key: str = "path") -> dict[str, str]:
    """Give a path as JSON can carry it: a name that is not UTF-8 percent-encoded, its bytes in base64 beside it."""
    if path.isascii() or _is_unicode(path):
        return {key: path}
    return {key: _quoted(path), f"{key}_bytes": _base64(path)}


def paths_json(paths: list[str], key: str) -> dict[str, list[str] | list[str | None]]:
    """Give several paths as `path_json` gives one; the bytes are a list, with None beside a name that is UTF-8."""
    plain = [path.isascii() or _is_unicode(path) for path in paths]
    if all(plain):
        return {key: paths}
    pairs = list(zip(paths, plain, strict=True))
    return {
        key: [path if whole else _quoted(path) for path, whole in pairs],
        f"{key}_bytes": [None if whole else _base64(path) for path, whole in pairs],
    }


def _quoted(path: str) -> str:
    from urllib.parse import quote

    return quote(os.fsencode(path))


def _base64(path: str) -> str:
    import base64

    return base64.b64encode(os.fsencode(path)).decode("ascii")


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: the byte is code - 0xDC00
        return f"\\x{code - 0xDC00:02x}"
    return _NAMED.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
