"""Publish shards as one collection: train once for all, index each, measure the whole, and replace `shards.json` last."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from indexes.derivation import (
    Event,
    SharedTraining,
    measure_shards,
    shared_factory,
    stored_rows,
    sweep_trainings,
    train_together,
)
from indexes.generation import (
    REENCODING,
    Exact,
    Inverted,
    Request,
    Shard,
    Shards,
    read_manifest,
    shard_name,
    store_path,
    write_shards,
)
from indexes.search import Generation
from indexes.store import VectorStore
from retrieval.collection import under_way
from retrieval.collection.sharded.rows.index_jobs import IndexJob, index_shard
from retrieval.distributed import open_cluster, run_jobs
from retrieval.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from indexes.derivation import OnEvent
    from indexes.generation import IndexInfo, Manifest, Source
    from indexes.vectors import Vectors
    from retrieval.distributed import Cluster

SHARD_ROWS = 10_000_000
"""Rows from which on another shard begins, where nobody says."""

_LITTLE = 20  # of a whole, the part that changes without recall being measured again


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a build of all shards is asked for.

    Attributes:
        kind: of index; None keeps the collection's own.
        recall: the target; None keeps it.
        retrain: train anew.
        shard_rows: rows from which on another shard begins; None keeps it.
        device: where faiss may use a GPU.
        reindex: index every shard, whatever index it says that it has.
        upgrade: what is recorded of a change of the encoder; None keeps what is.
    """

    kind: str | None = None
    recall: float | None = None
    retrain: bool = False
    shard_rows: int | None = None
    device: str = "cpu"
    reindex: bool = False
    upgrade: Mapping[str, Any] | None = None


def publish_shards(
    directory: Path,
    units: Mapping[int, Sequence[tuple[str, str]]],
    source: Source,
    asked: Asked,
    cluster: Cluster,
    *,
    before: Shards | None,
    phrases: Callable[[], Mapping[str, Vectors]],
    progress: OnEvent | None = None,
) -> Shards:
    """Publish what shards hold as one collection; the caller holds the lock of the whole.

    Args:
        directory: of the whole.
        units: of each shard by its number, from 0 on; each shard lies there with its rows.
        source: where all rows come from.
        asked: what is asked for.
        cluster: where shards are indexed.
        before: what is published.
        phrases: returns sets of queries besides stored rows, that are measured, too.
        progress: is told of each step.
    """
    progress = progress or _quiet
    request = _request(asked, before)
    places = [directory / shard_name(number) for number in sorted(units)]
    manifests: Sequence[Manifest] = [read_manifest(place) for place in places]
    _require_alike(manifests, places)
    for bits in (1, 2):
        training = _training(directory, places, manifests, asked, request, before, progress, bits=bits)
        manifests = _indexed(places, manifests, training, asked, request, before, cluster, progress)
        made = Shards(
            generation=1 if before is None else before.generation + 1,
            source=source,
            request=request,
            shard_rows=asked.shard_rows or (SHARD_ROWS if before is None else before.shard_rows),
            shards=tuple(
                Shard(name=place.name, units=tuple(units[number]), manifest=manifest)
                for number, (place, manifest) in enumerate(zip(places, manifests, strict=True))
            ),
            index=Exact(dim=manifests[0].space.dim, base_rows=0, recall_target=request.recall),
            training=None if training is None else training.facts,
            upgrade=asked.upgrade or (None if before is None else before.upgrade),
            activations=() if before is None else before.activations,
        )
        if before is not None and _same(made, before):
            return before
        made = replace(made, index=_measured(places, made, before, phrases, progress))
        if bits == 2 or not _falls_short(made):
            break
        progress(
            Event(phase="plan", message=f"{made.index.factory}: {made.index.recall_reason}; trying 2 bits")
        )
    write_shards(directory, made)
    sweep_trainings(directory, made.training)
    return made


def publish_again(
    directory: Path,
    before: Shards,
    *,
    count: int,
    phrases: Callable[[], Mapping[str, Vectors]],
    progress: OnEvent | None = None,
) -> Shards:
    """Publish what shards hold by now, as they were asked for before; takes what `publish_shards` does.

    Args:
        directory, phrases, progress: as there.
        before: what is published.
        count: how many shards there are by now.
    """
    with open_cluster(None) as here:
        return publish_shards(
            directory,
            _units(before, count),
            before.source,
            Asked(device=before.request.device),
            here,
            before=before,
            phrases=phrases,
            progress=progress,
        )


def publish_as_they_are(
    directory: Path, before: Shards, *, count: int, upgrade: Mapping[str, Any] | None = None
) -> None:
    """Let readers see what shards have published, training and measuring nothing; takes what `publish_again` does.

    ``upgrade`` is what is recorded of a change of the encoder; None keeps what is.
    """
    units = _units(before, count)
    made = replace(
        before,
        generation=before.generation + 1,
        upgrade=upgrade or before.upgrade,
        shards=tuple(
            Shard(
                name=shard_name(number),
                units=units[number],
                manifest=read_manifest(directory / shard_name(number)),
            )
            for number in range(count)
        ),
    )
    if not _same(made, before):
        write_shards(directory, made)


