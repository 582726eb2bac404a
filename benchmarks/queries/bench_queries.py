"""How fast is a batch of image files asked, beside a build over such files, and what do a few ids cost among a million rows?

    RETRIEVAL_DATA=… python benchmarks/queries/bench_queries.py [--repeats 7] [--data FOLDER] [--built 1000] [--asked 200]

A build takes in photographs that it has never seen, a batch asks with others that are not indexed, with the same encoder
(nano, loaded once), alternating. Rates are photographs a second; "one by one" asks the batch's files in a loop. The filters
search a million random rows of 64 dimensions, exactly, from one query: all of them, and ten by their ids or by flags.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

import retrieval
from benchmarks.frame import alternate, ratio, save, spread, watch

ROWS = 1_000_000
DIM = 64
FEW = 10
CALLS = 20


def batch(data: Path, *, built: int, asked: int, repeats: int) -> dict[str, Any]:
    """Ask with files that are not indexed, and build over others."""
    files = sorted(data.glob("**/*.webp"))
    drawn = np.random.default_rng(0).permutation(len(files))[: built + asked]
    encoder = retrieval.load_encoder("nano")
    numbers = count()
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        for place, number in enumerate(drawn.tolist()):
            folder = home / ("built" if place < built else "asked")
            folder.mkdir(exist_ok=True)
            shutil.copy(files[number], folder / f"{place:05}.webp")
        strangers = sorted((home / "asked").iterdir())

        def build() -> None:
            retrieval.build_index(home / "built", index=home / f"index{next(numbers)}", encoder=encoder)

        build()
        with retrieval.open(home / "index0", encoder=encoder) as photos:

            def ask() -> None:
                answers = photos.search(strangers)
                assert all(len(hits) == 10 for hits in answers)

            def ask_one_by_one() -> None:
                for stranger in strangers:
                    photos.search(stranger)

            times = alternate(
                {"build": build, "batch": ask, "one by one": ask_one_by_one}, repeats=repeats, warmup=1
            )
    share = asked / built
    return {
        "times": times,
        "ratios": {
            "rate of a batch over that of a build": spread(
                [share * value for value in ratio(times["build"], times["batch"]).values]
            ),
            "rate of a batch over that of one by one": ratio(times["one by one"], times["batch"]),
        },
    }


def filters(*, repeats: int) -> dict[str, Any]:
    """Search for the nearest of ten rows among a million."""
    draws = np.random.default_rng(0)
    rows = draws.standard_normal((ROWS, DIM), dtype=np.float32)
    with tempfile.TemporaryDirectory() as temporary:
        retrieval.sync_vectors(temporary, rows, [str(number) for number in range(ROWS)], kind="flat")
        with retrieval.open(temporary) as collection:
            query = rows[5]
            few = np.sort(draws.choice(ROWS, FEW, replace=False))
            mask = collection.mask(ids=few)

            def repeated(**given: Any) -> Any:
                def search() -> None:
                    for _ in range(CALLS):
                        collection.search_vectors(query, k=FEW, **given)

                return search

            times = alternate(
                {
                    "all rows": repeated(),
                    "ten ids": repeated(ids=few),
                    "flags of ten": repeated(mask=mask),
                },
                repeats=repeats,
            )
    return {
        "times": times,
        "ratios": {
            "all rows over ten ids": ratio(times["all rows"], times["ten ids"]),
            "flags of ten rows over ten ids": ratio(times["flags of ten"], times["ten ids"]),
        },
    }


def main() -> None:
    """Run the benchmark and keep its results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = os.environ.get("RETRIEVAL_DATA")
    parser.add_argument("--data", type=Path, default=None if data is None else Path(data) / "images")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--built", type=int, default=1000)
    parser.add_argument("--asked", type=int, default=200)
    options = parser.parse_args()
    if options.data is None:
        parser.error("name a folder of photographs with --data, or RETRIEVAL_DATA")
    with watch() as load:
        parts = {
            "batch": batch(options.data, built=options.built, asked=options.asked, repeats=options.repeats),
            "filters": filters(repeats=options.repeats),
        }
    for name, part in parts.items():
        for what, found in part["ratios"].items():
            print(f"{name}: {what} {found.median:.2f} ({found.min:.2f} to {found.max:.2f})")
    save(
        "queries",
        load=load,
        parameters={
            "built": options.built,
            "asked": options.asked,
            "rows": ROWS,
            "dim": DIM,
            "few": FEW,
            "calls": CALLS,
        },
        parts=parts,
    )


if __name__ == "__main__":
    main()
