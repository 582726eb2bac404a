"""What does a condition over columns cost, and what does a search lose that finds only rows which fulfil it?

    python benchmarks/queries/bench_where.py [--rows 1000000] [--dim 64] [--kind ivfrabitq] [--queries 50] [--repeats 5]

filter   time to find the rows for which a condition holds, over the mapped table of a generation: a number, a time, a text that
         comes again and again, a caption of each row, and all together. Each is asked anew.
search   a query at a time among all rows, and among the 1 % that fulfil a condition, its rows already found: the index's recall@10
         against exact search among the same rows, and time over that of the search among all rows, within rounds.

The vectors are made (`benchmarks.synthetic`). With ``--kind flat`` there is no index, and only conditions are measured.

Expected: at most 50 ms a condition; recall 0.95 and at most ten times the time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

import retrieval
from benchmarks.frame import alternate, ratio, save, spread, watch
from benchmarks.synthetic import Recipe, blocks, queries
from indexes.derivation import derive
from indexes.store import NewRow, VectorStore, WriterLock
from indexes.vectors import Space
from retrieval.columns import ColumnsFile, pack, summary

BLOCK = 10_000
BEGIN = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)
WORDS = [
    "red",
    "bus",
    "snow",
    "night",
    "dog",
    "cat",
    "sea",
    "hill",
    "tree",
    "boat",
    "rain",
    "road",
    "child",
    "cup",
    "lamp",
    "wall",
]
CONDITIONS = {
    "number": "width >= 5940",
    "time": "taken >= '2031-01-01' AND taken < '2031-05-01'",
    "text": "camera = 'Canon EOS 7'",
    "caption": "caption LIKE '%snow red%'",
    "all": "width > 3000 AND taken >= '2015-06-01' AND camera LIKE 'Canon%' AND caption LIKE '%bus%'",
}
ONE_PERCENT = CONDITIONS["number"]


def columns_of(rng: np.random.Generator, count: int) -> list[bytes]:
    """Return packed columns of some rows, such as photographs with captions have."""
    widths, heights = rng.integers(0, 6000, count), rng.integers(0, 4000, count)
    days, makes = rng.integers(0, 12_000, count), rng.integers(0, 100, count)
    places, words = rng.random((count, 2)), rng.integers(0, len(WORDS), (count, 6))
    return [
        pack(
            {
                "bytes": int(width * height),
                "camera": f"Canon EOS {make}" if make % 2 else f"NIKON D{make}",
                "height": int(height),
                "latitude": float(place[0]),
                "longitude": float(place[1]),
                "taken": (BEGIN + timedelta(days=int(day))).isoformat(),
                "width": int(width),
            },
            {"caption": " ".join(WORDS[word] for word in said)},
        )
        for width, height, day, make, place, said in zip(
            widths, heights, days, makes, places, words, strict=True
        )
    ]


def make(folder: Path, recipe: Recipe, *, kind: str) -> float:
    """Make a collection, and return the seconds that its table of columns took."""
    rng = np.random.default_rng(recipe.seed)
    folder.mkdir()
    with (
        WriterLock(folder) as lock,
        VectorStore.create(folder, dim=recipe.dim, lock=lock) as store,
    ):
        for block in blocks(recipe, rows=BLOCK):
            first = store.count + store.pending
            columns = columns_of(rng, len(block))
            store.append(
                block,
                [NewRow(key=b"%d" % (first + at), columns=data) for at, data in enumerate(columns)],
            )
            if store.pending >= 10 * BLOCK:
                store.commit()
        store.commit()
        space = Space(name="made", dim=recipe.dim, fingerprint="0" * 64)
        known = summary(store, None, headers=0)
        began = time.perf_counter()
        derive(folder, store, space=space, encoder=None, kind=kind, columns=known)
        without = time.perf_counter() - began
        began = time.perf_counter()
        derive(folder, store, space=space, encoder=None, columns=known, derived=[ColumnsFile(known)])
        taken = time.perf_counter() - began
    print(f"index {without:.0f} s, table of columns {taken:.1f} s")
    return taken


def measure(rows: int, dim: int, kind: str, count: int, repeats: int) -> dict[str, Any]:
    """Return what was measured."""
    recipe = Recipe(rows=rows, dim=dim)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "made"
        table_seconds = make(folder, recipe, kind=kind)
        with retrieval.open(folder) as collection:
            found = collection._opened.columns  # noqa: SLF001 - what `where` calls, without its memory of answers
            began = time.perf_counter()
            found._ask(ONE_PERCENT)  # noqa: SLF001
            first = time.perf_counter() - began
            filters = {}
            for name, condition in CONDITIONS.items():
                times = alternate({name: lambda: found._ask(condition)}, repeats=repeats)[name]  # noqa: B023, SLF001
                kept = len(found._ask(condition)) / rows  # noqa: SLF001
                filters[name] = {"condition": condition, "kept": round(kept, 5), "seconds": times}
            search = {} if kind == "flat" else searched(collection, queries(recipe, count), repeats)
            size = sum(path.stat().st_size for path in folder.glob("generations/*/columns.arrow"))
    return {
        "table": {"seconds": round(table_seconds, 2), "bytes": size},
        "first_seconds": round(first, 4),
        "filter": filters,
        "search": search,
    }


def searched(collection: retrieval.Collection, asked: np.ndarray[Any, Any], repeats: int) -> dict[str, Any]:
    """Return what searches among the rows that fulfil a condition find and cost, beside those among all rows."""
    mask = collection.mask(where=ONE_PERCENT)

    def each(**options: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.stack([collection.search_vectors(query, k=10, **options).ids[0] for query in asked])

    exact, fast = each(mask=mask, exact=True), each(where=ONE_PERCENT)
    recall = np.mean([len(set(one) & set(two)) / 10 for one, two in zip(exact, fast, strict=True)])
    times = alternate(
        {"all": each, "where": lambda: each(where=ONE_PERCENT), "mask": lambda: each(mask=mask)},
        repeats=repeats,
    )
    return {
        "kept": float(mask.mean()),
        "recall_at_10": float(recall),
        "seconds_a_query": {
            name: spread([one / len(asked) for one in of.values]) for name, of in times.items()
        },
        "where_over_all": ratio(times["where"], times["all"]),
        "mask_over_all": ratio(times["mask"], times["all"]),
    }


def main() -> None:
    """Run the benchmark and keep its results."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--dim", type=int, default=64)
    arguments.add_argument("--kind", default="ivfrabitq")
    arguments.add_argument("--queries", type=int, default=50)
    arguments.add_argument("--repeats", type=int, default=5)
    options = arguments.parse_args()
    with watch() as load:
        facts = measure(options.rows, options.dim, options.kind, options.queries, options.repeats)
    print(json.dumps(facts, default=str, indent=2))
    save("where", load=load, parameters=vars(options), **facts)


if __name__ == "__main__":
    main()
