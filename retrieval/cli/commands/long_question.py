"""Ask a collection a question that takes a while: open it, show progress, note at the end whether its sources are newer."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from retrieval.cli.frame import watching
from retrieval.cli.reports import stale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from retrieval.cli.frame import Session
    from retrieval.collection import Collection
    from retrieval.progress import Progress


@contextmanager
def asked(
    session: Session, index: Path | None
) -> Iterator[tuple[Collection, Callable[[Progress], None] | None]]:
    """Give the collection and the callback for progress; both end with the block."""
    from retrieval.collection import open_collection

    with open_collection(index) as collection:
        with watching(session) as progress:
            yield collection, progress
        if collection.changed():
            session.note(stale(collection))
