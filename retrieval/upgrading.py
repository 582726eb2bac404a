"""A new encoder for an old collection: fit how its queries find the old gallery, measure that, and record it."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.alignment import Probe
from indexes.derive import publish_tail
from indexes.lock import WriterLock
from indexes.manifest import read_manifest, store_path
from indexes.space import Space
from indexes.staging import Staging
from indexes.store import VectorStore
from retrieval.backfilling import by_surprise
from retrieval.encoders import TextEncoder, canonical_spec, load_encoder
from retrieval.errors import EncoderError, OptionError, RetrievalError
from retrieval.location import find_collection, resolve_root
from retrieval.migration import MIGRATING, carried_by, require_settled
from retrieval.phrases import encode_phrases
from retrieval.stores import STAGING, remove_staging, sweep
from retrieval.upgrade_fit import METHODS, Fitted, Measured, Pairs, backfill_curve, calibrate, fit, measure
from retrieval.upgrade_sample import Sample, draw, encode_sample, encode_views

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from indexes.arrays import Ids, Vectors
    from indexes.manifest import Manifest
    from indexes.store import Record
    from retrieval.encoders import Encoder
    from retrieval.report import OnProgress

__all__ = ["UpgradeReport", "upgrade"]

SHARE_HELD = 0.2  # of the sample, for choosing settings by and for measuring on, half each
MOST_HELD = 1000  # images of each
LEAST_HELD = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeReport:
    """What ``retrieve upgrade --json`` prints.

    Attributes:
        old, new: the encoders.
        method: the one chosen; None if none may be.
        compatible: it finds more in the old gallery than the old encoder does.
        sample: images encoded by both; `held_out` of them were measured on.
        methods: what was measured of each, by the contract's keys.
        backfilled, remaining: rows that are of the new space, and those that are not yet.
        measure: ``labels`` (1-NN accuracy) or ``views`` (recall@1 of altered views).
        recorded: queries use the new encoder from now on.
        gone, unreadable: files of the sample that are missing or changed, or cannot be read.
        left_out: methods that were not fitted, and why.
        state: ``migrating``, ``complete``, ``rolled back``; None where nothing was recorded.
    """

    old: str
    new: str
    method: str | None
    compatible: bool
    sample: int
    held_out: int
    methods: list[dict[str, Any]]
    backfilled: int
    remaining: int
    measure: str = "views"
    recorded: bool = False
    gone: int = 0
    unreadable: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    state: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of the contract."""
        return asdict(self)

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> UpgradeReport:
        """Read back what a manifest records of an upgrade."""
        names = set(cls.__slots__) - {"recorded", "old"}
        known = {name: entry[name] for name in names if name in entry}
        return cls(old=entry["old"] or entry["old_space"]["name"], recorded=True, **known)


def upgrade(
    path: str | os.PathLike[str] | None = None,
    *,
    encoder: str | Encoder,
    sample: int = 5000,
    method: str = "auto",
    labels: str | os.PathLike[str] | None = None,
    dry_run: bool = False,
    force: bool = False,
    device: str = "auto",
    old_encoder: Encoder | None = None,
    root: str | os.PathLike[str] | None = None,
    progress: OnProgress | None = None,
) -> UpgradeReport:
    """Let queries use another encoder, against the gallery as it is.

    A sample of the gallery is encoded anew, maps between the spaces are fitted on it, and what they find is measured on a
    part of it that nothing was fitted on. The best map that finds more in the old gallery than the old encoder does is
    recorded; then `retrieval.backfill` encodes the rest at any pace.

    Args:
        path: the collection, as in `retrieval.open`.
        encoder: the new one, a spec or an object.
        sample: gallery images to encode with it.
        method: ``auto``, or one of `METHODS` to hold to.
        labels: CSV with the header ``file,label``: measure 1-NN accuracy instead of the recall of altered views.
        dry_run: measure only.
        force: record the best even if it is not compatible, or the sample is small for the width.
        device: where both encoders run.
        old_encoder: stands in for the recorded one; of the collection's space.
        root: where the images lie, if not where the collection recorded them.
        progress: called with a `Progress` now and then.
    Returns:
        What was measured, and whether it was recorded. Unless it was, nothing has changed.
    Raises:
        OptionError: the same encoder again, an upgrade that is under way, no image left, or a sample too small.
        EncoderError: the new encoder cannot be had, or reads no images.
        StoreLocked: somebody else writes to the collection.
    """
    if method not in ("auto", *METHODS):
        raise OptionError(f"method {method!r} is not one; use auto, {', '.join(METHODS)}")
    if sample < 1:
        raise OptionError(f"sample is {sample}; it must be at least 1")
    directory = find_collection(path)
    with WriterLock(directory) as lock:
        manifest = read_manifest(directory)
        sweep(directory, manifest)
        new, spec = _new_encoder(encoder, manifest, device=device)
        images = Path(os.path.abspath(root)) if root is not None else resolve_root(directory, manifest.root)
        staging = f"{STAGING}/{new.space.fingerprint[:16]}"
        remove_staging(directory, but=staging)
        work = _Work(
            directory=directory,
            lock=lock,
            manifest=manifest,
            new=new,
            spec=spec,
            root=images,
            staging=staging,
        )
        try:
            report = _run(
                work,
                size=sample,
                method=method,
                labels=labels,
                record=not dry_run,
                force=force,
                old=_old_encoder(old_encoder, manifest, device=device),
                progress=progress,
            )
        except (RetrievalError, OSError):
            remove_staging(directory)
            raise
        if not report.recorded:  # an interrupt, in contrast, leaves what was encoded to the next run
            remove_staging(directory)
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """One upgrade: where, from what, to what."""

    directory: Path
    lock: WriterLock
    manifest: Manifest
    new: Encoder
    spec: str | None
    root: Path
    staging: str

    @property
    def name(self) -> str:
        """What the new encoder is called."""
        return self.spec or self.new.space.name


