"""``retrieve build-index``: from images, or from vectors that exist already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from retrieval.cli import reports
from retrieval.cli.options import (
    FILE,
    FOLDER,
    WIDTH,
    Session,
    device_option,
    emit,
    given,
    option,
    session,
    shared_by,
)
from retrieval.output import json_text, path_json

__all__ = ["build_index"]

BUILD = "retrieval.build:build_index"


@click.command("build-index")
@click.argument("folder", type=click.Path(path_type=Path))
@option(
    "--root",
    of=BUILD,
    type=FOLDER,
    metavar="DIR",
    help="The folder that paths are relative to, if not FOLDER.",
)
@option(
    "--encoder",
    of=BUILD,
    metavar="SPEC",
    help="scheme, scheme@version or scheme:model (see `retrieve encoders`). An existing collection keeps its own; a new "
    "one gets the newest nano.",
)
@option(
    "--kind",
    of=BUILD,
    metavar="auto|flat|ivfpq|ivfrabitq|FACTORY",
    help="The index; auto decides by size, device and measured recall; FACTORY is any string of FAISS's index factory.",
)
@option(
    "--dim",
    of=BUILD,
    type=WIDTH,
    metavar="N|auto",
    help="Width of the first stage; the full width reranks. auto measures prefixes, rotations and funnels, and chooses.",
)
@option("--recall", of=BUILD, type=float, metavar="R", help="The recall@10 against exact search to stop at.")
@option(
    "--exclude",
    of=BUILD,
    multiple=True,
    metavar="GLOB",
    help="Leave out paths that match; may be given repeatedly. Later builds do the same until it is given anew: "
    "--exclude '' leaves out none.",
)
@option(
    "--include",
    of=BUILD,
    multiple=True,
    metavar="GLOB",
    help="Take in system folders that match, such as @eaDir, #recycle or .cache, which are left out otherwise. Remembered as "
    "--exclude is.",
)
@option(
    "--follow-links/--no-follow-links",
    of=BUILD,
    is_flag=True,
    help="Go into linked folders; they are skipped otherwise. Remembered, too.",
)
@option(
    "--rehash",
    of=BUILD,
    is_flag=True,
    help="Read every file again, and let its content decide; otherwise size and modification time tell an unchanged file.",
)
@option(
    "--prune",
    of=BUILD,
    is_flag=True,
    help="Remove rows even if more than half of at least 20 files are gone, or all, or some lie behind links that are not "
    "followed any more or on a drive that is not mounted; with --vectors, those whose keys are not given.",
)
@option(
    "--max-pixels",
    of=BUILD,
    type=click.IntRange(min=1),
    metavar="N",
    help="Skip images of more than N pixels (of 4 bytes) in memory.  [default: 67108864]",
)
@option("--strict", of=BUILD, is_flag=True, help="Exit 1 if any image was skipped.")
@click.option(
    "--vectors", type=FILE, metavar="FILE.npy", help="Build from these vectors (n, d); no image is read."
)
@click.option(
    "--keys", type=FILE, metavar="FILE", help="With --vectors: one UTF-8 key a line, in the order of rows."
)
@click.option(
    "--space", metavar="NAME", help="With --vectors: name of their space.  [default: the file's stem]"
)
@device_option(BUILD, "Where images are encoded, and where a large index is trained if faiss has CUDA.")
@shared_by("The collection's directory or its image folder; otherwise FOLDER/.retrieve.")
@session
def build_index(
    session: Session,
    /,
    *,
    folder: Path,
    vectors: Path | None,
    keys: Path | None,
    space: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Index the images in FOLDER; again: only what changed.

    Images are files whose names end in jpg, jpeg, jpe, jfif, jif, jfi, mpo, png, apng, webp, gif, bmp, dib, tif, tiff,
    avif, avifs, heic, heics, heif, heifs, hif. Others are recognised by their first bytes. A link to a file counts as
    that file.

    Every image that is skipped is listed with its reason in skipped.tsv beside the index. Interrupted, the same
    command continues.
    """
    from retrieval.cli.progress import watching

    if (vectors is None) != (keys is None):
        missing = "--keys" if keys is None else "--vectors"
        raise click.UsageError(f"--vectors and --keys go together; {missing} is missing")
    if space is not None and vectors is None:
        raise click.UsageError("--space names the space of --vectors; give --vectors and --keys too")
    session.kept = "what was committed is kept; the same command continues"
    if options["index"] is None:
        _note_hidden(session, folder)
    with watching(session) as progress:
        if vectors is None or keys is None:
            from retrieval.build import build_index as build

            report = build(folder, **_given(options), progress=progress)
        else:
            from retrieval.imports import build_index_from_vectors

            report = build_index_from_vectors(
                folder, vectors, keys, **given(space=space, **_without_images(options)), progress=progress
            )
    if as_json:
        facts = report.to_json()
        emit(json_text(facts | path_json(facts["root"], "root")))
    elif not session.quiet:
        emit(reports.build(report.to_json(), other_files=report.other_files, left_out=report.left_out))
        session.note(reports.next_step(report.to_json(), words=vectors is None))


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Keep what was given; that links are not to be followed is said, too."""
    kept = given(**options)
    if options["follow_links"] is False:
        kept["follow_links"] = False
    return kept


def _note_hidden(session: Session, folder: Path) -> None:
    """Say that the folder's new collection will answer below it in place of one that lies further up."""
    from retrieval.location import find_hidden

    hidden = find_hidden(folder)
    if hidden is not None:
        import shlex

        first = reports.shown(str(hidden))
        session.note(
            f"note: a second collection beside {first}: {folder / hidden.name} answers below {folder} from now on; "
            f"to take {folder} up into the first one instead: --index {shlex.quote(first)}"
        )


def _without_images(options: dict[str, Any]) -> dict[str, Any]:
    """Refuse what has no meaning where no image is read."""
    for name in ("root", "encoder", "exclude", "include", "follow_links", "rehash", "strict", "max_pixels"):
        if options.pop(name) not in (None, ()):
            raise click.UsageError(
                f"--{name.replace('_', '-')} has no meaning with --vectors: no image is read"
            )
    return options
