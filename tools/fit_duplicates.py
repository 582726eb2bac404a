"""Measure from which cosine pictures are compared, and which hashes are one picture's, for ``retrieve duplicates``.

    python -m tools.fit_duplicates --data DIR [--photographs 300]

Three altered copies of each photograph lie among eight times as many others. Photographs that `tools/fit_matching` was fitted on, and
those that nano was trained on, are left out. What is measured is written to ``retrieval/curation/duplicates/pairs/calibration.json``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import retrieval
from retrieval.curation.duplicates.images import distance, picture_hash
from retrieval.curation.duplicates.pairs import calibration_file
from retrieval.matching import Features, compare, features
from tools.fit_matching.alterations import PLAIN
from tools.fit_matching.pairs import is_for_fitting, opened

OTHERS = 8  # times as many
NEAREST = 15  # as `retrieve duplicates` compares
KEPT = 0.005  # share of copies that lie below the cosine
PIXELS = 0.97  # chosen, not measured: equal pixels have cosine 1, but for the rounding of stored vectors
DOUBLES = 0.9  # cosine from which photographs may be one, in the data itself
PRECISION = 0.999  # of the hashes
COMPARED = 60  # photographs by their geometry
ALTERATIONS = 3
SEED = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photographs", type=int, default=300)
    options = parser.parse_args()
    target = calibration_file()
    facts = json.loads(target.read_text())
    facts |= measured(options.data, options.photographs)
    target.write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps(facts, indent=1))


def measured(data: Path, number: int) -> dict[str, Any]:
    """Measure cosines, hashes and geometry of copies among others."""
    from tools.train_nano.inputs.data import list_photos

    rng = np.random.default_rng(SEED)
    free = [p.file for p in list_photos(data) if p.split != "train" and not is_for_fitting(p.file)]
    names = [free[place] for place in rng.permutation(len(free))[: number * (1 + OTHERS)]]
    copies, originals = [], []
    for place, name in enumerate(names[:number]):
        for way in rng.choice(list(PLAIN), ALTERATIONS, replace=False):
            copies.append(PLAIN[str(way)](opened(data, name), rng))
            originals.append(place)
    of = np.array(originals)
    gallery, asked = _described(opened(data, name) for name in names), _described(copies)
    cosines = asked.rows @ gallery.rows.T  # (copies, gallery)
    own = cosines[np.arange(len(of)), of]
    picture = round(float(np.floor(np.quantile(own, KEPT) * 20) / 20), 2)
    hashes = _hash_limit(cosines, of, asked.hashes, gallery)
    first = [place for place in range(len(of)) if of[place] < COMPARED]
    known = {place: features(opened(data, names[place])) for place in range(min(COMPARED, number))}
    found = [_is_found(features(copies[place]), known[of[place]], own[place] >= picture) for place in first]
    return {
        "made_by": f"python -m tools.fit_duplicates --photographs {number}: {len(of):,} copies of {number} photographs, "
        f"{ALTERATIONS} of nine alterations each, among {len(names) - number:,} others; the recall by geometry of {len(first)} copies",
        "spaces": {"other": {"picture": picture, "pixels": PIXELS}},
        "hash": [hashes],
        "recall": {"geometry": round(float(np.mean(found)), 2)},
    }


def _is_found(copy: Features, original: Features, is_likely: bool) -> bool:
    return is_likely and compare(copy, original).verified


class _Described:
    """Vectors by nano and hashes of pictures."""

    def __init__(self, rows: NDArray[np.float32], hashes: list[bytes]) -> None:
        self.rows, self.hashes = rows, hashes


def _described(pictures: Any) -> _Described:
    encoder = retrieval.load_encoder("nano")
    rows, hashes, batch = [], [], []
    for picture in pictures:
        hashes.append(picture_hash(picture))
        batch.append(encoder.preprocess(picture))
        if len(batch) == 32:
            rows.append(encoder.encode_pixels(np.stack(batch)))
            batch = []
    if batch:
        rows.append(encoder.encode_pixels(np.stack(batch)))
    return _Described(np.concatenate(rows), hashes)


def _hash_limit(
    cosines: NDArray[np.float32], of: NDArray[np.int64], asked: Sequence[bytes], gallery: _Described
) -> dict[str, float]:
    """Return the share of bits up to which pairs among the likest hold the precision, and the copies that it finds.

    Photographs that are doubles of the original are neither right nor wrong.
    """
    shares, right = [], []
    for copy, row in enumerate(cosines):
        doubles = gallery.rows @ gallery.rows[of[copy]] >= DOUBLES
        for other in np.argpartition(-row, NEAREST)[:NEAREST]:
            if doubles[other] and other != of[copy]:
                continue
            shares.append(distance(asked[copy], gallery.hashes[other])[0])
            right.append(other == of[copy])
    order = np.argsort(shares, kind="stable")
    correct = np.cumsum(np.array(right)[order])
    held = np.flatnonzero(correct / np.arange(1, len(order) + 1) >= PRECISION)
    last = int(held[-1]) if len(held) else 0
    bits = np.floor(shares[order[last]] * 100) / 100
    found = sum(share <= bits and same for share, same in zip(shares, right, strict=True))
    return {"precision": PRECISION, "bits": round(float(bits), 2), "recall": round(found / len(of), 2)}


if __name__ == "__main__":
    main()
