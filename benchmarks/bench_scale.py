"""What does a collection of 1, 3 or 10 million vectors take, how do its costs grow, and what does a change of it cost?

    python benchmarks/bench_scale.py [--rows 1000000,3000000,10000000] [--parts one,listing,deletes,shards,actors,encoding] [--dim 128] [--kind auto]
                                     [--adds 20] [--repeats 1] [--work DIR] [--name scale]

one        an array with its keys is built, asked (cold, warm, in a batch, filtered), grown by a hundredth so many times, a
           hundredth is deleted, and it is asked again
listing    a build over a source that lists so many made images, none of which has changed
deletes    of a collection without lists a hundredth of the rows is deleted, five times
shards     eight shards beside one collection of the same rows: CPU time of a query, and recall
actors     the shards searched through local processes and in this one, in batches
encoding   so many images encoded by two processes and by one

Rows are those of `benchmarks/synthetic.py`, a hundred a cluster, seeded: neighbours are as hard to find at each size. Each step runs in a process of its own, whose CPU
time, bytes written and anonymous memory (`RssAnon`, sampled every 50 ms) are kept. One size runs after the other, each is
removed, and none begins without the disk that it needs. Results are written after each step: `scale.json`, and `scale.md` with the fits of
how costs grow and, on paper, 100 million and a billion rows on 8 and 64 machines.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.frame import RESULTS, machine, save, watch
from benchmarks.scale import deletes, listing, one, paper, shards

MOST_DISK = 30 << 30


class Part(NamedTuple):
    """A part: how many bytes of disk so many rows need at most, and what measures it in a folder and keeps each step."""

    needed: Callable[[int], int]
    run: Callable[[Path, int, one.Keep], dict[str, Any]]


def parts(given: argparse.Namespace) -> dict[str, Part]:
    """Return the parts by name."""
    return {
        "one": Part(
            lambda rows: one.needed(rows, given.dim),
            lambda work, rows, keep: one.run(work, rows, given.dim, given.kind, adds=given.adds, keep=keep),
        ),
        "listing": Part(
            listing.needed, lambda work, rows, _keep: listing.run(work, rows, repeats=given.repeats)
        ),
        "deletes": Part(
            lambda rows: deletes.needed(rows, given.dim),
            lambda work, rows, _keep: deletes.run(work, rows, given.dim),
        ),
        "shards": Part(
            lambda rows: shards.needed(rows, given.dim),
            lambda work, rows, _keep: shards.run(work, rows, given.dim, given.kind),
        ),
        "actors": Part(
            lambda rows: shards.needed(rows, given.dim),
            lambda work, rows, _keep: shards.run_actors(work, rows, given.dim, given.kind),
        ),
        "encoding": Part(
            lambda rows: rows * shards.BYTES_AN_IMAGE,
            lambda work, rows, _keep: shards.run_encoding(work, rows),
        ),
    }


def require_disk(folder: Path, needed: int, what: str) -> None:
    """Stop before something begins that would fill the disk.

    Raises:
        SystemExit: it needs more than is free, or more than `MOST_DISK`.
    """
    free = shutil.disk_usage(folder).free
    if needed > min(free, MOST_DISK):
        raise SystemExit(f"{what} needs up to {needed >> 30} GiB of disk; {free >> 30} GiB are free")


def _by() -> dict[str, Any]:
    """Say by which version, on what and when a part was measured: sizes of several runs lie in one file."""
    own = machine()
    return {"commit": own["commit"], "cpu": own["cpu"], "at": datetime.now(UTC).isoformat(timespec="seconds")}


def main() -> None:
    """Run the sizes and parts asked for; results of others stay in the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default="1000000,3000000,10000000")
    parser.add_argument("--parts", default="one,listing")
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--kind", default="auto")
    parser.add_argument("--adds", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--name", default="scale")
    given = parser.parse_args()
    known = RESULTS / f"{given.name}.json"
    sizes = json.loads(known.read_text(encoding="utf-8"))["sizes"] if known.exists() else {}
    measures = parts(given)
    if given.work:
        Path(given.work).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        work = Path(folder)
        for rows in map(int, given.rows.split(",")):
            for name in given.parts.split(","):
                require_disk(work, measures[name].needed(rows), f"{name} of {rows:,} rows")

                def keep(facts: dict[str, Any], rows: int = rows, name: str = name) -> None:
                    sizes.setdefault(str(rows), {})[name] = facts
                    path = save(
                        given.name,
                        parameters={"rows_a_cluster": 100, "kind": given.kind, "adds": given.adds},
                        sizes=sizes,
                        growth=paper.to_json(sizes),
                    )
                    if any("one" in parts for parts in sizes.values()):
                        paper.write(path.with_suffix(".md"), json.loads(path.read_text(encoding="utf-8")))

                with watch() as load:
                    facts = measures[name].run(work, rows, keep)
                keep({**facts, "load_cores": asdict(load), "by": _by()})
                print(json.dumps({name: facts}, indent=2), flush=True)


if __name__ == "__main__":
    main()
