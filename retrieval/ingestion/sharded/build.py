"""Build a sharded collection: list the source once, give its units to shards, build each shard, publish all as one."""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from indexes.files import make_directories
from indexes.generation import MANIFEST, SHARDS, Source, read_shards, shard_name
from indexes.store import WriterLock
from retrieval.collection.rows import BuildReport, published
from retrieval.collection.sharded.rows import (
    Asked,
    publish_shards,
    require_no_upgrade,
    restore_manifests,
)
from retrieval.display import progress_shown
from retrieval.distributed import open_cluster, require_alike, run_jobs
from retrieval.encoders import canonical_spec, encode_phrases, load_encoder, require_device
from retrieval.errors import OptionError
from retrieval.ingestion import choose_sources
from retrieval.ingestion.sharded.build_checks import check_index, check_options
from retrieval.ingestion.sharded.build_ledger import LEDGER, Begun, read_ledger
from retrieval.ingestion.sharded.jobs import ShardJob, build_shard
from retrieval.ingestion.sharded.source_listing import ListedSource, list_source
from retrieval.location import record_path, record_root
from retrieval.progress import telling
from retrieval.sources import FolderSource, SkippedFile, read_skipped, spec_of, write_skipped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from indexes.derivation import SharedTraining
    from indexes.generation import Manifest, Shards
    from indexes.vectors import Vectors
    from retrieval.distributed import Cluster
    from retrieval.progress import OnProgress
    from retrieval.sources import Source as Images

_OF_WALK = ("exclude", "include", "follow_links", "image_column", "key_column", "column", "from0",
            "allow_private", "every", "pages")  # fmt: skip


def build_shards(
    given: Sequence[Any],
    directory: Path,
    *,
    shards: int | None,
    shard_rows: int | None,
    cluster: str | None,
    retrain: bool,
    options: Mapping[str, Any],
) -> BuildReport:
    """Build a sharded collection; takes, returns and raises what `retrieval.build_index` does.

    Args:
        given: the source that was named; none for the one that the collection has.
        directory: of the whole.
        shards, shard_rows, cluster, retrain: as there.
        options: the others of a build.
    """
    started = time.monotonic()
    check_options(given, directory, shards, shard_rows, cluster, options)
    device = require_device(options["device"])
    make_directories(directory)
    with (
        WriterLock(directory),
        progress_shown(options["progress"]) as watch,
        open_cluster(cluster, gpus=1 if device.startswith("cuda") else 0) as workers,
    ):
        before = read_shards(directory) if (directory / SHARDS).is_file() else None
        if before is not None:
            require_no_upgrade(before, what="shards cannot be built now")
        notes = [] if before is None else restore_manifests(directory, before)
        begun = read_ledger(directory)
        place, known = _known(directory, before, begun)
        options = {**options, "encoder": _encoder(options["encoder"], known, begun)}
        if known is None:  # else it has them
            rest = {name: value for name, value in begun.options.items() if options.get(name) is None}
            options = {**options, **rest}
        source, recorded = _source(given, directory, before, place, known, options)
        check_index(options["kind"], options["target_recall"], encoder=options["encoder"], known=known)
        require_alike(workers, paths=[str(directory), *([source.spec] if os.path.isabs(source.spec) else [])])
        named = options["encoder"] if isinstance(options["encoder"], str) else None
        begun = replace(begun, encoder=named, options=_of_walk(options))
        listed = list_source(
            source, recorded, directory, before, begun, shards, shard_rows, watch, prune=options["prune"]
        )
        ranges, count = listed.ranges, listed.count
        training = None if before is None else _training(directory, before)

        def is_new(number: int) -> bool:
            """Say whether a shard has nothing that says what it is built from."""
            return not (directory / shard_name(number) / MANIFEST).is_file()

        jobs = [
            ShardJob(
                directory=str(directory / shard_name(number)),
                source=_travelling(source, given, workers, is_new=is_new(number)),
                ranges=ranges,
                number=number,
                whole=listed.whole,
                training=training,
                options=_options(options, device, workers, watch, recorded if is_new(number) else None),
            )
            for number in range(count)
        ]
        names = [shard_name(number) for number in range(count)]
        reports: list[BuildReport] = run_jobs(workers, build_shard, jobs, names=names, lost=notes.append)
        units = ranges.units()
        made = publish_shards(
            directory,
            {number: units.get(number, ()) for number in range(count)},
            recorded,
            Asked(
                kind=options["kind"],
                recall=options["target_recall"],
                retrain=retrain,
                shard_rows=shard_rows,
                device=device,
            ),
            workers,
            before=before,
            phrases=lambda: _phrases(options["encoder"], directory, device),
            progress=telling(watch),
        )
        with suppress(FileNotFoundError):
            (directory / LEDGER).unlink()
        _write_skipped(directory, count)
    return _report(made, directory, source, listed, reports, notes, seconds=time.monotonic() - started)


def _known(directory: Path, before: Shards | None, begun: Begun) -> tuple[Path, Manifest | None]:
    """Return a shard and what says how it was built, in a build that was killed too: the first that says so; None where none does."""
    numbers = {shard.number for shard in before.shards} if before is not None else set()
    for number in sorted(numbers | begun.units.keys()):
        place = directory / shard_name(number)
        known = published(place) if place.is_dir() else None
        if known is not None:
            return place, known
    first = directory / shard_name(0)
    # The shards are lost; what they were built from is not.
    return first, None if before is None else before.shards[0].manifest


