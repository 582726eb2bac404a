"""Write shipped weights: batch norms folded, float16 safetensors, and an ONNX graph over the same bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper
from safetensors.numpy import save_file

from retrieval.encoders.nano_torch import DIM, STEM_STRIDE, ConvNorm, ImageTower
from tools.train_nano.train import NESTING

OPSET = 18
FACTS: dict[str, Any] = {
    "name": "nano@1",
    "width": DIM,
    "nesting": list(NESTING),
    "size": 112,
    "resize": "squash",
    "interpolation": "bicubic",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
}


def fold(tower: ImageTower) -> dict[str, NDArray[np.float16]]:
    """Fold every batch norm into its convolution: float16 arrays named as in a tower without norms."""
    folded = {}
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
    folded["head.weight"], folded["head.bias"] = tower.head.weight, tower.head.bias
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


def build_graph(weights: Path, *, stages: int, width: int = DIM) -> onnx.ModelProto:
    """Build the ONNX graph of a folded tower; its initialisers point into ``weights`` and are cast to float32.

    Input ``pixels``: ``(b, 3, s, s)`` float32, preprocessed; output ``vectors``: ``(b, width)`` float32 unit rows.
    """
    header, start = safetensors_layout(weights)
    nodes: list[onnx.NodeProto] = []
    initialisers = []
    for name, entry in header.items():
        tensor = onnx.TensorProto(name=f"{name}.f16", data_type=onnx.TensorProto.FLOAT16, dims=entry["shape"])
        tensor.data_location = onnx.TensorProto.EXTERNAL
        low, high = entry["data_offsets"]
        for key, value in (("location", weights.name), ("offset", start + low), ("length", high - low)):
            tensor.external_data.add(key=key, value=str(value))
        initialisers.append(tensor)
        nodes.append(helper.make_node("Cast", [f"{name}.f16"], [name], to=onnx.TensorProto.FLOAT))

    def conv(name: str, source: str, *, stride: int, pads: int, relu: bool) -> str:
        out = f"{name}.out"
        size = header[f"{name}.conv.weight"]["shape"][-1]
        attributes: dict[str, Any] = {
            "kernel_shape": [size, size],
            "strides": [stride, stride],
            "pads": [pads] * 4,
        }
        inputs = [source, f"{name}.conv.weight", f"{name}.conv.bias"]
        nodes.append(helper.make_node("Conv", inputs, [out], **attributes))
        return activate(out) if relu else out

    def activate(source: str) -> str:
        nodes.append(helper.make_node("Relu", [source], [f"{source}.relu"]))
        return f"{source}.relu"

    x = conv("stem", "pixels", stride=STEM_STRIDE, pads=2, relu=True)
    for i in range(stages):
        name, stride = f"stages.{i}", 1 if i == 0 else 2
        y = conv(
            f"{name}.second",
            conv(f"{name}.first", x, stride=stride, pads=1, relu=True),
            stride=1,
            pads=1,
            relu=False,
        )
        if stride > 1:
            pool: dict[str, Any] = {
                "kernel_shape": [2, 2],
                "strides": [2, 2],
                "ceil_mode": 1,
                "count_include_pad": 0,
            }
            nodes.append(helper.make_node("AveragePool", [x], [f"{name}.pool"], **pool))
            x = f"{name}.pool"
        if f"{name}.shortcut.conv.weight" in header:
            x = conv(f"{name}.shortcut", x, stride=1, pads=0, relu=False)
        nodes.append(helper.make_node("Add", [y, x], [f"{name}.sum"]))
        x = activate(f"{name}.sum")
    nodes += [
        helper.make_node("GlobalAveragePool", [x], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "head.weight", "head.bias"], ["raw"], transB=1),
        helper.make_node("ReduceL2", ["raw", "last"], ["length"], keepdims=1),
        helper.make_node("Max", ["length", "least"], ["safe"]),
        helper.make_node("Div", ["raw", "safe"], ["vectors"]),
    ]
    initialisers += [
        onnx.numpy_helper.from_array(np.array([1]), "last"),
        onnx.numpy_helper.from_array(np.array([1e-12], np.float32), "least"),
    ]
    pixels = helper.make_tensor_value_info(
        "pixels", onnx.TensorProto.FLOAT, ["b", 3, FACTS["size"], FACTS["size"]]
    )
    vectors = helper.make_tensor_value_info("vectors", onnx.TensorProto.FLOAT, ["b", width])
    graph = helper.make_graph(nodes, "nano_image", [pixels], [vectors], initialisers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)


def export_image(
    tower: ImageTower, folder: Path, *, note: dict[str, str], facts: dict[str, Any] = FACTS
) -> None:
    """Write ``image.safetensors``, ``image.onnx`` and ``encoder.json`` into ``folder``; ``facts`` are the version's own."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "image.safetensors"
    save_file(fold(tower), weights, metadata=note)
    weights.chmod(0o644)  # it is written for its owner alone, and a wheel keeps that
    graph = build_graph(weights, stages=len(tower.stages), width=int(facts["width"]))
    (folder / "image.onnx").write_bytes(graph.SerializeToString())
    facts = facts | {"image_sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    (folder / "encoder.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def averaged_tower(checkpoint: Path) -> tuple[ImageTower, dict[str, Any]]:
    """Load the averaged tower of a checkpoint, and the checkpoint's facts (step, samples, seconds, recipe)."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    tower = ImageTower(norm=True)
    tower.load_state_dict(state["average"])
    return tower.eval(), {name: state[name] for name in ("step", "samples", "seconds", "recipe")}
