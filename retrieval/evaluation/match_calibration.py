"""Calibrate how probable a match is, for any encoder, on a collection whose labels are known."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from indexes.vectors import unit_rows
from retrieval.collection import Collection, open_collection, require_settled
from retrieval.collection.relevance import (
    GREATEST_ERROR,
    Background,
    Calibration,
    Trial,
    calibration_error,
    cross_fitted,
    fit,
    is_shipped,
    trial,
    write_calibrations,
)
from retrieval.display import progress_shown
from retrieval.encoders import TextEncoder
from retrieval.errors import CapabilityMissing, OptionError
from retrieval.evaluation.copy_detection import encoded, files_below
from retrieval.evaluation.given_labels import known_labels
from retrieval.hints import named_arguments
from retrieval.location import lies_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from indexes.vectors import Ids, Vectors
    from retrieval.collection.relevance import Kind
    from retrieval.evaluation.given_labels import LabelsLike
    from retrieval.progress import OnProgress, ShowProgress

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
        images: how many images have a label.
        unknown: how many of the files with a label are not in the collection.
        first_unknown: the first of these files, as it is written; empty where there is none.
        background: how many photographs queries are compared with, too.
        own_background: they are rows of the collection itself.
        unreadable: how many files of the background could not be read.
        errors: the calibration error of each kind of queries, on labels that nothing was fitted on.
        used: the kinds whose error is small enough, at most 0.1: of their queries hits have a `match` now.
    """

    labels: int
    images: int
    unknown: int
    first_unknown: str
    background: int
    own_background: bool
    unreadable: int
    errors: Mapping[Kind, float]
    used: tuple[Kind, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the facts by the names that ``--json`` prints."""
        return asdict(self)


@named_arguments
def calibrate_matches(
    collection: Collection | str | os.PathLike[str],
    labels: LabelsLike | None = None,
    *,
    column: str | None = None,
    background: Collection | str | os.PathLike[str] | None = None,
    force: bool = False,
    progress: ShowProgress = None,
) -> MatchCalibration:
    """Ask for each label where it is and where it is not, fit how probable a match is, and keep that beside the collection.

    Hits of the collection have a `match` from then on, for kinds of queries whose error on other labels is at most 0.1. The
    others have none.

    Args:
        collection: with labels for some of its rows, and of one encoder; or its path.
        labels: a CSV file with the header ``file,label``, or labels by key.
        column: the column of the collection that has the labels; give this or `labels`.
        background: other photographs of everyday things: a folder of images, of which up to 3,000 are encoded, or a
            collection of the same encoder. None takes rows of `collection`.
        force: replace the calibration that an encoder comes with, for this collection.
        progress: True for a bar where somebody sees one, or a function.
    Raises:
        OptionError: the encoder comes with a calibration, and `force` is not given; labels that cannot be used; fewer than ten labels have five rows each; the background has fewer than a hundred images, or is a collection
            of another encoder; or the encoder is being changed.
        CapabilityMissing: the background is a folder, and the collection has no encoder.
        CollectionNotFound: there is none.
        StoreReadOnly, StoreFull: it cannot be kept.
    """
    with ExitStack() as stack:
        if isinstance(collection, str | os.PathLike):
            collection = stack.enter_context(open_collection(collection))
        show = stack.enter_context(progress_shown(progress))
        require_settled(collection.manifest, what="matches of two spaces cannot be calibrated")
        known = known_labels(collection, labels, column=column)
        if not force and is_shipped(collection.space):
            raise OptionError(
                f"{collection.space.name} comes with a calibration, measured on things of many kinds; one of your labels tells "
                f"what is unlike them worse. `force=True` uses yours for {collection.directory} all the same"
            )
        names = np.array(known.names)[known.codes]  # (m,)
        asked = [
            name
            for name, count in zip(known.names, known.counts.tolist(), strict=True)
            if count >= FEWEST_ROWS
        ]
        if len(asked) < FEWEST_LABELS:
            raise OptionError(
                f"{len(asked)} labels have {FEWEST_ROWS} rows or more; a calibration needs {FEWEST_LABELS} labels"
            )
        vectors, unreadable, own = _background(collection, background, show)
        usual = Background(vectors)
        label_of = dict(zip(known.ids.tolist(), names.tolist(), strict=True))
        shown = np.array([label_of.get(number, "") for number in own.tolist()])  # (b,) or none

        def without(name: str) -> Background:
            """Return the background of a collection that lacks a label: rows of its own are not there either."""
            left = vectors[shown != name] if len(shown) else vectors
            return usual if len(left) == len(vectors) else Background(left, usual.axes)

        trials = _trials(collection, known.ids, names, asked, usual, without)
        fitted = {kind: _fitted(made, asked) for kind, made in trials.items()}
        used = {kind: one for kind, one in fitted.items() if one.error <= GREATEST_ERROR}
        write_calibrations(collection.directory, collection.space, usual, used)
        return MatchCalibration(
            labels=len(asked),
            images=len(known.ids),
            unknown=known.unknown,
            first_unknown=known.first_unknown,
            background=len(vectors),
            own_background=bool(len(own)),
            unreadable=unreadable,
            errors={kind: round(one.error, 4) for kind, one in fitted.items()},
            used=tuple(used),
        )


def _background(
    collection: Collection,
    given: Collection | str | os.PathLike[str] | None,
    progress: OnProgress | None,
) -> tuple[Vectors, int, Ids]:
    """Return vectors of up to 3,000 photographs ``(n, d)``, how many of them could not be read, and their ids if they are the collection's own."""
    none = np.empty(0, dtype=np.int64)
    if given is None:
        return _some_of(collection)
    place = given.root if isinstance(given, Collection) else Path(given)
    if place.resolve() in (collection.root.resolve(), collection.directory.resolve()):
        raise OptionError(
            f"`background` is {place}, the collection itself; leave it out, or give other photographs"
        )
    if isinstance(given, Collection):
        if not given.space.same_as(collection.space):
            raise OptionError(f"the background is of {given.space}, the collection of {collection.space}")
        return _some_of(given)[0], 0, none
    if lies_in(given):
        with open_collection(given) as other:
            if other.space.same_as(collection.space):
                return _some_of(other)[0], 0, none
    files = files_below(given)
    chosen = [files[place] for place in _spread(len(files))]
    _require_enough(len(chosen))
    made = encoded(chosen, collection.encoder, phase="background", progress=progress)
    _require_enough(len(made.vectors))
    return unit_rows(made.vectors, what="background"), len(made.failed), none


def _some_of(source: Collection) -> tuple[Vectors, int, Ids]:
    ids = source.row_ids()
    _require_enough(len(ids))
    some = ids[_spread(len(ids))]
    return source.vectors(some), 0, some


def _spread(count: int) -> NDArray[np.int64]:
    """Return places of at most `_BACKGROUND` of so many, spread over all."""
    return np.unique(np.linspace(0, count - 1, _BACKGROUND).astype(np.int64))


def _require_enough(count: int) -> None:
    if count < _FEWEST_BACKGROUND:
        raise OptionError(f"the background has {count} images; give at least {_FEWEST_BACKGROUND}")


def _trials(
    collection: Collection,
    rows: NDArray[np.int64],
    names: NDArray[np.str_],
    asked: list[str],
    usual: Background,
    without: Callable[[str], Background],
) -> dict[Kind, list[Trial]]:
    vectors = collection.vectors(rows)
    backgrounds = {name: (usual, without(name)) for name in asked}
    trials: dict[Kind, list[Trial]] = {"images": _by_images(vectors, names, backgrounds)}
    try:
        encoder = collection.encoder
    except CapabilityMissing:  # made of vectors alone
        return trials
    if isinstance(encoder, TextEncoder):
        trials["words"] = [
            one
            for name, query in zip(asked, encoder.encode_text(asked), strict=True)
            for one in _both(query, vectors, names, name, backgrounds[name])
        ]
    return trials


def _by_images(
    vectors: Vectors, names: NDArray[np.str_], backgrounds: Mapping[str, tuple[Background, Background]]
) -> list[Trial]:
    numbers = np.random.default_rng(_SEED)
    made = []
    for name, both in backgrounds.items():
        for place in numbers.permutation(np.flatnonzero(names == name))[:_ASKED]:
            others = np.arange(len(names)) != place
            made += _both(vectors[place], vectors[others], names[others], name, both)
    return made


def _both(
    query: NDArray[np.float32],
    vectors: Vectors,
    names: NDArray[np.str_],
    name: str,
    backgrounds: tuple[Background, Background],
) -> list[Trial]:
    """Ask where the label is, and where it is left out, each with its background."""
    right = names == name
    absent = ~right
    return [
        trial(query, vectors, right, backgrounds[0], name=name),
        trial(query, vectors[absent], right[absent], backgrounds[1], name=name),
    ]


def _fitted(trials: list[Trial], asked: list[str]) -> Calibration:
    fold = {name: place % _FOLDS for place, name in enumerate(asked)}
    found = cross_fitted(trials, [fold[one.name] for one in trials])
    error = calibration_error(np.concatenate(found), np.concatenate([one.right for one in trials]))
    return fit(trials, error=error)
