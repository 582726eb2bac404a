"""Load what a room exports when it is first used, so that importing a room stays light."""

from __future__ import annotations

from indexes.exports import lazy

__all__ = ["lazy"]
