"""Tell how far a long call has come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeAlias

if TYPE_CHECKING:
    from indexes.derivation import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a build stands.

    Attributes:
        phase: ``scan``, ``embed``, ``train``, ``add``, ``tune`` …
        done: items finished in this phase.
        total: items in this phase, if known.
        skipped: files skipped so far.
        message: a line worth showing once (an estimate, a choice), or empty.
    """

    phase: str
    done: int = 0
    total: int | None = None
    skipped: int = 0
    message: str = ""

    @classmethod
    def of(cls, event: Event, *, skipped: int = 0) -> Self:
        """Pass on what `indexes.derivation.derivation` reports."""
        return cls(
            phase=event.phase, done=event.done, total=event.total, message=event.message, skipped=skipped
        )


def telling(
    progress: OnProgress | None, *, skipped: Callable[[], int] = int
) -> Callable[[Event], None] | None:
    """Return what passes on to a callback how far an index has come; None where there is no callback.

    Args:
        progress: the callback.
        skipped: returns how many files were skipped so far.
    """
    return None if progress is None else lambda event: progress(Progress.of(event, skipped=skipped()))


OnProgress: TypeAlias = Callable[[Progress], None]

ShowProgress: TypeAlias = bool | OnProgress | None
"""What long calls take: True for a bar where somebody can see one, False or None for nothing, or a function."""
