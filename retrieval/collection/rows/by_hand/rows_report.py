"""Report what was done to rows that are made from vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from retrieval.deprecation import renamed_attribute

if TYPE_CHECKING:
    from pathlib import Path

    from indexes.generation import Manifest

__all__ = ["RowsReport"]


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
        index = manifest.index
        return cls(
            root=str(root),
            index=str(directory),
            encoder=manifest.encoder or manifest.space.name,
            rows=manifest.live,
            added=added,
            updated=updated,
            unchanged=unchanged,
            deleted=deleted,
            seconds=round(seconds, 3),
            kind=index.kind,
            factory=index.factory,
            stored_dim=manifest.space.dim,
            truncate_dim=index.dim,
            bytes_per_vector=index.bytes_per_vector,
            recall_at_10=index.recall_at_10,
            recall_sample=index.recall_sample,
            recall_reason=index.recall_reason,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of the contract: the keys of a build's, and those of rows."""
        return {
            "root": self.root,
            "index": self.index,
            "encoder": self.encoder,
            "images": self.rows,
            "added": self.added,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "deleted": self.deleted,
            "encoded": self.written,
            "reused": self.unchanged,
            "moved": 0,
            "removed": self.deleted,
            "skipped": 0,
            "skipped_by_reason": {},
            "seconds": self.seconds,
            "images_per_second": round(self.written / max(self.seconds, 1e-9), 1),
            "kind": self.kind,
            "factory": self.factory,
            "width": self.stored_dim,
            "stored_dim": self.stored_dim,
            "truncate_dim": self.truncate_dim,
            "dim": self.truncate_dim,
            "bytes_per_vector": self.bytes_per_vector,
            "recall_at_10": self.recall_at_10,
            "recall_sample": self.recall_sample,
            "recall_reason": self.recall_reason,
            "recall_at_10_text": None,
        }