def require_no_upgrade(shards: Shards, *, what: str) -> None:
    """Refuse what cannot be done while shards are encoded again one after the other.

    Raises:
        OptionError: they are; the message begins with `what` and says how to end it.
    """
    if shards.upgrade is not None and shards.upgrade["state"] == REENCODING:
        raise OptionError(f"{what}: {under_way(shards.upgrade)}")


def _units(before: Shards, count: int) -> dict[int, tuple[tuple[str, str], ...]]:
    """Return the units of each shard; one that was begun for rows by hand has none."""
    known = {shard.number: shard.units for shard in before.shards}
    return {number: known.get(number, ()) for number in range(count)}


def _falls_short(made: Shards) -> bool:
    """Say whether codes of one bit a dimension, which were ours to choose, do not reach the target."""
    index = made.index
    named = made.request.kind in {"auto", "ivfrabitq"}
    return named and index.recall_reason is not None and str(index.factory).endswith("RaBitQfs")


def _indexed(
    places: Sequence[Path],
    manifests: Sequence[Manifest],
    training: SharedTraining | None,
    asked: Asked,
    request: Request,
    before: Shards | None,
    cluster: Cluster,
    progress: OnEvent,
) -> Sequence[Manifest]:
    """Index the shards that are not of this training yet, and return what all have published."""
    kind = "flat" if training is None else training.facts.factory
    jobs = [
        IndexJob(
            directory=str(place), kind=kind, training=training, recall=request.recall, device=asked.device
        )
        for place, manifest in zip(places, manifests, strict=True)
        if asked.reindex or not _is_indexed(manifest, training, before)
    ]
    if not jobs:
        return manifests
    progress(Event(phase="add", message=f"encoding the rows of {len(jobs)} shards by one training"))
    run_jobs(cluster, index_shard, jobs, names=[job.directory for job in jobs])
    return [read_manifest(place) for place in places]


def _request(asked: Asked, before: Shards | None) -> Request:
    """Fill in what the collection was asked for where nothing else is said."""
    own = None if before is None else before.request
    kind = asked.kind or ("auto" if own is None else own.kind)
    recall = asked.recall or (0.95 if own is None else own.recall)
    return Request(kind=kind, dim=None, recall=float(recall), device=asked.device)


def _require_alike(manifests: Sequence[Manifest], places: Sequence[Path]) -> None:
    first = manifests[0]
    for manifest, place in zip(manifests, places, strict=True):
        if not manifest.space.same_as(first.space):
            raise OptionError(
                f"{place} holds vectors of {manifest.space.name}, other shards those of {first.space.name}; build all by one encoder"
            )


def _training(
    directory: Path,
    places: Sequence[Path],
    manifests: Sequence[Manifest],
    asked: Asked,
    request: Request,
    before: Shards | None,
    progress: OnEvent,
    *,
    bits: int,
) -> SharedTraining | None:
    """Return the training that is there, or train; None where every row is compared.

    Args:
        bits: a dimension of the codes, where they are ours to choose; with more than 1 nothing that is there will do.
    """
    same = before is not None and (asked.kind in (None, before.request.kind))
    if before is not None and before.training is not None and same and not asked.retrain and bits == 1:
        there = SharedTraining.of(directory, before.training)
        there.check()
        return there
    rows = [manifest.live for manifest in manifests]
    width = manifests[0].space.dim
    factory = shared_factory(request.kind, rows, width=width, device=asked.device, bits=bits)
    if factory is None:
        return None
    stores = [
        VectorStore.open(store_path(place, manifest), dim=width, count=manifest.count)
        for place, manifest in zip(places, manifests, strict=True)
    ]
    try:
        held = [stored_rows(store) for store in stores]
        return train_together(directory, held, factory, device=asked.device, progress=progress)
    finally:
        for store in stores:
            store.close()


def _is_indexed(manifest: Manifest, training: SharedTraining | None, before: Shards | None) -> bool:
    """Say whether a shard is indexed by this training already: its own build has seen to it, then."""
    if training is None:
        return isinstance(manifest.index, Exact)
    known = before is not None and before.training == training.facts
    return known and isinstance(manifest.index, Exact | Inverted)


def _same(one: Shards, other: Shards) -> bool:
    """Say whether nothing would change but the number of the publish."""
    same = replace(one, generation=other.generation, index=other.index)
    return same.to_json() == other.to_json()


def _measured(
    places: Sequence[Path],
    made: Shards,
    before: Shards | None,
    phrases: Callable[[], Mapping[str, Vectors]],
    progress: OnEvent,
) -> IndexInfo:
    """Return how the whole is searched: what was measured last, until the rows have changed by a twentieth since."""
    same = before is not None and before.training == made.training
    if before is not None and same and before.request == made.request:
        then, now = before.index.base_rows, made.manifest.count
        if isinstance(before.index, Inverted) and abs(now - then) * _LITTLE <= then:
            return before.index
    generations: list[Generation] = []
    try:
        for place, shard in zip(places, made.shards, strict=True):
            generations.append(Generation.open(place, shard.manifest))
        return measure_shards(
            generations,
            training=made.training,
            request=made.request,
            extra=phrases() if made.training is not None else {},
            progress=progress,
            before=before.index if before is not None and same else None,
        )
    finally:
        for one in generations:
            one.close()


def _quiet(_: Event) -> None:
    """Tell nobody."""