def _new_encoder(encoder: str | Encoder, manifest: Manifest, *, device: str) -> tuple[Encoder, str | None]:
    """Load the new encoder and refuse what can be no upgrade."""
    require_settled(manifest, what="a second upgrade cannot begin")
    kept = manifest.upgrades[-1] if manifest.upgrades else {}
    if kept.get("previous"):
        raise OptionError(
            f"the vectors of {kept['old'] or kept['old_space']['name']} are still kept for a rollback; give them up first "
            "with `retrieve upgrade --drop-old`"
        )
    spec = canonical_spec(encoder) if isinstance(encoder, str) else getattr(encoder, "spec", None)
    if isinstance(encoder, str) and spec == manifest.encoder:
        raise OptionError(f"the collection holds vectors of {spec} already; name another encoder")
    loaded = load_encoder(encoder, device=device)
    if not (
        callable(getattr(loaded, "preprocess", None)) and callable(getattr(loaded, "encode_pixels", None))
    ):
        raise EncoderError(
            f"{loaded.space.name} reads no images, so it cannot encode a gallery; name another"
        )
    if manifest.space.same_as(loaded.space):
        raise OptionError(
            f"{loaded.space.name} gives vectors of the collection's own space {manifest.space}; there is nothing to upgrade"
        )
    return loaded, spec


def _old_encoder(encoder: Encoder | None, manifest: Manifest, *, device: str) -> Encoder | None:
    """Return the old encoder, None if it cannot be had: what is stored can still be measured by labels."""
    if encoder is None:
        if manifest.encoder is None:
            return None
        try:
            encoder = load_encoder(manifest.encoder, device=device)
        except RetrievalError:
            return None
    manifest.space.require(encoder.space, what=f"the encoder {encoder.space.name}")
    return encoder


def _run(
    work: _Work,
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
            f"{work.directory} holds no images; build its index anew with --encoder {work.name}"
        )
    if labels is None and old is None:
        raise OptionError(
            f"the encoder of {manifest.encoder or manifest.space.name} cannot be loaded, so what it finds cannot be "
            "measured on new views; give --labels CSV, which needs the stored vectors only"
        )
    with (
        VectorStore.open(place, dim=manifest.space.dim, count=manifest.count) as store,
        Staging.open(work.directory / work.staging, dim=work.new.space.dim, lock=work.lock) as staging,
    ):
        label_of = {} if labels is None else _labels(labels, store, work.root)
        drawn, gone = draw(store, work.root, size=size, first=label_of)
        if not drawn:
            raise OptionError(
                f"none of the {manifest.live:,} images lies below {work.root}; mount its drive, or bring them back"
            )
        extends = _extends(work.new, manifest.space)
        _require_enough(work, drawn, label_of, extends=extends or force)
        taken = encode_sample(drawn, store, staging, work.new, gone=gone, progress=progress)
        questions = _questions(work, taken, drawn, label_of, old=old, progress=progress)
        found = _fit(work, taken, questions, method=method, extends=extends, old=old)
        return _decide(work, store, taken, found, method=method, record=record, force=force)


def _labels(path: str | os.PathLike[str], store: VectorStore, root: Path) -> dict[int, int]:
    """Return a number for the label of each row that the CSV file names."""
    from retrieval.evaluation import csv_lines

    numbers: dict[str, int] = {}
    found: dict[int, int] = {}
    for file, label in csv_lines(path, "label"):
        row = store.find(os.fsencode(os.path.normpath(file).replace(os.sep, "/")))
        if row is not None:
            found[row] = numbers.setdefault(label, len(numbers))
    if not found:
        raise OptionError(
            f"{os.fspath(path)} names no file of the collection; its paths must be relative to {root}"
        )
    return found


