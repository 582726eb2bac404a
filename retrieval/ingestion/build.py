"""Build a collection from its sources, whole or in shards: what users call.

`one_collection` builds one, the room `sharded` many. Long because the contract of all options stands here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from retrieval.errors import OptionError
from retrieval.hints import named_arguments, renamed_keywords
from retrieval.ingestion.build_place import find_directory, several
from retrieval.ingestion.one_collection import build_one
from retrieval.location import is_sharded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrieval.collection.rows import BuildReport
    from retrieval.encoders import EncoderLike
    from retrieval.ingestion.build_place import SourceLike
    from retrieval.progress import ShowProgress


@renamed_keywords(dim="truncate_dim", recall="target_recall", folder="sources")
@named_arguments
def build_index(
    sources: SourceLike | Sequence[SourceLike] | None = None,
    *,
    index: str | os.PathLike[str] | None = None,
    root: str | os.PathLike[str] | None = None,
    encoder: EncoderLike | None = None,
    kind: str | None = None,
    truncate_dim: int | str | None = None,
    target_recall: float | None = None,
    exclude: Sequence[str] | None = None,
    include: Sequence[str] | None = None,
    follow_links: bool | None = None,
    image_column: str | None = None,
    key_column: str | None = None,
    column: Sequence[str] | None = None,
    from0: bool | None = None,
    allow_private: bool | None = None,
    every: float | str | None = None,
    pages: bool | None = None,
    rehash: bool = False,
    prune: bool = False,
    drop_source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    strict: bool = False,
    max_pixels: int | None = None,
    headers: bool | None = None,
    views: int | None = None,
    shards: int | None = None,
    shard_rows: int | None = None,
    cluster: str | None = None,
    retrain: bool = False,
    device: str = "auto",
    progress: ShowProgress = True,
) -> BuildReport:
    """Embed the images of folders and other sources, store their vectors and index them; again, only what changed.

    A source that the collection does not have is added; those that are not named stay as they are. Rows of a source are removed
    only if it was listed to its end.

    Args:
        sources: a folder, another source (see `retrieval.sources`), or a list of these; ``None`` repeats all that the collection
            has.
        index: where the collection lies; ``None`` is ``.retrieve`` inside the folder. Needed where the first source is no folder.
        root: the folder that paths are recorded relative to, when not the folder itself, which lies in it; or where the
            collection's folder lies now.
        encoder: a spec such as ``nano`` or ``open_clip:ViT-B-32/laion2b_s34b_b79k``, an encoder, or a class of encoders;
            ``None`` keeps the collection's own, and is ``nano`` for a new one.
        kind: ``auto``, ``flat``, ``ivfpq``, ``ivfrabitq`` or a FAISS factory string; ``None`` keeps the collection's own choice,
            and is ``auto`` for a new one.
        truncate_dim: width of the first stage: one of the space's prefix widths, or any width where the encoder was not trained to be
            cut and a rotation is fitted; ``auto`` measures and chooses; ``None`` is the full width.
        target_recall: recall@10 to reach, in (0, 1]; ``None`` keeps the collection's own, and is 0.95 for a new one.
        exclude: globs over paths relative to the root to leave out; ``None`` keeps the collection's own, none leave nothing out.
        include: globs of system folders that are walked all the same (`retrieval.sources.folders.selection.SKIPPED_FOLDERS` lists them), and of
            what to take in them; ``None`` keeps the collection's own.
        follow_links: walk into linked folders, which are listed as skipped otherwise; ``None`` keeps the collection's own choice.
        image_column: the column of a table or a listing with the images, or with their paths or URLs; ``None`` keeps the
            collection's own, and is the one that looks like it for a new source.
        key_column: the column of a table with the keys of its rows; ``None`` keeps the collection's own, and is
            ``name.parquet#row`` for a new source.
        column: columns of a table or a listing that are kept beside the images; ``None`` keeps the collection's own, and is
            captions and labels for a new source.
        from0: a NUL ends each line of a listing; ``None`` keeps the collection's own choice, and is no for ``-``.
        allow_private: URLs may lead into private networks; ``None`` keeps the collection's own choice.
        every: takes in films: a picture each so many seconds, or one a scene (``"scenes"``); ``""`` takes none. ``None`` keeps
            the collection's own choice.
        pages: takes in PDF documents, a picture a page; ``None`` keeps the collection's own choice.
        rehash: read every file, and let its content alone decide whether it has changed; otherwise a file of the same size and
            modification time is unchanged.
        prune: allow a build to remove more than half of at least 20 rows, all of them, those behind links that are not
            followed any more, or those below a folder whose file system is not mounted.
        drop_source: sources of the collection that are removed with their rows.
        strict: raise when files were skipped or a source was not listed to its end, after the build is complete.
        max_pixels: how many pixels of four bytes a decoded image may have; a larger one is skipped. ``None`` is 67,108,864,
            8,192 squared. Images that were skipped as too large are tried again if it is given.
        headers: keep what each image's file says of it as columns: width, height, bytes, time taken, camera, place. ``None``
            keeps the collection's own choice, and is True for a new one. Given for a collection without them, the files' heads
            are read once; nothing is encoded again.
        views: how many parts of each image get a vector of their own, so that small crops of it and what it shows small are
            found, too; 0 drops them. ``None`` keeps the collection's own choice, and is none for a new one.
        shards: makes a sharded collection: so many collections, built apart and asked as one. Of one that is there already, the
            number stays.
        shard_rows: rows from which on new parts of the source go to another shard; ``None`` keeps the collection's own, and is
            ten million for a new one.
        cluster: where shards are built: ``local:N`` for N processes of this machine, ``ray`` or ``ray://HOST:PORT``; ``None`` is
            this process, one shard after the other.
        retrain: trains the first stage of a sharded collection anew, on its rows of today; no image is encoded again.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:n`` or ``mps``.
        progress: True shows a bar on a terminal or in a notebook, False nothing; a function is called with each `Progress`.
    Returns:
        What was done. An interrupted build keeps what it had; the next one continues.
    Raises:
        OptionError: a source is missing or cannot be opened, two of them give one key, or a value that this collection cannot
            take. Nothing was changed.
        PruneRefused: it would remove what `prune` allows.
        StoreLocked: another build is running.
        UnknownEncoder, WeightsNotFound: the encoder cannot be had.
        SpaceMismatch: an encoder object that gives other vectors than the collection holds for the same images.
        ImagesSkipped: `strict`, and files were skipped or not seen.
        WorkerLost: a process of `cluster` has ended three times over one shard; what it committed is kept.
    """
    options: dict[str, Any] = {
        "root": root,
        "encoder": encoder,
        "kind": kind,
        "truncate_dim": truncate_dim,
        "target_recall": target_recall,
        "exclude": exclude,
        "include": include,
        "follow_links": follow_links,
        "image_column": image_column,
        "key_column": key_column,
        "column": column,
        "from0": from0,
        "allow_private": allow_private,
        "every": every,
        "pages": pages,
        "rehash": rehash,
        "prune": prune,
        "drop_source": drop_source,
        "strict": strict,
        "max_pixels": max_pixels,
        "headers": headers,
        "views": views,
        "device": device,
        "progress": progress,
    }
    given = several(sources)
    directory = find_directory(given, index)
    if shards is None and not is_sharded(directory):
        for name, value in (("shard_rows", shard_rows), ("cluster", cluster), ("retrain", retrain or None)):
            if value is not None:
                raise OptionError(f"`{name}=…` goes with a sharded collection; make one with `shards=N`")
        return build_one(given, directory, **options)
    from retrieval.ingestion.sharded import build_shards

    return build_shards(
        given,
        directory,
        shards=shards,
        shard_rows=shard_rows,
        cluster=cluster,
        retrain=retrain,
        options=options,
    )
