"""Evaluate a collection: recall, latency, and quality where labels or captions are given."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.derivation import check_dim
from indexes.engine import exact, knn_accuracy, without
from indexes.vectors import map_at_k, recall_at_k
from retrieval.display import progress_shown
from retrieval.encoders import checked_text
from retrieval.errors import OptionError
from retrieval.evaluation import plots, widths
from retrieval.evaluation.attacks import chosen
from retrieval.evaluation.given_labels import known_labels
from retrieval.evaluation.latency import latency
from retrieval.progress import OnProgress, Progress, ShowProgress
from retrieval.sources import csv_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexes.vectors import Ids, Vectors
    from retrieval.collection import Collection
    from retrieval.evaluation.copy_detection import CopyDetection
    from retrieval.evaluation.given_labels import LabelsLike

K = 10
TIMED = 200
TEXT_BLOCK = 256
SEED = 20_221


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What ``retrieve evaluate --json`` prints; ``None`` where nothing was asked or nothing can be said.

    Attributes:
        recall_at_10: share of the exact ten nearest that a search finds, mean over `recall_sample` stored rows (each without
            itself); ``None`` for an empty collection.
        latency_ms: ``p50`` and ``p95`` of one query, search alone, one thread, milliseconds.
        bytes_per_vector: what a search reads of each row first: ``index.faiss`` over rows, or two bytes a number.
        knn_accuracy: exact leave-one-out 1-nearest-neighbour accuracy among `labelled` files.
        unknown: how many of the files with a label or a caption are not in the collection.
        first_unknown: the first of these files, as it is written; empty where there is none.
        map_at_10: mean average precision of the ten nearest labelled files, divided by 10.
        attacks: one object for each attack, stage and measure (`retrieval.evaluation.survival.Outcome`); empty where not asked for.
        attacks_list: the name of the list that these attacks are of, such as ``attacks-2``.
        pairs: what was measured of queries and their originals.
        text_recall_at_1: share of `captions` whose file is found first; likewise at 5 and 10.
        dims: for each width asked for, what its prefix finds (`retrieval.evaluation.widths.by_width`).
    """

    recall_at_10: float | None
    recall_sample: int
    latency_ms: dict[str, float]
    bytes_per_vector: float
    knn_accuracy: float | None = None
    labelled: int = 0
    unknown: int = 0
    first_unknown: str = ""
    map_at_10: float | None = None
    text_recall_at_1: float | None = None
    text_recall_at_5: float | None = None
    text_recall_at_10: float | None = None
    captions: int = 0
    dims: list[dict[str, Any]] = field(default_factory=list)
    attacks: list[dict[str, Any]] = field(default_factory=list)
    attacks_list: str | None = None
    pairs: CopyDetection | None = None

    def _repr_html_(self) -> str | None:
        """Show what was measured in a notebook."""
        from retrieval.display import notebook

        return notebook.shown(lambda: notebook.report("evaluation", self.to_json()))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of the contract."""
        facts = {field.name: getattr(self, field.name) for field in fields(self)}
        return facts | {"pairs": None if self.pairs is None else self.pairs.to_json()}


def evaluate(
    collection: Collection,
    *,
    labels: LabelsLike | None = None,
    column: str | None = None,
    captions: str | os.PathLike[str] | None = None,
    attacks: bool | str | Sequence[str] = False,
    pairs: str | os.PathLike[str] | None = None,
    distractors: str | os.PathLike[str] | None = None,
    background: str | os.PathLike[str] | None = None,
    verify: bool | int = False,
    dims: Sequence[int] = (),
    plot: str | os.PathLike[str] | None = None,
    sample: int = 1000,
    device: str = "auto",
    progress: ShowProgress = True,
) -> Evaluation:
    """Measure a collection as it is served.

    Args:
        collection: an open one.
        labels: CSV with the header ``file,label``, paths relative to the root; or labels by key.
        column: the column that has the labels, instead of `labels`.
        captions: CSV with the header ``file,caption``; every line is a query against the whole collection.
        attacks: measure whether altered copies of images are found, of activated ones where there are any. True for all attacks of
            the newest list; or names of some of them, or the name of a list: a text with commas, or a sequence.
        pairs: CSV with the header ``query,original``: queries are files, relative to the CSV file's folder or to the root; originals are
            files of the collection. A line without an original is a query that has none.
        distractors: a folder of images that have no original in the collection: more queries for `pairs`.
        background: a folder of images that are no copies of anything: the scores of `pairs` are normalised with them, too.
        verify: compare the first 50 hits of `pairs` and of `attacks`, or so many, with the query, pixel by pixel, too.
        dims: widths whose prefixes are measured, too.
        plot: draw recall against bytes and against time for each width into this file; without `dims`, for every prefix.
        sample: stored rows used as queries for recall and latency.
        device: where captions are encoded; ``auto`` is where the collection was opened for.
        progress: True shows a bar on a terminal or in a notebook, False nothing; a function is called with each `Progress`.
    Raises:
        OptionError: a CSV file cannot be read, has another header, or names no file of the collection; all labels are the same,
            or a file has two; a width that is no
            prefix; a figure that cannot be written; an attack that is in no list.
        MissingExtra: `plot`, and matplotlib is not installed; `verify`, and OpenCV is not.
        CapabilityMissing: captions, for an encoder without a text tower.
    """
    asked = chosen(attacks) if attacks else None
    if pairs is None and (distractors is not None or background is not None):
        given = "distractors" if distractors is not None else "background"
        raise OptionError(f"`{given}` goes with queries whose originals are known: give `pairs`, too")
    if verify is not False and pairs is None and asked is None:
        raise OptionError("`verify` checks the hits of altered copies: give `attacks` or `pairs`, too")
    if plot is not None:
        plots.require(plot)
        dims = dims or widths.widths_of(collection.space)
    for dim in dims:
        check_dim(collection.space, dim, rows=len(collection))
    ids, recall = _recall(collection, sample)
    if plot is not None and not len(ids):
        raise OptionError(f"{collection.directory} holds no vectors, so there is nothing to draw")
    facts: dict[str, Any] = {}
    known = None if labels is None and column is None else known_labels(collection, labels, column=column)
    absent: list[str] = []
    if known is not None:
        facts |= _labelled(collection, known.ids, known.codes)
    if dims and len(ids):
        labelled, words = (None, None) if known is None else (known.ids, known.codes)
        facts["dims"] = widths.by_width(collection, dims, ids=ids, labelled=labelled, labels=words)
        if plot is not None:
            plots.widths(plot, facts["dims"])
    if captions is not None:
        with progress_shown(progress) as watch:
            found, absent = _captioned(collection, captions, device, watch)
        facts |= found
    if asked is not None:
        from retrieval.evaluation.survival import measure

        facts["attacks_list"], names = asked
        with progress_shown(progress) as watch:
            facts["attacks"] = measure(
                collection,
                names=names,
                of=facts["attacks_list"],
                verify=verify,
                device=device,
                progress=watch,
            )
    if pairs is not None:
        from retrieval.evaluation.copy_detection import measure as detect

        with progress_shown(progress) as watch:
            facts["pairs"] = detect(
                collection,
                pairs,
                distractors=distractors,
                background=background,
                verify=verify,
                device=device,
                progress=watch,
            )
    first = [*([known.first_unknown] if known is not None and known.unknown else []), *absent]
    return Evaluation(
        unknown=len(absent) + (0 if known is None else known.unknown),
        first_unknown=first[0] if first else "",
        recall_at_10=recall,
        recall_sample=len(ids),
        latency_ms=latency(
            lambda query: collection.search_vectors(query, k=K), collection.vectors(ids[:TIMED])
        ),
        bytes_per_vector=collection.manifest.index.bytes_per_vector,
        **facts,
    )


def _recall(collection: Collection, sample: int) -> tuple[Ids, float | None]:
    live = collection.row_ids()  # (n,)
    ids = np.sort(np.random.default_rng(SEED).permutation(live)[:sample])  # (s,)
    if len(live) <= 1:
        return ids, None
    queries = collection.vectors(ids)  # (s, d)
    found = collection.search_vectors(queries, k=K + 1).ids
    truth = collection.search_vectors(queries, k=K + 1, exact=True).ids
    return ids, recall_at_k(without(found, ids), without(truth, ids))


def _labelled(collection: Collection, ids: Ids, labels: Ids) -> dict[str, Any]:
    vectors = collection.vectors(ids)  # (m, d)
    rows = vectors.astype(np.float16)  # as they are stored
    near = without(exact(rows, vectors, k=K + 1).ids, np.arange(len(ids)))  # (m, K)
    relevant = (near >= 0) & (labels[near] == labels[:, np.newaxis])  # (m, K)
    return {
        "knn_accuracy": knn_accuracy(rows, labels),
        "map_at_10": map_at_k(relevant, k=K),
        "labelled": len(ids),
    }


def _captioned(
    collection: Collection, path: str | os.PathLike[str], device: str, progress: OnProgress | None
) -> tuple[dict[str, Any], list[str]]:
    """Return what was measured, and the files that are not in the collection."""
    ids, words, absent = _rows(collection, path, "caption")
    encoder = collection.encoder_on(device)
    rank = np.full(len(ids), K, dtype=np.int64)  # (m,) place of the right file, K where it is not found
    for start in range(0, len(ids), TEXT_BLOCK):
        vectors: Vectors = checked_text(encoder, words[start : start + TEXT_BLOCK])
        found = (
            collection.search_vectors(vectors, k=K, words=True).ids
            == ids[start : start + TEXT_BLOCK, np.newaxis]
        )  # (b, K)
        rank[start : start + TEXT_BLOCK] = np.where(found.any(axis=1), found.argmax(axis=1), K)
        if progress is not None:
            progress(Progress(phase="captions", done=min(start + TEXT_BLOCK, len(ids)), total=len(ids)))
    return {
        "text_recall_at_1": float(np.mean(rank < 1)),
        "text_recall_at_5": float(np.mean(rank < 5)),
        "text_recall_at_10": float(np.mean(rank < K)),
        "captions": len(ids),
    }, absent


def _rows(
    collection: Collection, path: str | os.PathLike[str], column: str
) -> tuple[Ids, list[str], list[str]]:
    """Return the ids and words of the lines whose file is in the collection, and the files of the others.

    Raises:
        OptionError: see `evaluate`.
    """
    ids: list[int] = []
    words: list[str] = []
    absent: list[str] = []
    for file, word in csv_lines(path, column):
        key = os.path.normpath(file).replace(os.sep, "/")
        if key in collection:
            ids.append(collection.id_of(key))
            words.append(word)
        else:
            absent.append(file)
    if not ids:
        raise OptionError(
            f"{os.fspath(path)} names no file of the collection; its paths must be relative to {collection.root}"
        )
    return np.array(ids, dtype=np.int64), words, absent
