"""What does a GPU give: encoding, exact search and indexes, each against the bare loop or the library called directly?

    python benchmarks/encode/bench_gpu.py [--parts tower,images,onnx,memory,exact,ivfpq,rabitq] [--minutes 8]
                                   [--images 20000] [--rows 4000000] [--exact-rows 10000000]

One command, made for the first minutes on a card. The parts come in order of worth, each in a process of its own, and each writes its
result when it ends. A part that lacks a package says which, one that no longer fits ``--minutes`` says so, and one that is still
running then is stopped; the others run.

tower   a ViT-B/32 of open_clip with random weights (speed does not depend on them): images a second by float32 weights under
        autocast, by halves, by halves compiled; float32 pixels from pageable memory and bytes from pinned memory
images  the whole of `embed` over JPEGs of 500 x 375, against the slower of the bare model and of decoding alone
onnx    `nano` in ONNX Runtime on the card against two CPU threads, and whether the vectors agree
memory  a batch that does not fit is halved until it does, in torch and in ONNX Runtime
exact   512 queries against all rows in half precision, ours against the bare matrix product of torch
ivfpq   training and adding ``--rows`` vectors of 512 on the card, and search, ours against faiss-gpu called directly
rabitq  training on the card against training on the CPU, and whether the lists found are as good

Needs an NVIDIA GPU; on a machine without one it says so, measures nothing and ends well.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import synthetic
from benchmarks.encode.random_tower import random_tower
from benchmarks.frame import alternate, ratio, save, spread, watch
from indexes.distribution import pip_install

DIM = 512
K = 10
BATCH = 512

NEEDS = {
    "tower": ("torch", "open_clip"),
    "images": ("torch", "open_clip"),
    "onnx": ("onnxruntime-gpu",),
    "memory": ("torch", "open_clip"),
    "exact": ("torch",),
    "ivfpq": ("faiss-gpu",),
    "rabitq": ("faiss-gpu",),
}


def missing(part: str) -> str | None:
    """Say what a part lacks on this machine, None for nothing."""
    for package in NEEDS[part]:
        if package == "faiss-gpu":
            from indexes.engine.backend import faiss

            if not getattr(faiss(), "get_num_gpus", int)():
                return f"faiss {faiss().__version__} sees no GPU: pip install faiss-gpu in place of faiss-cpu"
        elif package == "onnxruntime-gpu":
            from retrieval.encoders import onnx_runtime

            if "CUDAExecutionProvider" not in onnx_runtime().get_available_providers():
                return "onnxruntime has no CUDA: pip install onnxruntime-gpu in place of onnxruntime"
        else:
            try:
                module = importlib.import_module(package)
            except ImportError:
                return f"{package} is not installed: {pip_install('gpu')}"
            if package == "torch" and not module.cuda.is_available():
                return f"torch {module.__version__} sees no CUDA device"
    return None


def tower(options: argparse.Namespace) -> dict[str, Any]:
    """Compare precisions, and ways for pixels to travel, by the image tower alone."""
    import torch

    from retrieval.encoders.towers import card_towers

    encoder = random_tower(options.work / "vit-b-32", device="cuda")
    towers = encoder._towers  # noqa: SLF001 - what runs the model
    network = towers._placed()  # noqa: SLF001
    whole = encoder._model.taken().to("cuda")  # noqa: SLF001 - float32 weights
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, 224, 224, 3), dtype=np.uint8)
    pinned = encoder.bytes_array(pixels.shape)
    pinned[:] = pixels
    floats = np.random.default_rng(0).standard_normal((BATCH, 3, 224, 224), dtype=np.float32)
    there = torch.from_numpy(floats).to("cuda")
    halves = there.half().to(memory_format=torch.channels_last)

    def autocast() -> None:
        with torch.inference_mode(), torch.autocast("cuda", dtype=torch.float16):
            whole.encode_image(there)
        torch.cuda.synchronize()

    def half() -> None:
        with torch.inference_mode():
            network.encode_image(halves)
        torch.cuda.synchronize()

    contenders: dict[str, Callable[[], object]] = {
        "float32 weights under autocast": autocast,
        "half weights, channels last": half,
        "from float32 pixels": lambda: encoder.encode_pixels(floats),
        "from bytes, pinned": lambda: encoder.encode_bytes(pinned),
    }
    times = alternate(contenders, repeats=options.repeats, warmup=3)
    began = time.perf_counter()
    card_towers.COMPILE_AFTER = 0
    encoder.encode_bytes(pinned)
    compiling = time.perf_counter() - began
    after = alternate({"compiled": lambda: encoder.encode_bytes(pinned)}, repeats=options.repeats, warmup=3)
    times |= after
    return {
        "half": towers.half,
        "compiled_shape": towers.compiled,
        "compile_seconds": compiling,
        "images_per_second": {name: BATCH / took.median for name, took in times.items()},
        "half over autocast": ratio(
            times["float32 weights under autocast"], times["half weights, channels last"]
        ),
        "bytes over floats": ratio(times["from float32 pixels"], times["from bytes, pinned"]),
        "times": times,
    }


def files_of(options: argparse.Namespace) -> list[bytes]:
    """Return JPEGs of 500 x 375."""
    from PIL import Image

    from benchmarks.build.bench_build import sources

    files = []
    for path in sources(options.data)[:1000]:
        buffer = io.BytesIO()
        Image.open(path).convert("RGB").resize((500, 375), Image.Resampling.BICUBIC).save(
            buffer, "JPEG", quality=90
        )
        files.append(buffer.getvalue())
    return files


def images(options: argparse.Namespace) -> dict[str, Any]:
    """Embed files against the bare loops: the model's over a batch on the card, and decoding on all cores."""
    from concurrent.futures import ThreadPoolExecutor

    import torch

    from retrieval.embedding import cores, embed
    from retrieval.sources.decoding import decode

    files = files_of(options)
    encoder = random_tower(options.work / "vit-b-32", device="cuda")
    count, decode_size = options.images, encoder.decode_size

    def whole() -> None:
        # Every file has bytes of its own, or copies would be recognised and not encoded.
        items = range(count)
        for _ in embed(items, encoder, open_image=lambda n: files[n % len(files)] + n.to_bytes(4, "little")):
            pass

    network = encoder._towers._placed()  # noqa: SLF001 - the bare loop, nothing copied on the way
    halves = torch.zeros(BATCH, 3, 224, 224, dtype=torch.float16, device="cuda")
    halves = halves.to(memory_format=torch.channels_last)

    def bare() -> None:
        with torch.inference_mode():
            for _ in range(0, count, BATCH):
                network.encode_image(halves)
            torch.cuda.synchronize()

    def decoding() -> None:
        with ThreadPoolExecutor(cores()) as pool:
            for _ in pool.map(
                lambda n: encoder.preprocess_bytes(decode(files[n % len(files)], decode_size=decode_size)),
                range(count),
            ):
                pass

    times = alternate({"embed": whole, "model": bare, "decode": decoding}, repeats=options.repeats)
    slower = spread([max(a, b) for a, b in zip(times["model"].values, times["decode"].values, strict=True)])
    return {
        "images": count,
        "cores": cores(),
        "images_per_second": {name: count / took.median for name, took in times.items()},
        "times": times,
        "embed over min(D, E)": ratio(slower, times["embed"]),
        "embed over the bare model loop": ratio(times["model"], times["embed"]),
    }


