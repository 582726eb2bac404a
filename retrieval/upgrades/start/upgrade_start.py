"""Start an upgrade: fit how new queries find the old gallery, measure it, record it.

Long because one decision is read together: what was measured, what it may replace, and what of it is recorded.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.generation import SHARDS, read_manifest, store_path
from indexes.migration import Staging
from indexes.store import VectorStore
from retrieval.collection import STAGING, carried_by, remove_staging, sweep, writer
from retrieval.display import progress_shown
from retrieval.encoders import note_when_encoding
from retrieval.errors import OptionError, RetrievalError
from retrieval.location import find_whole
from retrieval.sources import open_source
from retrieval.upgrades import UpgradeReport, entry_of, reencoding_entry, refuse_rows_without_images, rounded
from retrieval.upgrades.start.encoders import extension_of, new_encoder, old_encoder_of
from retrieval.upgrades.start.plan import REENCODE, best_of, costs_of, require_space, ways_of, with_sample
from retrieval.upgrades.start.plan_record import Work, record_plan
from retrieval.upgrades.start.succession import (
    added_since,
    encode_added,
    require_no_fall,
    staging_of,
)
from retrieval.upgrades.start.unmeasured import reencode_unmeasured, require_reencoding
from retrieval.upgrades.trial import (
    METHODS,
    Sample,
    Trial,
    against_earlier,
    backfill_curve,
    background_of,
    can_measure,
    compare_encoders,
    draw,
    encode_sample,
    labels_of,
    others_of,
    questions_of,
    refusal_of,
    try_methods,
)
from retrieval.views import refuse_views

if TYPE_CHECKING:
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.migration import Background
    from indexes.vectors import Ids
    from retrieval.encoders import Encoder, EncoderLike
    from retrieval.progress import OnProgress, ShowProgress


def upgrade(
    path: str | os.PathLike[str] | None = None,
    *,
    encoder: EncoderLike,
    sample: int = 5000,
    method: str = "auto",
    labels: str | os.PathLike[str] | None = None,
    dry_run: bool = False,
    force: bool = False,
    device: str = "auto",
    old_encoder: EncoderLike | None = None,
    root: str | os.PathLike[str] | None = None,
    progress: ShowProgress = True,
) -> UpgradeReport:
    """Measure how a collection gets to another encoder, and record the best plan.

    A sample of the gallery is encoded anew, maps between the spaces are fitted on it, and what they find is measured on a
    part of it that nothing was fitted on. Nothing is recorded where the new encoder finds less than the old one. The best map that finds more in the old gallery than the old encoder does is
    recorded, and queries use the new encoder at once. Without such a map the old encoder answers until all images are encoded
    again, if the new one is better. Either way `retrieval.backfill` encodes the rest at any pace. Fewer than 40 images are too few
    to measure on: they are encoded again, nothing is said of which encoder finds more, and `retrieval.rollback` undoes it.

    Args:
        path: the collection, as in `retrieval.open`.
        encoder: the new one, a spec or an object.
        sample: gallery images to encode with it.
        method: ``auto``, or one of `METHODS` to hold to; ``reencode``: let the old encoder answer until the last image is
            encoded again, whatever the maps find.
        labels: CSV with the header ``file,label``: measure 1-NN accuracy instead of the recall of altered views.
        dry_run: measure only.
        force: record the best map even if it is not compatible, or an encoder that finds no more.
        device: where both encoders run.
        old_encoder: stands in for the recorded one; of the collection's space.
        root: where the images lie, if not where the collection recorded them.
        progress: True shows a bar on a terminal or in a notebook, False nothing; a function is called with each `Progress`.
    Returns:
        What was measured, and whether it was recorded. Unless it was, nothing has changed.
    Raises:
        OptionError: the same encoder again, an upgrade under way that finds more by now, no image left, a sample too small although
            more images are there, a map for too few images, or rows by hand without an image, or views of images.
        EncoderError: the new encoder cannot be had, or reads no images.
        StoreFull: there is no space for the new vectors.
        StoreLocked: somebody else writes to the collection.
    """
    if method not in ("auto", REENCODE, *METHODS):
        raise OptionError(f"method {method!r} is not one; use auto, {', '.join((*METHODS, REENCODE))}")
    if sample < 1:
        raise OptionError(f"sample is {sample}; it must be at least 1")
    directory = find_whole(path, what="`upgrade`")
    options: dict[str, Any] = {
        "encoder": encoder,
        "sample": sample,
        "method": method,
        "labels": labels,
        "dry_run": dry_run,
        "force": force,
        "device": device,
        "old_encoder": old_encoder,
        "root": root,
    }
    with progress_shown(progress) as watch:
        if (directory / SHARDS).is_file():
            from retrieval.upgrades.sharded import upgrade_shards

            return upgrade_shards(directory, **options, progress=watch)
        return upgrade_one(directory, **options, progress=watch)


def upgrade_one(
    directory: Path,
    *,
    encoder: EncoderLike,
    sample: int,
    method: str,
    labels: str | os.PathLike[str] | None,
    dry_run: bool,
    force: bool,
    device: str,
    old_encoder: EncoderLike | None,
    root: str | os.PathLike[str] | None,
    progress: OnProgress | None,
    whole: Manifest | None = None,
) -> UpgradeReport:
    """Upgrade the collection in a directory, a shard or a whole; takes, returns and raises what `upgrade` does.

    Args:
        directory: the collection's.
        progress: called now and then.
        whole: what the manifest of all shards would say, whose rows are to be encoded; None where there are no others.
    """
    with writer(directory) as lock:
        manifest = read_manifest(directory)
        sweep(directory, manifest)
        if not dry_run:
            refuse_views(directory, manifest, what="an upgrade")
        new, spec = new_encoder(encoder, manifest, device=device)
        note_when_encoding(new)
        source = open_source(directory, manifest, root=root)
        staging = f"{STAGING}/{new.space.fingerprint[:16]}"
        planned = staging_of(manifest)
        remove_staging(directory, but=(staging, planned))
        work = Work(
            directory=directory,
            lock=lock,
            manifest=manifest,
            new=new,
            spec=spec,
            source=source,
            staging=staging,
            whole=whole or manifest,
        )
        try:
            report = _run(
                work,
                size=sample,
                method=method,
                labels=labels,
                record=not dry_run,
                force=force,
                old=old_encoder_of(old_encoder, manifest, device=device),
                progress=progress,
            )
        except (RetrievalError, OSError):
            remove_staging(directory, but=(planned,))
            raise
        # An interrupt, in contrast, leaves what was encoded to the next run.
        remove_staging(directory, but=(staging if report.recorded else planned,))
    return report


def _run(
    work: Work,
    *,
    size: int,
    method: str,
    labels: str | os.PathLike[str] | None,
    record: bool,
    force: bool,
    old: Encoder | None,
    progress: OnProgress | None,
) -> UpgradeReport:
    manifest = work.manifest
    place = store_path(work.directory, manifest)
    if manifest.live == 0:
        raise OptionError(
            f'{work.directory} holds no images; build its index anew with `encoder="{work.name}"`'
        )
    if method == "slerp" and (manifest.encoder is None or old is None):
        why = "is recorded without a spec" if manifest.encoder is None else "cannot be loaded"
        raise OptionError(
            f"method slerp does not apply: it asks with both encoders, and {manifest.encoder or manifest.space.name} {why}, so that "
            "no query could load it; leave `method` away"
        )
    with (
        # What a killed build has stored in the middle of an upgrade is published with the next generation.
        VectorStore.open(
            place, dim=manifest.space.dim, count=None if manifest.migrating else manifest.count
        ) as store,
        Staging.open(work.directory / work.staging, dim=work.new.space.dim, lock=work.lock) as staging,
    ):
        if record:
            refuse_rows_without_images(store, manifest, work.source)
        label_of = {} if labels is None else labels_of(labels, store, work.source.name)
        added = added_since(work.directory, manifest, count=store.count, lock=work.lock)
        extends = extension_of(work.new, manifest.space)
        refused = refusal_of(method, work.new.space, manifest.space, extends)
        if refused is not None:
            raise OptionError(f"method {method} does not apply: {refused}")
        drawn, gone = draw(store, work.source, size=size, first=label_of, but=added)
        if not drawn:
            raise OptionError(
                f"none of the {manifest.live:,} images lies below {work.source.name}; mount its drive, or bring them back"
            )
        if not can_measure(drawn, wanted=size, live=store.live, gone=gone):
            require_reencoding(manifest, method, count=len(drawn))
            taken = encode_sample(drawn, store, staging, work.new, gone=gone, progress=progress)
            return reencode_unmeasured(work, store, staging, taken, record=record)
        if labels is None and old is None:
            raise OptionError(
                f"the encoder of {manifest.encoder or manifest.space.name} cannot be loaded, so what it finds cannot be "
                "measured on new views; give `labels=CSV`, which needs the stored vectors only"
            )
        taken = encode_sample(drawn, store, staging, work.new, gone=gone, progress=progress)
        questions = questions_of(
            taken, drawn, label_of, old=old, new=work.new, fits=extends is None, progress=progress
        )
        found = try_methods(
            taken,
            questions,
            method=method,
            extends=extends,
            old=old,
            new=work.new,
            old_space=manifest.space,
            others=others_of(store, taken, label_of, but=added),
            progress=progress,
        )
        return _decide(
            work,
            store,
            staging,
            taken,
            found,
            method=method,
            record=record,
            force=force,
            added=added,
            progress=progress,
        )


def _decide(
    work: Work,
    store: VectorStore,
    staging: Staging,
    taken: Sample,
    found: Trial,
    *,
    method: str,
    record: bool,
    force: bool,
    added: Ids,
    progress: OnProgress | None,
) -> UpgradeReport:
    """Choose a plan and, if it may be, record it; ``added``: ids that the old encoder has not seen."""
    # An old encoder that was given as an object could not answer any query later.
    asks_with_both = work.manifest.encoder is not None
    wanted = [
        (way, result)
        for way, result in zip(found.ways, found.measured, strict=True)
        if method == way.method or (method == "auto" and (way.alpha is None or asks_with_both))
    ]
    old_finds, new_finds, asked = compare_encoders(found.questions)
    # A map to a worse encoder would win for a while, and lose with every image that is encoded again.
    allowed = [pair for pair in wanted if pair[1].compatible and new_finds >= old_finds]
    better = (
        method in ("auto", REENCODE)
        and (force or new_finds > old_finds)
        and not work.manifest.migrating  # the old encoder would answer alone again
    )
    compatible = [
        (way, result)
        for way, result in zip(found.ways, found.measured, strict=True)
        if result.compatible and (way.alpha is None or asks_with_both)
    ]
    candidates = allowed or (wanted if force else [])
    shown = candidates or compatible
    best = best_of(shown)[1] if shown else None
    costs = costs_of(work.directory, work.whole, taken, dim=work.new.space.dim)
    report = UpgradeReport(
        old=work.manifest.encoder or work.manifest.space.name,
        new=work.name,
        method=None,
        compatible=bool(allowed),
        alone={"old": round(old_finds, 6), "new": round(new_finds, 6), "queries": asked},
        sample=len(taken.ids),
        held_out=found.questions.held_out,
        plan="none",
        methods=[rounded(result) for result in found.measured],
        ways=ways_of(best, costs, alone=(old_finds, new_finds)),
        costs=costs.to_json(),
        backfilled=0,
        remaining=work.manifest.live,
        measure=found.measure,
        gone=taken.gone,
        unreadable=taken.unreadable,
        left_out=found.left_out,
    )
    if method not in ("auto", REENCODE) and not wanted:
        raise OptionError(
            f"method {method} does not apply: {found.left_out.get(method, 'it was not fitted')}"
        )
    way = best_of(candidates)[0] if candidates else None
    background: Background | None = None
    curve: dict[str, Any] = {}
    if way is not None:
        background = background_of(way, found.questions.select, old=taken.old, new=taken.new)
        curve = backfill_curve(way, found.questions.held, background)
        share = len(taken.ids) / max(work.manifest.live, 1)
        report = replace(
            report,
            plan="map",
            method=way.method,
            ways=with_sample(report.ways, curve, share=share, offset=old_finds - found.measured[0].old_old),
        )
    elif better:
        report = replace(report, plan=REENCODE, method=REENCODE)
    if report.plan == "none" or not record:
        return report
    require_space(costs, work.directory)
    if work.manifest.migrating:
        before = work.manifest.upgrades[-1]
        if not force:
            now = float(
                np.interp(len(taken.ids) / max(work.manifest.live, 1), curve["share"], curve["random"])
            )
            won = now - found.measured[0].old_old
            require_no_fall(
                before,
                name=work.name,
                won=won,
                won_at_the_end=new_finds - old_finds,
                measure=found.measure,
            )
        encode_added(
            added[~store.tombstones()[added]],
            store,
            staging,
            work.source,
            work.new,
            before=str(before["new_spec"] or before["new_space"]["name"]),
            progress=progress,
        )
    facts = work.facts(
        against_earlier(
            work.directory,
            work.manifest,
            taken,
            found.questions,
            new=work.new.space,
            extends=partial(extension_of, work.new),
        )
    )
    if way is None:
        return record_plan(
            work, store, staging, taken, report, entry=lambda done: reencoding_entry(done, **facts)
        )
    chosen, scales = way, background
    return record_plan(
        work,
        store,
        staging,
        taken,
        report,
        entry=lambda done: entry_of(
            done, chosen, questions=found.questions, curve=curve, words=found.words, **facts
        ),
        carried=lambda upgrades: carried_by(
            found.final(chosen), scales, upgrades, *staging.tables(store.count)
        ),
        added=added,
    )
