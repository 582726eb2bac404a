"""Do short product codes find more when they are compared by L2 distance than by inner product, and at which cost?

    python benchmarks/queries/bench_short_codes.py [--rows 200000] [--dim 256] [--factories IVF1728,PQ8 ...]

Each factory string is built twice on the same rows, once for each metric, with the same training rows and seed. Queries ask
both for shortlists of several lengths in the same number of lists; each shortlist is reranked exactly. Then each is timed with
the shortest of its shortlists that reaches a recall@10 of 0.95: 100 queries one by one on one thread, alternating. The rows are
synthetic.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import synthetic
from benchmarks.frame import alternate, ratio, save, watch
from indexes.engine import Refined, exact, faiss, ivf, one_thread
from indexes.vectors import recall_at_k

SHORTLISTS = (20, 40, 80, 120, 160, 240, 320, 480, 640)
TARGET = 0.95
QUERIES = 500
NPROBE = 32


def built(factory: str, rows: np.ndarray[Any, Any], metric: int, nlist: int) -> Any:
    """Return a trained and filled index of either metric."""
    index = faiss().index_factory(rows.shape[1], factory, metric)
    sample = np.random.default_rng(0).choice(
        len(rows), min(len(rows), max(65_536, 20 * nlist)), replace=False
    )
    ivf.train(index, rows[np.sort(sample)].astype(np.float32))
    ivf.add(
        index,
        (
            (
                np.arange(start, min(start + 16_384, len(rows))),
                rows[start : start + 16_384].astype(np.float32),
            )
            for start in range(0, len(rows), 16_384)
        ),
    )
    return index


def main() -> None:
    """Run the benchmark and keep its results."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--rows", type=int, default=200_000)
    arguments.add_argument("--dim", type=int, default=256)
    arguments.add_argument("--factories", nargs="+", default=["IVF1728,PQ8"])
    arguments.add_argument("--repeats", type=int, default=7)
    arguments.add_argument("--save", default="short_codes")
    options = arguments.parse_args()
    recipe = synthetic.Recipe(rows=options.rows, dim=options.dim)
    rows = synthetic.vectors(recipe).astype(np.float16)
    queries = synthetic.queries(recipe, QUERIES)
    truth = exact(rows, queries, k=10).ids
    found: dict[str, Any] = {}
    with watch() as load:
        for factory in options.factories:
            nlist = int(factory.removeprefix("IVF").partition(",")[0])
            metrics = {"L2": faiss().METRIC_L2, "inner product": faiss().METRIC_INNER_PRODUCT}
            stages = {
                name: Refined(built(factory, rows, metric, nlist), rows) for name, metric in metrics.items()
            }
            recalls = {
                name: {
                    str(shortlist): recall_at_k(
                        stage.search(queries, k=10, nprobe=NPROBE, shortlist=shortlist).ids, truth
                    )
                    for shortlist in SHORTLISTS
                }
                for name, stage in stages.items()
            }

            reached = {
                name: next((int(s) for s, value in values.items() if value >= TARGET), SHORTLISTS[-1])
                for name, values in recalls.items()
            }

            def ask(stage: Refined, shortlist: int) -> None:
                with one_thread():
                    for query in queries[:100, np.newaxis]:
                        stage.search(query, k=10, nprobe=NPROBE, shortlist=shortlist)

            times = alternate(
                {name: partial(ask, stage, reached[name]) for name, stage in stages.items()},
                repeats=options.repeats,
            )
            slower = ratio(times["inner product"], times["L2"])
            found[factory] = {
                "recall_at_10": recalls,
                "shortlist": reached,
                "times": times,
                "inner product over L2": slower,
            }
            for name, values in recalls.items():
                line = "  ".join(f"{length}: {value:.3f}" for length, value in values.items())
                print(f"{factory} {name:14} recall@10 by shortlist  {line}", flush=True)
            print(
                f"{factory} at {reached}: time of inner product over L2 {slower.median:.2f} ({slower.min:.2f}-{slower.max:.2f})"
            )
    parameters = {"rows": options.rows, "dim": options.dim, "queries": QUERIES, "nprobe": NPROBE}
    save(options.save, load=load, parameters=parameters, factories=found)


if __name__ == "__main__":
    main()
