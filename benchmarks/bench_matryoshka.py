"""What do short prefixes keep, alone, before reranking, and as the part of a vector that codes are spent on?

    python -m benchmarks.bench_matryoshka --data DIR [--prepared DIR] [--parts accuracy,heads,funnel,codes] [--small]

accuracy  1-NN accuracy (leave one out, among held-out photographs) at 16 to 256 dimensions: towers of nano's architecture
          trained here with and without nesting (`benchmarks.matryoshka.towers`), three times each; the one without cut by PCA, by
          a learned rotation, naively, and at random dimensions; towers trained for one width each; shipped nano. Training
          from pixels is short here.
heads     the same contenders as heads on frozen features, trained for up to 24 epochs (`benchmarks.matryoshka.heads`), at 8 to 256
          dimensions and on fewer classes: held-out photographs of the trained classes, as in the paper, and other classes.
funnel    a collection of 500,000 or more vectors of nano: top-1 agreement with exact search, and the time of one query (one
          thread) and of a batch, of funnels and of indexes on prefixes, planned by the public `sync_vectors`.
          Real photographs come first, then embedded views of them (crops, turned, mirrored); the rest are made of both:
          a photograph's vector moved part of the way to one of its ten nearest and by the difference that a view made to
          another photograph's vector. Queries are views of photographs that are among the rows, made apart.
codes     product-quantised codes of 8 to 32 bytes on each prefix and on the whole vector, searched without reranking: 1-NN
          accuracy and agreement with exact search, over seeds of the codebooks. The prefix is chosen on half of the queries
          and reported on the other half.

``--prepared`` holds `pixels.npy` and `mobilenet.npy`, for ``heads`` also the views, as `tools.train_nano` makes them; else they
are made there first (20 minutes; an hour more for the views). ``--work`` keeps what is trained and embedded: a run that is
interrupted goes on where it was. ``accuracy`` takes about 15 minutes of one core, ``heads`` and the others about 10 (estimated).
Results: `results/matryoshka_PART.json` and `.svg`, for ``accuracy`` and ``heads`` also `.md`, and a row for `results/README.md` on stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.frame import RESULTS, save, watch
from benchmarks.matryoshka import figures
from benchmarks.matryoshka.data import Data, note

PARTS = ("accuracy", "heads", "funnel", "codes")


def measure(part: str, data: Data, options: argparse.Namespace) -> dict[str, Any]:
    """Run one part."""
    small = options.small
    if part == "accuracy":
        from benchmarks.matryoshka.accuracy import accuracy
        from benchmarks.matryoshka.towers import Budget

        budget = Budget(
            start_samples=512 if small else options.start_samples,
            samples=256 if small else options.samples,
            threads=options.threads,
        )
        separate = tuple(int(width) for width in options.separate.split(",") if width)
        return accuracy(
            data, budget, separate, seeds=2 if small else options.towers, most=600 if small else None
        )
    if part == "heads":
        from benchmarks.matryoshka.heads import heads

        return heads(data, seeds=2 if small else options.towers, small=small)
    if part == "funnel":
        from benchmarks.matryoshka.funnel import funnel

        return funnel(
            data,
            count=20_000 if small else options.rows,
            views=200 if small else options.views,
            queries=64 if small else options.queries,
            repeats=2 if small else options.repeats,
        )
    from benchmarks.matryoshka.codes import codes

    return codes(data, seeds=2 if small else options.seeds, bytes_=(8,) if small else (8, 16, 32))


def keep(part: str, facts: dict[str, Any], results: Path, load: Any) -> None:
    """Write what was found."""
    figure = results / f"matryoshka_{part}.svg"
    draw = {
        "accuracy": figures.draw_accuracy,
        "heads": figures.draw_heads,
        "funnel": figures.draw_funnel,
        "codes": figures.draw_codes,
    }
    draw[part](facts, figure)
    if part in ("accuracy", "heads"):
        from benchmarks.matryoshka import accuracy, heads

        tables = accuracy if part == "accuracy" else heads
        tables.write_table(facts, figure.with_suffix(".md"))
        note(f"a row for results/README.md:\n{tables.readme_row(facts)}")
    note(f"wrote {save(f'matryoshka_{part}', load=load, directory=results, **facts)}")


def main() -> None:
    """Run the parts asked for and keep their results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("RETRIEVAL_DATA"))
    parser.add_argument("--prepared", type=Path, help="where pixels.npy and mobilenet.npy lie or go")
    parser.add_argument("--work", type=Path, help="where towers and vectors are kept between runs")
    parser.add_argument("--parts", default="codes,funnel,accuracy,heads")
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--views", type=int, default=16_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5, help="of codebooks")
    parser.add_argument("--towers", type=int, default=3, help="repeats of every tower's and head's training")
    parser.add_argument("--start-samples", type=int, default=60_000)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument(
        "--separate", default="16,32,64", help="widths to train towers of their own for; empty for none"
    )
    parser.add_argument("--threads", type=int, default=2, help="of training")
    parser.add_argument("--small", action="store_true", help="try every part on little; keeps no results")
    options = parser.parse_args()
    if options.data is None:
        parser.error("name the photographs with --data or RETRIEVAL_DATA")
    parts = options.parts.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"no part {unknown[0]!r}; choose from {', '.join(PARTS)}")
    work = options.work or Path(tempfile.mkdtemp(prefix="matryoshka-"))
    work.mkdir(parents=True, exist_ok=True)
    data = Data(Path(options.data), options.prepared or work, work, most=150 if options.small else None)
    results = Path(tempfile.mkdtemp(prefix="matryoshka-small-")) if options.small else RESULTS
    for part in parts:
        note(part)
        with watch() as load:
            facts = measure(part, data, options)
        keep(part, facts, results, load)


if __name__ == "__main__":
    main()
