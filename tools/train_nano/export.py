"""Write shipped weights: batch norms folded, float16 safetensors, and an ONNX graph over the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper
from safetensors import safe_open
from safetensors.numpy import save_file

from retrieval.encoders.families.nano import checksum
from retrieval.encoders.families.nano_torch import (
    CROPS,
    DIM,
    HEAD_STAGES,
    POPULARITY_WEIGHT,
    QUERYBANK,
    SIZE,
    STEM_STRIDE,
    TEMPERATURE,
    ConvNorm,
    Crop,
    ImageTower,
    Querybank,
    folded_tower,
    hidden_of,
    read_state,
)
from tools.train_nano.tower.train import NESTING

OPSET = 18
FACTS: dict[str, Any] = {
    "name": "nano@1",
    "width": DIM,
    "nesting": list(NESTING),
    "size": SIZE,
    "resize": "squash",
    "interpolation": "bicubic",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
}


def fold(tower: ImageTower) -> dict[str, NDArray[np.float16]]:
    """Fold every batch norm into its convolution: float16 arrays named as in a tower without norms."""
    folded: dict[str, Any] = {}
    for name, module in tower.named_modules():
        if isinstance(module, ConvNorm):
            norm: Any = module.norm
            if isinstance(norm, torch.nn.Identity):  # trained on from folded weights
                folded[f"{name}.conv.weight"], folded[f"{name}.conv.bias"] = (
                    module.conv.weight,
                    module.conv.bias,
                )
                continue
            gain = norm.weight / (norm.running_var + norm.eps).sqrt()  # (c,)
            weight = module.conv.weight * gain[:, None, None, None]
            bias = norm.bias - norm.running_mean * gain
            folded[f"{name}.conv.weight"] = weight
            folded[f"{name}.conv.bias"] = bias
    folded |= {f"head.{name}": value for name, value in tower.head.named_parameters()}
    return {
        name: value.detach().cpu().contiguous().numpy().astype(np.float16) for name, value in folded.items()
    }


def safetensors_layout(path: Path) -> tuple[dict[str, Any], int]:
    """Read a safetensors header: its entries, and the offset at which the data start."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return header, 8 + length


