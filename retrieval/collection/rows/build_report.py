"""Report what a build did."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from retrieval.deprecation import renamed_attribute

if TYPE_CHECKING:
    from pathlib import Path

    from indexes.generation import Manifest


def published_facts(manifest: Manifest, *, root: Path, directory: Path) -> dict[str, Any]:
    """Return what every report says of a published manifest and its index."""
    index = manifest.index
    return {
        "root": str(root),
        "index": str(directory),
        "encoder": manifest.encoder or manifest.space.name,
        "kind": index.kind,
        "factory": index.factory,
        "stored_dim": manifest.space.dim,
        "truncate_dim": index.dim,
        "bytes_per_vector": index.bytes_per_vector,
        "recall_at_10": index.recall_at_10,
        "recall_sample": index.recall_sample,
        "recall_reason": index.recall_reason,
        "recall_at_10_text": index.recall_at_10_text,
    }


def _reads_words(manifest: Manifest) -> bool | None:
    """Say whether the encoder gave vectors for words, too, when its vectors of probes were recorded."""
    recorded = None if manifest.migrating else manifest.probes.get(manifest.space.fingerprint)
    return None if recorded is None else "text" in recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """What ``retrieve build-index --json`` prints.

    Attributes:
        images: rows after the build.
        encoded, reused, moved, removed: files encoded; recognised by content without encoding; renamed; gone.
        skipped: files that did not become a vector; `skipped_by_reason` counts them by reason.
        other_files: files that are no images, counted by suffix, most frequent first; empty for those without one.
        left_out: system folders that were left out, counted by name.
        stored_dim: width of the stored vectors.
        truncate_dim: width of the first stage.
        bytes_per_vector: what a search reads of each row first: ``index.faiss`` over rows, or two bytes a number.
        recall_at_10: measured against exact search on `recall_sample` stored rows; ``None`` with the reason in `recall_reason`.
        recall_at_10_text: the same for built-in phrases, where the encoder reads words.
        sources: what was built, as messages call it.
        left_alone: how many other sources the collection has, which were not asked.
        not_seen: rows that stay although they were not found, because their source could not be listed to its end.
        incomplete: why, a line for each such source.
        notes: what else people should know of the sources.
        views: parts of images with vectors of their own: how many an image has, how many there are, were encoded, and of how
            many images they could not be; None where the collection keeps none.
    """

    root: str
    index: str
    encoder: str
    images: int
    encoded: int
    reused: int
    moved: int
    removed: int
    skipped: int
    skipped_by_reason: dict[str, int] = field(default_factory=dict)
    seconds: float
    images_per_second: float
    kind: str
    factory: str | None
    stored_dim: int
    truncate_dim: int
    bytes_per_vector: float
    recall_at_10: float | None
    recall_sample: int
    recall_reason: str | None
    recall_at_10_text: float | None
    other_files: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    left_alone: int = 0
    not_seen: int = 0
    incomplete: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    views: dict[str, int] | None = None
    reads_words: bool | None = None

    if not TYPE_CHECKING:  # old names
        width = renamed_attribute("BuildReport.width", "stored_dim")
        dim = renamed_attribute("BuildReport.dim", "truncate_dim")

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        *,
        root: Path,
        directory: Path,
        seconds: float,
        encoded: int,
        skipped_by_reason: dict[str, int],
        **counted: Any,
    ) -> Self:
        """Put together what was counted, by the names of the attributes, and what the published manifest says."""
        return cls(
            **published_facts(manifest, root=root, directory=directory),
            images=manifest.live,
            encoded=encoded,
            skipped=sum(skipped_by_reason.values()),
            skipped_by_reason=skipped_by_reason,
            seconds=round(seconds, 3),
            images_per_second=round(encoded / max(seconds, 1e-9), 1),
            **({"reads_words": _reads_words(manifest)} | counted),
        )

    def _repr_html_(self) -> str | None:
        """Show the report in a notebook."""
        from retrieval.display import notebook

        return notebook.shown(lambda: notebook.facts(f"{self.images:,} images", self.to_json()))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of the contract, old keys too; what only helps people is not part of it."""
        facts = asdict(self)
        new = {
            name: facts.pop(name)
            for name in ("sources", "left_alone", "not_seen", "incomplete", "notes", "views")
        }
        del facts["other_files"], facts["left_out"], facts["reads_words"]
        return facts | {"width": self.stored_dim, "dim": self.truncate_dim} | new