def onnx(options: argparse.Namespace) -> dict[str, Any]:
    """Compare `nano` on the card with `nano` on the CPU."""
    import retrieval

    there, here = (retrieval.load_encoder("nano", device=device) for device in ("cuda", "cpu"))
    shape = there.preprocess(_grey()).shape
    batch = np.random.default_rng(0).standard_normal((256, *shape), dtype=np.float32)
    agree = np.einsum("nd,nd->n", there.encode_pixels(batch), here.encode_pixels(batch))
    times = alternate(
        {"card": lambda: there.encode_pixels(batch), "cpu": lambda: here.encode_pixels(batch)},
        repeats=options.repeats,
    )
    return {
        "device": there.device,
        "least cosine": float(agree.min()),
        "images_per_second": {name: len(batch) / took.median for name, took in times.items()},
        "card over cpu": ratio(times["cpu"], times["card"]),
        "times": times,
    }


def _grey() -> Any:
    from PIL import Image

    return Image.new("RGB", (300, 200), (128, 128, 128))


def memory(options: argparse.Namespace) -> dict[str, Any]:
    """Let batches be too large for what is free, and see them halved."""
    import torch

    from retrieval.embedding import embed

    encoder = random_tower(options.work / "vit-b-32", device="cuda")
    encoder.encode_bytes(np.zeros((1, 224, 224, 3), np.uint8))
    free, _ = torch.cuda.mem_get_info()
    taken = torch.empty(int(0.98 * free) - (64 << 20), dtype=torch.uint8, device="cuda")
    seen: list[int] = []
    encode = encoder.encode_bytes

    def counted(batch: Any) -> Any:
        seen.append(len(batch))
        return encode(batch)

    encoder.encode_bytes = counted
    picture = np.zeros((224, 224, 3), np.uint8)
    rows = sum(
        len(part.items) for part in embed(range(2048), encoder, open_image=lambda _: picture, batch=1024)
    )
    del taken
    torch.cuda.empty_cache()
    return {
        "free_bytes": free,
        "batches": seen,
        "encoded": rows,
        "expected": 2048,
        "halved": min(seen) < 1024,
    }


