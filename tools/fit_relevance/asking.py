"""Ask for each thing once where it is and once where it is not, by its name and by a photograph of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.relevance import FEWEST, Background, Trial, trial
from retrieval.encoders.families.nano import NanoEncoder
from tools.fit_relevance.concepts import DOMAINS, SHOWN_UNSAID, may_show, mentions
from tools.fit_relevance.photographs import Photographs

KINDS = ("words", "images")
ROUNDS = 400
FEWEST_ROUNDS = 3
ROWS = 5
"""Photographs that a thing has at least to be asked for."""
FEW = (2, 3, 5, 10)
SHARES = (1.0, 0.5, 0.2)
PHRASES = ("a {}", "a photo of a {}", "the {}", "{} picture")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One trial, and how it came about.

    Attributes:
        trial: the query and what it found.
        domain: what was asked for is of this domain.
        kind: ``words`` or ``images``.
        covered: the background has photographs of the domain's sets.
        whole: all photographs of the domain were searched, and at least ten show what was asked for.
    """

    trial: Trial
    domain: str
    kind: str
    covered: bool
    whole: bool


def ask(photographs: Photographs, encoder: NanoEncoder, *, seed: int) -> Iterator[Asked]:
    """Yield the trials of all domains, a present one and an absent one by turns; each with and without the domain in the background."""
    numbers = np.random.default_rng(seed)
    sets = np.array([photo.group for photo in photographs.photos])
    said = [" ".join(photo.sentences).lower() for photo in photographs.photos]
    whole = Background(photographs.background)
    for domain, groups in DOMAINS.items():
        outside = Background(photographs.background[~np.isin(photographs.background_sets, groups)])
        names, counts = np.unique(photographs.names[np.isin(sets, groups)], return_counts=True)
        things = [(str(n), int(c)) for n, c in zip(names, counts, strict=True) if n and c >= ROWS]
        for name, count in things:
            silent = np.array([bool(words) and not mentions(name, words) for words in said])
            for round_ in range(max(FEWEST_ROUNDS, ROUNDS // len(things))):
                present = _rows(photographs, sets, silent, name, groups, round_, numbers)
                words = name if round_ % 2 == 0 else str(numbers.choice(PHRASES)).format(name)
                own = np.flatnonzero(present & (photographs.names == name))
                for kind in KINDS:
                    hidden = int(numbers.choice(own)) if kind == "images" else -1
                    if kind == "images" and len(own) < 3:
                        continue
                    query = (
                        encoder.encode_text([words])[0] if kind == "words" else photographs.vectors[hidden]
                    )
                    for rows in (present, present & (photographs.names != name)):
                        ids = np.flatnonzero(rows)
                        ids = ids[ids != hidden]
                        if len(ids) < FEWEST:
                            continue
                        for background in (whole, outside):
                            made = trial(query, photographs.vectors[ids], photographs.names[ids] == name, background, name=f"{domain}/{name}")  # fmt: skip
                            yield Asked(trial=made, domain=domain, kind=kind, covered=background is whole, whole=round_ == 0 and count >= 10)  # fmt: skip


def _rows(
    photographs: Photographs,
    sets: NDArray[np.str_],
    silent: NDArray[np.bool_],
    name: str,
    groups: tuple[str, ...],
    round_: int,
    numbers: np.random.Generator,
) -> NDArray[np.bool_]:
    """Choose what is searched: everything of the domain at first, then some sets, a share of them, few of what is asked for.

    Photographs whose sentences are silent about it are there besides.
    """
    wanted: NDArray[np.bool_] = photographs.names == name
    has = sorted({str(one) for one in sets[wanted]} & set(groups))
    some = {str(one) for one in numbers.permutation(has)[: 1 + numbers.integers(len(has))]}
    some |= {one for one in groups if round_ == 0 or (one not in has and numbers.random() < 0.5)}
    rows: NDArray[np.bool_] = np.isin(sets, sorted(some)) & (photographs.names != "")
    rows &= ~np.isin(photographs.names, sorted(may_show(name)))
    if not set(has) & SHOWN_UNSAID and (round_ == 0 or numbers.random() < 0.6):
        rows |= silent
    share = 1.0 if round_ == 0 else float(numbers.choice(SHARES))
    rows &= (numbers.random(len(rows)) < share) | wanted
    if round_ > 0 and numbers.random() < 0.5:
        own = np.flatnonzero(rows & wanted)
        rows[own] = False
        rows[numbers.permutation(own)[: int(numbers.choice(FEW))]] = True
    return rows
