"""What does a GPU give: embedding against the bare model loop, IVF-PQ against raw faiss, exact search against the bare product?

    python benchmarks/bench_gpu.py [--images 20000] [--rows 10000000] [--exact-rows 10000000] [--parts images,ivfpq,exact]

images  images a second of `embed` with an open_clip ViT-B/32-sized tower in half precision (random weights: speed does not
        depend on them) against the bare loop of the same model over one batch that lies on the card, and against decoding
        alone; images are 500 x 375 JPEGs made by enlarging (``--data`` or RETRIEVAL_DATA, else scikit-image's)
ivfpq   training and adding ``--rows`` vectors of 512 on the card, and search, ours against faiss-gpu called directly
exact   a batch of 512 queries against ``--exact-rows`` rows in half precision, ours against the bare matrix product of torch

Needs an NVIDIA GPU. images and exact need torch with CUDA (and open_clip_torch), ivfpq needs faiss-gpu: pip install
'.[gpu]'. A part that lacks something says so and is left out; its result file is then not written.
"""

from __future__ import annotations

import argparse
import copy
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import synthetic
from benchmarks.frame import alternate, ratio, save, spread, watch
from indexes.distribution import pip_install

DIM = 512
K = 10


def missing(part: str) -> str | None:
    """Say what a part lacks on this machine, None for nothing."""
    from indexes.engine.backend import faiss

    if part in {"images", "exact"}:
        try:
            import torch
        except ImportError:
            return f"torch is not installed: {pip_install('gpu')}"
        if not torch.cuda.is_available():
            return f"torch {torch.__version__} sees no CUDA device"
    if part == "images":
        try:
            import open_clip  # noqa: F401
        except ImportError:
            return f"open_clip is not installed: {pip_install('gpu')}"
    if part == "ivfpq" and not getattr(faiss(), "get_num_gpus", int)():
        return f"faiss {faiss().__version__} sees no GPU: pip install faiss-gpu in place of faiss-cpu"
    return None


