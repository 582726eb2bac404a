"""The command ``retrieve build-index``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from retrieval.cli.frame import (
    FILE,
    FOLDER,
    WIDTH,
    Command,
    Session,
    device_option,
    emit,
    given,
    option,
    session,
    shared_by,
)
from retrieval.cli.reports import build_summary, next_step, shown
from retrieval.display import path_json, paths_json
from retrieval.render import json_text

BUILD = "retrieval.ingestion.build:build_index"


@click.command(
    "build-index",
    cls=Command,
    common=("--encoder", "--exclude", "--include", "--prune", "--device"),
    sections={
        "Sources": (
            "--image-column",
            "--key-column",
            "--column",
            "--from0",
            "--every",
            "--pages",
            "--allow-private",
            "--drop-source",
        ),
        "Files": ("--root", "--follow-links", "--rehash", "--max-pixels", "--headers", "--strict"),
        "Index": ("--kind", "--truncate-dim", "--target-recall", "--views"),
        "Shards": ("--shards", "--shard-rows", "--cluster", "--retrain"),
        "From vectors": ("--vectors", "--keys", "--space"),
    },
    brief=True,
    example="retrieve build-index photos/ --exclude 'drafts/**'",
)
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@option(
    "--root",
    of=BUILD,
    type=FOLDER,
    metavar="DIR",
    help="Record paths relative to DIR.",
)
@option(
    "--encoder",
    of=BUILD,
    metavar="SPEC",
    help="Encode with this (see `retrieve encoders`).",
)
@option(
    "--kind",
    of=BUILD,
    metavar="KIND",
    help="auto, flat, ivfpq, ivfrabitq or a FAISS FACTORY.",
)
@option(
    "--truncate-dim",
    old="--dim",
    of=BUILD,
    type=WIDTH,
    metavar="N|auto",
    help="Search the first N numbers of a vector first.",
)
@option(
    "--target-recall",
    old="--recall",
    of=BUILD,
    type=float,
    metavar="R",
    help="Stop tuning at this share of the ten nearest.",
)
@option(
    "--exclude",
    of=BUILD,
    multiple=True,
    metavar="GLOB",
    help="Leave out matching paths; '' ends that.",
)
@option(
    "--include",
    of=BUILD,
    multiple=True,
    metavar="GLOB",
    help="Take in matching system folders (@eaDir …).",
)
@option(
    "--follow-links/--no-follow-links",
    of=BUILD,
    is_flag=True,
    help="Go into linked folders.",
)
@option(
    "--every",
    of=BUILD,
    metavar="SECONDS|scenes",
    help="Take in films: a picture every so often; '' ends that.",
)
@option(
    "--pages/--no-pages",
    of=BUILD,
    is_flag=True,
    help="Take in PDF documents, a picture a page.",
)
@option(
    "--rehash",
    of=BUILD,
    is_flag=True,
    help="Read every file again.",
)
@option(
    "--prune",
    of=BUILD,
    is_flag=True,
    help="Remove images even if most of at least 20 are gone.",
)
@option(
    "--image-column",
    of=BUILD,
    metavar="NAME",
    help="Read images, paths or URLs from this column.",
)
@option(
    "--key-column",
    of=BUILD,
    metavar="NAME",
    help="Call a table's rows as this column does.",
)
@option(
    "--column",
    of=BUILD,
    multiple=True,
    metavar="NAME",
    help="Keep this column of a table or listing.",
)
@option("--from0", of=BUILD, is_flag=True, help="A NUL ends each line of a listing.")
@option(
    "--allow-private",
    of=BUILD,
    is_flag=True,
    help="Let URLs lead into private networks.",
)
@option(
    "--drop-source",
    of=BUILD,
    multiple=True,
    metavar="SOURCE",
    help="Remove this source of the collection and its images.",
)
@option(
    "--max-pixels",
    of=BUILD,
    type=click.IntRange(min=1),
    metavar="N",
    help="Skip larger images.  [default: 67108864]",
)
@option(
    "--headers/--no-headers",
    of=BUILD,
    is_flag=True,
    help="Keep size, time, camera and place as columns.",
)
@option(
    "--views",
    of=BUILD,
    type=int,
    metavar="N",
    help="Encode N parts of each image, too; 0 drops them.",
)
@option("--shards", of=BUILD, type=int, metavar="N", help="Make a sharded collection of N parts at first.")
@option(
    "--shard-rows",
    of=BUILD,
    type=int,
    metavar="R",
    help="Begin another shard at so many rows.  [default: 10000000]",
)
@option(
    "--cluster",
    of=BUILD,
    metavar="CLUSTER",
    help="Build shards on local[:N], ray or ray://HOST:PORT.",
)
@option("--retrain", of=BUILD, is_flag=True, help="Train all shards anew; no image is encoded again.")
@option("--strict", of=BUILD, is_flag=True, help="Exit 1 if any image was skipped or not seen.")
@click.option("--vectors", type=FILE, metavar="FILE.npy", help="Index these vectors (n, d), not images.")
@click.option("--keys", type=FILE, metavar="FILE", help="Their names, one UTF-8 line a row.")
@click.option("--space", metavar="NAME", help="Name of their space.  [default: FILE's name]")
@device_option(BUILD, "where images are encoded.")
@shared_by("The collection's directory or its image folder; otherwise .retrieve in the first SOURCE.")
@session
def build_index(
    session: Session,
    /,
    *,
    sources: tuple[str, ...],
    vectors: Path | None,
    keys: Path | None,
    space: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Index the images of each SOURCE; again: only what changed.

    A SOURCE is a folder, a single file, tar files ('shards/{0000..0099}.tar'), a parquet or Arrow table, a list (.txt, .csv, .jsonl, -) or a URL. A new one is added; without SOURCE, all are built again.
    Images are files whose names end in jpg, jpeg, jpe, jfif, jif, jfi, mpo, png, apng, webp, gif, bmp, dib, tif, tiff,
    avif, avifs, heic, heics, heif, heifs, hif. Others are recognised by their first bytes; raw ones give their preview. skipped.tsv lists the unreadable
    ones. If interrupted, repeat the command.
    """
    from retrieval.cli.frame import watching

    if (vectors is None) != (keys is None):
        missing = "--keys" if keys is None else "--vectors"
        raise click.UsageError(f"--vectors and --keys go together; {missing} is missing")
    if space is not None and vectors is None:
        raise click.UsageError("--space names the space of --vectors; give --vectors and --keys too")
    if vectors is not None:
        _only(sources)
    elif not sources and options["index"] is None:
        raise click.UsageError(
            "name a SOURCE, such as a folder; --index alone builds again all that a collection has"
        )
    session.kept = "what was committed is kept; the same command continues"
    if options["index"] is None and sources:
        _note_hidden(session, Path(sources[0]))
    others: dict[str, Any] = {}
    words: bool | None = False
    with watching(session) as progress:
        if vectors is None or keys is None:
            from retrieval.ingestion import build_index as build

            built = build(sources, **_given(options), progress=progress)
            facts = built.to_json()
            others = {"other_files": built.other_files, "left_out": built.left_out}
            words = built.reads_words
        else:
            from retrieval.collection.rows import sync_vectors

            asked = given(space=space, **_without_images(options))
            facts = sync_vectors(_only(sources), vectors, keys, **asked, progress=progress).to_json()
    if as_json:
        named = paths_json(facts["sources"], "sources") if "sources" in facts else {}
        emit(json_text(facts | path_json(facts["root"], "root") | named))
    elif not session.quiet:
        emit(build_summary(facts, **others))
        session.note(next_step(facts, words=words is not False))


