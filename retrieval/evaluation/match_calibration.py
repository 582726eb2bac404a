"""Calibrate how probable a match is, for any encoder, on a collection whose labels are known."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.collection.relevance import (
    GREATEST_ERROR,
    Background,
    Calibration,
    Trial,
    calibration_error,
    cross_fitted,
    fit,
    trial,
    write_calibrations,
)
from retrieval.encoders import TextEncoder
from retrieval.errors import CapabilityMissing, OptionError
from retrieval.sources import csv_lines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.vectors import Vectors
    from retrieval.collection import Collection
    from retrieval.collection.relevance import Kind

__all__ = ["MatchCalibration", "calibrate_matches"]

FEWEST_LABELS: Final = 10
"""Labels that are needed; a label counts if it has `FEWEST_ROWS` rows."""

FEWEST_ROWS: Final = 5

_BACKGROUND, _FEWEST_BACKGROUND = 3_000, 100
_ASKED = 4
_FOLDS = 5
_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchCalibration:
    """What a calibration found.

    Attributes:
        labels: how many labels were asked for.
        errors: the calibration error of each kind of queries, on labels that nothing was fitted on.
        used: the kinds whose error is small enough, at most 0.1: of their queries hits have a `match` now.
    """

    labels: int
    errors: Mapping[Kind, float]
    used: tuple[Kind, ...]


def calibrate_matches(
    collection: Collection,
    labels: str | os.PathLike[str] | Mapping[str, str],
    *,
    background: Collection | None = None,
) -> MatchCalibration:
    """Ask for each label where it is and where it is not, fit how probable a match is, and keep that beside the collection.

    Hits of the collection have a `match` from then on, for kinds of queries whose error on other labels is at most 0.1.

    Args:
        collection: with labels for some of its rows, and of one encoder.
        labels: a CSV file with the header ``file,label``, or labels by key.
        background: other photographs of everyday things, a collection of the same encoder. None takes rows of this one.
    Raises:
        OptionError: fewer than ten labels have five rows each; the background has fewer than a hundred rows, or is of another
            encoder; or the encoder is being changed.
        StoreReadOnly, StoreFull: it cannot be kept.
    """
    label_of = dict(labels.items() if isinstance(labels, Mapping) else csv_lines(labels, "label"))
    ids = {collection.id_of(key): label for key, label in label_of.items() if key in collection}
    rows = np.array(sorted(ids), dtype=np.int64)  # (m,)
    names = np.array([ids[number] for number in rows.tolist()])
    kinds, counts = np.unique(names, return_counts=True)
    asked = kinds[counts >= FEWEST_ROWS].tolist()
    if len(asked) < FEWEST_LABELS:
        raise OptionError(
            f"{len(asked)} labels have {FEWEST_ROWS} rows or more; a calibration needs {FEWEST_LABELS} labels"
        )
    usual = _background(collection, background)
    vectors = np.asarray(collection.rows[rows], dtype=np.float32)
    trials: dict[Kind, list[Trial]] = {"images": _by_images(vectors, names, asked, usual)}
    try:
        encoder = collection.encoder
    except CapabilityMissing:  # made of vectors alone
        encoder = None
    if isinstance(encoder, TextEncoder):
        words = encoder.encode_text(asked)
        trials["words"] = [
            one
            for name, query in zip(asked, words, strict=True)
            for one in _both(query, vectors, names, name, usual)
        ]
    fitted = {kind: _fitted(made, asked) for kind, made in trials.items()}
    used = {kind: one for kind, one in fitted.items() if one.error <= GREATEST_ERROR}
    write_calibrations(collection.directory, collection.space, usual, used)
    return MatchCalibration(
        labels=len(asked), errors={kind: one.error for kind, one in fitted.items()}, used=tuple(used)
    )


def _background(collection: Collection, given: Collection | None) -> Background:
    source = collection if given is None else given
    if not source.space.same_as(collection.space):
        raise OptionError(f"the background is of {source.space}, the collection of {collection.space}")
    live = np.flatnonzero(source.live)
    if len(live) < _FEWEST_BACKGROUND:
        raise OptionError(f"the background has {len(live)} rows; give at least {_FEWEST_BACKGROUND}")
    chosen = np.unique(np.linspace(0, len(live) - 1, _BACKGROUND).astype(np.int64))
    return Background(np.asarray(source.rows[live[chosen]], dtype=np.float32))


def _by_images(vectors: Vectors, names: NDArray[np.str_], asked: list[str], usual: Background) -> list[Trial]:
    numbers = np.random.default_rng(_SEED)
    made = []
    for name in asked:
        for place in numbers.permutation(np.flatnonzero(names == name))[:_ASKED]:
            others = np.arange(len(names)) != place
            made += _both(vectors[place], vectors[others], names[others], name, usual)
    return made


def _both(
    query: NDArray[np.float32], vectors: Vectors, names: NDArray[np.str_], name: str, usual: Background
) -> list[Trial]:
    """Ask where the label is, and where it is left out."""
    right = names == name
    absent = ~right
    return [
        trial(query, vectors, right, usual, name=name),
        trial(query, vectors[absent], right[absent], usual, name=name),
    ]


def _fitted(trials: list[Trial], asked: list[str]) -> Calibration:
    fold = {name: place % _FOLDS for place, name in enumerate(asked)}
    found = cross_fitted(trials, [fold[one.name] for one in trials])
    error = calibration_error(np.concatenate(found), np.concatenate([one.right for one in trials]))
    return fit(trials, error=error)