def _encoder(given: Any, known: Manifest | None, begun: Begun) -> Any:
    """Return the encoder of a build: each shard that begins has the one of the others.

    Raises:
        OptionError: another one is named than the one that shards have already.
    """
    recorded = begun.encoder if known is None else known.encoder
    if given is None:
        return recorded
    if isinstance(given, str) and known is not None and known.encoder not in (None, canonical_spec(given)):
        raise OptionError(
            f"this collection holds vectors of {known.encoder}, not of {canonical_spec(given)}; leave `encoder` away, or "
            "name another place with `index=…`"
        )
    return given


def _source(
    given: Sequence[Any],
    directory: Path,
    before: Shards | None,
    first: Path,
    known: Manifest | None,
    options: Mapping[str, Any],
) -> tuple[Images, Source]:
    """Open the source, and say how the whole records it; it is the one that the collection has.

    Args:
        given, directory, before: as `build_shards` has them.
        first, known: a shard and its manifest.
        options: of the build.
    """
    asked = _of_walk(options)
    if known is None and not given:
        raise OptionError("nothing says what to build; name a source")
    chosen = choose_sources(given, first, known, options=asked, root=options["root"]).chosen[0]
    if before is not None and chosen.is_new:
        raise OptionError(
            f"{directory} was built from {spec_of(directory, before.source)}, the one source that a sharded collection has; it "
            f"takes no other ({chosen.source.name})"
        )
    if chosen.below:
        raise OptionError(
            f"{chosen.name} is a part of {chosen.source.name}; a sharded collection is built whole"
        )
    source = chosen.source
    path = (
        record_root(directory, source.root)
        if isinstance(source, FolderSource)
        else record_path(directory, source.spec)
    )
    return source, replace(chosen.recorded, path=path)


def _of_walk(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the source that were given, as JSON has them."""
    return {
        name: value if isinstance(value, str | int | float | bool) else list(value)
        for name in _OF_WALK
        if (value := options[name]) is not None
    }


def _training(directory: Path, before: Shards) -> SharedTraining | None:
    from indexes.derivation import SharedTraining

    return None if before.training is None else SharedTraining.of(directory, before.training)


def _travelling(
    source: Images, given: Sequence[Any], workers: Cluster, *, is_new: bool
) -> str | Images | None:
    """Return the source as a job takes it: a text, which any process opens anew; None for the shard's own."""
    if not given and not is_new:
        return None
    if given and workers.is_here and not isinstance(given[0], str | os.PathLike):
        opened: Images = given[0]
        return opened
    return source.spec if source.type == FolderSource.type else f"{source.type}:{source.spec}"


def _options(
    options: Mapping[str, Any],
    device: str,
    workers: Cluster,
    watch: OnProgress | None,
    recorded: Source | None,
) -> dict[str, Any]:
    """Return the options of a shard's build; of a new one with those that the whole has recorded of its source."""
    encoder = options["encoder"]
    if not workers.is_here and encoder is not None and not isinstance(encoder, str):
        raise OptionError(
            "an encoder object stays in this process; name it by its spec, or leave `cluster=…` out"
        )
    rest = {
        name: value for name, value in options.items() if name not in {"kind", "device", "progress", "strict"}
    }
    if recorded is not None:
        known = {name: value for name, value in recorded.options.items() if name in _OF_WALK}
        rest |= {name: value for name, value in known.items() if rest[name] is None}
    return rest | {
        "strict": False,
        "device": device,
        "progress": (watch or False) if workers.is_here else False,
    }


def _phrases(encoder: Any, directory: Path, device: str) -> Mapping[str, Vectors]:
    """Encode the built-in phrases: queries by words lie off the distribution of images."""
    manifest = published(directory / shard_name(0))
    spec = encoder or (None if manifest is None else manifest.encoder)
    if spec is None:
        return {}
    words = encode_phrases(load_encoder(spec, device=device))
    return {} if words is None else {"text": words}


def _write_skipped(directory: Path, count: int) -> None:
    """List what was skipped in all shards beside `shards.json`."""
    files: dict[bytes, SkippedFile] = {}
    for number in range(count):
        files |= read_skipped(directory / shard_name(number))
    write_skipped(directory, files.values())


def _report(
    made: Shards,
    directory: Path,
    source: Images,
    listed: ListedSource,
    reports: Sequence[BuildReport],
    notes: Sequence[str],
    *,
    seconds: float,
) -> BuildReport:
    """Put together what all shards did."""
    skipped: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for one in reports:
        skipped.update(one.skipped_by_reason)
        others.update(one.other_files)
    every = [note for one in reports for note in one.notes]
    return BuildReport.of(
        made.manifest,
        root=source.root if isinstance(source, FolderSource) else directory.parent,
        directory=directory,
        seconds=seconds,
        encoded=sum(one.encoded for one in reports),
        reused=sum(one.reused for one in reports),
        moved=sum(one.moved for one in reports),
        removed=sum(one.removed for one in reports),
        skipped_by_reason=dict(skipped.most_common()),
        other_files=dict(others.most_common()),
        left_out=dict(listed.left_out),
        sources=[source.name],
        not_seen=sum(one.not_seen for one in reports),
        incomplete=list(dict.fromkeys(line for one in reports for line in one.incomplete)),
        notes=list(dict.fromkeys([*every, *notes])),
        reads_words=reports[0].reads_words,
    )