def exact(options: argparse.Namespace) -> dict[str, Any]:
    """Compare every row in half precision against the bare product and the choice of its best."""
    import torch

    from indexes.engine import Card, flat, gpu
    from retrieval.collection.snapshots.gpu_search import exact_on

    free, _ = torch.cuda.mem_get_info()
    count = min(options.exact_rows, int(0.35 * free / (2 * DIM)))
    recipe = synthetic.Recipe(rows=500_000, dim=DIM)
    part = synthetic.vectors(recipe).astype(np.float16)
    rows = np.empty((count, DIM), np.float16)
    for start in range(0, count, len(part)):
        rows[start : start + len(part)] = part[: count - start]
        part = np.roll(part, 1, axis=1)  # other rows of the same shape
    asked = synthetic.queries(recipe, 512)
    number = gpu("cuda")
    card = Card(number, rows, exact=exact_on("cuda"))
    there = torch.from_numpy(rows).to("cuda")

    def ours() -> None:
        if card.exact(asked, k=K) is None:
            raise SystemExit("the card has no room for the rows")

    def product() -> None:
        queries = torch.from_numpy(asked).to("cuda", torch.float16)
        for start in range(0, count, 1 << 19):
            scores = queries @ there[start : start + (1 << 19)].T
        torch.cuda.synchronize()
        del scores

    found = card.exact(asked[:16], k=K)
    right = found is not None and bool(np.array_equal(found.ids, flat.exact(rows, asked[:16], k=K).ids))
    times = alternate({"ours": ours, "product": product}, repeats=options.repeats)
    return {
        "rows": count,
        "by": "torch" if number is None else "faiss-gpu",
        "equal to exact search on the CPU": right,
        "queries_per_second": 512 / times["ours"].median,
        "bare product over ours": ratio(times["product"], times["ours"]),
        "times": times,
    }


