"""How fast are images read from tar files, tables and a distant store, and what does a build cost that finds nothing new?

    python benchmarks/build/bench_sources.py [--data DIR] [--images 1200] [--repeats 5] [--parts tar,table,remote,noop] [--work DIR]

tar      `build_index` with nano over photographs in tar files of 100, plain and gzipped, against the same photographs in a folder.
table    `build_index` with nano over photographs in a parquet file, against the same photographs in a folder.
remote   the same over HTTP, 32 readers, from a server on this machine that waits 20 ms before each answer. The server is a
         process of its own and shares the cores, so the ratio of CPU seconds of the build alone is given, too.
noop     a build over 1,000,000 rows of a table, and over as many images in 100 tar files, with nothing changed, a process of its
         own: time, and the most memory (VmHWM). The collections take minutes to make; ``--work DIR`` keeps them for the next run.

The photographs are real ones (``--data`` or RETRIEVAL_DATA, else scikit-image's), enlarged to 500 x 375 JPEGs, quality 90.
Ratios are taken within rounds: images a second over those of the folder.

Expected: 1.0 for tar files and tables, 0.9 for the store, at most 10 s and 300 MB.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))

import retrieval
from benchmarks.build.bench_build import SIZE, make_photos
from benchmarks.frame import alternate, ratio, save, spread, watch
from indexes.generation import read_manifest, store_path
from indexes.store import NewRow, VectorStore
from retrieval.sources import Seen, open_spec
from retrieval.testing import FakeEncoder

MILLION = 1_000_000
BLOCK = 10_000
SHARD = 100
DELAY = 0.02
SERVER = """
import asyncio, os, sys
root, delay = sys.argv[1], float(sys.argv[2])
files = {name: open(os.path.join(root, name), "rb").read() for name in os.listdir(root)}

async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            name = head.split(b" ", 2)[1].decode().strip("/")
            await asyncio.sleep(delay)
            data = files.get(name)
            status = "200 OK" if data is not None else "404 Not Found"
            data = data or b""
            writer.write(f"HTTP/1.1 {status}\\r\\nContent-Length: {len(data)}\\r\\n\\r\\n".encode() + data)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""
NOOP = """
import json, sys, time
import retrieval
from retrieval.testing import FakeEncoder
began, worked = time.perf_counter(), time.process_time()
report = retrieval.build_index(index=sys.argv[1], encoder=FakeEncoder(), progress=False)
facts = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - worked}
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps(facts | {"images": report.images, "encoded": report.encoded, "peak_mb": int(status["VmHWM"].split()[0]) / 1024}))
"""


def against_folder(
    folder: Path, contenders: dict[str, Callable[[], Any]], count: int, repeats: int
) -> dict[str, Any]:
    """Build a folder and others in turn; times, and images a second over the folder's."""
    index, worked = folder.parent / "index", dict[str, list[float]]()

    def building(name: str, source: Any, options: dict[str, Any]) -> Callable[[], None]:
        def build() -> None:
            shutil.rmtree(index, ignore_errors=True)
            before = time.process_time()
            report = retrieval.build_index(source, index=index, progress=False, **options)
            worked.setdefault(name, []).append(time.process_time() - before)
            if report.images != count:
                raise SystemExit(f"{name}: {report.images} images of {count}")

        return build

    sources = {"folder": (folder, {})} | {name: make() for name, make in contenders.items()}
    times = alternate({name: building(name, *asked) for name, asked in sources.items()}, repeats=repeats)
    cpu = {name: spread(seconds[-repeats:]) for name, seconds in worked.items()}
    return {
        "images": count,
        "times": times,
        "cpu_seconds": cpu,
        "images_per_second": {name: count / took.median for name, took in times.items()},
        "ratios": {name: ratio(times["folder"], times[name]) for name in contenders},
        "cpu_ratios": {name: ratio(cpu["folder"], cpu[name]) for name in contenders},
    }


