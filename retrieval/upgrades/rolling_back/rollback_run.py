"""Roll a collection back to its previous encoder."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.derivation import Carried, publish_tail
from indexes.files import remove_tree
from indexes.generation import MANIFEST, SHARDS, Manifest, read_manifest, store_path
from indexes.store import VectorStore
from retrieval.collection import ROLLBACK_ROWS, remove_staging, sweep, writer
from retrieval.collection.rows import derived_files
from retrieval.display import progress_shown
from retrieval.encoders import expect, load_encoder
from retrieval.errors import OptionError, RetrievalError
from retrieval.location import find_whole
from retrieval.sources import open_source
from retrieval.upgrades.rolling_back.restore import Restored
from retrieval.views import refuse_views

if TYPE_CHECKING:
    from collections.abc import Mapping

    from indexes.store import WriterLock
    from retrieval.encoders import Encoder, EncoderLike
    from retrieval.progress import OnProgress, ShowProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackReport:
    """What ``retrieve rollback --json`` prints.

    Attributes:
        encoder: the one that answers from now on.
        given_up: the one that does no longer.
        images: rows that answer.
        encoded: images added since the upgrade began that the old encoder has encoded now.
        pending: images added since that were left out, as was asked; the next build encodes them.
    """

    encoder: str
    given_up: str
    images: int
    encoded: int
    pending: int

    def _repr_html_(self) -> str | None:
        """Show the report in a notebook."""
        from retrieval.display import notebook

        return notebook.shown(lambda: notebook.facts("rollback", self.to_json()))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return asdict(self)


def rollback(
    path: str | os.PathLike[str] | None = None,
    *,
    without_new: bool = False,
    encoder: EncoderLike | None = None,
    device: str = "auto",
    root: str | os.PathLike[str] | None = None,
    progress: ShowProgress = True,
) -> RollbackReport:
    """Return to the encoder before the upgrade, finished or not, with the same ids.

    Images that were added since are encoded by the old encoder first; interrupted, the same call continues.

    Args:
        path: the collection, as in `retrieval.open`.
        without_new: leave out those that are not encoded yet; the next build encodes them.
        encoder: stands in for the recorded old one; of its space.
        device: where it runs.
        root: where the images lie, if not where the collection recorded them.
        progress: True shows a bar on a terminal or in a notebook, False nothing; a function is called with each `Progress`.
    Raises:
        OptionError: there is nothing to return to, or images were added and the old encoder cannot be loaded, or not read
            them all, or it keeps views of images; the collection is as it was.
        StoreLocked: somebody else writes to the collection.
    """
    directory = find_whole(path, what="`rollback`")
    options: dict[str, Any] = {
        "without_new": without_new,
        "encoder": encoder,
        "device": device,
        "root": root,
    }
    with progress_shown(progress) as watch:
        if (directory / SHARDS).is_file():
            from retrieval.upgrades.sharded import rollback_shards

            return rollback_shards(directory, **options, progress=watch)
        return rollback_one(directory, **options, progress=watch)


def rollback_one(
    directory: Path,
    *,
    without_new: bool,
    encoder: EncoderLike | None,
    device: str,
    root: str | os.PathLike[str] | None,
    progress: OnProgress | None,
) -> RollbackReport:
    """Roll back the collection in a directory, a shard or a whole; takes, returns and raises what `rollback` does."""
    with writer(directory) as lock:
        manifest = read_manifest(directory)
        sweep(directory, manifest)
        refuse_views(directory, manifest, what="a rollback")
        if manifest.reencoding:
            return _give_up(directory, lock, manifest)
        before, entry = _before(directory, manifest)
        given = None if encoder is None else load_encoder(encoder, device=device)
        if given is not None:
            before.space.require(given.space, what=f"the encoder {given.space.name}")
        source = open_source(directory, manifest, root=root)
        with (
            VectorStore.open(store_path(directory, manifest), dim=manifest.space.dim) as present,
            VectorStore.open(store_path(directory, before), dim=before.space.dim) as old,
        ):
            back = Restored(directory, lock, manifest, before, entry, present, old, progress)
            missing = back.missing()
            if len(missing) and not without_new:
                old_encoder = _old_encoder(given, before, len(missing), device=device)
                expect(old_encoder, manifest.probes.get(old_encoder.space.fingerprint))
                back.encode(missing, old_encoder, source)
            published = back.publish(missing)
        remove_staging(directory)
        remove_tree(directory / ROLLBACK_ROWS)
        sweep(directory, published)
    return RollbackReport(
        encoder=before.encoder or before.space.name,
        given_up=str(entry["new"]),
        images=published.live,
        encoded=back.encoded,
        pending=back.pending,
    )


def _give_up(directory: Path, lock: WriterLock, manifest: Manifest) -> RollbackReport:
    """Give up an upgrade whose old encoder still answers: forget what was encoded beside the collection."""
    entry = {key: value for key, value in manifest.upgrades[-1].items() if key != "staging"}
    with VectorStore.open(store_path(directory, manifest), dim=manifest.space.dim) as store:
        lock.check()
        published = publish_tail(
            directory,
            store,
            space=manifest.space,
            encoder=manifest.encoder,
            root=manifest.root,
            carried=Carried(upgrades=(*manifest.upgrades[:-1], entry | {"state": "rolled back"})),
            derived=derived_files(),
        )
    remove_staging(directory)
    sweep(directory, published)
    return RollbackReport(
        encoder=manifest.encoder or manifest.space.name,
        given_up=str(entry["new"]),
        images=published.live,
        encoded=0,
        pending=0,
    )


def _before(directory: Path, manifest: Manifest) -> tuple[Manifest, Mapping[str, Any]]:
    """Return the manifest to go back to, and the upgrade to undo."""
    entry = manifest.upgrades[-1] if manifest.upgrades else {}
    if manifest.migrating:
        return manifest, entry
    if not entry.get("previous"):
        dropped = " (the old vectors were dropped)" if entry.get("state") == "complete" else ""
        raise OptionError(f"{directory}: there is no upgrade to undo{dropped}")
    return Manifest.from_json(entry["previous"], path=directory / MANIFEST), entry


def _old_encoder(encoder: Encoder | None, before: Manifest, missing: int, *, device: str) -> Encoder:
    """Return the old encoder.

    Raises:
        OptionError: it cannot be had; the message says how many images wait for it.
    """
    if encoder is not None:
        return encoder
    name = before.encoder or before.space.name
    reason = "it is not recorded how to load it"
    if before.encoder is not None:
        try:
            loaded = load_encoder(before.encoder, device=device)
            before.space.require(loaded.space, what=f"the encoder {before.encoder}")
        except RetrievalError as error:
            reason = str(error)
        else:
            return loaded
    raise OptionError(
        f"{missing:,} images were added since the upgrade began and {name} must encode them first, but it cannot be "
        f"loaded ({reason}); install it, or leave those images out for now with `without_new=True`"
    )
