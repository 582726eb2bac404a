"""What does the service add to the library: time, CPU, memory; and does it stand load, time and bad clients?

    python benchmarks/bench_serve.py --work DIR [--parts latency images queries start peers hostile page soak wheels]
        [--rows 1000000] [--repeats 5] [--minutes 30] [--every 20] [--photos FOLDER]

The collection has a million made vectors in the space of the built-in encoder, so that it is asked by words and images too. It
is made once, in about five minutes, and kept in DIR. Clients run in this process; the server's CPU time is its own. The
library runs in another process and takes turns with the server.

latency  one client: median and 95th percentile of a query by words and by a vector, over HTTP and called directly.
images   32 clients with JPEG pictures of a megapixel, as forms: images a second, and those of the library given lists of 32.
queries  32 clients with words and vectors: the server's CPU a request, and what is beyond the library's in batches as large.
start    seconds until ready and until stopped, and memory beyond that of the library which was asked in the same ways.
peers    a minimal service of FastAPI and FAISS, and clip-retrieval's back end, where they are installed.
hostile  what a well-behaved client gets beside 2,000 open connections, 200 slow clients, and clients that leave; 10,000 changed bodies.
page     in a browser: milliseconds to the first paint, and from the last key to hits, for an indexed folder of photographs.
soak     full load for `--minutes` while the collection changes every `--every` seconds: errors, and memory over time.
         Four minutes and 2.5 seconds have as many changes as half an hour and 20 seconds.
wheels   bytes of wheels that the extra adds; needs a package index.

Expected: at most 3 ms more in the median and 10 ms in the 95th percentile; images at 0.8 of the library's rate or more; at most
0.5 ms of CPU beyond the library's; ready in 1.5 s; 60 MB; first paint in 300 ms, hits in 250 ms; no error; memory within 5 %;
5 MB of wheels.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.frame import save, watch
from benchmarks.serve.hostile import hostile
from benchmarks.serve.latency import http_latency
from benchmarks.serve.load import images, queries
from benchmarks.serve.page import page
from benchmarks.serve.peers import peers
from benchmarks.serve.soak import soak
from benchmarks.serve.startup import start
from benchmarks.serve.wheels import wheels

PARTS = ("latency", "images", "queries", "start", "peers", "hostile", "page", "soak", "wheels")


def main() -> None:
    """Run the parts and keep what each found."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--work", type=Path, required=True)
    arguments.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS[:-3])
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--minutes", type=float, default=30.0)
    arguments.add_argument("--every", type=float, default=20.0, help="seconds between changes in the soak")
    arguments.add_argument("--photos", type=Path, help="what the page shows")
    options = arguments.parse_args()
    if "page" in options.parts and options.photos is None:
        arguments.error("the part page needs --photos")
    options.work.mkdir(parents=True, exist_ok=True)
    work, rows, repeats = options.work.resolve(), options.rows, options.repeats
    ways = {
        "latency": lambda: http_latency(work, rows=rows, repeats=repeats),
        "images": lambda: images(work, rows=rows, repeats=repeats),
        "queries": lambda: queries(work, rows=rows, repeats=repeats),
        "start": lambda: start(work, rows=rows, repeats=repeats),
        "peers": lambda: peers(work, rows=rows, repeats=repeats),
        "hostile": lambda: hostile(work, rows=rows),
        "page": lambda: page(options.photos, work=work, repeats=repeats),
        "soak": lambda: soak(work, rows=rows, minutes=options.minutes, every=options.every),
        "wheels": wheels,
    }
    for part in options.parts:
        with watch() as load:
            found = ways[part]()
        print(part, json.dumps(found, default=asdict, indent=1, ensure_ascii=False))
        parameters = {"rows": rows, "repeats": repeats, "minutes": options.minutes, "every": options.every}
        save(f"serve_{part}", load=load, parameters=parameters, **found)


if __name__ == "__main__":
    main()