class Graph:
    """The nodes and constants of the ONNX graph of a folded tower whose weights lie in a safetensors file."""

    def __init__(self, weights: Path) -> None:
        self.header, start = safetensors_layout(weights)
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: list[onnx.TensorProto] = []
        for name, entry in self.header.items():
            tensor = onnx.TensorProto(
                name=f"{name}.f16", data_type=onnx.TensorProto.FLOAT16, dims=entry["shape"]
            )
            tensor.data_location = onnx.TensorProto.EXTERNAL
            low, high = entry["data_offsets"]
            for key, value in (
                ("location", weights.name),
                ("offset", start + low),
                ("length", high - low),
            ):
                tensor.external_data.add(key=key, value=str(value))
            self.initialisers.append(tensor)
            self.node("Cast", [f"{name}.f16"], name, to=onnx.TensorProto.FLOAT)

    def node(self, kind: str, inputs: list[str], out: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        self.nodes.append(helper.make_node(kind, inputs, [out], **attributes))
        return out

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Add a constant and return its name."""
        self.initialisers.append(onnx.numpy_helper.from_array(value, name))
        return name

    def cut(self, source: str, crop: Crop, name: str) -> str:
        """Cut the middle out, and scale it where it is to be of another size, as `nano_torch.cut` does."""
        edge = (SIZE - crop.size) // 2
        bounds = [
            self.constant(f"{name}.{end}", np.array([at, at]))
            for end, at in (("from", edge), ("to", edge + crop.size))
        ]
        axes = self.constant(f"{name}.axes", np.array([2, 3]))
        middle = self.node("Slice", [source, *bounds, axes], f"{name}.middle")
        if crop.side == crop.size:
            return middle
        side = self.constant(f"{name}.side", np.array([crop.side, crop.side]))
        return self.node(
            "Resize",
            [middle, "", "", side],
            f"{name}.scaled",
            mode="linear",
            antialias=1,
            axes=[2, 3],
            coordinate_transformation_mode="half_pixel",
        )

    def tower(self, source: str, name: str, *, stages: int) -> str:
        """Embed what ``source`` holds; the weights are shared by all calls, nodes are named after ``name``."""

        def conv(layer: str, x: str, *, stride: int, pads: int, relu: bool) -> str:
            size = self.header[f"{layer}.conv.weight"]["shape"][-1]
            attributes: dict[str, Any] = {
                "kernel_shape": [size, size],
                "strides": [stride, stride],
                "pads": [pads] * 4,
            }
            inputs = [x, f"{layer}.conv.weight", f"{layer}.conv.bias"]
            out = self.node("Conv", inputs, f"{name}.{layer}.out", **attributes)
            return activate(out) if relu else out

        def activate(x: str) -> str:
            return self.node("Relu", [x], f"{x}.relu")

        x = conv("stem", source, stride=STEM_STRIDE, pads=2, relu=True)
        means: list[str] = []
        for i in range(stages):
            stage, stride = f"stages.{i}", 1 if i == 0 else 2
            y = conv(f"{stage}.first", x, stride=stride, pads=1, relu=True)
            y = conv(f"{stage}.second", y, stride=1, pads=1, relu=False)
            if stride > 1:
                pool: dict[str, Any] = {
                    "kernel_shape": [2, 2],
                    "strides": [2, 2],
                    "ceil_mode": 1,
                    "count_include_pad": 0,
                }
                x = self.node("AveragePool", [x], f"{name}.{stage}.pool", **pool)
            if f"{stage}.shortcut.conv.weight" in self.header:
                x = conv(f"{stage}.shortcut", x, stride=1, pads=0, relu=False)
            x = activate(self.node("Add", [y, x], f"{name}.{stage}.sum"))
            if i >= stages - HEAD_STAGES:
                pooled = self.node("GlobalAveragePool", [x], f"{name}.{stage}.pooled")
                means.append(self.node("Flatten", [pooled], f"{name}.{stage}.mean"))
        x = self.node("Concat", means, f"{name}.means", axis=1)
        raw = self.node("Gemm", [x, "head.weight", "head.bias"], f"{name}.raw", transB=1)
        if "head.inner.weight" not in self.header:
            return raw
        inner = self.node("Gemm", [x, "head.inner.weight", "head.inner.bias"], f"{name}.inner", transB=1)
        return self.node("Gemm", [activate(inner), "head.outer.weight", raw], f"{name}.bent", transB=1)

    def querybank(self, source: str, out: str, *, weight: float) -> str:
        """Put how unpopular they are in the last place of rows, and normalise them, as `nano_torch.Querybank` does."""
        name = QUERYBANK.rstrip(".")
        bounds = [
            self.constant(f"{name}.{end}", np.array([at]))
            for end, at in (("from", 0), ("to", self.header[f"{QUERYBANK}texts"]["shape"][1]))
        ]
        kept = self.node("Slice", [source, *bounds, "last"], f"{name}.kept")
        meaning = self.unit(kept, f"{name}.meaning")
        near = self.node(
            "Gemm",
            [meaning, f"{name}.texts", f"{name}.offsets"],
            f"{name}.near",
            transB=1,
            alpha=1 / TEMPERATURE,
        )
        near = self.node("ReduceLogSumExp", [near, "last"], f"{name}.sum", keepdims=1)
        scale = self.constant(f"{name}.scale", np.array([-weight * TEMPERATURE], np.float32))
        unpopular = self.node("Mul", [near, scale], f"{name}.unpopular")
        return self.unit(self.node("Concat", [meaning, unpopular], f"{name}.rows", axis=1), out)

    def unit(self, source: str, out: str) -> str:
        """Normalise rows; one of length 0 stays."""
        length = self.node("ReduceL2", [source, "last"], f"{out}.length", keepdims=1)
        safe = self.node("Max", [length, "least"], f"{out}.safe")
        return self.node("Div", [source, safe], out)


def build_graph(
    weights: Path,
    *,
    stages: int,
    width: int = DIM,
    crops: Sequence[Crop] = CROPS,
    popularity: float = POPULARITY_WEIGHT,
) -> onnx.ModelProto:
    """Build the ONNX graph of a folded tower that looks at ``crops``; its initialisers point into ``weights``.

    Input ``pixels``: ``(b, 3, 160, 160)`` float32, preprocessed; output ``vectors``: ``(b, width)`` float32 unit rows.
    """
    graph = Graph(weights)
    graph.constant("last", np.array([1]))
    graph.constant("least", np.array([1e-12], np.float32))
    rows = []
    for i, crop in enumerate(crops):
        name = f"crop{i}"
        row = graph.unit(graph.tower(graph.cut("pixels", crop, name), name, stages=stages), f"{name}.unit")
        weight = graph.constant(f"{name}.weight", np.array([crop.weight], np.float32))
        rows.append(graph.node("Mul", [row, weight], f"{name}.weighted"))
    summed = graph.node("Sum", rows, "sum")
    if f"{QUERYBANK}texts" in graph.header:
        graph.querybank(summed, "vectors", weight=popularity)
    else:
        graph.unit(summed, "vectors")
    pixels = helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, ["b", 3, SIZE, SIZE])
    vectors = helper.make_tensor_value_info("vectors", onnx.TensorProto.FLOAT, ["b", width])
    made = helper.make_graph(graph.nodes, "nano_image", [pixels], [vectors], graph.initialisers)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)


def save_tensors(tensors: dict[str, NDArray[Any]], path: Path, *, note: dict[str, str] | None = None) -> None:
    """Write a safetensors file that everyone may read: the library writes it for its owner alone, and a wheel keeps that."""
    # The library writes the bytes as they lie, whatever the order of their axes.
    save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, path, metadata=note)
    path.chmod(0o644)


def export_image(
    tower: ImageTower,
    folder: Path,
    *,
    note: dict[str, str],
    facts: dict[str, Any] = FACTS,
    querybank: Querybank | None,
) -> None:
    """Write ``image.safetensors``, ``image.onnx`` and ``encoder.json`` into ``folder``; ``facts`` are the version's own."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "image.safetensors"
    bank = {} if querybank is None else querybank.state_dict()
    tensors = fold(tower) | {
        f"{QUERYBANK}{name}": part.numpy().astype(np.float16) for name, part in bank.items()
    }
    save_tensors(tensors, weights, note=note)
    graph = build_graph(
        weights,
        stages=len(tower.stages),
        width=int(facts["width"]),
        crops=[Crop(size=size, side=side, weight=weight) for size, side, weight in facts.get("looks", ())]
        or CROPS,
        popularity=facts.get("popularity", POPULARITY_WEIGHT),
    )
    (folder / "image.onnx").write_bytes(graph.SerializeToString())
    facts = facts | {"image_sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    (folder / "encoder.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    record_files(folder)


def record_files(folder: Path) -> None:
    """Record in ``encoder.json`` the checksum of each file that vectors depend on, so that a damaged one is refused."""
    facts = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.onnx")])
    facts["files"] = {path.name: checksum(path) for path in files}
    (folder / "encoder.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def read_note(weights: Path) -> dict[str, str]:
    """Read what was noted in a safetensors file."""
    with safe_open(weights, framework="np") as file:
        note: dict[str, str] = file.metadata()
    return note


def between(shipped: Path, tower: ImageTower, *, share: float) -> ImageTower:
    """Return the tower whose folded weights lie between shipped ones and those of one that was trained on from them.

    Between a network and what it was tuned to lies one that does better than both on what neither has seen (Wortsman et al., 2022,
    "Robust fine-tuning of zero-shot models", arXiv 2109.01903). ``share`` of it is the tower's, the rest the shipped one's.
    """
    after = {name: torch.from_numpy(value.astype(np.float32)) for name, value in fold(tower).items()}
    before = read_state(shipped)
    if hidden_of(after) and not hidden_of(before):  # there such units add nothing, whatever they read
        before |= {name: after[name] for name in after if name.startswith("head.inner.")}
        before["head.outer.weight"] = torch.zeros_like(after["head.outer.weight"])
    return folded_tower({name: (1 - share) * before[name] + share * value for name, value in after.items()})


def averaged_tower(checkpoint: Path) -> tuple[ImageTower, dict[str, Any]]:
    """Load the averaged tower of a checkpoint, and the checkpoint's facts (step, samples, seconds, recipe)."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    average = state["average"]
    tower = ImageTower(dim=len(average["head.bias"]), hidden=hidden_of(average), norm=True)
    tower.load_state_dict(average)
    return tower.eval(), {name: state[name] for name in ("step", "samples", "seconds", "recipe")}