class Rows:
    """Rows for indexes: some are made, and come again and again, moved a little; drawing all would take longer than adding them."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.recipe = synthetic.Recipe(rows=count, dim=DIM, clusters=20_000)
        made = synthetic.blocks(self.recipe)
        self.pool = np.concatenate([block for _, block in zip(range(16), made, strict=False)])

    def blocks(self) -> Any:
        """Yield ids and rows."""
        rng = np.random.default_rng(0)
        step = 65_536
        for start in range(0, self.count, step):
            stop = min(start + step, self.count)
            first = start % max(1, len(self.pool) - step)
            shift = np.float32(0.01) * rng.standard_normal((1, DIM), dtype=np.float32)
            yield (
                np.arange(start, stop),
                np.ascontiguousarray(self.pool[first : first + stop - start] + shift),
            )


def ivfpq(options: argparse.Namespace) -> dict[str, Any]:
    """Train and fill an IVF-PQ on the card, then search it, ours and faiss called directly."""
    from indexes.engine import factory_strings, faiss, gpu_index, ivf

    module, rows = faiss(), Rows(options.rows)
    factory = factory_strings.factory_for("ivfpq", rows=options.rows, dim=DIM)
    lists = ivf.lists_of(ivf.make(factory, dim=DIM))
    sample = rows.pool[: min(len(rows.pool), ivf.TRAINED_PER_LIST * lists)]
    asked = synthetic.queries(rows.recipe, 2000)
    kept: dict[str, Any] = {}

    def ours() -> None:
        index = ivf.make(factory, dim=DIM)
        gpu_index.train(index, sample, device=0)
        gpu_index.add(index, rows.blocks(), device=0)
        kept["ours"] = index

    def direct() -> None:
        config = module.GpuIndexIVFPQConfig()
        config.device, config.useFloat16LookupTables, config.indicesOptions = 0, True, module.INDICES_64_BIT
        resources = module.StandardGpuResources()
        codes = ivf.innermost(kept["ours"]).pq.M
        index = module.GpuIndexIVFPQ(resources, DIM, lists, codes, 8, module.METRIC_INNER_PRODUCT, config)
        ivf.prepare(index)
        index.train(sample)
        for ids, block in rows.blocks():
            index.add_with_ids(block, ids)
        kept["faiss"], kept["resources"] = index, resources

    ours()  # names the codes that both use
    times = alternate({"ours": ours, "faiss": direct}, repeats=1, warmup=0)
    served = gpu_index.served(kept["ours"], device=0)
    facts: dict[str, Any] = {
        "factory": factory,
        "rows": options.rows,
        "trained": len(sample),
        "train and add": {"times": times, "faiss over ours": ratio(times["faiss"], times["ours"])},
        "search": {},
    }
    if served is None:
        return facts | {"served": False}
    for nprobe in (16, 64):
        params = module.SearchParametersIVF(nprobe=nprobe)
        times = alternate(
            {
                "ours": lambda params=params: served.search(asked, 100, params=params),
                "faiss": lambda params=params: kept["faiss"].search(asked, 100, params=params),
            },
            repeats=options.repeats,
        )
        facts["search"][str(nprobe)] = {
            "queries_per_second": {name: len(asked) / took.median for name, took in times.items()},
            "faiss over ours": ratio(times["faiss"], times["ours"]),
        }
    return facts


def rabitq(options: argparse.Namespace) -> dict[str, Any]:
    """Train a RaBitQ index and find its rows' lists on the card, and on the CPU."""
    from indexes.engine import factory_strings, gpu_index, ivf

    count = min(options.rows, 1_000_000)
    rows = Rows(count)
    factory = factory_strings.factory_for("ivfrabitq", rows=count, dim=DIM)
    lists = ivf.lists_of(ivf.make(factory, dim=DIM))
    sample = rows.pool[: min(len(rows.pool), ivf.TRAINED_PER_LIST * lists)]
    asked = synthetic.queries(rows.recipe, 500)
    made: dict[str, Any] = {}
    seconds: dict[str, dict[str, float]] = {}
    for name, device in (("card", 0), ("cpu", None)):
        index = ivf.make(factory, dim=DIM)
        began = time.perf_counter()
        gpu_index.train(index, sample, device=device)
        trained = time.perf_counter()
        gpu_index.add(index, rows.blocks(), device=device)
        seconds[name] = {"train": trained - began, "add": time.perf_counter() - trained}
        made[name] = index.search(asked, 100, params=ivf.parameters(index, nprobe=32, shortlist=100))[1]
    shared = [np.isin(a, b).mean() for a, b in zip(made["card"], made["cpu"], strict=True)]
    return {
        "factory": factory,
        "rows": count,
        "trained": len(sample),
        "seconds": seconds,
        "cpu over card": {
            step: seconds["cpu"][step] / max(seconds["card"][step], 1e-9) for step in ("train", "add")
        },
        "share of the best 100 that both find": float(np.mean(shared)),
    }


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "tower": tower,
    "images": images,
    "onnx": onnx,
    "memory": memory,
    "exact": exact,
    "ivfpq": ivfpq,
    "rabitq": rabitq,
}