def _only(sources: tuple[str, ...]) -> str:
    """Return the folder in which a collection of vectors lies."""
    if len(sources) != 1:
        raise click.UsageError(
            "--vectors takes one folder, in which the collection lies: build-index DIR --vectors FILE.npy --keys FILE"
        )
    return sources[0]


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Keep what was given; that links are not to be followed, or pages not to be taken, is said, too."""
    kept = given(**options)
    for name in ("follow_links", "headers", "pages"):
        if options[name] is False:
            kept[name] = False
    return kept


def _note_hidden(session: Session, folder: Path) -> None:
    """Say that the folder's new collection will answer below it in place of one that lies further up."""
    from retrieval.location import find_hidden

    hidden = find_hidden(folder)
    if hidden is not None:
        import shlex

        first = shown(str(hidden))
        session.note(
            f"note: a second collection beside {first}: {folder / hidden.name} answers below {folder} from now on; "
            f"to take {folder} up into the first one instead: --index {shlex.quote(first)}"
        )


def _without_images(options: dict[str, Any]) -> dict[str, Any]:
    """Refuse what has no meaning where no image is read."""
    for name in (
        "root",
        "drop_source",
        "encoder",
        "exclude",
        "include",
        "follow_links",
        "image_column",
        "key_column",
        "column",
        "from0",
        "allow_private",
        "every",
        "pages",
        "rehash",
        "strict",
        "max_pixels",
        "headers",
        "views",
        "shards",
        "shard_rows",
        "cluster",
        "retrain",
    ):
        if options.pop(name) not in (None, ()):
            raise click.UsageError(
                f"--{name.replace('_', '-')} has no meaning with --vectors: no image is read"
            )
    return options
