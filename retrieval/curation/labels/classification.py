"""Guess the labels of images from labelled ones of the same collection, and find labels that neighbours contradict."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.collection import open_collection, require_settled
from retrieval.collection.queries import passing_rows
from retrieval.curation.labels.guesses import Classification, Guess, Suspect, Suspects, Voter
from retrieval.curation.labels.label_model import LabelModel
from retrieval.display import progress_shown
from retrieval.errors import OptionError
from retrieval.evaluation import known_labels
from retrieval.hints import named_arguments
from retrieval.progress import Progress

if TYPE_CHECKING:
    from retrieval.collection import Collection
    from retrieval.curation.labels.neighbour_votes import Near
    from retrieval.evaluation import KnownLabels, LabelsLike
    from retrieval.progress import OnProgress, ShowProgress

_BLOCK: Final = 1_024
_VOTERS: Final = 5
_NOTHING_NEAR: Final = "nothing near"
_UNSURE: Final = "unsure"


@named_arguments
def classify(
    collection: Collection | str | os.PathLike[str],
    labels: LabelsLike | None = None,
    *,
    column: str | None = None,
    least: float = 0.5,
    under: str | os.PathLike[str] | None = None,
    glob: str | None = None,
    where: Any = None,
    progress: ShowProgress = None,
) -> Classification:
    """Guess the labels of all images that have none; nothing is encoded, and nothing is changed.

    The nearest labelled images vote, and a linear model of the labelled ones speaks, too. How many vote, how much each
    counts and how much the model counts are chosen by leaving out each labelled image once.

    Args:
        collection: a collection, or its path.
        labels: a CSV file with the header ``file,label``, paths relative to the root; or labels by key.
        column: the column of the collection that has the labels; give this or `labels`.
        least: an image whose likeliest label is less probable gets no label; 0 to 1.
        under, glob, where: only images that pass these filters of `Collection.search` get a label; all labels are used.
        progress: True for a bar where somebody sees one, or a function.
    Returns:
        a guess for each image without a label, in the order of the rows. An image that is far from all labelled ones gets
        no label.
    Raises:
        OptionError: a value that cannot be, labels that cannot be used, or the encoder is being changed.
        CollectionNotFound: there is none.
    """
    if not 0 <= least <= 1:
        raise OptionError(f"`least` is {least}; give a probability, 0 to 1")
    with ExitStack() as stack:
        opened = _open(collection, stack)
        known = known_labels(opened, labels, column=column)
        wanted = passing_rows(opened, under=under, glob=glob, where=where)
        ids = opened.row_ids(wanted & ~opened.mask(ids=known.ids))
        show = stack.enter_context(progress_shown(progress))
        model = LabelModel(opened, known)
        names = _Names(opened, known)
        guesses: list[Guess] = []
        for start in range(0, len(ids), _BLOCK):
            some = ids[start : start + _BLOCK]
            shares, near = model.guess(opened.vectors(some))
            best = shares.argmax(axis=1)
            for at, (number, code) in enumerate(zip(some.tolist(), best.tolist(), strict=True)):
                probability, nearest = float(shares[at, code]), float(near.nearest[at])
                reason = (
                    _NOTHING_NEAR
                    if nearest < model.choice.nearest
                    else _UNSURE
                    if probability < least
                    else ""
                )
                guesses.append(
                    Guess(
                        path=opened.key_of(number),
                        id=number,
                        label=None if reason else known.names[code],
                        reason=reason,
                        best=known.names[code],
                        probability=probability,
                        nearest=nearest,
                        voters=names.voters(near, at),
                    )
                )
            _tell(show, len(guesses), len(ids))
        return Classification(
            items=tuple(guesses),
            names=known.names,
            labelled=len(known.ids),
            unknown=known.unknown,
            first_unknown=known.first_unknown,
            choice=model.choice,
            _root=os.fspath(opened.root),
            _directory=os.fspath(opened.directory),
        )


@named_arguments
def suspects(
    collection: Collection | str | os.PathLike[str],
    labels: LabelsLike | None = None,
    *,
    column: str | None = None,
    least: float = 0.5,
    under: str | os.PathLike[str] | None = None,
    glob: str | None = None,
    where: Any = None,
    progress: ShowProgress = None,
) -> Suspects:
    """Find labels that are likely wrong, by what would be guessed if each were not known; nothing is changed.

    Args:
        collection: a collection, or its path.
        labels, column: the labels, as `classify` takes them.
        least: only labels against which another one has this probability; 0 lists every label that is not the likeliest.
        under, glob, where: only images that pass these filters of `Collection.search` are listed; all labels are used.
        progress: True for a bar where somebody sees one, or a function.
    Returns:
        the doubted labels, the least probable first.
    Raises:
        OptionError, CollectionNotFound: as `classify` does.
    """
    if not 0 <= least <= 1:
        raise OptionError(f"`least` is {least}; give a probability, 0 to 1")
    with ExitStack() as stack:
        opened = _open(collection, stack)
        known = known_labels(opened, labels, column=column)
        wanted = np.isin(known.ids, opened.row_ids(passing_rows(opened, under=under, glob=glob, where=where)))
        able = known.counts[known.codes] > 1
        places = np.flatnonzero(wanted & able)
        show = stack.enter_context(progress_shown(progress))
        model = LabelModel(opened, known)
        names = _Names(opened, known)
        found: list[Suspect] = []
        for start in range(0, len(places), _BLOCK):
            some = places[start : start + _BLOCK]
            shares, near = model.guess_left_out(some)
            own = known.codes[some]
            for at, (place, code) in enumerate(zip(some.tolist(), own.tolist(), strict=True)):
                probability = float(shares[at, code])
                others = shares[at].copy()
                others[code] = -1.0
                likely = int(others.argmax())
                if others[likely] > probability and others[likely] >= least:
                    number = int(known.ids[place])
                    found.append(
                        Suspect(
                            path=opened.key_of(number),
                            id=number,
                            label=known.names[code],
                            probability=probability,
                            likely=known.names[likely],
                            likely_probability=float(others[likely]),
                            nearest=float(near.nearest[at]),
                            voters=names.voters(near, at),
                        )
                    )
            _tell(show, start + len(some), len(places))
        found.sort(key=lambda one: (one.probability, -one.likely_probability, one.id))
        return Suspects(
            items=tuple(found),
            names=known.names,
            labelled=len(known.ids),
            unknown=known.unknown,
            first_unknown=known.first_unknown,
            choice=model.choice,
            judged=len(places),
            alone=int((wanted & ~able).sum()),
            _root=os.fspath(opened.root),
            _directory=os.fspath(opened.directory),
        )


def _open(collection: Collection | str | os.PathLike[str], stack: ExitStack) -> Collection:
    if isinstance(collection, str | os.PathLike):
        collection = stack.enter_context(open_collection(collection))
    require_settled(collection.manifest, what="the vectors are of two spaces, so labels cannot be compared")
    return collection


def _tell(show: OnProgress | None, done: int, total: int) -> None:
    if show is not None:
        show(Progress(phase="labels", done=done, total=total))


class _Names:
    """The labelled images by name; each is looked up when it is first a voter."""

    def __init__(self, collection: Collection, known: KnownLabels) -> None:
        self._collection = collection
        self._known = known
        self._paths: dict[int, str] = {}

    def voters(self, near: Near, at: int) -> tuple[Voter, ...]:
        """Return the nearest labelled images of one image."""
        return tuple(
            self._voter(place, score)
            for place, score in zip(
                near.places[at, :_VOTERS].tolist(), near.cosines[at, :_VOTERS].tolist(), strict=True
            )
            if place >= 0
        )

    def _voter(self, place: int, score: float) -> Voter:
        number = int(self._known.ids[place])
        if place not in self._paths:
            self._paths[place] = self._collection.key_of(number)
        return Voter(
            path=self._paths[place],
            id=number,
            label=self._known.names[self._known.codes[place]],
            score=score,
        )