def main() -> None:
    """Run the parts that this machine has everything for, and keep their results as they come."""
    from indexes.engine import cuda_devices

    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    named = os.environ.get("RETRIEVAL_DATA")
    arguments.add_argument("--data", type=Path, default=None if named is None else Path(named))
    arguments.add_argument("--images", type=int, default=20_000)
    arguments.add_argument("--rows", type=int, default=4_000_000)
    arguments.add_argument("--exact-rows", type=int, default=10_000_000)
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--minutes", type=float, default=8.0)
    arguments.add_argument("--parts", default=",".join(PARTS))
    arguments.add_argument("--out", type=Path, help="folder of the results (benchmarks/results)")
    arguments.add_argument("--alone", help=argparse.SUPPRESS)  # the part that this process is for
    options = arguments.parse_args()
    if options.alone is not None:
        measure(options.alone, options)
        return
    if cuda_devices() == 0:
        print("this machine has no CUDA device that a driver sees: nothing is measured")
        return
    began, longest = time.perf_counter(), 0.0
    for part in options.parts.split(","):
        started = time.perf_counter()
        left = 60 * options.minutes - (started - began)
        if left <= longest:
            print(f"{part}: not measured; {left:.0f} s are left, and a part took {longest:.0f}", flush=True)
            continue
        apart(part, seconds=left)
        longest = max(longest, time.perf_counter() - started)


def apart(part: str, *, seconds: float) -> None:
    """Measure a part in a process of its own: what hangs, dies or breaks the card's context takes no other part with it."""
    command = [sys.executable, str(Path(__file__).resolve()), *sys.argv[1:], "--alone", part]
    try:
        code = subprocess.run(command, timeout=seconds, check=False).returncode
    except subprocess.TimeoutExpired:
        print(f"{part}: stopped; it took more than the {seconds:.0f} s that were left", flush=True)
        return
    if code:
        print(f"{part}: failed; its process ended with {code}", flush=True)


def measure(part: str, options: argparse.Namespace) -> None:
    """Measure a part in this process, print what was found and keep it; say why not where that fails."""
    place = {} if options.out is None else {"directory": options.out}
    lacks = missing(part)
    if lacks is not None:
        print(f"{part}: not measured; {lacks}", flush=True)
        return
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        options.work = Path(folder)
        try:
            with watch() as load:
                facts = PARTS[part](options)
        except Exception as error:  # noqa: BLE001 - the other parts are worth as much
            print(f"{part}: failed; {type(error).__name__}: {error}", flush=True)
            return
    print(
        f"{part}: {time.perf_counter() - started:.0f} s",
        {key: value for key, value in facts.items() if key != "times"},
        flush=True,
    )
    save(f"gpu_{part}", load=load, parameters={"dim": DIM, "k": K}, **place, **facts)


if __name__ == "__main__":
    main()