def table(home: Path, data: Path | None, count: int, repeats: int) -> dict[str, Any]:
    """Measure photographs in a parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    paths = make_photos(home / "photos", data, count)
    images = [{"bytes": path.read_bytes(), "path": path.name} for path in paths]
    pq.write_table(pa.table({"image": images}), home / "photos.parquet", row_group_size=100)
    return against_folder(home / "photos", {"parquet": lambda: (home / "photos.parquet", {})}, count, repeats)


def tar(home: Path, data: Path | None, count: int, repeats: int) -> dict[str, Any]:
    """Measure photographs in tar files."""
    paths = make_photos(home / "photos", data, count)
    shards = range(0, count, SHARD)
    for number, start in enumerate(shards):
        for suffix, mode in (("tar", "w"), ("tar.gz", "w:gz")):
            with tarfile.open(home / f"{number:04}.{suffix}", mode) as file:
                for path in paths[start : start + SHARD]:
                    file.add(path, path.relative_to(home).as_posix())
    names = f"{{0000..{len(shards) - 1:04}}}"
    contenders = {"tar": f"{home}/{names}.tar", "gzipped": f"{home}/{names}.tar.gz"}
    return against_folder(
        home / "photos", {name: partial(_as_is, text) for name, text in contenders.items()}, count, repeats
    )


def _as_is(source: str) -> tuple[str, dict[str, Any]]:
    return source, {}


def remote(home: Path, data: Path | None, count: int, repeats: int) -> dict[str, Any]:
    """Measure photographs at URLs, each 20 ms away."""
    paths = make_photos(home / "photos", data, count)
    flat = home / "flat"
    flat.mkdir()
    for path in paths:
        (flat / path.name).write_bytes(path.read_bytes())
    with serving(flat) as url:
        listing = home / "urls.txt"
        listing.write_text("".join(f"{url}/{path.name}\n" for path in paths))
        options = {"allow_private": True}
        return {
            "delay_seconds": DELAY,
            **against_folder(flat, {"http": lambda: (listing, options)}, count, repeats),
        }


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder's files from another process."""
    command = [sys.executable, "-c", SERVER, str(folder), str(DELAY)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


def noop(home: Path, data: Path | None, count: int, repeats: int) -> dict[str, Any]:  # noqa: ARG001 -- as the others
    """Measure a build over a million rows that finds nothing new; with and without a column of keys."""
    facts: dict[str, Any] = {"rows": MILLION}
    makers: dict[str, Callable[[Path], Path]] = {
        "tar": million_members,
        "numbers": partial(million_rows, options={}),
        "key_column": partial(million_rows, options={"key_column": "id"}),
    }
    for name, make in makers.items():
        index = kept(home / name, make)
        command = [sys.executable, "-c", NOOP, str(index)]
        runs = [json.loads(subprocess.check_output(command)) for _ in range(repeats)]
        if any(run["images"] != MILLION or run["encoded"] for run in runs):
            raise SystemExit(f"not an unchanged build: {runs}")
        facts[name] = {
            measure: spread([run[measure] for run in runs])
            for measure in ("seconds", "cpu_seconds", "peak_mb")
        }
    return facts


def kept(place: Path, make: Callable[[Path], Path]) -> Path:
    """Return the collection in a folder, made there unless an earlier run has made it to its end."""
    done, index = place / "complete", place / "index"
    if not done.exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        made = make(place)
        if made != index:
            raise SystemExit(f"{made} is not {index}")
        done.touch()
    return index


def million_rows(home: Path, options: dict[str, Any]) -> Path:
    """Make a collection of a table's rows, as a build would leave it; no image of them is encoded."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file, index = home / "rows.parquet", home / "index"
    pq.write_table(pa.table({"image": [png(0), png(255)], "id": ["a", "b"]}), file)
    retrieval.build_index(file, index=index, encoder=FakeEncoder(), kind="flat", progress=False, **options)
    schema = pa.schema({"image": pa.binary(), "id": pa.string()})
    with pq.ParquetWriter(file, schema) as writer:
        for start in range(0, MILLION, BLOCK):
            numbers = range(start, start + BLOCK)
            columns = {
                "image": [b"image %d" % number for number in numbers],
                "id": [f"photo/{number:08}" for number in numbers],
            }
            writer.write_table(pa.table(columns, schema))
    return filled(index, file, options)


def million_members(home: Path) -> Path:
    """Make a collection of 100 tar files, as a build would leave it; no image of them is encoded."""
    index, name = home / "index", f"{home}/{{00..99}}.tar"

    def write(number: int, members: Iterable[tuple[str, bytes]]) -> None:
        with open(home / f"{number:02}.tar", "wb") as file:  # tarfile itself takes minutes
            for path, data in members:
                header = tarfile.TarInfo(path)
                header.size = len(data)
                file.write(header.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512))
            file.write(bytes(1024))

    for number in range(100):
        write(number, [(f"{shade}.png", png(shade)) for shade in (0, 255)] if number == 0 else [])
    retrieval.build_index(name, index=index, encoder=FakeEncoder(), kind="flat", progress=False)
    each = MILLION // 100
    for number in range(100):
        rows = range(number * each, (number + 1) * each)
        write(number, ((f"photo/{row:08}.jpg", b"image %d" % row) for row in rows))
    return filled(index, name, {})


def png(grey: int) -> bytes:
    """Return the file of a small picture."""
    data = io.BytesIO()
    Image.new("L", (8, 8), grey).save(data, "PNG")
    return data.getvalue()


def filled(index: Path, source: str | Path, options: dict[str, Any]) -> Path:
    """Give a collection a row for each entry of its source, with a made vector, and build it once."""
    manifest = read_manifest(index)
    with VectorStore.open(store_path(index, manifest), dim=manifest.space.dim, writable=True) as store:
        store.remove(range(2))
        entries, done = open_spec(source, options).entries(Seen()), 0
        rng = np.random.default_rng(0)
        while block := list(islice(entries, BLOCK)):
            vectors = rng.standard_normal((len(block), manifest.space.dim)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            contents = [number.to_bytes(16, "little") for number in range(done, done + len(block))]
            rows = [
                NewRow(key=entry.key, content=content, stamp=entry.stamp)
                for entry, content in zip(block, contents, strict=True)
            ]
            store.append(vectors, rows)
            done += len(block)
        store.commit()
    retrieval.build_index(index=index, encoder=FakeEncoder(), progress=False)
    return index


def main() -> None:
    """Run the benchmark and keep its results."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--data", type=Path, default=os.environ.get("RETRIEVAL_DATA"))
    arguments.add_argument("--images", type=int, default=1200)
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--parts", default="tar,table,remote,noop")
    arguments.add_argument("--work", type=Path)
    options = arguments.parse_args()
    data = None if options.data is None else Path(options.data)
    measures = {"tar": tar, "table": table, "remote": remote, "noop": noop}
    for part in options.parts.split(","):
        with watch() as load, tempfile.TemporaryDirectory() as temporary:
            home = options.work if options.work is not None and part == "noop" else Path(temporary)
            facts = measures[part](home.absolute(), data, options.images, options.repeats)
        print(part, json.dumps(facts, default=str, indent=2))
        save(f"sources_{part}", load=load, parameters={"size": SIZE}, **facts)


if __name__ == "__main__":
    main()
