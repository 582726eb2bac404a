"""Look for what a part of the query's picture shows, as a picture that was pasted into it, and for pictures that show it small.

A collage has another vector than the pictures in it, but its parts have theirs. A view of a collage shows a pasted picture and
some of what is around it: the picture that is asked with is looked for so, too, set into its own blurred colours. This is for collections with views, where the
check has found nothing else: what the parts find is shown only if it is likely a part.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from indexes.engine import ThreadPool, allowed_cores
from retrieval.collection.answers import Hits, find_hits, with_rank, with_verdict
from retrieval.collection.queries import RowFilter, as_query, encode_queries
from retrieval.collection.verdicts.verification import verdict_of
from retrieval.errors import ImageError, RetrievalError
from retrieval.views import cut, windows

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

    from indexes.vectors import Vectors
    from retrieval.collection.answers import Hit
    from retrieval.collection.queries import QueryEncoders
    from retrieval.collection.snapshots import Opened
    from retrieval.matching import Features, Verdict
    from retrieval.views import Box

PARTS: Final = 25
"""Parts that the query's picture is cut into; of pictures pasted at a quarter of its side they find more than nine do."""


WHOLE: Final = (0.0, 0.0, 1.0, 1.0)
_SMALL: Final = 0.62
"""Side of the picture that is set in, as a share of what is around it. A quarter of a collage's side is that of a window of 0.4."""
_SOFT: Final = 1 / 30
"""Deviation of the blur of what is around it, as a share of the longer side."""


def with_parts(
    hits: Hits,
    picture: Image,
    query: Vectors,
    *,
    opened: Opened,
    encoders: QueryEncoders,
    root: Path,
    most: int,
    k: int,
    hidden: frozenset[int],
    keep: RowFilter | None,
    fold: bool,
    min_score: float | None,
    options: dict[str, Any],
) -> Hits:
    """Put images before the others that are, surely or likely, parts of the picture that was asked with.

    Args:
        hits: that were checked, none of which is likely the picture.
        picture: what was asked with.
        query: ``(1, d)`` its vector, for the scores.
        opened: what is searched.
        encoders: of the parts.
        root: the folder that paths are relative to.
        most: how many images are checked besides for the parts, and half as many for the picture set small.
        k: how many hits are returned.
        hidden, keep, fold, min_score, options: as `find_hits` has them.
    """
    boxes = windows(PARTS)
    pictures = [*(cut(picture, box) for box in boxes), set_small(picture)]
    encoded = encode_queries([as_query(one) for one in pictures], opened, encoders, root=root)
    parts = [
        (box, one.vector)
        for box, one in zip((*boxes, WHOLE), encoded, strict=True)
        if not isinstance(one, RetrievalError)
    ]
    if not parts:
        return hits
    near = opened.neighbors(
        np.concatenate([vector for _, vector in parts]), words=False, keep=keep, k=most, **options
    )
    cut_from = len(parts) - (parts[-1][0] == WHOLE)
    boxes = [box for box, _ in parts]
    answered: dict[int, Hit] = {}
    if cut_from < len(parts) and most > 1:  # views of others are searched, too
        near_small = find_hits(
            opened, parts[-1][1], k=most // 2, words=False, hidden=hidden, keep=keep, fold=fold, root=os.fspath(root),
            min_score=None, **options,
        )  # fmt: skip
        answered = {hit.id: hit for hit in near_small}
    found = dict.fromkeys(answered, WHOLE)
    found |= _best(near.ids[:cut_from], near.scores[:cut_from], boxes[:cut_from], hidden=hidden, most=most)
    among = RowFilter(opened.manifest.count, ids=np.array(sorted(found), dtype=np.int64))
    candidates = find_hits(
        opened,
        query,
        k=max(len(found), 1),
        words=False,
        hidden=hidden,
        keep=among,
        fold=fold,
        root=os.fspath(root),
        min_score=min_score,
    )
    verified = _verified(candidates, found, answered, picture)
    shown = {hit.id for hit, _ in verified}
    first = [
        with_verdict(hit, verdict, rank=rank) for rank, (hit, verdict) in enumerate(verified[:k], start=1)
    ]
    rest = [hit for hit in hits if hit.id not in shown][: k - len(first)]
    return Hits(
        [*first, *(with_rank(hit, rank) for rank, hit in enumerate(rest, start=len(first) + 1))],
        query=hits.query,
        searched=hits.searched,
        unknown_words=hits.unknown_words,
        read_as=hits.read_as,
        checked=(hits.checked or 0) + len(candidates),
    )


def set_small(picture: Image) -> Image:
    """Return the picture as a view of a collage may show it: small, in the middle of other things.

    What is around it are its own colours, turned upside down and blurred. Of 50 collages that show a picture at a quarter of
    their side, 35 were so among the first 50 of 10,000, and 26 by the picture itself; with one even colour around it 32.
    """
    from PIL import Image, ImageFilter

    width, height = (max(1, round(side / _SMALL)) for side in picture.size)
    around = picture.convert("RGB").transpose(Image.Transpose.ROTATE_180).resize((width, height))
    around = around.filter(ImageFilter.GaussianBlur(max(width, height) * _SOFT))
    around.paste(picture.convert("RGB"), ((width - picture.width) // 2, (height - picture.height) // 2))
    return around


def _best(ids: Any, scores: Any, boxes: list[Box], *, hidden: frozenset[int], most: int) -> dict[int, Box]:
    """Return the images that are nearest to any part, and to which."""
    part, place = np.divmod(np.argsort(-scores, axis=None, kind="stable"), ids.shape[1])
    found: dict[int, Box] = {}
    for number, row in zip(part.tolist(), ids[part, place].tolist(), strict=True):
        if len(found) >= most:
            break
        if row >= 0 and row not in hidden:
            found.setdefault(row, boxes[number])
    return found


def _verified(
    hits: list[Hit], found: dict[int, Box], answered: dict[int, Hit], picture: Image
) -> list[tuple[Hit, Verdict]]:
    """Compare each image with the part of the picture that it is near to; return those that verify, then likely ones."""
    from retrieval.matching import compare, features

    @cache
    def described(box: Box) -> Features:
        return features(cut(picture, box))

    def check(hit: Hit) -> Verdict | None:
        box = found[hit.id]
        if box != WHOLE:
            try:
                verdict = compare(described(box), features(hit.open()))
            except ImageError:  # deleted since the last build, or damaged
                return None
            if verdict.relation == "picture":
                return replace(verdict, outline=_whole(verdict.outline, box))
        whole = verdict_of(described(WHOLE), answered[hit.id], None) if hit.id in answered else None
        return whole if whole is not None and whole.relation == "picture" else None

    with ThreadPool(max_workers=allowed_cores()) as pool:
        verdicts = list(pool.map(check, hits))
    likely = [(hit, verdict) for hit, verdict in zip(hits, verdicts, strict=True) if verdict is not None]
    return sorted(likely, key=lambda one: not one[1].verified)


def _whole(outline: Any, box: Box) -> Any:
    """Return the corners of the whole picture where those of a part of it are known."""
    x, y, width, height = box
    square = np.array([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
    moved, *_ = np.linalg.lstsq(np.c_[square, np.ones(4)], np.array(outline), rcond=None)  # (3, 2)
    corners = (square - (x, y)) / (width, height)
    points = np.c_[corners, np.ones(4)] @ moved  # (4, 2)
    return tuple((round(float(across), 4), round(float(down), 4)) for across, down in points)
