"""Are activated images found again more often after they were altered, and what do they lose?

    RETRIEVAL_DATA=… python benchmarks/bench_activate.py --work DIR [--jobs 2]        # everything
    RETRIEVAL_DATA=… python benchmarks/bench_activate.py --work DIR --kinds ivfrabitq # one kind, the others as they are

All photographs of the data (about 31,900, short side 128 pixels) are one collection for each kind of index; ``--images`` of
them, drawn by a seed, are activated at their native size, once as it comes and once with ``--robust``. The other rows are
distractors. Passive (the original) and active (the copy) are altered alike and searched by codes alone, at one list probed
and at the lists that the build measured, and as served.

Every kind runs in a process of its own, ``--jobs`` at a time, which share the cores; whole calls are timed afterwards, alone.
What is done is kept in ``--work``, under the encoder's fingerprint: a run that was stopped continues, and ``--again`` measures
anew what was activated by other code. Results are written after each kind.

Cosines are those to the point where the index keeps the original. A false match is a first hit, as served, that is another
image; and, stricter, another image whose cosine passes the threshold that 1 % of the unaltered originals' best wrong rows pass.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.activation.bench import Bench, Run
from benchmarks.activation.measures import encode, measure
from benchmarks.activation.summary import summary
from benchmarks.activation.table import table
from benchmarks.activation.whole import picture, speed
from benchmarks.frame import Load, save, watch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KINDS = ("IVF512,PQ8", "OPQ16_64,IVF256,PQ16", "PCA64,LSH", "ivfrabitq")
WAYS = ("plain", "robust")
INDEX_FACTS = ("kind", "factory", "dim", "bytes_per_vector", "recall_at_10", "recall_at_10_text")


def runs(kinds: Sequence[str], ways: Sequence[str]) -> list[Run]:
    """List a run for each kind and way."""
    return [Run(kind=kind, robust=way == "robust") for kind in kinds for way in ways]


def measured(bench: Bench, kind: str, ways: list[str]) -> None:
    """Build one kind's index, activate the images in each way, measure, and keep the results."""
    bench.build(kind)
    with bench.open(kind) as collection:
        drawn = bench.draw(collection)
        for run in runs([kind], ways):
            if bench.result(run.label).exists():
                continue
            began = time.perf_counter()
            copies, fidelity = bench.activated(collection, drawn.files, run)
            result = measure(bench, collection, drawn, copies, run)
            result["fidelity"] = fidelity
            info = collection.info()
            result["index"] = {key: info[key] for key in INDEX_FACTS} | {
                "nprobe": collection.manifest.index.nprobe,
                "shortlist": collection.manifest.index.shortlist,
            }
            result["summary"] = summary(result)
            bench.keep(run.label, result)
            print(
                f"{run.label}: {json.dumps(result['summary']['codes, one list, recall_at_1'])} "
                f"in {time.perf_counter() - began:.0f} s",
                flush=True,
            )
            for what, kept in result["summary"]["asked for"].items():
                print(f"    {'met' if kept else 'missed'}: {what}", flush=True)


def prepared(bench: Bench) -> dict[str, Any]:
    """Encode all photographs, and the altered originals, which every kind needs; return the results' parameters."""
    began = time.perf_counter()
    report = bench.build("flat")
    with bench.open("flat") as collection:
        encode(bench, collection, bench.draw(collection).files, "passive")
    print(
        f"{report.images:,} rows, {report.encoded:,} encoded in {time.perf_counter() - began:.0f} s",
        flush=True,
    )
    return {
        "images": bench.images,
        "rows": report.images,
        "distractors": report.images - bench.images,
        "encoder": report.encoder,
        "size": "native, short side 128 pixels",
    }


def in_processes(bench: Bench, options: argparse.Namespace, written: Callable[[], None]) -> list[str]:
    """Measure kinds, each in a process of its own on its share of the cores; return those that failed.

    Args:
        bench: prepared.
        options: of the command line.
        written: called whenever one is done.
    """
    cores = sorted(os.sched_getaffinity(0))
    jobs = max(1, min(options.jobs, len(cores)))
    shares: SimpleQueue[list[int]] = SimpleQueue()
    for number in range(jobs):
        shares.put(cores[number::jobs])

    def run(kind: str) -> int:
        share = shares.get()
        try:
            return subprocess.run(
                [
                    sys.executable, __file__, "--child", kind, "--cores", ",".join(map(str, share)),
                    "--work", str(options.work), "--images", str(bench.images), "--ways", *options.ways,
                ],
                env=os.environ | {"OMP_NUM_THREADS": str(len(share))},
                check=False,
            ).returncode  # fmt: skip
        finally:
            shares.put(share)

    failed = []
    with ThreadPoolExecutor(jobs) as pool:
        for kind, status in zip(options.kinds, pool.map(run, options.kinds), strict=True):
            if status:
                failed.append(kind)
            written()
    return failed


def publish(bench: Bench, options: argparse.Namespace, load: Load, parameters: dict[str, Any]) -> None:
    """Write what there is so far, of all kinds."""
    facts: dict[str, Any] = {"parameters": parameters, "kinds": {}}
    for kind in KINDS + tuple(kind for kind in options.kinds if kind not in KINDS):
        for run in runs([kind], WAYS):
            if (result := bench.result(run.label)).exists():
                facts["kinds"][run.label] = json.loads(result.read_text(encoding="utf-8"))
    for name in ("speed", "picture"):
        if (result := bench.result(name)).exists():
            facts[name] = json.loads(result.read_text(encoding="utf-8"))
    path = save(options.name, load=load, **facts)
    record = json.loads(path.read_text(encoding="utf-8"))
    path.with_suffix(".md").write_text(table(record), encoding="utf-8")


def main() -> None:
    """Run the benchmark and keep its results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    parser.add_argument("--jobs", type=int, default=1, help="kinds at a time")
    parser.add_argument("--speed-repeats", type=int, default=3, help="0 times nothing, and makes no picture")
    parser.add_argument("--again", action="store_true", help="drop these kinds' copies and results first")
    parser.add_argument("--work", type=Path, help="keep everything here, and continue from it")
    parser.add_argument("--name", default="activate", help="of the results' files")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--cores", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        os.sched_setaffinity(0, map(int, options.cores.split(",")))
        measured(Bench(options.images, options.work), options.child, options.ways)
        return
    with tempfile.TemporaryDirectory() as temporary:
        options.work = (options.work or Path(temporary)).resolve()
        bench = Bench(options.images, options.work)
        if options.again:
            bench.forget(runs(options.kinds, options.ways))
        with watch() as load:
            parameters = prepared(bench)
            failed = in_processes(bench, options, lambda: publish(bench, options, load, parameters))
            timed = options.kinds[0] if options.kinds else KINDS[0]
            if options.speed_repeats and timed not in failed and not bench.result("speed").exists():
                with bench.open(timed) as collection:
                    bench.keep("speed", speed(bench, collection, options.speed_repeats))
                    bench.keep("picture", picture(bench, collection, options.name))
        publish(bench, options, load, parameters)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; run the same command again to continue")


if __name__ == "__main__":
    main()
