"""Write `scale.md`: the figures of every size, the growth of every cost, and from it, on paper, larger collections on several machines."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.scale.growth import COSTS, Growth, fits, of_this_version

SHARD = 10_000_000
TOTALS, MACHINES = (100_000_000, 1_000_000_000), (8, 64)


def write(path: Path, record: Mapping[str, Any]) -> None:
    """Write the tables of a record of `bench_scale.py`."""
    measured = {
        rows: parts for rows, parts in record["sizes"].items() if parts.keys() & {"one", "listing", "deletes"}
    }
    sizes = dict(sorted(measured.items(), key=lambda item: int(item[0])))
    found = fits(sizes)
    machine = record["machine"]
    lines = [
        "# Collections of many rows",
        "",
        f"Written by `{record['command']}` from `scale.json`.",
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['os']}.",
        "Times are CPU seconds of one process; others used the machine, too.",
        "",
        *_sizes(sizes),
        "",
        *_growth(found),
        "",
        *_paper(
            found,
            cores=machine["cores"],
            largest=max(
                (int(rows) for rows, parts in of_this_version(sizes).items() if "one" in parts), default=0
            ),
        ),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(row)} |" for row in rows)]


def _sizes(sizes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    def cells(name: str, take: Any, part: str = "one") -> list[str]:
        texts = []
        for parts in sizes.values():
            try:
                texts.append(take(parts[part]))
            except (KeyError, TypeError):
                texts.append("–")
        return [name, *texts]

    def mean(one: Any, name: str) -> float:
        adds = one["change"]["adds"]
        return sum(add[name] for add in adds) / len(adds)

    rows = [
        cells("measured by version", lambda one: one["by"]["commit"]),
        cells("processor", lambda one: one["by"]["cpu"]),
        cells("build, CPU minutes", lambda one: f"{one['build']['cpu_s'] / 60:.1f}"),
        cells("build, anonymous memory, MiB", lambda one: f"{one['build']['peak_anonymous_mib']:.0f}"),
        cells("bytes on disk a row", lambda one: f"{one['disk_bytes_a_row']:.0f}"),
        cells(
            "recall@10 (standard error)",
            lambda one: f"{one['ask']['recall_at_10']} ({one['ask']['standard_error']})",
        ),
        cells("one query: lists", lambda one: f"{one['ask']['counted']['lists']:,}"),
        cells("one query: codes read", lambda one: f"{one['ask']['counted']['codes']:,.0f}"),
        cells("one query: counted microseconds", lambda one: f"{one['ask']['counted']['microseconds']:.0f}"),
        cells("one query, CPU ms", lambda one: f"{one['ask']['single']['cpu_ms']:.2f}"),
        cells("a query of a batch of 500, CPU ms", lambda one: f"{one['ask']['batch_cpu_ms']:.2f}"),
        cells("first answer, cold, ms", lambda one: f"{one['ask']['first_answer_ms']:.0f}"),
        cells("further cold queries, ms", lambda one: f"{one['ask']['cold_ms']:.1f}"),
        cells("searching, anonymous memory, MiB", lambda one: f"{one['ask']['peak_anonymous_mib']:.0f}"),
        *(
            cells(
                f"filtered ({name}), CPU ms",
                lambda one, name=name: f"{one['ask']['filtered'][name]['cpu_ms']:.2f}",
            )
            for name in ("mask 0.001", "mask 0.01", "mask 0.1", "under", "ids")
        ),
        cells("adding 1 %, mean CPU seconds", lambda one: f"{mean(one, 'cpu_s'):.1f}"),
        cells("building over adding 1 %, mean", lambda one: f"{one['rebuild_over_mean_add']:.0f}"),
        cells(
            "bytes written over float16 bytes added", lambda one: f"{one['bytes_written_over_float16']:.2f}"
        ),
        cells(
            "deleting 1 %, CPU seconds",
            lambda part: f"{statistics.median(one['cpu_s'] for one in part['deletes']):.2f}",
            "deletes",
        ),
        cells("after it: recall@10", lambda one: f"{one['ask_after']['recall_at_10']}"),
        cells("after it: one query, CPU ms", lambda one: f"{one['ask_after']['single']['cpu_ms']:.2f}"),
        cells(
            "source without changes, seconds",
            lambda part: f"{min(run['wall_s'] for run in part['unchanged']):.1f}",
            "listing",
        ),
        cells(
            "source without changes, MiB",
            lambda part: f"{max(run['peak_anonymous_mib'] for run in part['unchanged']):.0f}",
            "listing",
        ),
    ]
    return _table(["", *(f"{int(rows):,}" for rows in sizes)], rows)


def _growth(found: Mapping[str, Growth]) -> list[str]:
    rows = [
        (
            name,
            f"{growth.exponent:.2f}",
            f"{growth.low:.2f} to {growth.high:.2f}" if growth.sizes > 2 else "–",
            f"{COSTS[name][1]:.2f}",
        )
        for name, growth in found.items()
    ]
    return [
        "## How costs grow",
        "",
        "Each cost as a power of the number of rows: 1 means that it grows as the rows do. The interval is one of 95 %.",
        "Sizes of another version or processor than the newest are left out. Counted microseconds are the weights of `indexes/engine/costs.py`.",
        "",
        *_table(("cost", "exponent", "interval", "asked, at most"), rows),
        *_of_a_query(found),
    ]


def _of_a_query(found: Mapping[str, Growth]) -> list[str]:
    """Say which of the costs of a query decides, as several are in the table."""
    names = ("one query, CPU ms", "one query, counted microseconds", "one query, codes read")
    if any(name not in found for name in names):
        return []
    cpu, counted, codes = (found[name].exponent for name in names)
    asked = COSTS[names[0]][1]
    read = "would do so alone, too" if codes <= asked else "would not do so alone"
    text = (
        f"Of a query CPU time or counted work is to grow with an exponent of {asked:.2f} at most: CPU time has {cpu:.2f}, counted "
        f"work {counted:.2f}. Codes read are one part of that work, which also has lists chosen and rows reranked; with "
        f"{codes:.2f} they {read}."
    )
    return ["", text]


def _paper(found: Mapping[str, Growth], *, cores: int, largest: int) -> list[str]:
    names = (
        "build, CPU seconds",
        "disk, bytes",
        "build, anonymous MiB",
        "searching, anonymous MiB",
        "a query of a batch, CPU ms",
    )
    if any(name not in found for name in names):
        return []
    build, disk, building, searching, query = (found[name].at(SHARD) for name in names)
    rows = []
    for total in TOTALS:
        shards = math.ceil(total / SHARD)
        for machines in MACHINES:
            each = math.ceil(shards / machines)
            rows.append(
                (
                    f"{total:,}",
                    str(machines),
                    str(each),
                    f"{each * build / cores / 3600:.1f}",
                    f"{min(each, cores) * building / 1024:.1f}",
                    f"{each * searching / 1024:.1f}",
                    f"{each * disk / 1e9:.0f}",
                    f"{each * query:.1f}",
                )
            )
    return [
        "## On paper",
        "",
        f"Nobody ran this. Shards of {SHARD:,} rows × 128, each as the fits above say, on machines of {cores} cores like this one; images encoded before.",
        f"The fits come from sizes of up to {largest:,} rows.",
        "A build runs a shard a core. A query is asked of each shard, and the machines answer at the same time.",
        "",
        *_table(
            (
                "rows",
                "machines",
                "shards a machine",
                "build, hours",
                "build, GiB of memory",
                "search, GiB of anonymous memory",
                "disk a machine, GB",
                "a query, CPU ms a machine",
            ),
            rows,
        ),
    ]


def to_json(sizes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the fits as JSON values."""
    return {name: asdict(growth) for name, growth in fits(sizes).items()}
