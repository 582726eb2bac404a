"""Make the queries with known answers that an upgrade is measured by."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from indexes.migration import Probe
from retrieval.errors import OptionError
from retrieval.upgrades.trial.sample import Sample, encode_a_view, encode_views

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from indexes.store import Record, VectorStore
    from indexes.vectors import Ids, Vectors
    from retrieval.encoders import Encoder
    from retrieval.progress import OnProgress
    from retrieval.sources import Source

SHARE_HELD = 0.2  # of the sample, for choosing settings by and for measuring on, half each
MOST_HELD = 1000  # images of each
LEAST_HELD = 10
LEAST = 4 * LEAST_HELD
"""Images to measure an upgrade on, at least; how well a map of few is fitted is measured."""
VIEWED_EVERY = 4  # of the images that maps are fitted on
SHARE_SPARE = (
    1 / 3
)  # of the other images: they stand in the probes' gallery, and no map that is measured is fitted on them


def labels_of(path: str | os.PathLike[str], store: VectorStore, root: str) -> dict[int, int]:
    """Return a number for the label of each row that the CSV file names."""
    from retrieval.sources import csv_lines

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


def held_of(count: int) -> int:
    """Return how many images to measure on, of so many; as many again are set aside to choose settings by."""
    return min(MOST_HELD, max(LEAST_HELD, int(count * SHARE_HELD) // 2))


def can_measure(drawn: Sequence[object], *, wanted: int, live: int, gone: int) -> bool:
    """Say whether enough images are there to measure on: what a handful finds says nothing of the encoders.

    Args:
        drawn: the images that are to be encoded.
        wanted: how many were asked for.
        live: images of the collection.
        gone: files among them that are missing or have changed.
    Raises:
        OptionError: there are too few, and more are to be had; the message says how.
    """
    if len(drawn) >= LEAST:
        return True
    if live < LEAST:
        return False
    if wanted < LEAST:
        cure = f"give `sample={LEAST}` or more"
    elif gone:
        cure = f"{gone:,} files are missing or have changed; mount their drive, or take up what changed with `build_index`"
    else:  # the others are copies of these
        return False
    raise OptionError(
        f"a sample of {len(drawn):,} images is too small to measure an upgrade on ({LEAST} at least); {cure}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """Queries to choose settings by and to measure on; rows of the sample that maps are fitted on.

    Attributes:
        select, held: the queries, with one gallery, on whose rows no map is fitted before it is measured: queries come too
            near to those that their map was fitted on, the more so the more freely it can bend.
        whole: every query that can be asked, in all of the sample; for what needs no map.
        gallery: ``(g,)`` positions of the gallery's rows in the sample.
        fitted, rest: ``(n,)`` positions in the sample: rows that maps are fitted on to be measured, and those that the chosen one is fitted on again.
        held_out: images that were measured on.
        views, viewed: ``(v, d_new)`` altered views of images of the rest by the new encoder, and ``(v,)`` whose: positions in the sample.
    """

    select: Probe
    held: Probe
    whole: Probe
    gallery: Ids
    fitted: Ids
    rest: Ids
    held_out: int
    views: Vectors
    viewed: Ids


def _more(taken: Sample) -> str:
    """Say how to get more images to measure on."""
    if not taken.gone and not taken.unreadable:
        return "raise `sample`"
    return (
        f"{taken.gone:,} files are missing or have changed, {taken.unreadable:,} cannot be read; run `build_index` on the "
        "folder (a collection of imported vectors has no images to encode again)"
    )


def questions_of(
    taken: Sample,
    drawn: Sequence[tuple[Record, Source]],
    label_of: Mapping[int, int],
    *,
    old: Encoder | None,
    new: Encoder,
    fits: bool,
    progress: OnProgress | None,
) -> Questions:
    """Make queries of a sample: altered views of its images, or those of its images that have a label.

    The new encoder sees a view of a quarter of the fitted images too: what is fitted on whole images alone learns nothing of
    queries. With those of held-out images that is less work than the sample itself, from 100 images on.

    Args:
        taken: the sample.
        drawn: its records and files.
        label_of: the label of each row that has one; empty to ask with views.
        old, new: the encoders.
        fits: a map is fitted; otherwise no view is needed for that.
        progress: called with a `Progress` now and then.
    Raises:
        OptionError: there are too few images, or views are asked for and there is no old encoder.
    """
    place_of = {int(number): place for place, number in enumerate(taken.ids)}
    if label_of:
        asked = np.array([place_of[n] for n in taken.ids.tolist() if n in label_of], dtype=np.int64)
    else:
        asked = np.arange(len(taken.ids))
    count = held_of(len(asked))
    if len(asked) < 2 * count:
        raise OptionError(
            f"only {len(asked):,} of the sampled images can be measured on; {2 * count:,} are needed: "
            f"{'label more of them, or leave `labels` away' if label_of else _more(taken)}"
        )
    chosen, held = asked[:count], asked[count : 2 * count]
    rest = np.setdiff1d(np.arange(len(taken.ids)), np.concatenate([chosen, held]))
    fitted = rest[int(SHARE_SPARE * len(rest)) :]  # those without a label stand last
    record_of = {record.id: (record, path) for record, path in drawn}
    ids, views = (
        encode_a_view(
            [record_of[int(number)] for number in taken.ids[rest[::VIEWED_EVERY]]], new, progress=progress
        )
        if fits
        else (np.empty(0, dtype=np.int64), np.empty((0, new.space.dim), dtype=np.float32))
    )
    viewed = np.array([place_of[int(number)] for number in ids], dtype=np.int64)
    if label_of:
        labels = np.full(len(taken.ids), -1, dtype=np.int64)
        labels[asked] = [label_of[int(number)] for number in taken.ids[asked]]

        def of(places: Ids, gallery: Ids) -> Probe:
            return Probe(
                gallery_old=taken.old[gallery],
                gallery_new=taken.new[gallery],
                old=taken.old[places],
                new=taken.new[places],
                target=np.searchsorted(gallery, places),
                labels=labels[gallery],
            )

    else:
        if old is None:
            raise OptionError("the old encoder is needed to measure on views")
        wanted = [record_of[int(number)] for number in taken.ids[np.concatenate([chosen, held])]]
        of_views, (rows_old, rows_new) = encode_views(wanted, [old, new], progress=progress)
        target = np.array([place_of[int(number)] for number in of_views], dtype=np.int64)

        def of(places: Ids, gallery: Ids) -> Probe:
            flags = np.isin(target, places)
            return Probe(
                gallery_old=taken.old[gallery],
                gallery_new=taken.new[gallery],
                old=rows_old[flags],
                new=rows_new[flags],
                target=np.searchsorted(gallery, target[flags]),
            )

    every = np.sort(asked)
    gallery = np.setdiff1d(every, fitted)
    return Questions(
        select=of(chosen, gallery),
        held=of(held, gallery),
        whole=of(every, every),
        gallery=gallery,
        fitted=fitted,
        rest=rest,
        held_out=count,
        views=views,
        viewed=viewed,
    )
