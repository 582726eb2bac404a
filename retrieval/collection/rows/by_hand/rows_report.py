"""Report what was done to rows that are made from vectors."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from retrieval.collection.rows import published_facts
from retrieval.deprecation import renamed_attribute

if TYPE_CHECKING:
    from pathlib import Path

    from indexes.generation import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsReport:
    """What `sync_vectors` did.

    Attributes:
        root, index: the folder, and the collection's directory.
        encoder: its encoder; where none is recorded, the name of its space.
        rows: of the collection now, those of images too.
        added, updated, unchanged, deleted: rows that were new; got another vector; had it already; were deleted.
        seconds: how long it took.
        kind, factory: of the index.
        stored_dim: width of the stored vectors.
        truncate_dim: width of the first stage.
        bytes_per_vector: what a search reads of each row first: ``index.faiss`` over rows, or two bytes a number.
        recall_at_10: measured against exact search on `recall_sample` stored rows; ``None`` with the reason in `recall_reason`.
    """

    root: str
    index: str
    encoder: str
    rows: int
    added: int
    updated: int
    unchanged: int
    deleted: int
    seconds: float
    kind: str
    factory: str | None
    stored_dim: int
    truncate_dim: int
    bytes_per_vector: float
    recall_at_10: float | None
    recall_sample: int
    recall_reason: str | None

    if not TYPE_CHECKING:  # old names
        images = renamed_attribute("RowsReport.images", "rows")
        encoded = renamed_attribute("RowsReport.encoded", "written")
        reused = renamed_attribute("RowsReport.reused", "unchanged")
        removed = renamed_attribute("RowsReport.removed", "deleted")
        width = renamed_attribute("RowsReport.width", "stored_dim")
        dim = renamed_attribute("RowsReport.dim", "truncate_dim")

    @property
    def written(self) -> int:
        """Rows that were added or updated."""
        return self.added + self.updated

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        *,
        root: Path,
        directory: Path,
        seconds: float,
        added: int,
        updated: int,
        unchanged: int,
        deleted: int,
    ) -> Self:
        """Put together what was counted and what the published manifest says."""
        facts = published_facts(manifest, root=root, directory=directory)
        del facts["recall_at_10_text"]  # rows without an encoder have no queries by words
        return cls(
            **facts,
            rows=manifest.live,
            added=added,
            updated=updated,
            unchanged=unchanged,
            deleted=deleted,
            seconds=round(seconds, 3),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of the contract: the keys of a build's, and those of rows."""
        facts = asdict(self)
        del facts["rows"]
        return facts | {
            "images": self.rows,
            "encoded": self.written,
            "reused": self.unchanged,
            "moved": 0,
            "removed": self.deleted,
            "skipped": 0,
            "skipped_by_reason": {},
            "images_per_second": round(self.written / max(self.seconds, 1e-9), 1),
            "width": self.stored_dim,
            "dim": self.truncate_dim,
            "recall_at_10_text": None,
        }
