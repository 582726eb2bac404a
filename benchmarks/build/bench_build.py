"""How fast, and in how much memory, does a folder or an array become a collection?

    python benchmarks/build/bench_build.py [--data DIR] [--images 1500] [--repeats 5] [--parts photos,again,million]

photos   `build_index` with nano against the bare loops: D images/s decoded and preprocessed, E encoded, each alone on all
         cores; one after the other they would make 1 / (1/D + 1/E). The photographs are real ones (``--data`` or
         RETRIEVAL_DATA, else scikit-image's), enlarged to 500 x 375 JPEGs, quality 90.
again    a second ``build-index`` over 10,000 files with nothing changed, as a whole process.
million  1,000,000 x 512 synthetic vectors: time, and the most anonymous memory (RssAnon) that the process held.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))

import retrieval
from benchmarks import synthetic
from benchmarks.frame import alternate, ratio, save, spread, watch
from retrieval.sources.decoding.decoder import decode, read_file

SIZE = (500, 375)
FILES = 10_000
MILLION = 1_000_000
BATCH = 32


def sources(data: Path | None) -> list[Path]:
    """Return real photographs, in a fixed order."""
    if data is not None:
        found = sorted((data / "images" / "caltech101").rglob("*.webp"))
    else:
        import skimage

        found = sorted((Path(skimage.__file__).parent / "data").glob("*.jp*g"))
    if not found:
        raise SystemExit(f"no photographs in {data}; give --data DIR")
    return found


def make_photos(folder: Path, data: Path | None, count: int) -> list[Path]:
    """Write ``count`` distinct JPEGs of 500 x 375, photographs enlarged; a second use of one is mirrored and dimmed."""
    originals = sources(data)
    paths = []
    for number in range(count):
        image = (
            Image.open(originals[number % len(originals)])
            .convert("RGB")
            .resize(SIZE, Image.Resampling.BICUBIC)
        )
        turn = number // len(originals)
        image = image.point([min(255, int(level * (1 - 0.01 * turn))) for level in range(256)] * 3)
        path = folder / f"{number % 20:02}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, quality=90)
        paths.append(path)
    return paths


def photos(folder: Path, data: Path | None, count: int, repeats: int) -> dict[str, Any]:
    """Compare a whole build with its two bare loops."""
    paths = make_photos(folder, data, count)
    encoder = retrieval.load_encoder("nano")
    decode_size = getattr(encoder, "decode_size", None)
    cores = len(os.sched_getaffinity(0))

    def prepare(path: Path) -> np.ndarray:
        return encoder.preprocess(decode(read_file(path), decode_size=decode_size))

    batch = np.stack([prepare(path) for path in paths[:BATCH]])

    def decoding() -> None:
        with ThreadPoolExecutor(cores) as pool:
            for _ in pool.map(prepare, paths):
                pass

    def encoding() -> None:
        for _ in range(0, count, BATCH):
            encoder.encode_pixels(batch)

    def building() -> None:
        shutil.rmtree(folder / ".retrieve", ignore_errors=True)
        retrieval.build_index(folder)

    times = alternate({"decode": decoding, "encode": encoding, "build": building}, repeats=repeats)
    loops = spread(
        [one + other for one, other in zip(times["decode"].values, times["encode"].values, strict=True)]
    )
    return {
        "images": count,
        "times": times,
        "images_per_second": {name: count / took.median for name, took in times.items()},
        "ratio to 1/(1/D + 1/E)": ratio(loops, times["build"]),
    }


def again(folder: Path, data: Path | None, repeats: int) -> dict[str, Any]:
    """Time ``build-index`` over an unchanged folder as a process of its own."""
    make_photos(folder, data, FILES)
    retrieval.build_index(folder)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OPENBLAS_")}
    command = [
        str(Path(sys.executable).with_name("retrieve")),
        "build-index",
        str(folder),
        "--quiet",
        "--json",
    ]

    def run() -> None:
        report = json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)
        if report["images"] != FILES or report["encoded"]:
            raise SystemExit(f"not an unchanged build: {report}")

    return {"files": FILES, "times": alternate({"again": run}, repeats=repeats)}


@contextmanager
def anonymous_memory() -> Iterator[list[int]]:
    """Collect the process's RssAnon in bytes, every 20 ms."""
    seen: list[int] = []
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.02):
            lines = Path("/proc/self/status").read_text().splitlines()
            seen.extend(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def million(folder: Path) -> dict[str, Any]:
    """Build a million rows of 512 from a mapped file."""
    recipe = synthetic.Recipe(rows=MILLION)
    file = folder / "vectors.npy"
    rows = np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=(MILLION, recipe.dim))
    start = 0
    for block in synthetic.blocks(recipe):
        rows[start : start + len(block)] = block
        start += len(block)
    del rows
    keys = folder / "keys.txt"
    keys.write_text("".join(f"{number}.jpg\n" for number in range(MILLION)))
    began, worked = time.perf_counter(), time.process_time()
    with anonymous_memory() as seen:
        report = retrieval.sync_vectors(folder, file, keys, space="synthetic")
    return {
        "rows": MILLION,
        "dim": recipe.dim,
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - worked,
        "rss_anon_gib_at_most": max(seen) / 2**30,
        "report": {**report.to_json(), "root": None, "index": None},
    }


def main() -> None:
    """Run the benchmark and keep its results."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--data", type=Path, default=os.environ.get("RETRIEVAL_DATA"))
    arguments.add_argument("--images", type=int, default=1500)
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--parts", default="photos,again,million")
    options = arguments.parse_args()
    data = None if options.data is None else Path(options.data)
    measures = {
        "photos": lambda folder: photos(folder, data, options.images, options.repeats),
        "again": lambda folder: again(folder, data, options.repeats),
        "million": million,
    }
    for part in options.parts.split(","):
        with watch() as load, tempfile.TemporaryDirectory() as temporary:
            facts = measures[part](Path(temporary))
        print(part, json.dumps(facts, default=str, indent=2))
        save(f"build_{part}", load=load, parameters={"size": SIZE}, **facts)


if __name__ == "__main__":
    main()
