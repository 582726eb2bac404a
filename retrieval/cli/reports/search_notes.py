"""Print the notes beside hits: what was searched, what a prefix loses, that the folder is newer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.generation import FOLDER, HAND
from retrieval.cli.reports.paths import shown
from retrieval.location import DIRECTORY

if TYPE_CHECKING:
    from retrieval.collection import Collection, Loss
    from retrieval.collection.answers import Hits


def collection_note(collection: Collection) -> str:
    """Say in a line, for a page, what was searched; no absolute path, because pages are passed on."""
    return f"{collection.root.name}, {len(collection):,} images, {collection.manifest.encoder or collection.space.name}"


def narrowed(loss: Loss | None, *, dim: int, width: int) -> str:
    """Say what a search that ranked by a prefix first was measured to lose, or that it was not."""
    ranked = f"the first {dim} of {width} components rank every row"
    if loss is None:
        return f"note: {ranked}; what that loses is not measured yet; to measure it: retrieve evaluate --dims {dim}"
    return (
        f"note: {ranked}, and a shortlist of {loss.shortlist:,} is ordered by all: recall@10 {loss.recall_at_10:.3f} "
        f"against exact search, measured on {loss.sample:,} stored rows"
    )


def unnarrowed(*, dim: int, width: int) -> str:
    """Say that every image was compared by all components, because prefixes of so many cost more."""
    return (
        f"note: every image was compared by all {width} components: the first {dim} of so many cost more than that; "
        f"to search them faster, build an index of that width: retrieve build-index --truncate-dim {dim}"
    )


def retired() -> str:
    """Say that every image was compared, because the index that lies there is no longer read."""
    return (
        "note: every image was compared, because this index is of a kind that is no longer made; "
        "the next build-index makes another from the stored vectors"
    )


def stale(collection: Collection) -> str:
    """Say that the sources are newer than their index; a folder alone is named, other sources are those that it has."""
    import shlex

    root, home = collection.root, collection.directory
    is_folder = all(source.type in {FOLDER, HAND} for source in collection.manifest.sources)
    named = f" {shlex.quote(shown(str(root)))}" if is_folder else ""
    where = "" if named and home == root / DIRECTORY else f" --index {shlex.quote(shown(str(home)))}"
    return f"note: files came or went since the index was built; to take them up: retrieve build-index{named}{where}"


def verified(hits: Hits) -> str:
    """Say what a comparison of the first hits with the picture that was asked with has found."""
    found = [hit.relation if hit.verified or hit.relation != "picture" else "likely" for hit in hits]
    parts = [
        f"{found.count(relation):,} {words}"
        for relation, words in (
            ("picture", "the same picture"),
            ("likely", "likely the same picture"),
            ("scene", "the same scene"),
            ("object", "the same object"),
        )
        if found.count(relation)
    ]
    return f"compared {hits.checked:,} images: {', '.join(parts) or 'none shows the same'}"
