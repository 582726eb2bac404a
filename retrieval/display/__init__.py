"""Show names, images, facts and progress to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.display.escaping import UNSAFE, escape, path_json, paths_json

__all__ = ["UNSAFE", "escape", "path_json", "paths_json"]

__getattr__ = lazy(__name__, {"escaping": ("UNSAFE", "escape", "path_json", "paths_json")})