def _extends(encoder: Encoder, space: Space) -> bool:
    """Say whether the encoder declares that its first components live in the old space."""
    return any(space.same_as(known) for known in getattr(encoder, "extends", ()))


def _held(count: int) -> int:
    """Return how many images to measure on, of so many; as many again are set aside to choose settings by."""
    return min(MOST_HELD, max(LEAST_HELD, int(count * SHARE_HELD) // 2))


def _require_enough(
    work: _Work, drawn: Sequence[object], label_of: Mapping[int, int], *, extends: bool
) -> None:
    """Refuse to fit a map on fewer pairs than it has dimensions.

    Raises:
        OptionError: so it is, and the user did not insist.
    """
    fitted = len(drawn) - 2 * _held(len(label_of) if label_of else len(drawn))
    least = min(work.manifest.space.dim, work.new.space.dim)
    if len(drawn) < 4 * LEAST_HELD or (fitted < least and not extends):
        raise OptionError(
            f"a sample of {len(drawn):,} images leaves {max(fitted, 0):,} to fit a map of width {least} on; at least "
            f"{max(least + 2 * _held(len(drawn)), 4 * LEAST_HELD):,} images are needed (raise --sample, or encode so small a "
            "collection anew: --force, then --backfill all)"
            if len(drawn) >= 4 * LEAST_HELD
            else f"a sample of {len(drawn):,} images is too small to measure an upgrade on ({4 * LEAST_HELD} at least); "
            f"build so small a collection anew with --encoder {work.name} and another --index"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Questions:
    """Queries to choose settings by and to measure on; rows of the sample that maps are fitted on."""

    select: Probe
    held: Probe
    fitted: Ids  # positions in the sample
    held_out: int


def _questions(
    work: _Work,
    taken: Sample,
    drawn: Sequence[tuple[Record, bytes]],
    label_of: Mapping[int, int],
    *,
    old: Encoder | None,
    progress: OnProgress | None,
) -> _Questions:
    place_of = {int(number): place for place, number in enumerate(taken.ids)}
    if label_of:
        asked = np.array([place_of[n] for n in taken.ids.tolist() if n in label_of], dtype=np.int64)
    else:
        asked = np.arange(len(taken.ids))
    count = _held(len(asked))
    if len(asked) < 2 * count:
        raise OptionError(
            f"only {len(asked)} of the sampled images can be measured on; {2 * count} are needed: raise --sample"
        )
    chosen, held = asked[:count], asked[count : 2 * count]
    rest = np.setdiff1d(np.arange(len(taken.ids)), np.concatenate([chosen, held]))
    if label_of:
        labels = np.array([label_of[int(number)] for number in taken.ids[asked]], dtype=np.int64)
        inside = {int(place): position for position, place in enumerate(asked)}

        def of(places: Ids) -> Probe:
            return Probe(
                gallery_old=taken.old[asked],
                gallery_new=taken.new[asked],
                old=taken.old[places],
                new=taken.new[places],
                target=np.array([inside[int(place)] for place in places], dtype=np.int64),
                labels=labels,
            )

        return _Questions(select=of(chosen), held=of(held), fitted=rest, held_out=count)
    if old is None:
        raise OptionError("the old encoder is needed to measure on views")
    record_of = {record.id: (record, path) for record, path in drawn}
    wanted = [record_of[int(number)] for number in taken.ids[np.concatenate([chosen, held])]]
    ids, (rows_old, rows_new) = encode_views(wanted, [old, work.new], progress=progress)
    target = np.array([place_of[int(number)] for number in ids], dtype=np.int64)

    def asked_of(places: Ids) -> Probe:
        flags = np.isin(target, places)
        return Probe(
            gallery_old=taken.old,
            gallery_new=taken.new,
            old=rows_old[flags],
            new=rows_new[flags],
            target=target[flags],
        )

    return _Questions(select=asked_of(chosen), held=asked_of(held), fitted=rest, held_out=count)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What came out of fitting and measuring."""

    ways: list[Fitted]
    measured: list[Measured]
    left_out: dict[str, str]
    questions: _Questions
    measure: str
    words: tuple[Vectors, Vectors] | None  # held-out phrases by the old and the new encoder


def _fit(
    work: _Work, taken: Sample, questions: _Questions, *, method: str, extends: bool, old: Encoder | None
) -> _Found:
    words = _phrases(old, work.new)
    third = (
        None if words is None else np.arange(len(words[0])) % 3 == 2
    )  # measured on; the others are fitted on
    pairs = Pairs(
        old_space=work.manifest.space,
        new_space=work.new.space,
        old=taken.old[questions.fitted],
        new=taken.new[questions.fitted],
        words_old=None if words is None or third is None else words[0][~third],
        words_new=None if words is None or third is None else words[1][~third],
    )
    ways, left_out = fit(pairs, questions.select, method=method, extends=extends)
    if old is None:
        ways = [way for way in ways if way.alpha is None]
        left_out["slerp"] = "it asks with both encoders, and the old one cannot be loaded"
    kept = None if words is None or third is None else (words[0][third], words[1][third])
    measured = measure(
        ways,
        questions.held,
        words_old=None if kept is None else kept[0],
        words_new=None if kept is None else kept[1],
    )
    return _Found(
        ways=ways,
        measured=measured,
        left_out=left_out,
        questions=questions,
        measure="views" if questions.held.labels is None else "labels",
        words=kept,
    )


def _phrases(old: Encoder | None, new: Encoder) -> tuple[Vectors, Vectors] | None:
    if not (isinstance(old, TextEncoder) and isinstance(new, TextEncoder)):
        return None
    both = encode_phrases(old), encode_phrases(new)
    if both[0] is None or both[1] is None:
        return None
    mixed = np.random.default_rng(0).permutation(len(both[0]))
    return both[0][mixed], both[1][mixed]


def _decide(
    work: _Work,
    store: VectorStore,
    taken: Sample,
    found: _Found,
    *,
    method: str,
    record: bool,
    force: bool,
) -> UpgradeReport:
    """Choose a method and, if it may be, record it."""
    wanted = [
        (way, result)
        for way, result in zip(found.ways, found.measured, strict=True)
        if method in ("auto", way.method)
    ]
    allowed = [pair for pair in wanted if pair[1].compatible]
    report = UpgradeReport(
        old=work.manifest.encoder or work.manifest.space.name,
        new=work.name,
        method=None,
        compatible=bool(allowed),
        sample=len(taken.ids),
        held_out=found.questions.held_out,
        methods=[_rounded(result) for result in found.measured],
        backfilled=0,
        remaining=work.manifest.live,
        measure=found.measure,
        gone=taken.gone,
        unreadable=taken.unreadable,
        left_out=found.left_out,
    )
    if method != "auto" and not wanted:
        raise OptionError(
            f"method {method} does not apply: {found.left_out.get(method, 'it was not fitted')}"
        )
    candidates = allowed or (wanted if force else [])
    if not candidates:
        return report
    way, _ = _best(candidates)
    report = replace(report, method=way.method)
    if not record:
        return report
    entry = _entry(work, report, way, taken, found)
    work.lock.check()
    publish_tail(
        work.directory,
        store,
        space=work.manifest.space,
        encoder=work.manifest.encoder,
        root=work.manifest.root,
        carried=carried_by(
            way,
            (*work.manifest.upgrades, entry),
            np.full(work.manifest.count, -1, dtype=np.int64),
            np.empty(0, dtype=np.int64),
        ),
    )
    return replace(report, recorded=True, state=MIGRATING)


def _best(candidates: Sequence[tuple[Fitted, Measured]]) -> tuple[Fitted, Measured]:
    """Return what finds most; an encoder trained to extend the old space needs no map, so that one comes first."""
    extending = [pair for pair in candidates if pair[0].method == "prefix"]
    return extending[0] if extending else max(candidates, key=lambda pair: pair[1].new_old)


def _rounded(result: Measured) -> dict[str, Any]:
    facts = asdict(result)
    return {
        name: round(value, 6) if isinstance(value, float) else value
        for name, value in facts.items()
        if value is not None or name == "gain"
    }


def _entry(work: _Work, report: UpgradeReport, way: Fitted, taken: Sample, found: _Found) -> dict[str, Any]:
    """Return what the manifest keeps of the change."""
    held = found.questions.held
    scales = calibrate(
        way,
        held,
        words_old=None if found.words is None else found.words[0],
        words_new=None if found.words is None else found.words[1],
    )
    order = np.argsort(
        -by_surprise(
            way,
            rows=held.gallery_old,
            known_old=taken.old[found.questions.fitted],
            known_new=taken.new[found.questions.fitted],
        ),
        kind="stable",
    )
    curve = backfill_curve(way, held, order, scales["image"])
    prefixes = (
        set(work.manifest.space.nesting) & set(work.new.space.nesting) if way.method == "prefix" else set()
    )
    known = report.to_json()
    for name in ("recorded", "state"):
        del known[name]
    return known | {
        "state": MIGRATING,
        "old": work.manifest.encoder,
        "new_spec": work.spec,
        "old_space": work.manifest.space.to_json(),
        "new_space": work.new.space.to_json(),
        "alpha": way.alpha,
        "calibrations": {name: scale.to_json() for name, scale in scales.items()},
        "curve": curve,
        "staging": work.staging,
        "prefixes": sorted(int(width) for width in prefixes),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
