"""Map queries of a new encoder into the space of the old gallery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from indexes.migration import slerp
from indexes.vectors import Transform, unit_rows

if TYPE_CHECKING:
    from indexes.vectors import Vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """One way to ask the old gallery with the new encoder.

    Attributes:
        method: its name.
        image, text: maps of queries by image and by words, new space to old; no ``text`` where words were not fitted.
        back: the map from the old space to the new one: where an image is expected there.
        alpha: for ``slerp``: the share of the mapped query, the rest is the old encoder's own; None otherwise.
    """

    method: str
    image: Transform
    back: Transform
    text: Transform | None = None
    alpha: float | None = None

    def queries(self, new: Vectors, old: Vectors | None, *, words: bool = False) -> Vectors:
        """Return ``(q, d_old)`` unit rows to ask the old gallery with.

        Args:
            new: ``(q, d_new)`` the queries by the new encoder.
            old: ``(q, d_old)`` the same by the old one; only ``slerp`` uses it, and without it maps alone.
            words: they are words.
        """
        step = self.text if words and self.text is not None else self.image
        # Not `apply`, which would check again what an encoder's gate has checked.
        mapped = unit_rows(step.moved(new), what="mapped queries")
        return mapped if self.alpha is None or old is None else slerp(old, mapped, self.alpha)