def images(options: argparse.Namespace) -> dict[str, Any]:
    """Embed files against the bare loops: the model's over a batch on the card, and decoding on all cores."""
    from concurrent.futures import ThreadPoolExecutor

    import torch

    from benchmarks.bench_build import sources
    from retrieval.embedding import cores, embed
    from retrieval.sources.decoding.decoder import decode

    originals = sources(options.data)
    files = []
    from PIL import Image

    for path in originals[:2000]:
        buffer = io.BytesIO()
        Image.open(path).convert("RGB").resize((500, 375), Image.Resampling.BICUBIC).save(
            buffer, "JPEG", quality=90
        )
        files.append(buffer.getvalue())
    encoder = random_tower(device="cuda")
    count = options.images
    decode_size = getattr(encoder, "decode_size", None)

    def whole() -> None:
        # Every file has bytes of its own, or copies would be recognised and not encoded.
        items = range(count)
        for _ in embed(items, encoder, open_image=lambda n: files[n % len(files)] + n.to_bytes(4, "little")):
            pass

    batch = np.stack([encoder.preprocess(decode(data, decode_size=decode_size)) for data in files[:512]])
    model = copy.deepcopy(encoder._model).half()  # noqa: SLF001 - the bare loop, nothing cast on the way
    pixels = torch.from_numpy(batch).to(encoder.device, torch.float16)

    def bare() -> None:
        with torch.inference_mode():
            for _ in range(0, count, len(pixels)):
                rows = model.encode_image(pixels)
            torch.cuda.synchronize()
        del rows

    def decoding() -> None:
        with ThreadPoolExecutor(cores()) as pool:
            for _ in pool.map(
                lambda n: encoder.preprocess(decode(files[n % len(files)], decode_size=decode_size)),
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


def random_tower(*, device: str) -> Any:
    """Open a ViT-B/32 with random weights through our own family, from a folder as `local-dir:` has it."""
    import json

    import open_clip
    import torch

    import retrieval

    folder = Path(tempfile.mkdtemp()) / "vit-b-32"
    folder.mkdir()
    model = open_clip.create_model("ViT-B-32", pretrained=None)
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    config = {"model_cfg": open_clip.get_model_config("ViT-B-32"), "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return retrieval.load_encoder(f"open_clip:local-dir:{folder}", device=device)


def ivfpq(options: argparse.Namespace) -> dict[str, Any]:
    """Train and fill an IVF-PQ on the card, then search it, ours and faiss called directly."""
    from indexes.engine import gpu_index, ivf
    from indexes.engine.backend import faiss

    module = faiss()
    recipe = synthetic.Recipe(rows=options.rows, dim=DIM, clusters=20_000)
    factory = ivf.factory_for("ivfpq", rows=options.rows, dim=DIM)
    lists = ivf.lists_of(ivf.make(factory, dim=DIM))
    pool = np.concatenate([block for _, block in zip(range(64), synthetic.blocks(recipe), strict=False)])
    sample = pool[: min(len(pool), ivf.TRAINED_PER_LIST * lists)]
    asked = synthetic.queries(recipe, 2000)
    kept: dict[str, Any] = {}

    def blocks() -> Any:
        # The same million rows over and over, moved a little: drawing ten million would take longer than adding them.
        rng = np.random.default_rng(0)
        for start in range(0, options.rows, 65_536):
            stop = min(start + 65_536, options.rows)
            first = start % (len(pool) - 65_536)
            rows = pool[first : first + stop - start] + np.float32(0.01) * rng.standard_normal(
                (1, DIM), dtype=np.float32
            )
            yield np.arange(start, stop), np.ascontiguousarray(rows)

    def ours() -> None:
        index = ivf.make(factory, dim=DIM)
        gpu_index.train(index, sample, device=0)
        gpu_index.add(index, blocks(), device=0)
        kept["ours"] = index

    def direct() -> None:
        config = module.GpuIndexIVFPQConfig()
        config.device, config.useFloat16LookupTables, config.indicesOptions = 0, True, module.INDICES_64_BIT
        resources = module.StandardGpuResources()
        codes = ivf.innermost(kept["ours"]).pq.M
        index = module.GpuIndexIVFPQ(resources, DIM, lists, codes, 8, module.METRIC_INNER_PRODUCT, config)
        index.train(sample)
        for ids, rows in blocks():
            index.add_with_ids(rows, ids)
        kept["faiss"], kept["resources"] = index, resources

    ours()  # names the codes that both use
    times = alternate({"ours": ours, "faiss": direct}, repeats=options.repeats, warmup=0)
    served = gpu_index.served(kept["ours"], device=0)
    facts: dict[str, Any] = {
        "factory": factory,
        "rows": options.rows,
        "trained": len(sample),
        "train and add": {"times": times, "faiss over ours": ratio(times["faiss"], times["ours"])},
        "search": {},
    }
    for nprobe in (16, 64):
        params = module.SearchParametersIVF(nprobe=nprobe)
        times = alternate(
            {
                "ours": lambda params=params: served.search(asked, 100, params=params),
                "faiss": lambda params=params: kept["faiss"].search(asked, 100, params=params),
            },
            repeats=3 * options.repeats,
        )
        facts["search"][str(nprobe)] = {
            "queries_per_second": {name: len(asked) / took.median for name, took in times.items()},
            "faiss over ours": ratio(times["faiss"], times["ours"]),
        }
    return facts


def exact(options: argparse.Namespace) -> dict[str, Any]:
    """Compare every row in half precision against the bare product and the choice of its best."""
    import torch

    from indexes.engine import flat
    from indexes.engine.backend import gpu as faiss_card
    from indexes.engine.gpu_index import Card
    from retrieval.collection.gpu_search import exact_on

    free, _ = torch.cuda.mem_get_info()
    count = min(options.exact_rows, int(0.35 * free / (2 * DIM)))
    recipe = synthetic.Recipe(rows=1_000_000, dim=DIM)
    part = synthetic.vectors(recipe).astype(np.float16)
    rows = np.empty((count, DIM), np.float16)
    for start in range(0, count, len(part)):
        rows[start : start + len(part)] = part[: count - start]
        part = np.roll(part, 1, axis=1)  # other rows of the same shape
    asked = synthetic.queries(recipe, 512)
    number = faiss_card("cuda")
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
    times = alternate({"ours": ours, "product": product}, repeats=3 * options.repeats)
    return {
        "rows": count,
        "by": "torch" if number is None else "faiss-gpu",
        "equal to exact search on the CPU": right,
        "queries_per_second": 512 / times["ours"].median,
        "bare product over ours": ratio(times["product"], times["ours"]),
        "times": times,
    }


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "images": images,
    "ivfpq": ivfpq,
    "exact": exact,
}


def main() -> None:
    """Run the parts that this machine has everything for, and keep their results."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    named = os.environ.get("RETRIEVAL_DATA")
    arguments.add_argument("--data", type=Path, default=None if named is None else Path(named))
    arguments.add_argument("--images", type=int, default=20_000)
    arguments.add_argument("--rows", type=int, default=10_000_000)
    arguments.add_argument("--exact-rows", type=int, default=10_000_000)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--parts", default=",".join(PARTS))
    options = arguments.parse_args()
    for part in options.parts.split(","):
        lacks = missing(part)
        if lacks is not None:
            print(f"{part}: not measured; {lacks}")
            continue
        began = time.perf_counter()
        with watch() as load:
            facts = PARTS[part](options)
        print(
            f"{part}: {time.perf_counter() - began:.0f} s",
            {key: value for key, value in facts.items() if key != "times"},
        )
        save(f"gpu_{part}", load=load, parameters={"dim": DIM, "k": K}, **facts)


if __name__ == "__main__":
    main()
