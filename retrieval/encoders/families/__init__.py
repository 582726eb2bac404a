"""One module for each kind of encoder."""

from __future__ import annotations

__all__ = []
