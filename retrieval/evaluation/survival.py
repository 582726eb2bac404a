"""Measure whether altered copies are still found, before and after activation.

Each is measured by the first stage's codes alone, probing one list, nothing reranked (the setting of the publication,
arXiv 2210.10620), and as served: reranked, with the settings that the build measured.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.engine import ThreadPool
from indexes.vectors import Neighbors, micro_ap
from retrieval.collection import activations
from retrieval.embedding import cores
from retrieval.encoders import checked_pixels
from retrieval.errors import ImageError, OptionError
from retrieval.evaluation.attacks import CURRENT, LISTS, attack
from retrieval.progress import OnProgress, Progress
from retrieval.sources.decoding import content_hash, decode, read_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PIL.Image import Image

    from indexes.vectors import Bitmap, Vectors
    from retrieval.collection import Collection
    from retrieval.encoders import Encoder

IMAGES = 500
NPROBE = 1  # of codes only
POINT = 0.01
_SEED = 20_221
_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One image of the collection.

    Attributes:
        ids: its row, and those of exact copies: finding any of them is right.
        original: its file.
        copy: its activated copy's file; None where there is none that still holds.
    """

    ids: frozenset[int]
    original: Path
    copy: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One measure under one attack.

    Attributes:
        attack: its name in the list.
        stage: ``codes`` (the first stage alone, one list probed), ``served``, or ``verified`` (as served, then checked).
        measure: ``recall_at_1`` or ``micro_ap``.
        original: of the originals' altered copies.
        activated: of the activated copies'; None where there are none.
        exact: of the originals' by exact search: what no index can pass by much.
        images: how many.
    """

    attack: str
    stage: str
    measure: str
    original: float
    activated: float | None
    exact: float
    images: int

    def to_json(self) -> dict[str, Any]:
        """Return the fields, and ``passive`` and ``active``, which `original` and `activated` were called before."""
        return asdict(self) | {"passive": self.original, "active": self.activated}


def pairs(collection: Collection, *, most: int = IMAGES) -> list[Pair]:
    """Return the images to measure: those whose activated copies still hold, or else a sample of stored ones.

    Raises:
        OptionError: no image of the collection can be read.
        StoreCorrupt: a list of activated images cannot be read.
    """
    found: dict[bytes, Pair] = {}
    for run in activations.activations(collection):
        if run["void"] is not None:
            continue
        for original, copy, entry in activations.entries(collection, run):
            content = bytes.fromhex(entry.content)
            ids = frozenset(collection.ids_of_content(content).tolist())
            held = activations.is_there(copy, bytes.fromhex(entry.output_content))
            if ids and held and activations.is_there(original, content):
                found[content] = Pair(ids=ids, original=original, copy=copy)
    chosen = list(found.values())[:most]
    if chosen:
        return chosen
    paths = sorted(collection.keys())
    source = collection.source
    for number in np.random.default_rng(_SEED).permutation(len(paths)):
        path = paths[int(number)]
        file = Path(source.link(os.fsencode(path)))
        try:
            content = content_hash(read_file(file))
        except ImageError:
            continue
        same = frozenset({collection.id_of(path), *collection.ids_of_content(content).tolist()})
        chosen.append(Pair(ids=same, original=file, copy=None))
        if len(chosen) == most:
            break
    if not chosen:
        raise OptionError(
            f"no image of the collection can be read below {source.name}; mount its drive, or, if the images moved, "
            "run `build_index(…, root=…)` where they are, or open the collection with a root"
        )
    return chosen


def measure(
    collection: Collection,
    *,
    names: Sequence[str] = (),
    of: str = CURRENT,
    verify: bool | int = False,
    device: str = "auto",
    progress: OnProgress | None = None,
) -> list[dict[str, Any]]:
    """Return what ``retrieve evaluate --attacks --json`` prints, one object for each attack, stage and measure.

    Args:
        collection: an open one.
        names: attacks of the list; all where none is named.
        of: the list.
        verify: compare the first 50 hits, or so many, with the copy, pixel by pixel; the first verified one then comes first.
        device: where copies are encoded.
        progress: called after each attack.
    """
    names = names or tuple(LISTS[of])
    check = None
    if verify is not False:
        from retrieval.evaluation.copy_detection import DEPTH, FirstVerified

        check = FirstVerified(collection, depth=DEPTH if verify is True else max(1, int(verify)))
    encoder = collection.encoder_on(device)
    chosen = pairs(collection)
    outcomes: list[Outcome] = []
    for number, name in enumerate(names):
        original = attacked(encoder, [pair.original for pair in chosen], name, of=of)
        complete = all(pair.copy is not None for pair in chosen)
        copies = [pair.copy for pair in chosen if pair.copy is not None]
        activated = attacked(encoder, copies, name, of=of) if complete else None
        right = [pair.ids for pair in chosen]
        outcomes += _compare(collection, name, right, original, activated)
        if check is not None:
            before = check([pair.original for pair in chosen], original, name=name, of=of)
            after = None if activated is None else check(copies, activated, name=name, of=of)
            outcomes += _outcomes(name, "verified", right, before, after, exact=_exact_of(outcomes, name))
        if progress is not None:
            progress(Progress(phase="attacks", done=number + 1, total=len(names)))
    return [outcome.to_json() for outcome in outcomes]


def attacked(
    encoder: Encoder,
    files: Sequence[Path],
    name: str,
    *,
    of: str = CURRENT,
    then: Callable[[Image], Image] | None = None,
) -> Vectors:
    """Return the vectors of altered copies of files: ``(n, d)``, in order.

    Args:
        encoder: of the collection.
        files: images.
        name: the attack; the n-th file always gets the same random choices.
        of: the list that it is of.
        then: what is done to each file's image before the attack, such as compressing it again.
    """

    def altered(item: tuple[int, Path]) -> Any:
        number, file = item
        image = decode(file)
        return encoder.preprocess(attack(name, image if then is None else then(image), seed=number, of=of))

    rows = []
    with ThreadPool(cores()) as pool:
        numbered = list(enumerate(files))
        for start in range(0, len(numbered), _BATCH):
            arrays = list(pool.map(altered, numbered[start : start + _BATCH]))
            rows.append(checked_pixels(encoder, np.stack(arrays)))
    return np.concatenate(rows)


def _compare(
    collection: Collection,
    name: str,
    right: Sequence[frozenset[int]],
    original: Vectors,
    activated: Vectors | None,
) -> list[Outcome]:
    exact = scores(collection.search_vectors(original, k=1, exact=True), right)
    stages: dict[str, Callable[[Vectors], Neighbors]] = {
        "served": lambda vectors: collection.search_vectors(vectors, k=1)
    }
    if collection.manifest.index.kind != "flat":
        stages = {"codes": lambda vectors: collection.search_codes(vectors, k=1, nprobe=NPROBE), **stages}
    outcomes = []
    for stage, search in stages.items():
        after = None if activated is None else search(activated)
        outcomes += _outcomes(name, stage, right, search(original), after, exact=exact)
    return outcomes


def _exact_of(outcomes: Sequence[Outcome], name: str) -> dict[str, float]:
    return {outcome.measure: outcome.exact for outcome in outcomes if outcome.attack == name}


def _outcomes(
    name: str,
    stage: str,
    right: Sequence[frozenset[int]],
    original: Neighbors,
    activated: Neighbors | None,
    *,
    exact: dict[str, float],
) -> list[Outcome]:
    """Measure first hits of one stage."""
    before = scores(original, right)
    after = None if activated is None else scores(activated, right)
    return [
        Outcome(
            attack=name,
            stage=stage,
            measure=measure,
            original=before[measure],
            activated=None if after is None else after[measure],
            exact=exact[measure],
            images=len(right),
        )
        for measure in before
    ]


def scores(found: Neighbors, right: Sequence[frozenset[int]]) -> dict[str, float]:
    """Return recall@1 and micro-AP of first hits: ``(q, 1)`` neighbours, and which rows would be right for each query."""
    first = found.ids[:, 0]
    correct: Bitmap = np.array(
        [int(row) in ids for row, ids in zip(first, right, strict=True)], dtype=np.bool_
    )
    held = first >= 0
    return {
        "recall_at_1": round(float(correct.mean()), 4),
        "micro_ap": round(micro_ap(correct[held], found.scores[held, 0], positives=len(right)), 4),
    }


def little_to_gain(outcomes: Sequence[dict[str, Any]], stage: str) -> bool:
    """Say whether the originals' recall@1, averaged over attacks, is within a point of exact search."""
    rows = [row for row in outcomes if row["stage"] == stage and row["measure"] == "recall_at_1"]
    return bool(rows) and sum(row["exact"] - row["original"] for row in rows) <= POINT * len(rows)
